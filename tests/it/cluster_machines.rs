//! What every other cluster test builds on: etcd runs with volumes of its own, nodes lose power, the API server goes away.

use std::path::Path;

use crate::cluster_fixture::{Cluster, Held, PATIENCE, eventually};

/// The manifest that an experiment file carries, without the experiment.
fn manifest_of(experiment: &str) -> String {
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("experiments").join(experiment);
    let text = std::fs::read_to_string(file).expect("the experiment is shipped");
    let documents: Vec<_> =
        text.split("\n---\n").filter(|document| !document.contains("kind: Experiment")).collect();
    documents.join("\n---\n")
}

fn is_ready(cluster: &Held, node: &str) -> String {
    let path = "--output=jsonpath={.status.conditions[?(@.type=='Ready')].status}";
    cluster.kubectl(["get", "node", node, path])
}

#[test]
fn runs_etcd_with_a_volume_for_each_member() {
    let cluster = Cluster::shared();
    let namespace = cluster.namespace("etcd");
    namespace.apply(&manifest_of("etcd/leader-cut.yaml"));
    namespace.wait_ready("etcd");
    let claims =
        namespace.kubectl(["get", "persistentvolumeclaims", "--output=jsonpath={.items[*].status.phase}"]);
    assert_eq!(claims, "Bound Bound Bound");
    let health = namespace.kubectl(["exec", "etcd-0", "--", "etcdctl", "endpoint", "health", "--cluster"]);
    assert!(!health.contains("unhealthy"), "{health}");
}

#[test]
fn sees_a_node_lose_its_power_and_come_back_as_another_boot() {
    let cluster = Cluster::exclusive();
    let boot = || cluster.kubectl(["get", "node", "n3", "--output=jsonpath={.status.nodeInfo.bootID}"]);
    let first = boot();
    cluster.power_off("n3");
    eventually("n3 is not Ready", PATIENCE, || (is_ready(&cluster, "n3") != "True").then_some(()));
    cluster.power_on("n3");
    eventually("n3 is Ready again", PATIENCE, || (is_ready(&cluster, "n3") == "True").then_some(()));
    eventually("n3 tells its new boot id", PATIENCE, || (boot() != first).then_some(()));
}

#[test]
fn keeps_running_pods_while_the_api_server_is_gone() {
    let cluster = Cluster::exclusive();
    cluster.stop("apiserver");
    assert!(cluster.try_kubectl(["get", "nodes", "--request-timeout=2s"]).is_err());
    cluster.start("apiserver");
    for node in ["n1", "n2", "n3"] {
        eventually("every node is Ready", PATIENCE, || (is_ready(&cluster, node) == "True").then_some(()));
    }
}
