//! How full volumes are and what they complete, seen green, red and unknown.

use serde_json::{Value, json};

use super::story::{MS, S, Story, snapshot};
use crate::api::Nanos;
use crate::experiment::Verdict;

/// A look at the volume of a member: how much of 1000 is taken, and what its device has done by then.
fn look(member: u32, at: Nanos, taken: u64, operations: u64) -> (Nanos, Value) {
    let volume = json!({
        "claim": "data",
        "room": {"taken": taken, "available": 1000 - taken},
        "io": {"device": format!("7:{member}"), "operations": operations},
    });
    let measured = json!({"at": at, "pod": format!("uid-{member}"), "volumes": [volume], "why": null});
    (at, json!({"disks": {"member": member, "measured": measured}}))
}

/// Every member's volume every second: half full, and 50 operations a second.
fn looks(change: impl Fn(u32, Nanos) -> (u64, u64)) -> Vec<(Nanos, Value)> {
    let mut all = Vec::new();
    for member in 0..3 {
        let mut operations = 1000;
        for at in (S..17 * S).step_by(S as usize) {
            let (taken, done) = change(member, at);
            operations += done;
            all.push(look(member, at + 200 * MS, taken, operations));
        }
    }
    all
}

/// Without the looks at some members at some times.
fn without(mut heard: Vec<(Nanos, Value)>, is_missing: impl Fn(u32, Nanos) -> bool) -> Vec<(Nanos, Value)> {
    heard.retain(|(at, told)| {
        let member = told["disks"]["member"].as_u64().expect("a member") as u32;
        !is_missing(member, at - 200 * MS)
    });
    heard
}

fn steady() -> Vec<(Nanos, Value)> {
    looks(|_, _| (500, 50))
}

fn story(hypothesis: Value, heard: Vec<(Nanos, Value)>) -> Story {
    Story { heard, ..Story::claiming(hypothesis) }
}

#[track_caller]
fn says(story: &Story, verdict: Verdict, words: &str) {
    let judgement = story.judged();
    let claim = &judgement.claims[0];
    assert!(claim.sentence.contains(words), "{:#?}", claim.findings);
    assert_eq!(claim.verdict, verdict, "{:#?}", claim.findings);
}

fn usage() -> Value {
    json!({"name": "room", "sli": {"diskUsage": {}}})
}

fn full(member: u32, at: Nanos) -> (u64, u64) {
    (if member == 1 && (8 * S..11 * S).contains(&at) { 950 } else { 500 }, 50)
}

#[test]
fn disks_below_four_fifths_are_good_and_a_full_one_is_not() {
    says(&story(usage(), steady()), Verdict::Pass, "diskUsage: 50 % over the whole run, allowed 80 %");
    says(
        &story(usage(), looks(full)),
        Verdict::Fail,
        "diskUsage: 95 % over the whole run (at 7.2 s: volume data of member 1 is 95 % full), allowed 80 %",
    );
}

#[test]
fn a_disk_without_inodes_is_full_however_much_room_it_has() {
    let mut heard = steady();
    for (at, told) in &mut heard {
        let is_full = told["disks"]["member"] == 1 && (8 * S..11 * S).contains(at);
        told["disks"]["measured"]["volumes"][0]["room"]["inodes"] =
            if is_full { json!({"taken": 99, "free": 1}) } else { json!({"taken": 10, "free": 90}) };
    }
    says(
        &story(usage(), heard),
        Verdict::Fail,
        "diskUsage: 99 % over the whole run (at 7.2 s: volume data of member 1 is 99 % full of inodes), allowed 80 %",
    );
}

#[test]
fn a_disk_that_gets_its_room_back_recovers() {
    let claim = |within: &str| json!({"name": "room", "sli": {"diskUsage": {}}, "after": {"max": "60%"}, "recoverWithin": within});
    says(&story(claim("1s"), looks(full)), Verdict::Pass, "diskUsage: 50 % after recovery, allowed 60 %");
    let late =
        |member: u32, at: Nanos| (if member == 1 && (8 * S..13 * S).contains(&at) { 950 } else { 500 }, 50);
    says(
        &story(claim("1s"), looks(late)),
        Verdict::Fail,
        "recovered 2.1 s after the last revert, allowed 1 s",
    );
}

