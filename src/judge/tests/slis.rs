//! Each SLI seen green and red.

use serde_json::json;

use super::story::{Answer, MS, S, Story, healthy, led_by, member, pods, silent, snapshot};
use crate::api::{MemberSample, Members, Nanos, WriteNeeds};
use crate::experiment::Verdict;
use crate::judge::judgement::Scope;

#[track_caller]
pub(super) fn says(story: &Story, verdict: Verdict, words: &str) {
    let judgement = story.judged();
    let claim = &judgement.claims[0];
    assert!(claim.sentence.contains(words), "{:#?}", claim.findings);
    assert_eq!(claim.verdict, verdict, "{:#?}", claim.findings);
    assert_eq!(judgement.verdict, verdict, "{:#?}", judgement.reasons);
}

#[test]
fn pod_availability_holds_while_all_are_ready() {
    let story = Story::claiming(json!({"name": "up", "sli": {"podAvailability": {}}}));
    says(&story, Verdict::Pass, "podAvailability: 100 % after recovery, at least 100 %");
}

#[test]
fn pod_availability_fails_when_too_few_are_ready_during_the_fault() {
    let claim = json!({"name": "up", "sli": {"podAvailability": {}}, "during": {"min": "67%"}});
    let mut story = Story::claiming(claim);
    story.ready = vec![(8 * S, 1), (10 * S, 3)];
    says(&story, Verdict::Pass, "podAvailability: 67 % while faults were there, at least 67 %");
    story.ready = vec![(8 * S, 1), (10_100 * MS, 3)];
    says(&story, Verdict::Fail, "(at 8.0 s: 1 of 3 pods are ready), at least 67 %");
}

#[test]
fn nothing_is_available_and_nothing_missing_where_no_pod_is_asked_for() {
    let claim = json!({"name": "up", "sli": {"podAvailability": {}}, "during": {"min": "67%"}});
    let mut story = Story::claiming(claim);
    let mut none = snapshot(3);
    (none["replicas"], none["pods"]) = (json!(0), json!([]));
    story.heard = vec![(8 * S, json!({"pods": none})), (10 * S, json!({"pods": snapshot(3)}))];
    says(
        &story,
        Verdict::Inconclusive,
        "podAvailability: not sampled for 2 s of 4 s while faults were there",
    );
}

#[test]
fn quorum_that_is_lost_for_longer_than_allowed_fails_and_says_when() {
    let claim = |longest: &str| {
        json!({"name": "q", "sli": {"quorum": {}}, "during": {"step": "pause", "longestOutage": longest},
               "recoverWithin": "2s"})
    };
    let mut story = Story::claiming(claim("3s"));
    says(&story, Verdict::Pass, "quorum: held without a break during pause, allowed 3 s");
    story.members = |now| match now {
        8_000_000_000..10_000_000_000 => {
            Members { members: vec![silent(0), silent(1), member(2, 0, 1, now)] }
        }
        _ => healthy(now),
    };
    says(
        &story,
        Verdict::Pass,
        "quorum: lost for 2.1 s during pause (at 7.9 s: 1 of 3 voters answer, 2 are needed), allowed 3 s",
    );
    story.hypothesis = json!([claim("2s")]);
    says(&story, Verdict::Fail, "quorum: lost for 2.1 s during pause");
}

#[test]
fn quorum_needs_a_leader_that_its_majority_agrees_on() {
    let mut story =
        Story::claiming(json!({"name": "q", "sli": {"quorum": {}}, "during": {"totalOutage": "0s"}}));
    story.members = |now| {
        let mut members = healthy(now);
        if (8 * S..9 * S).contains(&now) {
            members.members[0] = member(0, 1, 1, now);
            members.members[1] = member(1, 2, 1, now);
            members.members[2] = member(2, 0, 1, now);
        }
        members
    };
    says(&story, Verdict::Fail, "none leads");
}

/// Member 0 leads a store that does not vote, and its writes need one of the two others.
fn without_votes(now: Nanos) -> Members {
    let mut members = healthy(now);
    for member in &mut members.members {
        let MemberSample::Answer { voter, writes_need, .. } = &mut member.sample else { continue };
        *voter = false;
        *writes_need = (member.ordinal == 0).then(|| WriteNeeds { acknowledgements: 1, of: [1, 2].into() });
    }
    members
}

