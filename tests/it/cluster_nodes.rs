//! Faults that reach beyond the namespace, on nodes and on what the API server lets through: refused until whoever answers
//! for the cluster has agreed, then carried out by a real run.

use serde_json::Value;

use crate::cluster_fixture::{Cluster, Held, PATIENCE, eventually};
use crate::cluster_run_fixture::{LEADER_CUT, Scene, shipped_name};
use crate::gallery;

/// Agrees for the runners of a namespace; taken back at the end.
pub struct Agreement<'a> {
    cluster: &'a Held,
    name: String,
}

impl<'a> Agreement<'a> {
    pub fn give(scene: &Scene<'a>, role: &str) -> Self {
        let name = scene.namespace.name().to_owned();
        let to = format!("--serviceaccount={name}:seatrial-runner");
        scene.cluster.kubectl(["create", "clusterrolebinding", &name, &format!("--clusterrole={role}"), &to]);
        Self { cluster: scene.cluster, name }
    }
}

impl Drop for Agreement<'_> {
    fn drop(&mut self) {
        let _ = self.cluster.try_kubectl(["delete", "clusterrolebinding", &self.name]);
    }
}

const CUT: &str = "{networkPartition: {isolate: {role: leader}}}";

#[test]
fn a_stopped_kubelet_makes_its_node_not_ready_and_goes_on() {
    let cluster = Cluster::installed_alone();
    let scene = Scene::of(&cluster, "nodes-kubelet", LEADER_CUT);
    let fault = [(CUT, "{kubeletStop: {members: {ordinals: [1]}}}"), ("for: 15s", "for: 20s")];
    let refused = scene.run("unasked", LEADER_CUT, &fault);
    assert_ne!(refused.code, Some(0));
    refused.says("--clusterrole=seatrial-runner-nodes --serviceaccount=");
    scene.nothing_is_left();

    let _agreed = Agreement::give(&scene, "seatrial-runner-nodes");
    scene.create("agreed", LEADER_CUT, &fault);
    let node = scene.namespace.kubectl(["get", "pod", "etcd-1", "--output=jsonpath={.spec.nodeName}"]);
    let ready = "--output=jsonpath={.status.conditions[?(@.type=='Ready')].status}";
    eventually("the node is not Ready", PATIENCE, || {
        (cluster.kubectl(["get", "node", &node, ready]) != "True").then_some(())
    });
    let status = scene.wait_over("agreed");
    assert_eq!(status["verdict"], "Pass", "{status}");
    let journal = scene.journal("agreed");
    assert!(journal.contains("container kubelet stopped"), "the proof names the kubelet");
    eventually("the node is Ready again", PATIENCE, || {
        (cluster.kubectl(["get", "node", &node, ready]) == "True").then_some(())
    });
    scene.nothing_is_left();
}

#[test]
fn a_volume_that_does_not_leave_a_node_keeps_its_member_waiting_on_another_one() {
    let cluster = Cluster::installed_alone();
    let file = "experiments/workers/detach-stuck.yaml";
    let name = shipped_name(file);
    let scene = Scene::of(&cluster, "nodes-stuck", file);
    let _agreed = Agreement::give(&scene, "seatrial-runner-nodes");
    let node = scene.namespace.kubectl(["get", "pod", "workers-1", "--output=jsonpath={.spec.nodeName}"]);
    let volume =
        scene.namespace.kubectl(["get", "pvc", "data-workers-1", "--output=jsonpath={.spec.volumeName}"]);
    scene.create(&name, file, &[]);
    eventually("the new pod waits for its volume", PATIENCE * 2, || {
        let events =
            ["get", "events", "--field-selector=involvedObject.name=workers-1,reason=FailedAttachVolume"];
        scene.namespace.kubectl(events).contains("exclusively attached to one node").then_some(())
    });
    let attached = format!(
        "--output=jsonpath={{range .items[?(@.spec.source.persistentVolumeName=='{volume}')]}}{{.spec.nodeName}} \
         {{.status.attached}}{{end}}"
    );
    assert_eq!(cluster.kubectl(["get", "volumeattachments", &attached]), format!("{node} true"));
    let status = scene.wait_over(&name);
    assert_eq!(status["verdict"], "Pass", "{status}");
    let journal = scene.journal(&name);
    gallery::show(file, &scene.report(&name));
    assert!(journal.contains("umount is answered EBUSY"), "the proof is on record");
    scene.nothing_is_left();
}

const NODE_OFF: &str = "experiments/workers/node-off.yaml";

