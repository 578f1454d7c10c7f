//! What counts of other runs and of budgets, and what does not.

use serde_json::{Value, json};

use super::*;
use crate::api;

const NOBODY: [Ordinal; 0] = [];

fn now() -> Timestamp {
    "2026-01-01T00:00:00Z".parse().expect("a time")
}

fn snapshot() -> Snapshot {
    let pod = |ordinal: Ordinal| api::Pod {
        name: format!("db-{ordinal}"),
        ordinal,
        uid: format!("uid-{ordinal}"),
        ip: Some(IpAddr::from([10, 0, 0, u8::try_from(ordinal).expect("small")])),
        node: format!("n{ordinal}"),
        phase: api::PodPhase::Running,
        ready: true,
        revision: None,
        containers: Vec::new(),
    };
    let (name, pods) = ("db".into(), (0..3).map(pod).collect());
    Snapshot { name, namespace: "shop".into(), replicas: 3, pods, ..Snapshot::default() }
}

fn injection(fault: &Value, change: &Value) -> Injection {
    let mut object = json!({
        "apiVersion": "seatrial.dev/v1alpha1", "kind": "Injection", "metadata": {"name": "r.s.0.7"},
        "spec": {
            "name": "r.s.0.7", "run": "r", "step": "s", "occurrence": 0, "container": null, "fault": fault,
            "pod": {"name": "db-1", "ordinal": 7, "uid": "uid-1", "node": "n1"},
            "desired": "Injected", "deadline": {"at": "2026-01-01T00:01:00Z", "within": "1m"}, "follow": false,
        },
    });
    merge(&mut object, change);
    serde_json::from_value(object).expect("an Injection")
}

fn merge(into: &mut Value, change: &Value) {
    match (into, change) {
        (Value::Object(into), Value::Object(change)) => {
            for (key, value) in change {
                merge(into.entry(key).or_insert(Value::Null), value);
            }
        }
        (into, change) => *into = change.clone(),
    }
}

fn down(fault: &Value, change: &Value) -> Vec<Ordinal> {
    let found = disturbance(&injection(fault, change), &snapshot(), now());
    found.map(|found| found.down.into_iter().collect()).unwrap_or_default()
}

#[test]
fn a_pod_that_another_run_hits_counts_by_its_identity_until_it_is_taken_back() {
    let pause = json!({"pause": {}});
    let status = |state: &str| {
        json!({"status": {"state": state, "since": "2026-01-01T00:00:00Z", "proof": null, "effectiveFor": "0s",
            "error": null}})
    };
    assert_eq!(down(&pause, &json!({})), [1], "wanted is enough, and ordinals of others mean nothing");
    assert_eq!(down(&pause, &status("Injected")), [1]);
    assert_eq!(down(&pause, &json!({"spec": {"desired": "Reverted"}})), [1], "until the agent says so");
    for state in ["Reverted", "Failed"] {
        assert_eq!(down(&pause, &status(state)), NOBODY, "{state}");
    }
    let successor = json!({"spec": {"pod": {"uid": "uid-of-another"}}});
    assert_eq!(down(&pause, &successor), NOBODY);
    let followed = json!({"spec": {"pod": {"uid": "uid-of-another"}, "follow": true}});
    assert_eq!(down(&pause, &followed), [1]);
    let long_past = json!({"spec": {"deadline": {"at": "2025-12-31T23:59:00Z"}}});
    assert_eq!(down(&pause, &long_past), NOBODY);
    let mut failing = long_past;
    merge(&mut failing, &status("RevertFailed"));
    assert_eq!(down(&pause, &failing), [1], "nobody says that it ended");
}

#[test]
fn links_that_another_run_cuts_are_told_by_addresses() {
    let cut = json!({"partition": {"ports": [], "clients": true, "peers": [
        {"ordinal": 9, "addresses": ["10.0.0.2"], "dropFrom": true, "dropTo": false},
        {"ordinal": 0, "addresses": ["10.9.9.9"], "dropFrom": true, "dropTo": true},
    ]}});
    let found = disturbance(&injection(&cut, &json!({})), &snapshot(), now()).expect("it cuts members");
    assert_eq!(found.cut, BTreeSet::from([(2, 1)]));
    assert_eq!(found.by, "Injection r.s.0.7");
}