#[test]
fn quorum_of_a_store_that_does_not_vote_is_its_leader_and_whom_its_writes_need() {
    let mut story =
        Story::claiming(json!({"name": "q", "sli": {"quorum": {}}, "during": {"totalOutage": "0s"}}));
    story.members = |now| {
        let mut members = without_votes(now);
        if (8 * S..9 * S).contains(&now) {
            members.members[1] = silent(1);
        }
        members
    };
    says(&story, Verdict::Pass, "");
    story.members = |now| {
        let mut members = without_votes(now);
        if (8 * S..9 * S).contains(&now) {
            members.members[1] = silent(1);
            members.members[2] = member(2, 1, 1, now);
        }
        members
    };
    says(&story, Verdict::Fail, "0 of 2 members follow the leader, its writes need 1");
    story.members = |now| {
        let mut members = without_votes(now);
        if (8 * S..9 * S).contains(&now) {
            members.members[0] = silent(0);
        }
        members
    };
    says(&story, Verdict::Fail, "no member leads");
}

#[test]
fn quorum_that_comes_back_too_late_fails_with_the_recovery_time() {
    let claim = json!({"name": "q", "sli": {"quorum": {}}, "recoverWithin": "1s"});
    let mut story = Story::claiming(claim);
    story.members = |now| match now {
        8_000_000_000..12_500_000_000 => {
            Members { members: vec![silent(0), silent(1), member(2, 0, 1, now)] }
        }
        _ => healthy(now),
    };
    says(&story, Verdict::Fail, "quorum: recovered 1.4 s after the last revert, allowed 1 s");
    story.hypothesis = json!([{"name": "q", "sli": {"quorum": {}}, "recoverWithin": "2s"}]);
    says(&story, Verdict::Pass, "");
    story.members = |now| match now {
        8_000_000_000.. => Members { members: vec![silent(0), silent(1), member(2, 0, 1, now)] },
        _ => healthy(now),
    };
    says(&story, Verdict::Fail, "quorum: not recovered");
}

#[test]
fn a_steady_state_that_did_not_hold_says_nothing_about_the_fault() {
    let mut story = Story::claiming(json!({"name": "q", "sli": {"quorum": {}}}));
    story.members = |now| match now {
        5_000_000_000..5_500_000_000 => led_by(9, 1, now),
        _ => healthy(now),
    };
    says(&story, Verdict::Inconclusive, "before the first fault");
}

#[test]
fn elections_are_counted_against_their_bound() {
    let claim = |max| json!({"name": "e", "sli": {"leaderElections": {}}, "during": {"max": max}});
    let mut story = Story::claiming(claim(1));
    story.members = |now| match now {
        0..8_000_000_000 => healthy(now),
        8_000_000_000..9_000_000_000 => led_by(1, 2, now),
        _ => led_by(2, 3, now),
    };
    says(&story, Verdict::Fail, "leaderElections: 2 while faults were there, allowed 1");
    story.hypothesis = json!([claim(2)]);
    says(&story, Verdict::Pass, "leaderElections: 2");
}

#[test]
fn requests_that_failed_are_counted_and_those_that_nobody_made_prove_nothing() {
    let mut story = Story::claiming(json!({"name": "api", "sli": {"apiErrors": {}}, "during": {"max": 1}}));
    let request = |at: Nanos, error: Option<&str>| (at, json!({"request": {"error": error}}));
    let seconds = |failed: u64| {
        let made = (0..17).map(|n| (n, (8..8 + failed).contains(&n).then_some("refused")));
        made.map(|(n, error)| request(n * S + 100 * MS, error)).collect::<Vec<_>>()
    };
    story.heard = seconds(1);
    says(&story, Verdict::Pass, "apiErrors: 1 while faults were there, allowed 1");
    story.heard = seconds(2);
    says(&story, Verdict::Fail, "apiErrors: 2 while faults were there, allowed 1");
    story.heard = vec![request(7_100 * MS, None)];
    says(&story, Verdict::Inconclusive, "apiErrors: not sampled for 1 s of 4 s while faults were there");
}

