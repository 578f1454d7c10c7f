//! Control-plane faults and actions against a real API server, with a real StatefulSet controller, scheduler and kubelets.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::mpsc::Receiver;
use std::time::Duration;

use jiff::Timestamp;
use kube::config::{KubeConfigOptions, Kubeconfig};
use kube::{Client, Config};
use seatrial::api::{
    ApiFault, Breakage, Deadline, DeniedResource, Desired, DisruptionBudgets, HostFault, InjectionSpec,
    InjectionState, InjectionStatus, PodRef,
};
use seatrial::platform::kubernetes::api_faults::{ApiFaults, Site};
use tokio::runtime::Runtime;

use crate::cluster_fixture::{Cluster, Namespace, PATIENCE, eventually};

/// Three pods that do nothing, started together.
const SET: &str = r"
apiVersion: v1
kind: Service
metadata: {name: db}
spec: {clusterIP: None, selector: {app: db}, ports: [{port: 1}]}
---
apiVersion: apps/v1
kind: StatefulSet
metadata: {name: db}
spec:
  serviceName: db
  replicas: 3
  podManagementPolicy: Parallel
  selector: {matchLabels: {app: db}}
  template:
    metadata: {labels: {app: db}}
    spec:
      terminationGracePeriodSeconds: 1
      containers:
      - {name: db, image: 'docker.io/library/busybox:1', imagePullPolicy: IfNotPresent, command: [sleep, '100000']}
";

/// What a runner is for control-plane faults. Dropping it is as good as a SIGKILL: nothing is reverted.
pub struct Runner {
    runtime: Option<Runtime>,
    faults: ApiFaults,
    statuses: Receiver<(String, InjectionStatus)>,
}

impl Runner {
    pub fn start(cluster: &Cluster, namespace: &Namespace<'_>) -> Self {
        Self::in_pod(cluster, namespace, None)
    }

    /// The same, as if it ran in this pod.
    pub fn in_pod(cluster: &Cluster, namespace: &Namespace<'_>, pod: Option<&str>) -> Self {
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(1)
            .enable_all()
            .build()
            .expect("a runtime");
        let guard = runtime.enter();
        let client = runtime.block_on(client(cluster));
        let (faults, mut reported) = ApiFaults::new(Site {
            client,
            namespace: namespace.name().into(),
            set: Some("db".into()),
            others: BTreeSet::new(),
            allow_quorum_loss: false,
            own_pod: pod.map(str::to_owned),
            owner: None,
            over_by: Timestamp::MAX,
        });
        let (sender, statuses) = std::sync::mpsc::channel();
        runtime.spawn(async move {
            while let Some(status) = reported.recv().await {
                let _ = sender.send(status);
            }
        });
        drop(guard);
        Self { runtime: Some(runtime), faults, statuses }
    }

    pub fn put(&self, spec: &InjectionSpec) {
        let _guard = self.runtime.as_ref().map(Runtime::enter);
        self.faults.put(spec.clone());
    }

    /// Waits for a status of this state; what comes before it is passed over.
    pub fn wait(&self, state: InjectionState) -> InjectionStatus {
        let mut seen = Vec::new();
        loop {
            match self.statuses.recv_timeout(PATIENCE) {
                Ok((_, status)) if status.state == state => return status,
                Ok((_, status)) => seen.push(status),
                Err(_) => unreachable!("never {state:?}: {:#?}", &seen[seen.len().saturating_sub(3)..]),
            }
        }
    }
}

/// The way to the API server, without retries of its own.
pub async fn client(cluster: &Cluster) -> Client {
    let kubeconfig = Kubeconfig::read_from(cluster.kubeconfig()).expect("a kubeconfig");
    let config = Config::from_custom_kubeconfig(kubeconfig, &KubeConfigOptions::default()).await;
    let mut config = config.expect("a configuration");
    config.default_retry = false;
    Client::try_from(config).expect("a client")
}

