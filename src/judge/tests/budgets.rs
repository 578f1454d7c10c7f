//! What a budget counts: which part of a run a sample belongs to, windows, how many are needed, and who is left out.

use serde_json::json;

use super::slis::says;
use super::story::{Answer, MS, S, Story, healthy, member, not_ready, read, silent};
use crate::api::{Members, Nanos};
use crate::experiment::Verdict;
use crate::judge::judge;
use crate::judge::judgement::{Claim, Numbers, Scope};

#[test]
fn what_is_bad_between_the_last_revert_and_recovery_is_told_once() {
    let claim = json!({"name": "q", "sli": {"quorum": {}}, "recoverWithin": "5s"});
    let mut story = Story::claiming(claim);
    let parts = |story: &Story| {
        let claim = story.judged().claims.swap_remove(0);
        let outages: Vec<Nanos> = claim.outages().iter().map(|outage| outage.to - outage.from).collect();
        (claim.phases.iter().any(|numbers| numbers.scope == Scope::Recovery), outages)
    };
    assert_eq!(parts(&story), (false, vec![]), "it was good at once");
    story.members = |now| match now {
        12_000_000_000..13_000_000_000 => Members { members: (0..3).map(silent).collect() },
        _ => healthy(now),
    };
    assert_eq!(parts(&story), (true, vec![1_100 * MS]));
    // One that the faults began goes on.
    story.members = |now| match now {
        10_000_000_000..13_000_000_000 => Members { members: (0..3).map(silent).collect() },
        _ => healthy(now),
    };
    assert_eq!(parts(&story), (true, vec![3_100 * MS]));
}

#[test]
fn writes_while_it_comes_back_are_none_after_recovery() {
    let quorum = json!({"name": "q", "sli": {"quorum": {}}, "recoverWithin": "5s"});
    let mut story = Story::claiming(quorum);
    story.members = |now| match now {
        9_000_000_000..13_000_000_000 => Members { members: (0..3).map(silent).collect() },
        _ => healthy(now),
    };
    let writes = |story: &Story| {
        let writes = story.judged().workload.writes;
        writes.iter().map(|writes| (writes.scope, writes.acknowledged / 100)).collect::<Vec<_>>()
    };
    let lasting = [(Scope::Before, 6), (Scope::During, 4), (Scope::Recovery, 2), (Scope::After, 3)];
    assert_eq!(writes(&story), lasting);
    // What happens once has its consequences until everything is back.
    story.steps[0] =
        json!({"name": "pause", "at": "1s", "fault": {"podKill": {"members": {"ordinals": [0]}}}});
    assert_eq!(writes(&story), [(Scope::Before, 6), (Scope::During, 6), (Scope::After, 3)]);
    // Where nobody says when that was, nothing is called so.
    story.hypothesis = json!([{"name": "d", "sli": {"durability": {}}}]);
    assert_eq!(writes(&story), [(Scope::Before, 6), (Scope::During, 9)]);
}

#[test]
fn what_goes_on_into_the_faults_is_not_all_told_before_them() {
    let mut story =
        Story::claiming(json!({"name": "q", "sli": {"quorum": {}}, "during": {"longestOutage": "9s"}}));
    story.members = |now| match now {
        6_800_000_000..9_000_000_000 => Members { members: (0..3).map(silent).collect() },
        _ => healthy(now),
    };
    let claim = story.judged().claims.swap_remove(0);
    let told = |numbers: &Numbers| numbers.outages.iter().map(|outage| (outage.from, outage.to)).collect();
    let outages: Vec<Vec<(Nanos, Nanos)>> = claim.phases.iter().map(told).collect();
    assert_eq!(outages[..2], [vec![(6_700 * MS, 7 * S)], vec![(7 * S, 9 * S)]]);
}

#[test]
fn a_window_finds_the_bad_second_that_a_whole_phase_hides() {
    let claim = |bounds: serde_json::Value| {
        let mut story = Story::claiming(
            json!({"name": "c", "sli": {"commitLatency": {"quantile": 0.9}}, "always": bounds}),
        );
        // 1.2 s of 14 s are less than a tenth of all writes, and all of a window.
        story.writes = |at| Answer::Ok(if (8 * S..9200 * MS).contains(&at) { 200 * MS } else { 5 * MS });
        story
    };
    says(&claim(json!({"max": "50ms"})), Verdict::Pass, "commitLatency p90: 5 ms over the whole run");
    says(
        &claim(json!({"max": "50ms", "window": "1s"})),
        Verdict::Fail,
        "commitLatency p90: 200 ms in the worst 1 s, from ",
    );
    says(&claim(json!({"max": "50ms", "window": "20s"})), Verdict::Pass, "in the worst ");
    let mut up = Story::claiming(
        json!({"name": "up", "sli": {"podAvailability": {}}, "always": {"min": "90%", "window": "2s"}}),
    );
    up.ready = vec![(8 * S, 2), (9 * S, 3)];
    says(&up, Verdict::Fail, "podAvailability: 83.3 % in the worst 2 s, from ");
    up.hypothesis = json!([{"name": "up", "sli": {"podAvailability": {}}, "always": {"min": "90%"}}]);
    says(&up, Verdict::Pass, "podAvailability: 97.7 % over the whole run");
}

