//! The pod that carries out a run.
//!
//! It meets the Pod Security level `restricted`, keeps away from the nodes of the target where it can, belongs to the
//! Experiment, and is restarted by the kubelet on failure: a restarted runner takes everything back and goes no further.
//!
//! It gets exactly the Secrets that the Experiment names, as files that it can only read; whether the author may read
//! them was asked by the admission policy. Nobody here reads them through the API. A Secret that is not there keeps the pod
//! from starting.

use std::collections::BTreeSet;

use k8s_openapi::api::core::v1::Pod;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::LabelSelector;
use serde_json::{Value, json};

use super::identity::Identity;
use crate::experiment::SecretName;
use crate::resource::{NODE_DOWN_TAINT, RUN_LABEL, RUNNER_ACCOUNT};

/// What every runner of this installation is made of.
#[derive(Debug, Clone)]
pub struct Image {
    /// The image.
    pub name: String,
    /// When it is pulled: `IfNotPresent`, `Always`, `Never`.
    pub pull_policy: String,
}

/// The label that each pod of a StatefulSet has, with its name.
const POD_NAME_LABEL: &str = "statefulset.kubernetes.io/pod-name";
/// Where the journal is while the run lasts.
pub const JOURNAL_FOLDER: &str = "/journal";
/// How large it may grow; the pod is evicted beyond that, and the run aborted.
const JOURNAL_LIMIT: &str = "2Gi";
/// How long a runner has to take everything back when it is asked to end, in seconds.
pub const GRACE: i64 = 60;

/// Where Secrets are mounted, each in a folder of its own name.
pub const SECRETS_FOLDER: &str = "/secrets";
/// The permissions of their files: they belong to root and to the pod's group.
const SECRET_MODE: i32 = 0o440;

/// The runner of one run, with the Secrets that its Experiment names. `members` select the pods that the run acts on, as far as
/// that is known; `doomed` are the pods whose nodes the run takes away for certain.
pub fn runner_pod(
    identity: &Identity,
    image: &Image,
    members: &[LabelSelector],
    doomed: &BTreeSet<String>,
    secrets: &BTreeSet<&SecretName>,
) -> Pod {
    let journal = json!({ "name": "journal", "emptyDir": { "sizeLimit": JOURNAL_LIMIT } });
    let (volumes, mounts): (Vec<_>, Vec<_>) =
        (0..).zip(secrets).map(|(index, secret)| shown(index, secret)).unzip();
    let volumes: Vec<_> = [journal].into_iter().chain(volumes).collect();
    let journal = json!({ "name": "journal", "mountPath": JOURNAL_FOLDER });
    let mounts: Vec<_> = [journal].into_iter().chain(mounts).collect();
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
            "affinity": away_from(members, doomed),
            "containers": [{
                "name": "runner",
                "image": image.name,
                "imagePullPolicy": image.pull_policy,
                "args": [
                    "runner", "--namespace", identity.namespace, "--experiment", identity.experiment, "--run", identity.run,
                    "--secrets", SECRETS_FOLDER,
                ],
                "volumeMounts": mounts,
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
            "volumes": volumes,
        },
    });
    serde_json::from_value(pod).expect("the pod above is a pod")
}

/// A Secret as a volume, and where it is mounted.
fn shown(index: usize, secret: &SecretName) -> (Value, Value) {
    // A Secret's name can be too long for a volume's, and can have dots.
    let volume = format!("secret-{index}");
    (
        json!({ "name": volume, "secret": {
            "secretName": secret, "defaultMode": SECRET_MODE, "optional": false,
        } }),
        json!({ "name": volume, "mountPath": format!("{SECRETS_FOLDER}/{secret}"), "readOnly": true }),
    )
}

/// Prefers nodes without the target's pods, and never takes one that the run itself takes away: a fault on a node must not
/// hit the one who watches it. Pods of a StatefulSet carry their name as a label.
fn away_from(members: &[LabelSelector], doomed: &BTreeSet<String>) -> serde_json::Value {
    let term =
        |selector: Value| json!({ "topologyKey": "kubernetes.io/hostname", "labelSelector": selector });
    let preferred: Vec<Value> = members
        .iter()
        .map(|selector| json!({ "weight": 100, "podAffinityTerm": term(json!(selector)) }))
        .collect();
    let mut affinity = json!({ "preferredDuringSchedulingIgnoredDuringExecution": preferred });
    if !doomed.is_empty() {
        let named = json!({ "key": POD_NAME_LABEL, "operator": "In", "values": doomed });
        affinity["requiredDuringSchedulingIgnoredDuringExecution"] =
            json!([term(json!({ "matchExpressions": [named] }))]);
    }
    json!({ "podAntiAffinity": affinity })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pod_with(secrets: &[&str]) -> Value {
        let identity = Identity {
            namespace: "shop".into(),
            experiment: "cut".into(),
            uid: "a-uid".into(),
            run: "cut-a-uid".into(),
        };
        let image = Image { name: "i".into(), pull_policy: "Never".into() };
        let secrets: Vec<SecretName> =
            secrets.iter().map(|name| SecretName::try_from((*name).to_owned()).expect("a name")).collect();
        let pod = runner_pod(&identity, &image, &[], &doomed(&["db-1"]), &secrets.iter().collect());
        serde_json::to_value(pod).expect("a pod is JSON")
    }

    fn doomed(names: &[&str]) -> BTreeSet<String> {
        names.iter().map(|name| (*name).to_owned()).collect()
    }

    #[test]
    fn it_never_runs_where_the_run_takes_the_node_away() {
        let required = |doomed| {
            let affinity = away_from(&[], &doomed);
            affinity["podAntiAffinity"]["requiredDuringSchedulingIgnoredDuringExecution"].clone()
        };
        assert_eq!(
            required(doomed(&[])),
            Value::Null,
            "nobody is kept from a cluster of one node without need"
        );
        let named =
            json!([{ "key": "statefulset.kubernetes.io/pod-name", "operator": "In", "values": ["db-1"] }]);
        let selector = &required(doomed(&["db-1"]))[0]["labelSelector"];
        assert_eq!(selector, &json!({ "matchExpressions": named }));
    }

    #[test]
    fn it_gets_the_secrets_that_are_named_read_only_and_no_others() {
        let pod = pod_with(&["etcd-tls", "etcd.root"]);
        let volume = |name: &str, secret: &str| json!({ "name": name, "secret": { "secretName": secret, "defaultMode": 0o440, "optional": false } });
        let volumes = pod["spec"]["volumes"].as_array().expect("volumes");
        assert_eq!(volumes[1..], [volume("secret-0", "etcd-tls"), volume("secret-1", "etcd.root")]);
        let mount = |name: &str, path: &str| json!({ "name": name, "mountPath": path, "readOnly": true });
        let container = &pod["spec"]["containers"][0];
        let mounts = container["volumeMounts"].as_array().expect("mounts");
        assert_eq!(
            mounts[1..],
            [mount("secret-0", "/secrets/etcd-tls"), mount("secret-1", "/secrets/etcd.root")]
        );
        let arguments = container["args"].as_array().expect("arguments");
        assert!(arguments.ends_with(&["--secrets".into(), "/secrets".into()]), "{arguments:?}");
        assert_eq!(container["env"], Value::Null, "what is in the environment can be read by every child");
    }

    #[test]
    fn without_secrets_it_has_its_journal_alone() {
        let pod = pod_with(&[]);
        assert_eq!(pod["spec"]["volumes"].as_array().map(Vec::len), Some(1));
    }
}