#[test]
fn a_disk_may_be_full_for_as_long_as_is_allowed() {
    let claim = |longest: &str| json!({"name": "room", "sli": {"diskUsage": {}}, "during": {"max": "90%", "longestOutage": longest}});
    // From the last good look to the next one.
    says(&story(claim("4s"), looks(full)), Verdict::Pass, "above 90 % for 4 s while faults were there");
    says(&story(claim("3900ms"), looks(full)), Verdict::Fail, "allowed 3.9 s");
}

#[test]
fn only_the_claims_that_are_named_count() {
    let named = |claim: &str| json!({"name": "room", "sli": {"diskUsage": {"claims": [claim]}}});
    says(&story(named("data"), looks(full)), Verdict::Fail, "volume data of member 1");
    says(
        &story(named("wal"), looks(full)),
        Verdict::Inconclusive,
        "diskUsage: member 0 has no volume from a claim template wal",
    );
}

#[expect(clippy::needless_pass_by_value, reason = "it reads better with `json!` in place")]
fn rate(bounds: Value) -> Value {
    json!({"name": "io", "sli": {"volumeIops": {}}, "during": bounds})
}

fn stalled(member: u32, at: Nanos) -> (u64, u64) {
    (500, if member == 2 && (8 * S..11 * S).contains(&at) { 0 } else { 50 })
}

#[test]
fn a_volume_that_completes_too_little_or_too_much_fails() {
    says(
        &story(rate(json!({"min": 40, "max": 60})), steady()),
        Verdict::Pass,
        "volumeIops: 50 per second while faults were there, allowed 40 per second to 60 per second",
    );
    says(
        &story(rate(json!({"min": 40})), looks(stalled)),
        Verdict::Fail,
        "volume data of member 2 completed 0 operations per second), at least 40 per second",
    );
    // The mean of the slowest volume over the four seconds, of which three stood still.
    says(
        &story(rate(json!({"min": 10})), looks(stalled)),
        Verdict::Pass,
        "per second while faults were there, at least 10",
    );
    says(
        &story(rate(json!({"max": 49})), steady()),
        Verdict::Fail,
        "volume data of member 0 completed 50 operations per second), allowed 49 per second",
    );
    // The busiest one is no slower because another one is.
    says(&story(rate(json!({"max": 49})), looks(stalled)), Verdict::Fail, "volumeIops: 50 per second");
}

#[test]
fn a_volume_may_stand_still_for_as_long_as_is_allowed() {
    let claim = |longest: &str| rate(json!({"min": 20, "longestOutage": longest}));
    says(&story(claim("5s"), looks(stalled)), Verdict::Pass, "below 20 per second for 4 s");
    says(&story(claim("3s"), looks(stalled)), Verdict::Fail, "allowed 3 s");
}

#[test]
fn what_was_not_looked_at_is_unknown_and_no_pass() {
    let is_hole = |member: u32, at: Nanos| member == 1 && (5 * S..11 * S).contains(&at);
    for claim in [usage(), rate(json!({"min": 1}))] {
        says(&story(claim.clone(), without(steady(), is_hole)), Verdict::Inconclusive, "not sampled for");
        says(
            &story(claim.clone(), without(steady(), |member, _| member == 1)),
            Verdict::Inconclusive,
            "not sampled for",
        );
        says(&story(claim, Vec::new()), Verdict::Inconclusive, "nothing was measured");
    }
    // What is known to be bad is bad all the same.
    let full_beside = looks(|member, _| (if member == 0 { 950 } else { 500 }, 50));
    says(
        &story(usage(), without(full_beside, is_hole)),
        Verdict::Fail,
        "volume data of member 0 is 95 % full",
    );
}

#[test]
fn a_status_that_is_told_again_is_no_second_look() {
    let mut heard = without(steady(), |member, at| member == 1 && at > 5 * S);
    let stale = look(1, 5 * S + 200 * MS, 500, 1250).1;
    heard.extend((6..17).map(|second| (second * S + 200 * MS, stale.clone())));
    says(&story(usage(), heard.clone()), Verdict::Inconclusive, "not sampled for");
    says(&story(rate(json!({"max": 60})), heard), Verdict::Inconclusive, "not sampled for");
}

#[test]
fn a_volume_without_a_device_of_its_own_has_no_rate_and_says_why() {
    let why = "the filesystem of volume data is on no block device, as NFS or tmpfs is";
    let mut heard = steady();
    for (_, told) in &mut heard {
        let volume = &mut told["disks"]["measured"]["volumes"][0];
        volume["io"] = Value::Null;
        volume["why"] = json!(why);
    }
    says(&story(usage(), heard.clone()), Verdict::Pass, "50 %");
    says(
        &story(rate(json!({"min": 1})), heard),
        Verdict::Inconclusive,
        "volumeIops: member 0: the filesystem of volume data is on no block device",
    );
}

