//! One fault on many of very many members: pods that say Running with nothing behind them, on nodes of the same kind, and
//! somebody who writes what their agents would.
//!
//! `make scale` does it with 1,000 nodes and 5,000 pods and an optimised program, and prints what it took; as a test it is small.

use std::path::Path;
use std::time::{Duration, Instant};

use crate::cluster_fixture::{Cluster, PATIENCE, eventually};
use crate::cluster_installation::{IMAGE, make_image, manifests};
use crate::cluster_rig::SYSTEM;
use crate::cluster_traces::with_words;
use crate::e2e_fixture::{Desk, Done};
use crate::node_fixture::eventually_each;

mod agents;
mod figures;

use agents::Agents;

/// The namespace in which the cluster makes its pods.
const NAMESPACE: &str = "scale";
/// For how long the fault stays.
const HELD: &str = "20s";

/// How many there are of what.
struct Size {
    nodes: usize,
    pods: usize,
    hit: usize,
}

impl Size {
    /// `NODES,PODS,HIT` of the environment.
    fn from_environment() -> Self {
        let Ok(text) = std::env::var("SEATRIAL_TEST_SCALE") else {
            return Self { nodes: 20, pods: 100, hit: 40 };
        };
        let numbers: Vec<usize> =
            text.split(',').map(|number| number.parse().expect("NODES,PODS,HIT")).collect();
        let [nodes, pods, hit] = numbers[..] else { unreachable!("SEATRIAL_TEST_SCALE is NODES,PODS,HIT") };
        Self { nodes, pods, hit }
    }
}

/// A cluster for this test, ended with it.
struct Large {
    cluster: Cluster,
    _dir: tempfile::TempDir,
}

impl Large {
    fn start(size: &Size) -> Self {
        let dir = tempfile::tempdir_in("/var/tmp").expect("a folder can be made");
        let cluster = Cluster::another(dir.path(), &["--nodes", "1", "--node-grace", "1h"]);
        let large = Self { cluster, _dir: dir };
        let program = std::env::var("SEATRIAL_TEST_PROGRAM");
        make_image(&large.cluster, IMAGE, program.as_deref().unwrap_or(env!("CARGO_BIN_EXE_seatrial")));
        large.cluster.apply(SYSTEM, &manifests(&["--agent", "none"]));
        // Nobody here has a token that is bound to a node.
        large.cluster.kubectl(["delete", "validatingadmissionpolicybinding", "seatrial-agents"]);
        let what = "deployment/seatrial-controller";
        large.cluster.kubectl(["rollout", "status", what, "--namespace", SYSTEM, "--timeout=2m"]);
        large.cluster.scale(size.nodes, size.pods);
        large.cluster.kubectl(["label", "namespace", NAMESPACE, "seatrial.dev/allow=true"]);
        large
    }
}

impl Drop for Large {
    fn drop(&mut self) {
        if std::thread::panicking() {
            for told in [
                self.cluster.try_kubectl(["get", "experiments", "--all-namespaces", "--output=yaml"]),
                self.cluster.try_kubectl(["get", "pods", "--all-namespaces", "--selector=app!=store"]),
            ] {
                eprintln!("{}", told.unwrap_or_else(|complaint| complaint));
            }
        }
        self.cluster.down();
    }
}

fn experiment(size: &Size) -> String {
    format!(
        "
apiVersion: seatrial.dev/v1alpha1
kind: Experiment
metadata: {{name: many}}
spec:
  target: {{pods: {{selector: {{matchLabels: {{app: store}}}}}}}}
  baseline: 1s
  recovery: 10s
  steps:
  - {{name: pause, for: {HELD}, fault: {{processPause: {{members: {{count: {}}}}}}}}}
  hypothesis:
  - {{name: pods are there, sli: {{podAvailability: {{}}}}, after: {{min: 0.9}}}}
  guards: {{allowQuorumLoss: true}}
",
        size.hit
    )
}

#[test]
fn a_fault_on_many_of_very_many_members_is_proven_and_taken_back() {
    let size = Size::from_environment();
    let large = Large::start(&size);
    let cluster = &large.cluster;
    let agents = Agents::start(cluster.kubeconfig(), size.nodes);
    let desk = Desk::new();
    desk.write("many.yaml", experiment(&size));

    let since = Instant::now();
    preflight(&desk, cluster.kubeconfig());
    let planned = since.elapsed();

    let before = figures::requests(cluster);
    let started = Instant::now();
    cluster.apply(NAMESPACE, &experiment(&size));
    let mut largest = (0, 0);
    let verdict = eventually_each(Duration::from_millis(200), "a verdict", PATIENCE * 3, || {
        let now = (figures::peak(&with_words(&["runner"])), figures::peak(&with_words(&["controller"])));
        largest = (largest.0.max(now.0), largest.1.max(now.1));
        let path = "--output=jsonpath={.status.verdict} {.status.message}";
        let told = cluster.kubectl(["get", "experiment", "many", "--namespace", NAMESPACE, path]);
        (!told.trim().is_empty() && !told.starts_with(' ')).then_some(told)
    });
    let took = started.elapsed();
    let after = figures::requests(cluster);
    assert!(verdict.starts_with("Pass"), "{verdict}");
    eventually("every Injection is gone", PATIENCE, || {
        let asked = ["get", "injections", "--namespace", NAMESPACE, "--output=name"];
        cluster.kubectl(asked).is_empty().then_some(())
    });
    let seen = agents.end();
    assert_eq!((seen.asked, seen.reverted), (size.hit, size.hit), "one Injection each, and each taken back");
    figures::print(&size, planned, took, &seen, largest, &before, &after);
}

/// What would happen is told of all members before anything does.
fn preflight(desk: &Desk, kubeconfig: &Path) {
    let mut command = desk.command(&["preflight", "many.yaml", "--namespace", NAMESPACE]);
    command.env("KUBECONFIG", kubeconfig);
    let done = Done::of(command.output().expect("the program starts"));
    assert!(done.out.contains("guards have nothing against it"), "{}", done.out);
}