#[test]
fn an_election_is_counted_in_one_part_of_the_run() {
    let claim =
        json!({"name": "e", "sli": {"leaderElections": {}}, "during": {"max": 1}, "after": {"max": 0}});
    let mut story = Story::claiming(claim);
    story.steps[0] =
        json!({"name": "pause", "at": "1s", "fault": {"podKill": {"members": {"ordinals": [0]}}}});
    let counted = |story: &Story| {
        let phases = story.judged().claims.swap_remove(0).phases;
        phases.into_iter().map(|numbers| (numbers.scope, numbers.value)).collect::<Vec<_>>()
    };
    // What happened once is over at 11.05 s, and has its consequences.
    story.members = |now| match now {
        0..11_200_000_000 => healthy(now),
        11_200_000_000..12_000_000_000 => Members { members: (0..3).map(silent).collect() },
        _ => led_by(1, 2, now),
    };
    says(&story, Verdict::Pass, "leaderElections: 1 while faults were there, allowed 1");
    let once = [(Scope::Before, Some(0)), (Scope::During, Some(1)), (Scope::After, Some(0))];
    assert_eq!(counted(&story), once);
    // What was there for a time has had them then.
    story.steps[0] = json!({"name": "pause", "at": "1s", "for": "4s",
        "fault": {"processPause": {"members": {"ordinals": [0]}}}});
    says(&story, Verdict::Fail, "leaderElections: 1 after recovery, allowed 0");
    let lasting = [(Scope::Before, Some(0)), (Scope::During, Some(0)), (Scope::After, Some(1))];
    assert_eq!(counted(&story), lasting);
}

#[test]
fn two_leaders_in_one_term_fail_whatever_the_bound() {
    let claim = json!({"name": "e", "sli": {"leaderElections": {}}, "during": {"max": 9}});
    let mut story = Story::claiming(claim);
    story.members = |now| {
        let mut members = healthy(now);
        if now >= 9 * S {
            members.members[2] = member(2, 2, 1, now);
        }
        members
    };
    says(
        &story,
        Verdict::Fail,
        "two leaders in term 1: member 0 (seen at 0.5 s) and member 2 (seen at 9.0 s)",
    );
    story.hypothesis = json!([{"name": "up", "sli": {"podAvailability": {}}}]);
    assert_eq!(story.judged().verdict, Verdict::Fail);
}

#[test]
fn a_member_that_stays_behind_after_the_fault_fails_the_lag() {
    let mut story = Story::claiming(json!({"name": "lag", "sli": {"replicationLag": {}}}));
    says(&story, Verdict::Pass, "replicationLag: 0 s after recovery, allowed 200 ms");
    story.members = |now| {
        let mut members = healthy(now);
        if now > 8 * S {
            members.members[1] = member(1, 0, 1, 8 * S);
        }
        members
    };
    says(&story, Verdict::Fail, "replicationLag: not recovered");
}

#[test]
fn a_member_under_a_fault_is_not_late_but_any_other_one_is() {
    let claim = json!({"name": "lag", "sli": {"replicationLag": {}}, "during": {"max": "300ms"}});
    let mut story = Story::claiming(claim);
    story.members = |now| {
        let mut members = healthy(now);
        if (7 * S..11 * S).contains(&now) {
            members.members[0] = silent(0);
        }
        members
    };
    says(&story, Verdict::Pass, "replicationLag: 0 s while faults were there");
    story.members = |now| {
        let mut members = healthy(now);
        if (8 * S..9 * S).contains(&now) {
            members.members[1] = silent(1);
        }
        members
    };
    says(&story, Verdict::Fail, "member 1 does not answer");
}