#[test]
fn the_volume_of_a_pod_that_is_gone_completes_nothing_and_is_as_full_as_before() {
    let mut heard = without(steady(), |member, at| member == 1 && (8 * S..11 * S).contains(&at));
    for second in 8..11 {
        let measured = json!({"at": second, "pod": null, "volumes": [], "why": null});
        heard.push((second * S, json!({"disks": {"member": 1, "measured": measured}})));
    }
    says(&story(usage(), heard.clone()), Verdict::Pass, "50 %");
    says(
        &story(rate(json!({"min": 40})), heard.clone()),
        Verdict::Fail,
        "volume data of member 1 is in no running container",
    );
    says(&story(rate(json!({"max": 60})), heard), Verdict::Pass, "50 per second");
}

#[test]
fn operations_of_another_pod_or_device_are_not_compared() {
    for (field, other) in [("device", json!("8:0")), ("pod", json!("uid-other"))] {
        let mut heard = looks(|_, at| (500, if at == 9 * S { 1_000_000 } else { 50 }));
        for (_, told) in heard.iter_mut().filter(|(at, _)| *at >= 9 * S) {
            let seen = &mut told["disks"]["measured"];
            match field {
                "pod" => seen["pod"] = other.clone(),
                _ => seen["volumes"][0]["io"]["device"] = other.clone(),
            }
        }
        let story = story(rate(json!({"max": 60})), heard);
        let claim = &story.judged().claims[0];
        assert!(claim.phases.iter().all(|phase| phase.highest.is_none_or(|rate| rate <= 50)), "{claim:#?}");
        assert_ne!(claim.verdict, Verdict::Fail, "{claim:#?}");
    }
}

#[test]
fn a_claim_that_a_member_never_has_is_unknown_beside_one_that_is_good() {
    let claims = json!({"claims": ["data", "wal"]});
    let room = json!({"name": "room", "sli": {"diskUsage": claims}});
    let io = json!({"name": "io", "sli": {"volumeIops": claims}, "during": {"max": 60}});
    for claim in [room, io] {
        says(&story(claim, steady()), Verdict::Inconclusive, "has no volume from a claim template wal");
    }
}

#[test]
fn a_volume_that_cannot_be_looked_at_is_unknown_beside_one_that_is_good() {
    let mut heard = steady();
    for (_, told) in &mut heard {
        let volumes = told["disks"]["measured"]["volumes"].as_array_mut().expect("some");
        volumes.push(json!({"claim": "wal", "why": "volume wal is a block device without a filesystem"}));
    }
    says(&story(usage(), heard), Verdict::Inconclusive, "member 0: volume wal is a block device");
}

#[test]
fn a_volume_that_no_running_container_has_is_at_rest() {
    let mut heard = steady();
    for (_, told) in heard.iter_mut().filter(|(at, _)| (8 * S..11 * S).contains(at)) {
        let measured = &mut told["disks"]["measured"];
        if measured["pod"] == "uid-1" {
            measured["volumes"] = json!([{"claim": "data"}]);
        }
    }
    says(&story(usage(), heard.clone()), Verdict::Pass, "50 %");
    says(
        &story(rate(json!({"min": 40})), heard.clone()),
        Verdict::Fail,
        "volume data of member 1 is in no running container",
    );
    says(&story(rate(json!({"max": 60})), heard), Verdict::Pass, "50 per second");
}

#[test]
fn a_pod_that_was_not_there_is_no_news_when_it_is_told_again_but_is_when_the_run_says_so() {
    let absent = |measured: &Value| {
        let mut heard = without(steady(), |member, at| member == 1 && at > 5 * S);
        let told = json!({"disks": {"member": 1, "measured": measured}});
        heard.extend((6..17).map(|second| (second * S + 200 * MS, told.clone())));
        story(usage(), heard)
    };
    let gone = json!({"at": 77, "pod": null, "volumes": [], "why": null});
    says(&absent(&gone), Verdict::Inconclusive, "not sampled for");
    says(&absent(&Value::Null), Verdict::Pass, "50 %");
}