impl Drop for Runner {
    fn drop(&mut self) {
        if let Some(runtime) = self.runtime.take() {
            runtime.shutdown_background();
        }
    }
}

pub fn spec(namespace: &Namespace<'_>, step: &str, fault: ApiFault, lasting: Duration) -> InjectionSpec {
    InjectionSpec {
        name: format!("{}.{step}.0.set", namespace.name()),
        run: namespace.name().into(),
        step: step.into(),
        occurrence: 0,
        pod: PodRef { name: "db".into(), ordinal: 0, uid: String::new(), node: String::new() },
        container: None,
        fault: HostFault::Api(fault),
        desired: Desired::Injected,
        deadline: Deadline { at: Timestamp::now() + lasting, within: lasting },
        follow: false,
    }
}

fn reverted(spec: &InjectionSpec) -> InjectionSpec {
    InjectionSpec { desired: Desired::Reverted, ..spec.clone() }
}

pub fn words(status: &InjectionStatus) -> String {
    status.proof.as_ref().map(|proof| proof.observed.clone()).unwrap_or_default()
}

pub const LONG: Duration = Duration::from_mins(5);

pub fn set_up(namespace: &Namespace<'_>) {
    namespace.apply(SET);
    namespace.wait_ready("db");
}

fn uids(namespace: &Namespace<'_>) -> Vec<String> {
    let path = "jsonpath={range .items[*]}{.metadata.uid}{'\\n'}{end}";
    namespace.kubectl(["get", "pods", "-o", path]).lines().map(str::to_owned).collect()
}

pub fn field(namespace: &Namespace<'_>, what: &str, path: &str) -> String {
    namespace.kubectl(["get", what, "-o", &format!("jsonpath={{{path}}}")])
}

/// Nothing of ours is left on the StatefulSet.
pub fn assert_unmarked(namespace: &Namespace<'_>) {
    let set = namespace.kubectl(["get", "statefulset", "db", "-o", "yaml"]);
    assert!(!set.contains("seatrial.dev/undo") && !set.contains("seatrial.dev/run"), "{set}");
}

#[test]
fn a_rolling_restart_replaces_every_pod_and_ends_by_itself() {
    let cluster = Cluster::shared();
    let namespace = cluster.namespace("steps-restart");
    set_up(&namespace);
    let before = uids(&namespace);
    let runner = Runner::start(&cluster, &namespace);
    runner.put(&spec(&namespace, "roll", ApiFault::Restart {}, LONG));
    let began = runner.wait(InjectionState::Injected);
    assert!(words(&began).contains("is asked for"), "{began:?}");
    let ended = runner.wait(InjectionState::Reverted);
    assert!(words(&ended).contains("3 of 3 pods have it, 3 are Ready"), "{ended:?}");
    let after = uids(&namespace);
    assert!(after.len() == 3 && !after.iter().any(|uid| before.contains(uid)), "{before:?} {after:?}");
}

