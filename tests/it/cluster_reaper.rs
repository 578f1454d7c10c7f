//! Controller, runner and agents are gone, and what they changed through the API server is past its deadline: the CronJob
//! puts it back, by what the objects themselves say.

use std::process::Command;
use std::thread::sleep;
use std::time::Duration;

use jiff::Timestamp;
use seatrial::api::{ApiFault, Breakage, InjectionSpec, InjectionState};

use crate::cluster_faults::{
    OF_A_NODE_DOWN, Runner, assert_unmarked, field, node_down, others_are_gone, set_up, spec,
};
use crate::cluster_fixture::{Cluster, Held, Namespace};
use crate::cluster_rig::install;

/// Long enough for all of them to come into force on a busy machine.
const LASTING: Duration = Duration::from_secs(30);

/// One round of the CronJob.
fn reap(cluster: &Held, namespace: &Namespace<'_>) {
    let reaped = Command::new(env!("CARGO_BIN_EXE_seatrial"))
        .args(["reap", "--watch-namespace", namespace.name()])
        .env("KUBECONFIG", cluster.kubeconfig())
        .output()
        .expect("the program starts");
    assert!(reaped.status.success(), "{}", String::from_utf8_lossy(&reaped.stderr));
}

/// Makes the change, and dies.
fn change(cluster: &Held, namespace: &Namespace<'_>, fault: ApiFault) -> InjectionSpec {
    let spec = spec(namespace, "left", fault, LASTING);
    let runner = Runner::start(cluster, namespace);
    runner.put(&spec);
    runner.wait(InjectionState::Injected);
    spec
}

fn wait_until(time: Timestamp) {
    sleep(Duration::try_from(time.duration_since(Timestamp::now())).unwrap_or_default());
}

#[test]
fn what_was_changed_of_a_stateful_set_is_put_back_after_the_deadline_and_not_before() {
    let cluster = Cluster::shared();
    install(&cluster);
    let container = || "db".to_owned();
    let changes = [
        (ApiFault::Scale { replicas: 2 }, ".spec.replicas"),
        (
            ApiFault::SetImage { container: container(), image: "docker.io/library/busybox:other".into() },
            ".spec.template.spec.containers[0].image",
        ),
        (
            ApiFault::SetEnv { container: container(), name: "LEFT".into(), value: "1".into() },
            ".spec.template.spec.containers[0].env",
        ),
        (
            ApiFault::BreakRollout { partition: 2, by: Breakage::Command },
            ".spec.template.spec.containers[0].command",
        ),
    ];
    for (fault, path) in changes {
        let namespace = cluster.namespace("reaper-set");
        set_up(&namespace);
        let there = || field(&namespace, "statefulset/db", path);
        let before = there();
        let spec = change(&cluster, &namespace, fault);
        let during = there();
        assert_ne!(during, before, "{path}");
        reap(&cluster, &namespace);
        assert_eq!(there(), during, "before its deadline it is somebody's");
        assert!(Timestamp::now() < spec.deadline.at, "the machine is too slow for this test");
        wait_until(spec.deadline.at);
        reap(&cluster, &namespace);
        assert_eq!(there(), before, "{path}");
        assert_unmarked(&namespace);
    }
}

#[test]
fn a_node_that_was_taken_away_is_given_back_after_the_deadline() {
    let cluster = Cluster::installed_alone();
    others_are_gone(&cluster);
    let namespace = cluster.namespace("reaper-node");
    set_up(&namespace);
    let node = field(&namespace, "pod/db-1", ".spec.nodeName");
    let ApiFault::NodeDown { node, budgets, .. } = node_down(&node) else { unreachable!() };
    let spec = change(
        &cluster,
        &namespace,
        ApiFault::NodeDown { node: node.clone(), budgets, out_of_service: true },
    );
    let described = || cluster.kubectl(["get", "node", &node, "--output=yaml"]);
    let during = described();
    for ours in OF_A_NODE_DOWN {
        assert!(during.contains(ours), "{ours}: {during}");
    }
    wait_until(spec.deadline.at);
    reap(&cluster, &namespace);
    let after = described();
    for ours in OF_A_NODE_DOWN {
        assert!(!after.contains(ours), "{ours}: {after}");
    }
    namespace.wait_ready("db");
}
