//! Rights and limits of containers, and references to them.

use super::*;
use crate::platform::sandbox::pod_spec::{EnvValue, Limits, PodTemplate, Rights, Shown};

fn pod(set: &str) -> PodTemplate {
    read_set(set).unwrap_or_else(|problems| unreachable!("{:#?}", told(&problems))).set.pod
}

#[test]
fn reads_limits_and_notes_those_that_nothing_enforces() {
    let set = with_container("resources: {limits: {cpu: 1500m, memory: 1Gi, ephemeral-storage: 1Gi}}");
    assert_eq!(pod(&set).containers[0].limits, Limits { memory: Some(1 << 30), cpu: Some(1500) });
    let notes = read_set(&set).expect("accepted").notes;
    let told: Vec<_> =
        notes.iter().map(|note| note.path.as_str()).filter(|path| path.contains("resources")).collect();
    assert_eq!(told, ["spec.template.spec.containers[0].resources.limits.ephemeral-storage"]);
}

#[test]
fn shows_limits_and_requests_in_the_unit_that_is_asked_for() {
    let value = |field: &str| {
        let set = with_container(&format!(
            "resources: {{limits: {{cpu: 1500m, memory: 1Gi}}, requests: {{cpu: 0.25}}}}\nenv: [{{name: A, valueFrom: {{resourceFieldRef: {{{field}}}}}}}]"
        ));
        pod(&set).containers[0].env[0].value.clone()
    };
    for (field, expected) in [
        ("resource: limits.cpu", "2"),
        ("resource: limits.cpu, divisor: 1m", "1500"),
        ("resource: limits.memory", "1073741824"),
        ("resource: limits.memory, divisor: 1Mi", "1024"),
        ("resource: requests.cpu, divisor: 1m, containerName: db", "250"),
        ("resource: requests.memory, divisor: 1Gi", "1"),
    ] {
        assert_eq!(value(field), EnvValue::Text(expected.into()), "{field}");
    }
    let file = with_pod(
        "volumes: [{name: a, downwardAPI: {items: [{path: cpu, resourceFieldRef: {containerName: db, resource: requests.cpu}}]}}]",
    );
    assert_eq!(pod(&file).shown_volumes[0].files[0].content, Shown::Text("0".into()));
}

#[test]
fn refuses_references_to_what_is_not_said() {
    let from = |field: &str| {
        with_container(&format!("env: [{{name: A, valueFrom: {{resourceFieldRef: {{{field}}}}}}}]"))
    };
    for (set, told) in [
        (
            from("resource: limits.memory"),
            "resource: container db has no limit of memory (write resources: {limits: {memory: …}})",
        ),
        (from("resource: limits.disk"), "does not know the resource \"limits.disk\""),
        (
            from("resource: requests.cpu, containerName: nobody"),
            "containerName: there is no container \"nobody\"",
        ),
        (from("resource: requests.cpu, divisor: x"), "divisor: \"x\" divides nothing"),
        (
            with_pod(
                "volumes: [{name: a, downwardAPI: {items: [{path: c, resourceFieldRef: {resource: requests.cpu}}]}}]",
            ),
            "containerName: does not say of which container",
        ),
    ] {
        let only = only_problem(&set);
        assert!(only.contains(told), "{only}");
    }
}

#[test]
fn reads_the_rights_of_a_container() {
    assert_eq!(pod(SET).containers[0].rights, Rights::default());
    let set = with_container(
        "securityContext: {readOnlyRootFilesystem: true, allowPrivilegeEscalation: false, capabilities: {drop: [ALL], add: [NET_BIND_SERVICE, IPC_LOCK]}}",
    );
    let expected =
        Rights { read_only_root: true, no_new_privileges: true, capabilities: Some([10, 14].into()) };
    assert_eq!(pod(&set).containers[0].rights, expected);
    // Container runtimes take names in small letters, too.
    let none = pod(&with_container("securityContext: {capabilities: {drop: [all], add: [net_raw]}}"));
    assert_eq!(none.containers[0].rights.capabilities, Some([13].into()));
    let some = pod(&with_container("securityContext: {capabilities: {drop: [CHOWN, SYS_ADMIN]}}"));
    let kept = some.containers[0].rights.capabilities.clone().expect("given");
    assert!(!kept.contains(&0) && kept.contains(&1), "{kept:?}");
}