/// Runs it with the machine of ordinal 1 switched off before the step, and tells for how many milliseconds its volume was
/// waited for at most.
fn with_a_machine_that_is_off(purpose: &str, changes: &[(&str, &str)]) -> u64 {
    let cluster = Cluster::installed_alone();
    let name = shipped_name(NODE_OFF);
    let scene = Scene::of(&cluster, purpose, NODE_OFF);
    let _agreed = Agreement::give(&scene, "seatrial-runner-nodes");
    let node = scene.namespace.kubectl(["get", "pod", "workers-1", "--output=jsonpath={.spec.nodeName}"]);
    scene.create(&name, NODE_OFF, changes);
    eventually("the baseline is over", PATIENCE, || {
        (scene.status(&name)["phase"] == "Faulting").then_some(())
    });
    cluster.power_off(&node);
    let status = eventually("the run is over", PATIENCE * 8, || {
        Some(scene.status(&name)).filter(|status| status["phase"] == "Judged")
    });
    let judgement = scene.judgement(&name);
    if changes.is_empty() {
        gallery::show(NODE_OFF, &scene.report(&name));
    }
    assert_eq!(status["verdict"], "Pass", "{:#}", judgement["steps"]);
    let there = scene.namespace.kubectl(["get", "pod", "workers-1", "--output=jsonpath={.spec.nodeName}"]);
    assert_ne!(there, node, "the member runs on another machine");
    let taints = cluster.kubectl(["get", "node", &node, "--output=jsonpath={.spec.taints[*].key}"]);
    assert!(!taints.contains("out-of-service") && !taints.contains("seatrial.dev"), "{taints}");
    cluster.power_on(&node);
    scene.nothing_is_left();
    longest_attach(&judgement)
}

/// In milliseconds; over all phases.
fn longest_attach(judgement: &Value) -> u64 {
    let claims = judgement["claims"].as_array().expect("claims");
    let claim = claims.iter().find(|claim| claim["sli"] == "attachLatency").expect("it was measured");
    let phases = claim["phases"].as_array().expect("numbers by phase");
    let longest = phases.iter().filter_map(|phase| phase["highest"].as_u64()).max();
    longest.expect("a volume was waited for") / 1_000_000
}

#[test]
fn a_machine_that_is_off_is_given_up_at_once_where_kubernetes_is_told_so() {
    let took = with_a_machine_that_is_off("nodes-off", &[]);
    assert!(took < 60_000, "{took} ms");
}

/// What Kubernetes does where nobody tells it: the volume is detached from a node that is not Ready six minutes after its
/// pod was deleted by force (`ReconcilerMaxWaitForUnmountDuration` of the attach/detach controller).
#[test]
fn a_machine_that_is_off_keeps_a_volume_for_six_minutes_where_nobody_tells_kubernetes() {
    let took = with_a_machine_that_is_off(
        "nodes-six-minutes",
        &[
            ("for: 2m", "for: 9m"),
            (", outOfService: true, destroysData: true", ""),
            (
                "  hypothesis:",
                "    - name: delete-by-force\n      at: 45s\n      \
                 fault: {podKill: {members: {ordinals: [1]}, mode: force}}\n  hypothesis:",
            ),
            ("totalOutage: 90s", "totalOutage: 8m"),
            ("max: 60s", "max: 7m"),
        ],
    );
    assert!(took > 300_000, "{took} ms");
}

#[test]
fn a_node_is_taken_away_by_a_run_and_given_back() {
    let cluster = Cluster::installed_alone();
    let scene = Scene::of(&cluster, "nodes-down", LEADER_CUT);
    let _agreed = Agreement::give(&scene, "seatrial-runner-nodes");
    let fault = [(CUT, "{nodeDown: {members: {ordinals: [1]}}}"), ("for: 15s", "for: 30s")];
    let node = scene.namespace.kubectl(["get", "pod", "etcd-1", "--output=jsonpath={.spec.nodeName}"]);
    scene.run("down", LEADER_CUT, &fault).exits(0);
    let described = cluster.kubectl(["get", "node", &node, "--output=yaml"]);
    for ours in ["seatrial.dev/undo", "seatrial.dev/run", "seatrial.dev/node-down", "unschedulable"] {
        assert!(!described.contains(ours), "{ours}: {described}");
    }
    scene.nothing_is_left();
}

#[test]
fn a_denial_by_a_run_is_in_force_and_leaves_no_policy() {
    let cluster = Cluster::installed();
    let scene = Scene::of(&cluster, "nodes-deny", LEADER_CUT);
    let _agreed = Agreement::give(&scene, "seatrial-runner-admission");
    let fault = [(CUT, "{apiDeny: {resources: [pods], members: {ordinals: [1]}}}")];
    scene.run("denied", LEADER_CUT, &fault).exits(0).says("apiDeny");
    let policies = cluster.kubectl(["get", "validatingadmissionpolicies", "--output=name"]);
    assert!(!policies.contains(scene.namespace.name()), "{policies}");
    scene.nothing_is_left();
}
