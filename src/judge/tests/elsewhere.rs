//! A fault on a further StatefulSet is nobody's excuse: its ordinals are those of members that it never touched.

use serde_json::json;

use super::slis::says;
use super::story::{MS, S, Story, healthy, led_by, not_ready, silent, snapshot_of};
use crate::api::{Members, Nanos};
use crate::experiment::Verdict;

/// Ordinal 0 of zookeeper is paused; the claim is about the pods of the target.
fn elsewhere(claim: serde_json::Value) -> Story {
    let mut story = Story::claiming(claim);
    story.steps[0]["target"] = json!({"statefulSet": "zookeeper"});
    story.set = Some("zookeeper");
    story
}

fn excluding() -> serde_json::Value {
    json!({"name": "pods", "sli": {"podAvailability": {}}, "during": {"min": "100%", "excludeFaulted": true}})
}

#[test]
fn it_is_proven_and_told_by_the_name_of_its_pod() {
    let judgement = elsewhere(json!({"name": "q", "sli": {"quorum": {}}})).judged();
    assert_eq!(judgement.verdict, Verdict::Pass, "{:#?}", judgement.reasons);
    assert_eq!(judgement.headline, "the claim held while pause hit zookeeper-0");
    let step = &judgement.steps[0];
    assert_eq!((step.set.as_deref(), step.whom().as_deref()), (Some("zookeeper"), Some("zookeeper-0")));
    assert_eq!((step.effective_share, step.proofs), (Some(1000), 4));
}

#[test]
fn a_member_of_the_same_ordinal_is_not_left_out() {
    let mut story = elsewhere(excluding());
    story.heard = vec![not_ready(8 * S, &[0]), not_ready(10 * S, &[])];
    let judgement = story.judged();
    assert_eq!(judgement.verdict, Verdict::Fail, "{:#?}", judgement.claims);
    // Where the fault has that very member it is.
    let mut own = Story::claiming(excluding());
    own.heard = story.heard.clone();
    assert_eq!(own.judged().verdict, Verdict::Pass);
    // Or where it goes along with the node.
    story.along = vec![0];
    assert_eq!(story.judged().verdict, Verdict::Pass);
}

#[test]
fn what_becomes_of_its_pods_is_no_sample_of_the_target() {
    let claim = json!({"name": "pods", "sli": {"podAvailability": {}}, "always": {"min": "100%"}, "recoverWithin": "2s"});
    let mut story = elsewhere(claim);
    story.heard = vec![(8 * S, json!({"otherPods": snapshot_of("zookeeper", 0)}))];
    let judgement = story.judged();
    assert_eq!(judgement.verdict, Verdict::Pass, "{:#?}", judgement.claims);
}

#[test]
fn a_deleted_pod_is_seen_gone_by_its_own_set() {
    let kill = |input: &str, set: &str| {
        let mut story = elsewhere(json!({"name": "q", "sli": {"quorum": {}}}));
        story.steps = json!([{"name": "pause", "target": {"statefulSet": "zookeeper"},
                              "fault": {"podKill": {"members": {"ordinals": [0]}}}}]);
        (story.deletes, story.proofs) = (true, Vec::new());
        let mut gone = snapshot_of(set, 3);
        gone["pods"][0]["uid"] = json!("uid-new");
        story.heard = vec![(7050 * MS, json!({ input: gone }))];
        story.judged().steps[0].unproven.clone()
    };
    assert_eq!(kill("otherPods", "zookeeper"), None);
    let unseen = kill("pods", "db").expect("another pod was replaced");
    assert!(unseen.contains("the pod of zookeeper-0 was to be deleted"), "{unseen}");
    assert!(unseen.contains("was never seen gone"), "{unseen}");
}

/// Ordinal 0 of zookeeper is deleted, and its successor is Ready from some moment on.
fn killed(claim: serde_json::Value, ready: Nanos) -> Story {
    let mut story = elsewhere(claim);
    story.steps = json!([{"name": "pause", "target": {"statefulSet": "zookeeper"},
                          "fault": {"podKill": {"members": {"ordinals": [0]}}}}]);
    (story.deletes, story.proofs) = (true, Vec::new());
    let successor = |is_ready: bool| {
        let mut snapshot = snapshot_of("zookeeper", 3);
        snapshot["pods"][0]["uid"] = json!("uid-new");
        snapshot["pods"][0]["ready"] = json!(is_ready);
        json!({"otherPods": snapshot})
    };
    story.heard = vec![(7050 * MS, successor(false)), (ready, successor(true))];
    story
}

#[test]
fn what_happens_until_its_pods_are_back_is_a_consequence_of_its_fault() {
    let claim = json!({"name": "e", "sli": {"leaderElections": {}}, "during": {"max": 0}});
    let mut story = killed(claim, 12_500 * MS);
    says(&story, Verdict::Pass, "leaderElections: 0 while faults were there, allowed 0");
    story.members = |now| if now < 12 * S { healthy(now) } else { led_by(1, 2, now) };
    says(&story, Verdict::Fail, "leaderElections: 1 while faults were there, allowed 0");
    // Nobody saw them back.
    story.heard.truncate(1);
    says(&story, Verdict::Fail, "leaderElections: 1 while faults were there, allowed 0");
    // They were, and something else happened.
    story.members = |now| if now < 13 * S { healthy(now) } else { led_by(1, 2, now) };
    story.heard = killed(json!(null), 12_500 * MS).heard;
    says(&story, Verdict::Pass, "leaderElections: 0 while faults were there, allowed 0");
}

#[test]
fn pods_that_do_not_come_back_are_told_beside_the_verdict() {
    let claim = json!({"name": "q", "sli": {"quorum": {}}});
    let not_back = |story: &Story| {
        let judgement = story.judged();
        assert_eq!(judgement.verdict, Verdict::Pass, "{:#?}", judgement.claims);
        judgement.not_back
    };
    let mut story = killed(claim.clone(), 12_500 * MS);
    assert_eq!(not_back(&story), [""; 0]);
    story.heard.truncate(1);
    let waiting = "CrashLoopBackOff";
    story.heard[0].1["otherPods"]["pods"][0]["containers"] =
        json!([{"name": "zk", "running": false, "ready": false, "restarts": 3, "waiting": waiting}]);
    let why = "zk of zookeeper-0 is CrashLoopBackOff";
    let zookeeper = "only 2 of 3 pods of zookeeper were Ready when the record ended";
    assert_eq!(not_back(&story), [format!("{zookeeper}: {why}")]);
    let mut own = Story::claiming(claim);
    own.ready = vec![(8 * S, 2)];
    assert_eq!(not_back(&own), ["only 2 of 3 pods of db were Ready when the record ended"]);
}

#[test]
fn an_outage_before_its_pods_are_back_is_one_of_the_faults_time() {
    let claim = json!({"name": "q", "sli": {"quorum": {}}, "during": {"longestOutage": "100ms"}});
    // Good for long enough at first, as what notices late is.
    let lost = |now: Nanos| match now {
        13_200_000_000..13_600_000_000 => Members { members: (0..3).map(silent).collect() },
        _ => healthy(now),
    };
    let mut story = killed(claim, 14 * S);
    story.members = lost;
    says(&story, Verdict::Fail, "quorum: lost for 500 ms while faults were there (at 13.1 s:");
    // The record ends as soon as they are there.
    story.heard = killed(json!(null), 16_900 * MS).heard;
    says(&story, Verdict::Fail, "quorum: lost for 500 ms while faults were there (at 13.1 s:");
    story.heard = killed(json!(null), 12 * S).heard;
    says(&story, Verdict::Pass, "quorum: held without a break while faults were there");
}
