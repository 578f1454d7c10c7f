//! Pods that do nothing, out of the image that is on every node with an agent.

use std::process::ExitCode;

use nix::sys::signal::{SigSet, Signal};
use serde_json::{Value, json};

/// The word that makes a process do nothing until it is told to end.
pub(in super::super) const IDLE: &str = "__idle";
/// The label that StatefulSets of one kind share: what is left of their names without a number at the end.
pub(super) const SETS_LABEL: &str = "seatrial.dev/sets";
/// The label of one StatefulSet.
const SET_LABEL: &str = "seatrial.dev/set";

/// `seatrial __idle`
pub(in super::super) fn main() -> ExitCode {
    let mut ends = SigSet::empty();
    ends.add(Signal::SIGTERM);
    ends.add(Signal::SIGINT);
    match ends.thread_block().and_then(|()| ends.wait()) {
        Ok(_) => ExitCode::SUCCESS,
        Err(_) => ExitCode::FAILURE,
    }
}

pub(super) fn stateful_set(name: &str, replicas: usize, node: Option<&str>, image: &str) -> Value {
    let sets = name.trim_end_matches(|letter: char| letter.is_ascii_digit()).trim_end_matches('-');
    let labels = json!({ SET_LABEL: name, SETS_LABEL: sets });
    let selector = json!({ "matchLabels": { SET_LABEL: name } });
    let mut pod = json!({
        "terminationGracePeriodSeconds": 2,
        "enableServiceLinks": false,
        "automountServiceAccountToken": false,
        "securityContext": {
            "runAsNonRoot": true,
            "runAsUser": 65532,
            "runAsGroup": 65532,
            "seccompProfile": { "type": "RuntimeDefault" },
        },
        "topologySpreadConstraints": [{
            "maxSkew": 1,
            "topologyKey": "kubernetes.io/hostname",
            "whenUnsatisfiable": "ScheduleAnyway",
            "labelSelector": selector,
        }],
        "containers": [{
            "name": "idle",
            "image": image,
            "imagePullPolicy": "IfNotPresent",
            "args": [IDLE],
            "resources": { "requests": { "cpu": "1m", "memory": "4Mi" } },
            "securityContext": {
                "allowPrivilegeEscalation": false,
                "readOnlyRootFilesystem": true,
                "capabilities": { "drop": ["ALL"] },
            },
        }],
    });
    if let Some(node) = node {
        pod["nodeSelector"] = json!({ "kubernetes.io/hostname": node });
    }
    json!({
        "metadata": { "name": name, "labels": labels },
        "spec": {
            "replicas": replicas,
            "serviceName": name,
            "podManagementPolicy": "Parallel",
            "selector": selector,
            "template": { "metadata": { "labels": labels }, "spec": pod },
        },
    })
}

#[cfg(test)]
mod tests {
    use k8s_openapi::api::apps::v1::StatefulSet;

    use super::*;

    #[test]
    fn sets_with_numbers_are_of_one_kind_and_each_selects_its_own_pods() {
        let read = |name| -> StatefulSet {
            serde_json::from_value(stateful_set(name, 2, Some("n1"), "image")).expect("a StatefulSet")
        };
        let label = |set: &StatefulSet| set.metadata.labels.clone().unwrap_or_default()[SETS_LABEL].clone();
        let (first, second) = (read("target-1"), read("target-23"));
        assert_eq!((label(&first), label(&second)), ("target".into(), "target".into()));
        assert_ne!(first.spec.expect("a spec").selector, second.spec.expect("a spec").selector);
    }
}