#[test]
fn a_scale_is_marked_put_back_by_another_runner_and_refuses_a_second_change() {
    let cluster = Cluster::shared();
    let namespace = cluster.namespace("steps-scale");
    set_up(&namespace);
    let scale = spec(&namespace, "scale", ApiFault::Scale { replicas: 2 }, LONG);
    {
        let runner = Runner::start(&cluster, &namespace);
        runner.put(&scale);
        runner.wait(InjectionState::Injected);
        assert_eq!(field(&namespace, "statefulset/db", ".spec.replicas"), "2");
        let mark = field(&namespace, "statefulset/db", ".metadata.annotations.seatrial\\.dev/undo");
        assert!(mark.contains(r#""replicas":3"#), "{mark}");
        let image = ApiFault::SetImage { container: "db".into(), image: "busybox:2".into() };
        let second = Runner::start(&cluster, &namespace);
        second.put(&spec(&namespace, "image", image, LONG));
        let refused = second.wait(InjectionState::Failed).error.unwrap_or_default();
        assert!(refused.contains("one change at a time"), "{refused}");
    }
    // The runner died; the one after it knows nothing but the Injection.
    let runner = Runner::start(&cluster, &namespace);
    runner.put(&reverted(&scale));
    runner.wait(InjectionState::Reverted);
    assert_eq!(field(&namespace, "statefulset/db", ".spec.replicas"), "3");
    assert_unmarked(&namespace);
    namespace.wait_ready("db");
}

#[test]
fn a_broken_rollout_hits_pods_from_its_partition_on_and_is_rolled_back() {
    let cluster = Cluster::shared();
    for by in [Breakage::Image, Breakage::Command] {
        let namespace = cluster.namespace("steps-rollout");
        set_up(&namespace);
        let before = uids(&namespace);
        let runner = Runner::start(&cluster, &namespace);
        let broken = spec(&namespace, "break", ApiFault::BreakRollout { partition: 2, by }, LONG);
        runner.put(&broken);
        let began = runner.wait(InjectionState::Injected);
        assert!(words(&began).contains("db-2 of revision"), "{began:?}");
        assert!(words(&began).contains("does not start"), "{began:?}");
        runner.put(&reverted(&broken));
        runner.wait(InjectionState::Reverted);
        assert_unmarked(&namespace);
        eventually("the broken pod is replaced", PATIENCE, || {
            let ready = field(&namespace, "statefulset/db", ".status.readyReplicas");
            (ready == "3").then_some(())
        });
        let kept = uids(&namespace).iter().filter(|uid| before.contains(uid)).count();
        assert_eq!(kept, 2, "pods below the partition are never touched");
    }
}

#[test]
fn a_denied_pod_stays_away_and_comes_back_right_after_the_revert() {
    let cluster = Cluster::shared();
    let namespace = cluster.namespace("steps-deny");
    set_up(&namespace);
    let runner = Runner::start(&cluster, &namespace);
    let fault = ApiFault::Deny { resources: vec![DeniedResource::Pods], ordinals: vec![2] };
    let deny = spec(&namespace, "deny", fault, LONG);
    runner.put(&deny);
    runner.wait(InjectionState::Injected);
    namespace.kubectl(["delete", "pod", "db-1", "db-2", "--now"]);
    eventually("the denial is told in events", PATIENCE, || {
        let status = runner.wait(InjectionState::Injected);
        (!words(&status).contains(" 0 creations")).then_some(())
    });
    eventually("the other pod is back", PATIENCE, || {
        (field(&namespace, "statefulset/db", ".status.readyReplicas") == "2").then_some(())
    });
    let listed = namespace.kubectl(["get", "pods", "-o", "name"]);
    assert!(listed.contains("db-1") && !listed.contains("db-2"), "{listed}");
    // Long enough for the controller to back off for several seconds.
    std::thread::sleep(Duration::from_secs(8));
    runner.put(&reverted(&deny));
    runner.wait(InjectionState::Reverted);
    let back = eventually("the pod is re-created", Duration::from_secs(4), || {
        namespace.kubectl(["get", "pods", "-o", "name"]).contains("db-2").then_some(true)
    });
    assert!(back);
    let left =
        cluster.kubectl(["get", "validatingadmissionpolicy,validatingadmissionpolicybinding", "-o", "name"]);
    assert!(!left.contains(namespace.name()), "{left}");
}

#[test]
fn a_denial_whose_runner_died_lapses_by_its_own_deadline() {
    let cluster = Cluster::shared();
    let namespace = cluster.namespace("steps-lapse");
    set_up(&namespace);
    let fault = ApiFault::Deny { resources: vec![DeniedResource::Pods], ordinals: vec![0, 1, 2] };
    let deny = spec(&namespace, "lapse", fault, Duration::from_secs(30));
    {
        let runner = Runner::start(&cluster, &namespace);
        runner.put(&deny);
        runner.wait(InjectionState::Injected);
    }
    namespace.kubectl(["delete", "pod", "db-0", "--now"]);
    let pods = namespace.kubectl(["get", "pods", "-o", "name"]);
    let policies = cluster.kubectl(["get", "validatingadmissionpolicy", "-o", "name"]);
    assert!(Timestamp::now() < deny.deadline.at, "the machine is too slow for this test");
    assert!(!pods.contains("db-0"), "{pods}");
    assert!(policies.contains(namespace.name()), "the policy is there still: {policies}");
    eventually("pods can be created after the deadline", PATIENCE, || {
        namespace.kubectl(["get", "pods", "-o", "name"]).contains("db-0").then_some(())
    });
    assert!(Timestamp::now() >= deny.deadline.at);
    let runner = Runner::start(&cluster, &namespace);
    runner.put(&reverted(&deny));
    runner.wait(InjectionState::Reverted);
}

#[test]
fn an_eviction_respects_a_budget_or_passes_it_by() {
    let cluster = Cluster::shared();
    let namespace = cluster.namespace("steps-evict");
    set_up(&namespace);
    namespace.apply(
        "{apiVersion: policy/v1, kind: PodDisruptionBudget, metadata: {name: db}, \
          spec: {minAvailable: 3, selector: {matchLabels: {app: db}}}}",
    );
    eventually("the budget is counted", PATIENCE, || {
        (field(&namespace, "pdb/db", ".status.currentHealthy") == "3").then_some(())
    });
    let runner = Runner::start(&cluster, &namespace);
    let evict = |step: &str, budgets| {
        let uid = field(&namespace, "pod/db-1", ".metadata.uid");
        let pod = PodRef { name: "db-1".into(), ordinal: 1, uid, node: String::new() };
        InjectionSpec { pod, ..spec(&namespace, step, ApiFault::Evict { budgets }, LONG) }
    };
    runner.put(&evict("respect", DisruptionBudgets::Respect));
    let refused = runner.wait(InjectionState::Failed).error.unwrap_or_default();
    assert!(refused.contains("disruption budget"), "{refused}");
    runner.put(&evict("ignore", DisruptionBudgets::Ignore));
    let done = runner.wait(InjectionState::Injected);
    assert!(words(&done).starts_with("db-1 "), "{done:?}");
}

#[test]
fn a_node_is_taken_away_with_its_pods_and_given_back() {
    let cluster = Cluster::exclusive();
    others_are_gone(&cluster);
    let namespace = cluster.namespace("steps-node");
    set_up(&namespace);
    let node = field(&namespace, "pod/db-1", ".spec.nodeName");
    let runner = Runner::start(&cluster, &namespace);
    let fault = node_down(&node);
    let down = spec(&namespace, "down", fault, LONG);
    runner.put(&down);
    let began = runner.wait(InjectionState::Injected);
    assert!(words(&began).contains("no pod of the target stays"), "{began:?}");
    let described = cluster.kubectl(["get", "node", &node, "-o", "yaml"]);
    assert!(
        described.contains("unschedulable: true") && described.contains("seatrial.dev/node-down"),
        "{described}"
    );
    eventually("the pod runs elsewhere", PATIENCE, || {
        let other = field(&namespace, "pod/db-1", ".spec.nodeName");
        (!other.is_empty() && other != node).then_some(())
    });
    runner.put(&reverted(&down));
    runner.wait(InjectionState::Reverted);
    let described = cluster.kubectl(["get", "node", &node, "-o", "yaml"]);
    for ours in OF_A_NODE_DOWN {
        assert!(!described.contains(ours), "{ours}: {described}");
    }
}

/// Their StatefulSets would need the node as well.
pub fn others_are_gone(cluster: &Cluster) {
    eventually("what other tests left is gone", PATIENCE, || {
        let sets = cluster.kubectl(["get", "statefulsets", "--all-namespaces", "-o", "name"]);
        sets.trim().is_empty().then_some(())
    });
}

/// What is on a node as long as it is taken away.
pub const OF_A_NODE_DOWN: [&str; 5] =
    ["seatrial.dev/undo", "seatrial.dev/run", "seatrial.dev/node-down", "unschedulable", "out-of-service"];

pub fn node_down(node: &str) -> ApiFault {
    ApiFault::NodeDown { node: node.into(), budgets: DisruptionBudgets::Respect, out_of_service: false }
}

#[test]
fn two_nodes_that_another_set_needs_are_not_both_taken_away_at_the_same_time() {
    let cluster = Cluster::exclusive();
    others_are_gone(&cluster);
    let namespace = cluster.namespace("steps-two-nodes");
    let other = cluster.namespace("steps-spread");
    let spread = "      affinity: {podAntiAffinity: {requiredDuringSchedulingIgnoredDuringExecution: \
                  [{labelSelector: {matchLabels: {app: db}}, topologyKey: kubernetes.io/hostname}]}}\n      \
                  terminationGracePeriodSeconds";
    other.apply(&SET.replace("      terminationGracePeriodSeconds", spread));
    other.wait_ready("db");
    let runner = Runner::start(&cluster, &namespace);
    let downs = ["pod/db-0", "pod/db-1"].map(|pod| {
        let node = field(&other, pod, ".spec.nodeName");
        spec(&namespace, pod.trim_start_matches("pod/"), node_down(&node), LONG)
    });
    for down in &downs {
        runner.put(down);
    }
    let mut ends = BTreeMap::new();
    while ends.len() < downs.len() {
        let (name, status) = runner.statuses.recv_timeout(PATIENCE).expect("each is done or refused");
        if matches!(status.state, InjectionState::Injected | InjectionState::Failed) {
            ends.insert(name, status);
        }
    }
    let refused = ends.values().filter(|status| status.state == InjectionState::Failed);
    let words: Vec<_> = refused.filter_map(|status| status.error.clone()).collect();
    assert!(words.iter().any(|why| why.contains("only 1 of its 3 are Ready on nodes")), "{ends:#?}");
    for down in downs.iter().filter(|down| ends[&down.name].state == InjectionState::Injected) {
        runner.put(&reverted(down));
        runner.wait(InjectionState::Reverted);
    }
    let described = cluster.kubectl(["get", "nodes", "-o", "yaml"]);
    for ours in OF_A_NODE_DOWN {
        assert!(!described.contains(ours), "{ours}: {described}");
    }
}

#[test]
fn a_node_that_another_set_needs_is_not_taken_away() {
    let cluster = Cluster::exclusive();
    let namespace = cluster.namespace("steps-neighbour");
    set_up(&namespace);
    let node = field(&namespace, "pod/db-1", ".spec.nodeName");
    let other = cluster.namespace("steps-other");
    let only = SET.replace("replicas: 3", "replicas: 1").replace(
        "      terminationGracePeriodSeconds",
        &format!(
            "      nodeSelector: {{kubernetes.io/hostname: {node}}}\n      terminationGracePeriodSeconds"
        ),
    );
    other.apply(&only);
    other.wait_ready("db");
    let runner = Runner::start(&cluster, &namespace);
    let fault =
        ApiFault::NodeDown { node: node.clone(), budgets: DisruptionBudgets::Ignore, out_of_service: false };
    runner.put(&spec(&namespace, "down", fault, LONG));
    let refused = runner.wait(InjectionState::Failed).error.unwrap_or_default();
    assert!(refused.contains(&format!("StatefulSet {}/db has pods there too", other.name())), "{refused}");
    assert!(refused.contains("allowQuorumLoss"), "{refused}");
    let described = cluster.kubectl(["get", "node", &node, "-o", "yaml"]);
    assert!(!described.contains("unschedulable"), "{described}");
}
