//! An installation that is hit itself while it breaks something: whatever dies, nothing of the fault stays and no verdict
//! is Pass.

use std::thread::sleep;
use std::time::Duration;

use crate::cluster_fixture::{Cluster, PATIENCE, eventually};
use crate::cluster_installation;
use crate::cluster_rig::SYSTEM;
use crate::cluster_run_fixture::{LEADER_CUT, Scene};
use crate::cluster_traces as traces;

#[test]
fn a_runner_that_was_killed_takes_back_and_is_aborted_when_it_starts_again() {
    let cluster = Cluster::installed();
    let scene = Scene::of(&cluster, "run-killed", LEADER_CUT);
    scene.create("killed", LEADER_CUT, &[]);
    scene.wait_for_fault("killed");
    scene.kill_runner("killed");
    let status = scene.wait_over("killed");
    assert_eq!(status["verdict"], "Aborted", "{status}");
    let message = "the run was aborted: the runner was restarted in the middle of the run";
    assert_eq!(status["message"], message);
    scene.seatrial(&["judge", "killed", "--on", "kubernetes"]).exits(12).says(message);
    let log = scene.namespace.kubectl(["logs", status["run"].as_str().expect("a run")]);
    let lines: String = log.split_inclusive('\n').filter(|line| line.starts_with('{')).collect();
    assert_eq!(lines, scene.journal("killed"), "the log tells what came before as well");
    scene.nothing_is_left();
}

#[test]
fn a_controller_that_dies_is_not_missed() {
    let cluster = Cluster::installed_alone();
    let scene = Scene::of(&cluster, "run-leader", LEADER_CUT);
    scene.create("led", LEADER_CUT, &[]);
    scene.wait_for_fault("led");
    let uids = ["get", "pods", "--namespace", SYSTEM, "--selector=app.kubernetes.io/component=controller"];
    let uids = cluster.kubectl(uids.iter().chain(&["--output=jsonpath={.items[*].metadata.uid}"]));
    for uid in uids.split(' ') {
        traces::kill_all(uid, "controller");
    }
    assert_eq!(scene.wait_over("led")["verdict"], "Pass");
    scene.nothing_is_left();
}

#[test]
fn an_agent_that_is_killed_takes_over_its_own_fault_and_ends_it() {
    let cluster = Cluster::installed_alone();
    let scene = Scene::of(&cluster, "run-agent", LEADER_CUT);
    scene.create("agentless", LEADER_CUT, &[]);
    scene.wait_for_fault("agentless");
    let uids = ["get", "pods", "--namespace", SYSTEM, "--selector=app.kubernetes.io/component=agent"];
    let uids = cluster.kubectl(uids.iter().chain(&["--output=jsonpath={.items[*].metadata.uid}"]));
    for uid in uids.split(' ') {
        traces::kill_all(uid, "agent");
    }
    let status = scene.wait_over("agentless");
    // The fault was in force all the time, held by its guardian; whether it was watched enough is the machine's speed.
    assert!(["Pass", "Inconclusive"].contains(&status["verdict"].as_str().unwrap_or_default()), "{status}");
    scene.nothing_is_left();
}

#[test]
fn a_node_that_loses_its_power_with_agent_and_target_leaves_nothing() {
    let cluster = Cluster::installed_alone();
    let scene = Scene::of(&cluster, "run-power", LEADER_CUT);
    scene.create("power", LEADER_CUT, &[("isolate: {role: leader}", "isolate: {ordinals: [1]}")]);
    scene.wait_for_fault("power");
    let node = scene.namespace.kubectl(["get", "pod", "etcd-1", "--output=jsonpath={.spec.nodeName}"]);
    cluster.power_off(&node);
    let status = scene.wait_over("power");
    assert_ne!(status["verdict"], "Pass", "{status}");
    cluster.power_on(&node);
    scene.namespace.wait_ready("etcd");
    scene.nothing_is_left();
}

#[test]
fn a_minute_without_an_api_server_under_a_fault_leaves_a_verdict_and_nothing_else() {
    let cluster = Cluster::installed_alone();
    let scene = Scene::of(&cluster, "run-outage", LEADER_CUT);
    scene.create("outage", LEADER_CUT, &[]);
    scene.wait_for_fault("outage");
    cluster.stop("apiserver");
    sleep(Duration::from_mins(1));
    cluster.start("apiserver");
    let status = scene.wait_over("outage");
    // Nobody could take the fault back before its deadline, and a run that did not see its faults never passes.
    assert_eq!(status["phase"], "Judged", "{status}");
    assert!(
        ["Inconclusive", "Aborted"].contains(&status["verdict"].as_str().unwrap_or_default()),
        "{status}"
    );
    assert!(status["journal"]["bytes"].as_u64() > Some(0), "{status}");
    scene.nothing_is_left();
}

#[test]
fn an_experiment_that_is_deleted_under_its_fault_takes_everything_along() {
    let cluster = Cluster::installed();
    let scene = Scene::of(&cluster, "run-deleted", LEADER_CUT);
    scene.create("deleted", LEADER_CUT, &[]);
    scene.wait_for_fault("deleted");
    scene.namespace.kubectl(["delete", "experiment", "deleted"]);
    scene.nothing_is_left();
    // The target is free for the next one.
    scene.run("next", LEADER_CUT, &[]).exits(0);
}

#[test]
fn a_node_without_an_agent_is_named_before_anything_is_broken() {
    let cluster = Cluster::installed_alone();
    let scene = Scene::of(&cluster, "run-agentless", LEADER_CUT);
    let agents = ["delete", "daemonset", "seatrial-agent", "--namespace", SYSTEM, "--cascade=foreground"];
    cluster.kubectl(agents);
    // What an agent has said of its node stays behind, and counts for a while.
    cluster.kubectl(["delete", "nodeagents", "--all"]);
    let refused = scene.run("agentless", LEADER_CUT, &[]);
    cluster_installation::begin(&cluster);
    refused.exits(22).says("has no agent");
    scene.nothing_is_left();
}

#[test]
fn what_is_uninstalled_in_the_middle_of_a_run_takes_everything_back_first() {
    let cluster = Cluster::installed_alone();
    let scene = Scene::of(&cluster, "run-uninstall", LEADER_CUT);
    scene.create("removed", LEADER_CUT, &[]);
    scene.wait_for_fault("removed");
    let mut uninstall = scene.desk.command(&["uninstall", "--yes"]);
    let done = uninstall.env("KUBECONFIG", cluster.kubeconfig()).output().expect("the program starts");
    crate::e2e_fixture::Done::of(done).exits(0).says("every fault is taken back");
    let ours = "--selector=app.kubernetes.io/name=seatrial";
    let kinds =
        "crd,clusterroles,clusterrolebindings,validatingadmissionpolicies,validatingadmissionpolicybindings";
    eventually("nothing is installed", PATIENCE, || {
        let left = cluster.kubectl(["get", kinds, ours, "--output=name"]);
        let namespace = cluster.try_kubectl(["get", "namespace", SYSTEM]);
        (left.is_empty() && namespace.is_err()).then_some(())
    });
    cluster_installation::begin(&cluster);
    scene.nothing_is_left();
}