#[test]
fn a_silent_member_is_late_by_its_silence_and_one_that_never_answered_without_an_end() {
    let claim = |max| json!({"name": "lag", "sli": {"replicationLag": {}}, "during": {"max": max}});
    let mut story = Story::claiming(claim("1s"));
    story.members = |now| {
        let mut members = healthy(now);
        if (8 * S..8900 * MS).contains(&now) {
            members.members[1] = silent(1);
        }
        members
    };
    says(&story, Verdict::Pass, "while faults were there");
    story.hypothesis = json!([claim("700ms")]);
    says(&story, Verdict::Fail, "member 1 does not answer");
    story.hypothesis = json!([claim("1s")]);
    story.members = |now| {
        let mut members = healthy(now);
        members.members[1] = silent(1);
        members
    };
    says(&story, Verdict::Fail, "replicationLag: no end");
}

#[test]
fn slow_commits_after_recovery_fail_against_a_bound_and_against_the_baseline() {
    let mut story = Story::claiming(json!({"name": "c", "sli": {"commitLatency": {}}}));
    says(&story, Verdict::Pass, "commitLatency p99: 5 ms after recovery");
    story.writes = |at| Answer::Ok(if at > 7 * S { 60 * MS } else { 5 * MS });
    says(&story, Verdict::Fail, "commitLatency p99: not recovered");
    story.hypothesis = json!([{"name": "c", "sli": {"commitLatency": {}}, "during": {"maxIncrease": "2x"}}]);
    says(&story, Verdict::Fail, "allowed 10 ms (2x of 5 ms before)");
    story.hypothesis = json!([{"name": "c", "sli": {"commitLatency": {}}, "during": {"maxIncrease": "20x"}}]);
    says(&story, Verdict::Pass, "commitLatency p99: 60 ms");
}

#[test]
fn a_stall_is_an_outage_of_commits_even_where_every_write_is_answered_in_the_end() {
    let claim = |longest: &str| json!({"name": "c", "sli": {"commitLatency": {}}, "during": {"longestOutage": longest, "max": "100ms"}});
    let mut story = Story::claiming(claim("1s"));
    story.writes = |at| match at {
        8_000_000_000..10_000_000_000 => Answer::Ok(10 * S - at),
        _ => Answer::Ok(5 * MS),
    };
    says(&story, Verdict::Fail, "commitLatency p99: above 100 ms for 2 s while faults were there");
    story.hypothesis = json!([claim("3s")]);
    says(&story, Verdict::Pass, "for 2 s");
}

#[test]
fn writes_of_unknown_outcome_took_as_long_as_was_waited() {
    let claim = json!({"name": "c", "sli": {"commitLatency": {}}, "during": {"max": "50ms"}});
    let mut story = Story::claiming(claim);
    story.writes = |at| {
        if at.is_multiple_of(100 * MS) { Answer::Unknown(S) } else { Answer::Ok(5 * MS) }
    };
    says(&story, Verdict::Fail, "commitLatency p99: 1 s while faults were there");
}

#[test]
fn no_acknowledged_write_at_all_is_no_good_latency() {
    let claim = json!({"name": "c", "sli": {"commitLatency": {}}, "during": {"max": "1s"}});
    let mut story = Story::claiming(claim);
    story.writes = |at| {
        if (6 * S..12 * S).contains(&at) { Answer::Fail(MS) } else { Answer::Ok(5 * MS) }
    };
    says(&story, Verdict::Fail, "commitLatency p99: no end while faults were there");
}

#[test]
fn a_comparison_without_a_baseline_is_inconclusive() {
    let claim = json!({"name": "c", "sli": {"commitLatency": {}}, "during": {"maxIncrease": "2x"}});
    let mut story = Story::claiming(claim);
    story.writes = |at| {
        if at < 7 * S { Answer::Fail(MS) } else { Answer::Ok(5 * MS) }
    };
    says(&story, Verdict::Inconclusive, "to compare with");
}

#[test]
fn a_wait_that_the_record_does_not_see_the_end_of_is_never_a_pass() {
    let claim = |max: &str| json!({"name": "p", "sli": {"schedulerPending": {}}, "always": {"max": max}});
    let mut story = Story::claiming(claim("5s"));
    story.heard = vec![(8 * S, pods("pending")), (12 * S, pods("running"))];
    says(&story, Verdict::Pass, "schedulerPending: 4 s over the whole run, allowed 5 s");
    story.heard = vec![(13 * S, pods("pending"))];
    let words = "the record ends 4 s into a wait, and nobody knows how long it would have been (at 13.0 s: the pod of member 0 was Pending)";
    says(&story, Verdict::Inconclusive, words);
    story.hypothesis = json!([claim("3s")]);
    says(&story, Verdict::Fail, "schedulerPending: 4 s over the whole run");
    // It began with the fault, and is too long for what comes after it.
    story.heard = vec![(8 * S, pods("pending"))];
    story.hypothesis = json!([{"name": "p", "sli": {"schedulerPending": {}}, "after": {"max": "8s"}}]);
    says(&story, Verdict::Fail, "schedulerPending: not recovered");
}

