//! What deploy/ holds is what a real API server takes, and what `kubectl explain` reads like documentation.

use std::path::Path;

use crate::cluster_fixture::{Cluster, PATIENCE, eventually};
use crate::cluster_rig::{allow, experiment, install};

#[test]
fn every_overlay_is_taken_by_a_real_api_server() {
    let cluster = Cluster::shared();
    install(&cluster);
    let deploy = Path::new(env!("CARGO_MANIFEST_DIR")).join("deploy");
    let overlays = std::fs::read_dir(deploy.join("overlays")).expect("deploy/overlays is there");
    let folders =
        overlays.map(|entry| entry.expect("an entry can be read").path()).chain([deploy.join("base")]);
    let mut seen = 0;
    for folder in folders {
        let told = cluster
            .try_kubectl(
                ["apply", "--server-side", "--force-conflicts", "--dry-run=server", "--kustomize"]
                    .map(Path::new)
                    .into_iter()
                    .chain([folder.as_path()]),
            )
            .unwrap_or_else(|complaint| panic!("{}: {complaint}", folder.display()));
        assert!(told.contains("deployment.apps/seatrial-controller"), "{told}");
        seen += 1;
    }
    assert_eq!(seen, 7);
}

#[test]
fn the_development_storage_is_taken_by_a_real_api_server() {
    let cluster = Cluster::shared();
    let components = Path::new(env!("CARGO_MANIFEST_DIR")).join("deploy/components");
    for (component, made) in [
        (
            "snapshot-controller",
            "customresourcedefinition.apiextensions.k8s.io/volumesnapshots.snapshot.storage.k8s.io",
        ),
        ("snapshot-controller", "deployment.apps/snapshot-controller"),
        ("dev-csi", "csidriver.storage.k8s.io/dev-csi.seatrial.dev"),
        ("dev-csi", "daemonset.apps/dev-csi-node"),
    ] {
        // What is in a namespace that a dry run does not make is looked at without it.
        let folder = components.join(component);
        let text = cluster.kubectl(["kustomize", &folder.display().to_string()]);
        let text = text.replace("namespace: seatrial-dev-csi", "namespace: default");
        let file = tempfile::NamedTempFile::new().expect("a temporary file can be made");
        std::fs::write(file.path(), text).expect("it can be written");
        let told = cluster.kubectl(
            ["apply", "--server-side", "--force-conflicts", "--dry-run=server", "--filename"]
                .map(Path::new)
                .into_iter()
                .chain([file.path()]),
        );
        assert!(told.contains(made), "{told}");
    }
}

#[test]
fn a_single_namespace_gives_no_rights_over_pods_elsewhere() {
    let cluster = Cluster::shared();
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("deploy/overlays/single-namespace");
    let text = cluster.kubectl(["kustomize", &folder.display().to_string()]);
    let bound: Vec<_> = text
        .split("\n---\n")
        .filter(|document| document.contains("kind: ClusterRoleBinding"))
        .filter(|document| {
            let gives = |role: &str| document.contains(&format!("kind: ClusterRole\n  name: {role}\n"));
            gives("seatrial-controller") || gives("seatrial-reaper")
        })
        .collect();
    assert_eq!(bound, Vec::<&str>::new());
}

#[test]
fn explain_reads_like_documentation() {
    let cluster = Cluster::shared();
    install(&cluster);
    for (field, words) in [
        ("experiments.spec.target.statefulSet", "The StatefulSet's name"),
        ("experiments.spec.target.store.etcd.tls.secret", "`ca.crt` is whom to trust"),
        ("experiments.spec.target.store.etcd.auth.secret", "with the keys `username` and `password`"),
        ("experiments.spec.steps.fault.podKill", "pod"),
        ("experiments.status.verdict", "verdict"),
        ("injections.spec.deadline", "When it ends, whatever happens"),
    ] {
        // What it says of a definition is put together a moment after that was written.
        eventually(&format!("{field} is explained by `{words}`"), PATIENCE, || {
            cluster.try_kubectl(["explain", field]).ok().filter(|told| told.contains(words))
        });
    }
}

#[test]
fn the_api_server_tells_what_a_schema_can_tell() {
    let cluster = Cluster::shared();
    install(&cluster);
    let namespace = cluster.namespace("schema");
    allow(&namespace, &cluster);
    let mut wrong = experiment("wrong");
    let step = serde_json::json!({ "name": "b", "at": "1s", "after": "c", "fault": { "podKill": { "members": { "count": 1 } } } });
    wrong["spec"]["steps"] = serde_json::json!([step, step]);
    let folder = tempfile::TempDir::new().expect("a temporary folder can be made");
    let path = folder.path().join("wrong.json");
    std::fs::write(&path, wrong.to_string()).expect("it can be written");
    let path = path.display().to_string();
    let told = cluster
        .try_kubectl(["create", "--namespace", namespace.name(), "--filename", &path])
        .expect_err("it has three mistakes");
    for words in
        ["Duplicate value", "starts in more than one way", "`after` must name a step of this experiment"]
    {
        assert!(told.contains(words), "{words} in {told}");
    }
}
