use serde_json::{Value, json};

use super::*;

fn injection(name: &str, desired: &str, status: Option<&str>) -> Injection {
    let mut object = json!({
        "apiVersion": "seatrial.dev/v1alpha1",
        "kind": "Injection",
        "metadata": { "namespace": "shop", "name": name, "uid": format!("uid-of-{name}"), "resourceVersion": "7" },
        "spec": {
            "name": name, "run": "run", "step": "cut", "occurrence": 0,
            "pod": { "name": "db-0", "ordinal": 0, "uid": "u", "node": "n1" },
            "container": null, "fault": { "pause": {} }, "desired": desired,
            "deadline": { "at": "2030-01-02T03:04:05Z", "within": "30s" }, "follow": false,
        },
    });
    if let Some(state) = status {
        object["status"] = json!({ "state": state, "since": "2030-01-02T03:04:00Z", "proof": null,
            "effectiveFor": "3s", "error": null });
    }
    serde_json::from_value(object).expect("an Injection")
}

fn halt(reason: Option<&str>) -> Halt {
    let object: Value = json!({ "apiVersion": "seatrial.dev/v1alpha1", "kind": "Halt",
        "metadata": { "name": "stop" }, "spec": { "reason": reason } });
    serde_json::from_value(object).expect("a Halt")
}

/// In short: `+name`, `-name` (to be reverted), `gone name`, `all`.
fn short(orders: Vec<Order>) -> Vec<String> {
    let word = |order| match order {
        Order::Put(InjectionSpec { name, desired: Desired::Injected, .. }) => format!("+{name}"),
        Order::Put(InjectionSpec { name, desired: Desired::Reverted, .. }) => format!("-{name}"),
        Order::Gone(name) => format!("gone {name}"),
        Order::AllTold => "all".to_owned(),
    };
    orders.into_iter().map(word).collect()
}

fn status_of(injection: &Injection) -> InjectionStatus {
    injection.status.clone().expect("it has one")
}

#[test]
fn a_status_that_comes_back_is_no_news() {
    let mut known = Known::default();
    assert_eq!(short(known.put(&injection("a", "Injected", None))), ["+shop/a"]);
    assert!(known.put(&injection("a", "Injected", Some("Injected"))).is_empty());
    assert_eq!(short(known.put(&injection("a", "Reverted", Some("Injected")))), ["-shop/a"]);
}

#[test]
fn what_was_deleted_while_nobody_watched_is_gone() {
    let mut known = Known::default();
    known.begin_list();
    assert_eq!(short(known.list(&injection("a", "Injected", None))), ["+shop/a"]);
    assert_eq!(short(known.list(&injection("b", "Injected", None))), ["+shop/b"]);
    assert_eq!(short(known.end_list()), ["all"]);
    known.begin_list();
    assert!(known.list(&injection("b", "Injected", None)).is_empty());
    assert_eq!(short(known.end_list()), ["gone shop/a", "all"]);
}

#[test]
fn one_that_cannot_be_read_stays_as_it_is() {
    let mut known = Known::default();
    known.put(&injection("a", "Injected", None));
    known.begin_list();
    known.list_unreadable(Some("shop"), Some("a"));
    assert_eq!(short(known.end_list()), ["all"]);
}

#[test]
fn another_object_of_the_same_name_is_another_injection() {
    let mut known = Known::default();
    known.put(&injection("a", "Injected", None));
    let mut other = injection("a", "Injected", None);
    other.metadata.uid = Some("another".to_owned());
    assert_eq!(short(known.put(&other)), ["gone shop/a", "+shop/a"]);
}

#[test]
fn a_halt_ends_everything_and_everything_that_comes_while_it_is_there() {
    let mut known = Known::default();
    known.put(&injection("a", "Injected", None));
    known.put(&injection("b", "Reverted", None));
    assert_eq!(short(known.halt(&halt(None))), ["-shop/a"]);
    assert!(known.halt(&halt(None)).is_empty(), "it is obeyed once");
    assert_eq!(short(known.put(&injection("c", "Injected", None))), ["-shop/c"]);
}

#[test]
fn what_a_halt_ended_stays_ended() {
    let mut known = Known::default();
    known.put(&injection("a", "Injected", None));
    known.halt(&halt(None));
    known.lift_halt(&halt(None));
    let mut changed = injection("a", "Injected", None);
    changed.spec.injection.follow = true;
    assert_eq!(short(known.put(&changed)), ["-shop/a"]);
    assert_eq!(short(known.put(&injection("b", "Injected", None))), ["+shop/b"], "a new one is free");
}

#[test]
fn a_halt_that_is_there_at_the_start_lets_nothing_begin() {
    let mut known = Known::default();
    known.begin_halts();
    known.list_halt(&halt(Some("database migration")));
    assert!(known.end_halts().is_empty());
    assert_eq!(short(known.put(&injection("a", "Injected", None))), ["-shop/a"]);
    let key = Key { namespace: "shop".to_owned(), name: "a".to_owned() };
    let status = known.explain(&key, status_of(&injection("a", "Injected", Some("Reverted"))));
    assert_eq!(status.error.as_deref(), Some("taken back because of the Halt `stop` (database migration)"));
}

#[test]
fn what_was_over_before_is_never_injected_again() {
    for state in ["Reverted", "Failed", "Lost"] {
        let mut known = Known::default();
        assert!(known.put(&injection("a", "Injected", Some(state))).is_empty(), "{state}");
    }
    let mut known = Known::default();
    assert_eq!(short(known.put(&injection("a", "Injected", Some("Injected")))), ["+shop/a"]);
    assert_eq!(short(known.put(&injection("b", "Reverted", Some("Lost")))), ["-shop/b"]);
}

#[test]
fn what_measures_goes_on_after_its_deadline_was_over() {
    let mut measuring = injection("a", "Injected", Some("Reverted"));
    measuring.spec.injection.fault = crate::api::HostFault::Measure {};
    assert_eq!(short(Known::default().put(&measuring)), ["+shop/a"]);
    measuring.spec.injection.desired = Desired::Reverted;
    assert!(Known::default().put(&measuring).is_empty());
}

#[test]
fn a_status_is_written_onto_the_version_that_was_seen_and_onto_no_other_object() {
    let mut known = Known::default();
    let key = Key { namespace: "shop".to_owned(), name: "a".to_owned() };
    assert_eq!(known.version(&key), None);
    known.put(&injection("a", "Injected", None));
    let version = |uid: &str, resource_version: &str| Version {
        uid: uid.to_owned(),
        resource_version: resource_version.to_owned(),
    };
    known.renew(&key, version("uid-of-a", "8"));
    assert_eq!(known.version(&key), Some(version("uid-of-a", "8")));
    known.renew(&key, version("another", "9"));
    assert_eq!(known.version(&key), Some(version("uid-of-a", "8")));
    known.remove(&injection("a", "Injected", None));
    assert_eq!(known.version(&key), None, "it is gone, or another node's");
}

#[test]
fn counts_what_is_in_force() {
    let mut known = Known::default();
    for (name, state) in [("a", "Injected"), ("b", "RevertFailed"), ("c", "Pending"), ("d", "Reverted")] {
        known.put(&injection(name, "Injected", Some(state)));
    }
    assert_eq!(known.in_force(), 2);
    let key = Key { namespace: "shop".to_owned(), name: "a".to_owned() };
    known.explain(&key, status_of(&injection("a", "Injected", Some("Reverted"))));
    assert_eq!(known.in_force(), 1);
}