/// A claim about a run in which nobody writes for some time.
fn without_writes(claim: serde_json::Value, silent: std::ops::Range<Nanos>) -> Claim {
    let story = Story::claiming(claim);
    let silent = silent.step_by(10 * MS as usize).map(|at| format!("\"intended\":{at}}}"));
    let silent: std::collections::BTreeSet<String> = silent.collect();
    let is_there = |line: &String| {
        let intended = line.find("\"intended\":").map(|place| &line[place..]);
        intended.is_none_or(|intended| !silent.contains(intended))
    };
    let lines: Vec<String> = story.lines().into_iter().filter(is_there).collect();
    judge(&read(&lines)).claims.swap_remove(0)
}

#[test]
fn a_window_of_which_nothing_is_known_may_be_the_worst_one() {
    let told = |max: &str| {
        let bounds = json!({"max": max, "window": "1s"});
        let claim = json!({"name": "c", "sli": {"commitLatency": {}}, "during": bounds});
        without_writes(claim, 8 * S..9_500 * MS)
    };
    let claim = told("50ms");
    assert_eq!(claim.verdict, Verdict::Inconclusive, "{:#?}", claim.findings);
    let words = "commitLatency p99: nothing was measured in 1 s from 8.0 s on while faults were there";
    assert_eq!(claim.sentence, words);
    // What is known is bad enough.
    assert_eq!(told("1ms").verdict, Verdict::Fail);
}

#[test]
fn a_time_in_which_nobody_writes_proves_nothing() {
    let commits =
        |bounds: serde_json::Value| json!({"name": "c", "sli": {"commitLatency": {}}, "during": bounds});
    let lag = |max: &str| json!({"name": "l", "sli": {"replicationLag": {}}, "during": {"max": max}});
    for (claim, words) in [
        (
            commits(json!({"max": "50ms"})),
            "commitLatency p99: not sampled for 1 s of 4 s while faults were there",
        ),
        (
            commits(json!({"max": "50ms", "longestOutage": "1s"})),
            "commitLatency p99: not sampled for 1 s of 4 s while faults were there",
        ),
        (lag("50ms"), "replicationLag: not sampled for 1.1 s of 4 s while faults were there"),
    ] {
        let told = without_writes(claim.clone(), 8 * S..9_500 * MS);
        assert_eq!(told.verdict, Verdict::Pass, "{:#?}", told.findings);
        let told = without_writes(claim, 8 * S..11 * S);
        assert_eq!(told.verdict, Verdict::Inconclusive, "{:#?}", told.findings);
        assert_eq!(told.sentence, words);
    }
    // What is known is bad enough.
    assert_eq!(without_writes(commits(json!({"max": "1ms"})), 8 * S..11 * S).verdict, Verdict::Fail);
}

#[test]
fn for_how_long_something_is_good_says_nothing_where_everything_is() {
    for bounds in [
        json!({"after": {"stableFor": "3s"}}),
        json!({"after": {"minSamples": 10}, "recoverWithin": "4s"}),
        json!({"after": {"longestOutage": "1s"}}),
    ] {
        let mut claim = json!({"name": "c", "sli": {"commitLatency": {}}});
        claim.as_object_mut().expect("a claim").extend(bounds.as_object().expect("bounds").clone());
        let mut story = Story::claiming(claim);
        says(&story, Verdict::Pass, "commitLatency p99: ");
        story.writes = |at| Answer::Ok(if at > 7 * S { 900 * MS } else { 5 * MS });
        says(&story, Verdict::Fail, "commitLatency p99: not recovered");
    }
    let mut story = Story::claiming(json!({"name": "c", "sli": {"commitLatency": {}},
        "during": {"longestOutage": "1s"}, "after": {"stableFor": "1s"}}));
    story.writes = |at| Answer::Ok(if (8 * S..10 * S).contains(&at) { 900 * MS } else { 5 * MS });
    says(&story, Verdict::Fail, "commitLatency p99: above 50 ms for 2 s while faults were there");
}

#[test]
fn writes_that_did_not_happen_are_no_samples_of_how_long_they_took() {
    let mut story = Story::claiming(
        json!({"name": "c", "sli": {"commitLatency": {}}, "during": {"max": "50ms", "minSamples": 100}}),
    );
    says(&story, Verdict::Pass, "5 ms while faults were there");
    story.writes = |at| {
        if (7_500 * MS..11 * S).contains(&at) { Answer::Fail(MS) } else { Answer::Ok(5 * MS) }
    };
    says(&story, Verdict::Inconclusive, "samples, at least 100 are needed, while faults were there");
    // Where none is acknowledged there is no need of many.
    story.writes = |at| if (7 * S..12 * S).contains(&at) { Answer::Fail(MS) } else { Answer::Ok(5 * MS) };
    says(&story, Verdict::Fail, "commitLatency p99: no end while faults were there");
}