#[test]
fn a_member_counts_only_while_it_is_asked_for() {
    let replicas = |replicas: u32| {
        let mut pods = snapshot(3);
        pods["replicas"] = json!(replicas);
        json!({"pods": pods})
    };
    let is_away = |member: u32, at: Nanos| member == 2 && (7 * S..12 * S).contains(&at);
    // It stands still already when it is told to go.
    let stands = |member: u32, at: Nanos| (500, if member == 2 && at == 6 * S { 0 } else { 50 });
    let mut heard = without(looks(stands), is_away);
    says(&story(usage(), heard.clone()), Verdict::Inconclusive, "not sampled for");
    heard.push((7 * S, replicas(2)));
    heard.push((12 * S, replicas(3)));
    says(&story(usage(), heard.clone()), Verdict::Pass, "50 %");
    let short = rate(json!({"min": 20, "longestOutage": "2s"}));
    says(&story(short, heard), Verdict::Pass, "while faults were there");
}

#[test]
fn usage_and_rates_are_compared_with_what_they_were_before() {
    let usage = |heard| {
        story(json!({"name": "room", "sli": {"diskUsage": {}}, "after": {"maxIncrease": "1.5x"}}), heard)
    };
    says(
        &usage(steady()),
        Verdict::Pass,
        "diskUsage: 50 % after recovery, allowed 75 % (1.5x of 50 % before)",
    );
    let filled = looks(|_, at| (if at < 9 * S { 500 } else { 800 }, 50));
    assert_eq!(usage(filled).judged().claims[0].verdict, Verdict::Fail);
    let rate = |heard| {
        let claim = json!({"name": "rate", "sli": {"volumeIops": {}}, "during": {"maxIncrease": "2x"}});
        story(claim, heard)
    };
    says(&rate(steady()), Verdict::Pass, "allowed 100 per second (2x of 50 per second before)");
    // What is allowed is measured by the busiest volume before, not by the slowest.
    let uneven = looks(|member, _| (500, if member == 0 { 500 } else { 50 }));
    says(&rate(uneven), Verdict::Pass, "allowed 1000 per second (2x of 500 per second before)");
    let busy = looks(|member, at| (500, if member == 1 && at > 7 * S { 400 } else { 50 }));
    says(&rate(busy), Verdict::Fail, "allowed 100 per second");
}

#[test]
fn volumes_of_members_that_a_fault_has_are_left_out_where_a_budget_asks_for_that() {
    // Member 0 is full and does nothing while the fault has it, from 7 s to 11.05 s.
    let heard = || {
        looks(|member, at| if member == 0 && (8 * S..11 * S).contains(&at) { (990, 0) } else { (500, 50) })
    };
    let usage =
        |bounds: Value| story(json!({"name": "room", "sli": {"diskUsage": {}}, "during": bounds}), heard());
    says(&usage(json!({"max": "80%"})), Verdict::Fail, "diskUsage: 99 %");
    let left_out = usage(json!({"max": "80%", "excludeFaulted": true}));
    says(&left_out, Verdict::Pass, "diskUsage: 50 % of members that no fault had, while faults were there");
    let outages = usage(json!({"max": "80%", "longestOutage": "1s", "excludeFaulted": true}));
    says(&outages, Verdict::Pass, "never above 80 %");
    let rate =
        |bounds: Value| story(json!({"name": "rate", "sli": {"volumeIops": {}}, "during": bounds}), heard());
    assert_eq!(rate(json!({"min": 40})).judged().claims[0].verdict, Verdict::Fail);
    says(&rate(json!({"min": 40, "excludeFaulted": true})), Verdict::Pass, "volumeIops: 50 per second");
    // What was seen last while the fault was there says nothing of the time after it.
    let always =
        |bounds: Value| story(json!({"name": "room", "sli": {"diskUsage": {}}, "always": bounds}), heard());
    says(&always(json!({"max": "80%"})), Verdict::Fail, "diskUsage: 99 %");
    says(&always(json!({"max": "80%", "excludeFaulted": true})), Verdict::Pass, "diskUsage: 50 % of members");
    // Another member is judged as ever.
    let other =
        looks(|member, at| if member == 1 && (8 * S..11 * S).contains(&at) { (990, 0) } else { (500, 50) });
    let claim =
        json!({"name": "room", "sli": {"diskUsage": {}}, "during": {"max": "80%", "excludeFaulted": true}});
    says(&story(claim, other), Verdict::Fail, "diskUsage: 99 %");
}