#[test]
fn what_another_run_does_through_the_api_server_counts() {
    let set = json!({"spec": {"pod": {"name": "db", "uid": "", "node": ""}}});
    assert_eq!(down(&json!({"api": {"nodeDown": {"node": "n2", "budgets": "ignore"}}}), &json!({})), [2]);
    assert_eq!(down(&json!({"api": {"scale": {"replicas": 1}}}), &set), [1, 2]);
    let restart = injection(&json!({"api": {"restart": {}}}), &set);
    assert_eq!(disturbance(&restart, &snapshot(), now()).expect("it rolls").rolling, 1);
    let other = json!({"spec": {"pod": {"name": "web", "uid": "", "node": ""}}});
    let restart = injection(&json!({"api": {"restart": {}}}), &other);
    assert_eq!(disturbance(&restart, &snapshot(), now()), None);
}

#[test]
fn a_node_that_a_run_of_another_namespace_takes_away_counts_until_it_is_given_back() {
    let undo = |deadline: &str| {
        json!({"run": "o", "injection": "o.down.0.0", "deadline": deadline, "patch": {}}).to_string()
    };
    let node = |name: &str, annotation: &str| {
        let metadata = json!({"name": name, "annotations": {"seatrial.dev/undo": annotation}});
        let node: Node = serde_json::from_value(json!({"metadata": metadata})).expect("a Node");
        taken_away(&node, &snapshot())
    };
    let found = node("n1", &undo("2026-01-01T00:01:00Z")).expect("a member is there");
    assert_eq!((found.by.as_str(), found.down), ("Injection o.down.0.0", BTreeSet::from([1])));
    assert_eq!(node("n7", &undo("2026-01-01T00:01:00Z")), None, "no member is there");
    assert!(node("n1", &undo("2025-12-31T23:59:00Z")).is_some(), "nobody has given it back");
    assert_eq!(node("n1", "of somebody else"), None);
}

fn budget(status: &Value) -> PodDisruptionBudget {
    serde_json::from_value(json!({
        "apiVersion": "policy/v1", "kind": "PodDisruptionBudget",
        "metadata": {"name": "db", "generation": 2},
        "spec": {"minAvailable": 2, "selector": {"matchLabels": {"app": "db"}}},
        "status": status,
    }))
    .expect("a budget")
}

fn pods() -> Vec<Pod> {
    let pod = |name: &str| {
        serde_json::from_value(json!({"metadata": {"name": name, "labels": {"app": "db"}}})).expect("a pod")
    };
    ["db-0", "db-1"].map(pod).to_vec()
}

fn status(expected: u32, healthy: u32, desired: u32, generation: u32) -> Value {
    json!({"expectedPods": expected, "currentHealthy": healthy, "desiredHealthy": desired,
        "disruptionsAllowed": 1, "observedGeneration": generation})
}

#[test]
fn a_budget_covers_members_by_their_labels_and_wants_what_its_controller_says() {
    let (pods, before) = (pods(), Snapshot::default());
    let pods: Vec<&Pod> = pods.iter().collect();
    let wants = |status: &Value, snapshot: &Snapshot, template: Option<&Labels>| {
        covering(&budget(status), snapshot, &pods, template, &before)
            .map(|found| (found.covers.into_iter().collect::<Vec<_>>(), found.wants))
    };
    let all = snapshot();
    assert_eq!(wants(&status(2, 2, 1, 2), &all, None), Some((vec![0, 1], 1)));
    assert_eq!(wants(&status(2, 2, 1, 1), &all, None), Some((vec![0, 1], 2)), "not counted yet");
    assert_eq!(wants(&status(4, 4, 3, 2), &all, None), Some((vec![0, 1], 1)), "two others are healthy");
    let mut missing = snapshot();
    missing.pods.truncate(2);
    let labels = Labels::from([("app".to_owned(), "db".to_owned())]);
    let found = wants(&status(2, 2, 2, 2), &missing, Some(&labels));
    assert_eq!(found, Some((vec![0, 1, 2], 2)), "a member without a pod counts as its template");
    let web = serde_json::from_value(json!({"metadata": {"name": "db-0", "labels": {"app": "web"}}}));
    let web: Pod = web.expect("a pod");
    assert_eq!(covering(&budget(&status(1, 1, 1, 2)), &all, &[&web], None, &before), None);
}