#[test]
fn too_few_samples_are_inconclusive_whatever_they_say() {
    let story = |bounds: serde_json::Value| {
        let mut story = Story::claiming(json!({"name": "c", "sli": {"commitLatency": {}}, "during": bounds}));
        story.writes = |_| Answer::Ok(200 * MS);
        story
    };
    says(&story(json!({"max": "50ms", "minSamples": 100})), Verdict::Fail, "200 ms while faults were there");
    let few = story(json!({"max": "50ms", "minSamples": 1_000_000}));
    says(&few, Verdict::Inconclusive, "samples, at least 1000000 are needed, while faults were there");
    let few = story(json!({"max": "1s", "window": "1s", "minSamples": 1_000_000}));
    says(&few, Verdict::Inconclusive, "samples, at least 1000000 are needed, while faults were there");
    let windowed = story(json!({"max": "1s", "window": "1s", "minSamples": 3}));
    says(&windowed, Verdict::Pass, "200 ms in the worst 1 s");
    let windowed = story(json!({"max": "1s", "window": "1s", "minSamples": 300}));
    says(&windowed, Verdict::Inconclusive, "at least 300 are needed, in 1 s from ");
    let mut quorum = Story::claiming(
        json!({"name": "q", "sli": {"quorum": {}}, "during": {"longestOutage": "9s", "minSamples": 42}}),
    );
    says(&quorum, Verdict::Inconclusive, "quorum: 41 samples, at least 42 are needed,");
    quorum.hypothesis[0]["during"]["minSamples"] = json!(41);
    says(&quorum, Verdict::Pass, "quorum: held without a break");
}

#[test]
fn members_that_a_fault_has_are_left_out_where_a_budget_asks_for_that() {
    // Member 0, which the fault has until 11.05 s, is the one that is not ready; so is member 1 for a while.
    let mut story = Story::claiming(
        json!({"name": "up", "sli": {"podAvailability": {}}, "during": {"min": "100%", "excludeFaulted": true}}),
    );
    story.heard = vec![not_ready(8 * S, &[0]), not_ready(10 * S, &[])];
    says(
        &story,
        Verdict::Pass,
        "podAvailability: 100 % of members that no fault had, while faults were there",
    );
    assert!(story.judged().claims[0].findings[0].excludes_faulted);
    story.heard.push(not_ready(9 * S, &[0, 1]));
    says(&story, Verdict::Fail, "(at 9.0 s: 1 of 2 pods that no fault has are ready), at least 100 %");
    // Once it is reverted, the member counts.
    story.hypothesis = json!([{"name": "up", "sli": {"podAvailability": {}},
        "always": {"longestOutage": "1s", "min": "100%", "excludeFaulted": true}}]);
    story.heard = vec![not_ready(8 * S, &[0]), not_ready(11_500 * MS, &[])];
    says(
        &story,
        Verdict::Pass,
        "below 100 % for 450 ms of members that no fault had, over the whole run (at 11.0 s:",
    );
    story.hypothesis[0]["always"]["longestOutage"] = json!("400ms");
    says(&story, Verdict::Fail, "below 100 % for 450 ms");
    story.hypothesis[0]["always"] = json!({"longestOutage": "1s", "min": "100%"});
    says(&story, Verdict::Fail, "below 100 % for 3.5 s");
}

#[test]
fn a_member_that_is_hit_and_not_taken_away_may_be_late_where_a_budget_asks_for_that() {
    let mut story = Story::claiming(
        json!({"name": "lag", "sli": {"replicationLag": {}}, "during": {"max": "100ms", "excludeFaulted": true}}),
    );
    // A fault that takes nobody away.
    story.damage = json!({"down": [], "cut": []});
    story.members = |now| {
        let mut members = healthy(now);
        if (8 * S..10 * S).contains(&now) {
            members.members[0] = member(0, 0, 1, 7 * S);
        }
        members
    };
    says(&story, Verdict::Pass, "replicationLag: ");
    story.hypothesis[0]["during"] = json!({"max": "100ms"});
    says(&story, Verdict::Fail, "member 0 is ");
}

#[test]
fn a_fault_that_has_everybody_leaves_nothing_to_judge() {
    let mut story = Story::claiming(
        json!({"name": "up", "sli": {"podAvailability": {}}, "during": {"min": "100%", "excludeFaulted": true}}),
    );
    story.damage = json!({"down": [0, 1, 2], "cut": []});
    says(&story, Verdict::Inconclusive, "podAvailability: nothing was measured of members that no fault had");
}
