use serde_json::{Value, json};

use super::*;

const CREATED: &str = "2026-01-01T00:00:00Z";

#[expect(clippy::needless_pass_by_value, reason = "it reads better with `json!` in place")]
fn pod(status: Value) -> Pod {
    serde_json::from_value(json!({ "metadata": { "creationTimestamp": CREATED }, "status": status }))
        .expect("a pod")
}

fn after(seconds: i64) -> Timestamp {
    CREATED.parse::<Timestamp>().expect("a time") + SignedDuration::from_secs(seconds)
}

fn of(status: Value, seconds: i64) -> Runner {
    Runner::of(Some(&pod(status)), Where::Unknown, after(seconds))
}

#[test]
fn a_pod_that_pulls_its_image_for_too_long_is_stuck_with_the_kubelets_words() {
    let status = json!({ "phase": "Pending", "containerStatuses": [{
        "name": "runner", "image": "", "imageID": "", "ready": false, "restartCount": 0,
        "state": { "waiting": { "reason": "ErrImagePull", "message": "no such image" } },
    }] });
    assert_eq!(of(status.clone(), 10), Runner::Starting);
    assert_eq!(of(status, 200), Runner::Stuck("ErrImagePull: no such image".into()));
}

#[test]
fn a_pod_that_no_node_takes_is_stuck_with_the_schedulers_words() {
    let status = json!({ "phase": "Pending", "conditions": [
        { "type": "PodScheduled", "status": "False", "message": "0/3 nodes are available" },
    ] });
    assert_eq!(of(status, 200), Runner::Stuck("0/3 nodes are available".into()));
}

#[test]
fn a_restarted_runner_is_left_alone_because_it_takes_everything_back_itself() {
    let status = |restarts: i32| {
        json!({ "phase": "Running", "containerStatuses": [{
            "name": "runner", "image": "", "imageID": "", "ready": false, "restartCount": restarts,
            "state": { "waiting": { "reason": "CrashLoopBackOff" } },
        }] })
    };
    assert_eq!(of(status(1), 300), Runner::Running);
    assert_eq!(of(status(3), 300), Runner::Lost("it ended 3 times, now CrashLoopBackOff".into()));
}

#[test]
fn the_end_of_a_runner_is_told_with_its_reason() {
    let evicted = json!({ "phase": "Failed", "reason": "Evicted", "message": "low on memory" });
    assert_eq!(of(evicted, 10), Runner::Ended("Evicted: low on memory".into()));
    let killed = json!({ "phase": "Failed", "containerStatuses": [{
        "name": "runner", "image": "", "imageID": "", "ready": false, "restartCount": 0,
        "state": { "terminated": { "exitCode": 137, "reason": "OOMKilled" } },
    }] });
    assert_eq!(of(killed, 10), Runner::Ended("it ended with exit code 137 (OOMKilled)".into()));
}

#[test]
fn a_runner_on_a_silent_node_is_lost_after_a_while() {
    let running = json!({ "phase": "Running", "containerStatuses": [{
        "name": "runner", "image": "", "imageID": "", "ready": true, "restartCount": 0,
        "state": { "running": {} },
    }] });
    let node: Node = serde_json::from_value(json!({
        "metadata": { "name": "n1" },
        "status": { "conditions": [{ "type": "Ready", "status": "Unknown", "lastTransitionTime": CREATED }] },
    }))
    .expect("a node");
    let at = |seconds| Runner::of(Some(&pod(running.clone())), Where::On(&node), after(seconds));
    assert_eq!(at(20), Runner::Running);
    assert!(matches!(at(60), Runner::Lost(why) if why.contains("n1")));
    let gone = Runner::of(Some(&pod(running)), Where::Gone, after(1));
    assert_eq!(gone, Runner::Lost("its node is gone".into()));
}

#[test]
fn a_deleted_pod_that_does_not_end_is_lost_after_its_grace_period() {
    let mut pod = pod(json!({ "phase": "Running" }));
    pod.metadata.deletion_timestamp = Some(k8s_openapi::apimachinery::pkg::apis::meta::v1::Time(after(60)));
    let at = |seconds| Runner::of(Some(&pod), Where::Unknown, after(seconds));
    assert!(!matches!(at(80), Runner::Lost(_)));
    assert!(matches!(at(91), Runner::Lost(_)));
}
