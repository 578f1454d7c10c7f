//! The pod that carries out a run.
//!
//! It meets the Pod Security level `restricted`, keeps away from the nodes of the target where it can, belongs to the
//! Experiment, and is restarted by the kubelet on failure: a restarted runner takes everything back and goes no further.

use k8s_openapi::api::core::v1::Pod;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::LabelSelector;
use serde_json::json;

use super::identity::Identity;
use crate::resource::{NODE_DOWN_TAINT, RUN_LABEL, RUNNER_ACCOUNT};

/// What every runner of this installation is made of.
#[derive(Debug, Clone)]
pub struct Image {
    /// The image.
    pub name: String,
    /// When it is pulled: `IfNotPresent`, `Always`, `Never`.
    pub pull_policy: String,
}

/// Where the journal is while the run lasts.
pub const JOURNAL_FOLDER: &str = "/journal";
/// How large it may grow; the pod is evicted beyond that, and the run aborted.
const JOURNAL_LIMIT: &str = "2Gi";
/// How long a runner has to take everything back when it is asked to end, in seconds.
pub const GRACE: i64 = 60;

/// The runner of one run. `members` selects the target's pods, where that is known.
pub fn runner_pod(identity: &Identity, image: &Image, members: Option<&LabelSelector>) -> Pod {
    let pod = json!({
        "metadata": {
            "name": identity.run,
            "namespace": identity.namespace,
            "labels": {
                RUN_LABEL: identity.run,
                "app.kubernetes.io/name": "seatrial",
                "app.kubernetes.io/component": "runner",
            },
            "ownerReferences": [identity.owner()],
        },
        "spec": {
            "serviceAccountName": RUNNER_ACCOUNT,
            "restartPolicy": "OnFailure",
            "terminationGracePeriodSeconds": GRACE,
            "enableServiceLinks": false,
            "securityContext": {
                "runAsNonRoot": true,
                "runAsUser": 65532,
                "runAsGroup": 65532,
                "fsGroup": 65532,
                "seccompProfile": { "type": "RuntimeDefault" },
            },
            // A node that the run itself takes away must not take the runner along.
            "tolerations": [{ "key": NODE_DOWN_TAINT, "operator": "Exists" }],
            "affinity": away_from(members),
            "containers": [{
                "name": "runner",
                "image": image.name,
                "imagePullPolicy": image.pull_policy,
                "args": [
                    "runner", "--namespace", identity.namespace, "--experiment", identity.experiment, "--run", identity.run,
                ],
                "volumeMounts": [{ "name": "journal", "mountPath": JOURNAL_FOLDER }],
                "resources": {
                    "requests": { "cpu": "100m", "memory": "64Mi" },
                    "limits": { "memory": "1Gi" },
                },
                "securityContext": {
                    "allowPrivilegeEscalation": false,
                    "readOnlyRootFilesystem": true,
                    "capabilities": { "drop": ["ALL"] },
                },
            }],
            "volumes": [{ "name": "journal", "emptyDir": { "sizeLimit": JOURNAL_LIMIT } }],
        },
    });
    serde_json::from_value(pod).expect("the pod above is a pod")
}

/// Prefers nodes without the target's pods: a fault on a node should not hit the one who watches it.
fn away_from(selector: Option<&LabelSelector>) -> serde_json::Value {
    json!({ "podAntiAffinity": { "preferredDuringSchedulingIgnoredDuringExecution": [{
        "weight": 100,
        "podAffinityTerm": { "topologyKey": "kubernetes.io/hostname", "labelSelector": selector },
    }] } })
}