#[test]
fn no_attach_at_all_is_no_quick_attach_but_a_steady_state() {
    let volumes = |node: &str| {
        json!({"volumes": {"claims": [
            {"claim": "data-db-0", "ordinal": 0, "uid": "u", "attachable": true, "nodes": [node]}
        ]}})
    };
    let claim = |bounds: &str| serde_json::from_str(bounds).map(Story::claiming).expect("a hypothesis");
    let mut story = claim(r#"{"name": "a", "sli": {"attachLatency": {}}}"#);
    story.heard = vec![(S, volumes("here"))];
    says(&story, Verdict::Inconclusive, "attachLatency: no volume had to be attached over the whole run");
    let mut story = claim(
        r#"{"name": "a", "sli": {"attachLatency": {}}, "before": {"max": "30s"}, "recoverWithin": "1s"}"#,
    );
    story.heard = vec![(S, volumes("here"))];
    says(&story, Verdict::Pass, "attachLatency: recovered 0 s after the last revert");
    let mut story = claim(r#"{"name": "a", "sli": {"attachLatency": {}}, "during": {"maxIncrease": "2x"}}"#);
    story.heard = vec![(S, volumes("here")), (8 * S, volumes("there")), (9 * S, volumes("here"))];
    says(&story, Verdict::Inconclusive, "attachLatency: nothing was measured before the first fault");
}

#[test]
fn claims_that_were_not_heard_of_for_long_prove_nothing() {
    let volumes = |unheard: bool| json!({"volumes": {"claims": [], "unheard": unheard}});
    let mut story = Story::claiming(json!({"name": "c", "sli": {"claimsReclaimed": {}}}));
    story.heard = vec![(S, volumes(false)), (8 * S, volumes(true)), (9 * S, volumes(false))];
    says(&story, Verdict::Pass, "claimsReclaimed: 0 over the whole run, allowed 0");
    story.heard = vec![(S, volumes(false)), (8 * S, volumes(true)), (11 * S, volumes(false))];
    says(&story, Verdict::Inconclusive, "claimsReclaimed: not sampled for 3 s of 15 s over the whole run");
    let claim = json!({"claim": "data-db-0", "uid": "u", "attachable": true, "nodes": ["here"]});
    story.heard = vec![
        (S, json!({"volumes": {"claims": [claim]}})),
        (2 * S, json!({"volumes": {"claims": [claim], "unheard": true}})),
        (5 * S, json!({"volumes": {"claims": [claim]}})),
    ];
    story.hypothesis = json!([{"name": "a", "sli": {"attachLatency": {}}, "before": {"max": "30s"}}]);
    says(&story, Verdict::Inconclusive, "attachLatency: not sampled for 3 s of 6 s before the first fault");
}

#[test]
fn registers_that_an_order_explains_are_linearizable() {
    let story = Story::claiming(json!({"name": "l", "sli": {"linearizability": {}}}));
    says(&story, Verdict::Pass, "have an order that explains every answer");
}

#[test]
fn samples_that_were_not_taken_are_nobodys_fault_but_prove_nothing() {
    let mut story =
        Story::claiming(json!({"name": "q", "sli": {"quorum": {}}, "during": {"longestOutage": "1s"}}));
    story.members = |now| {
        let mut members = healthy(now);
        if (8 * S..9 * S).contains(&now) {
            for member in &mut members.members {
                member.sample = crate::api::MemberSample::NotSampled("no time".into());
            }
        }
        members
    };
    says(&story, Verdict::Inconclusive, "quorum: not sampled for 1 s of 4 s");
}
