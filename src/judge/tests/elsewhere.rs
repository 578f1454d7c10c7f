//! A fault on a further StatefulSet is nobody's excuse: its ordinals are those of members that it never touched.

use serde_json::json;

use super::story::{MS, S, Story, not_ready, snapshot_of};
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
    own.heard = story.heard;
    assert_eq!(own.judged().verdict, Verdict::Pass);
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
