//! Faults of agents in a real cluster, from the Injection to the proof in its status, and back to nothing.

use std::time::{Duration, Instant};

use seatrial::api::{Desired, HostFault, InjectionSpec, InjectionState};

use crate::cluster_agent_fixture::Scene;
use crate::cluster_fixture::{Cluster, PATIENCE};
use crate::cluster_traces::{frozen, guardians};
use crate::node_fixture::eventually;

const LONG: Duration = Duration::from_mins(5);
/// Longer than from one look to the next.
const LOOKS: Duration = Duration::from_millis(2500);
/// How long a node may take for what it does at once, on a machine that is busy.
const SOON: Duration = Duration::from_secs(30);

#[test]
fn kills_pauses_and_cuts_members_proves_it_and_leaves_nothing() {
    let cluster = Cluster::shared();
    let scene = Scene::with_etcd(&cluster, "agent-faults");
    scene.start_agents();
    tells_what_its_node_can_do(&scene);
    pauses(&scene);
    cuts(&scene);
    kills(&scene);
}

fn tells_what_its_node_can_do(scene: &Scene<'_>) {
    let faults = eventually("every node's agent says what it can do", PATIENCE, || {
        let path = "--output=jsonpath={range .items[*]}{.metadata.name} {.status.faults} {.status.missing}{\"\\n\"}{end}";
        let told = scene.cluster.kubectl(["get", "nodeagents", path]);
        (told.lines().filter(|line| line.contains("faults") || line.contains("podKill")).count() >= 3)
            .then_some(told)
    });
    for fault in ["podKill", "processPause", "networkPartition"] {
        assert_eq!(faults.matches(&format!("\"{fault}\"")).count(), faults.lines().count(), "{faults}");
    }
    assert_eq!(faults.matches("\"diskLatency/syscall\"").count(), faults.lines().count(), "{faults}");
    assert!(faults.contains("powerLoss: "), "what it cannot do has a reason: {faults}");
}

fn pauses(scene: &Scene<'_>) {
    let pause = scene.inject("pause", "etcd-0", HostFault::Pause {}, LONG);
    let status = scene.await_state("pause", InjectionState::Injected);
    let proof = status.proof.expect("a proof");
    assert!(proof.holds && proof.observed.contains("container etcd frozen"), "{}", proof.observed);
    assert!(!scene.left_in("etcd-0").is_empty(), "it is really frozen");
    assert_eq!(guardians(scene.name()).len(), 1);
    let first = status.effective_for;
    eventually("the proof is renewed", SOON, || {
        scene.status("pause").is_some_and(|status| status.effective_for > first).then_some(())
    });
    scene.revert(&pause);
    scene.await_state("pause", InjectionState::Reverted);
    scene.is_clean("etcd-0", SOON, "after a pause");
    scene.delete(&pause);
    eventually("it works again", PATIENCE, || scene.is_healthy("etcd-0").then_some(()));
}

fn cuts(scene: &Scene<'_>) {
    // A service for each member: what goes through it is rewritten outside the pods.
    for member in ["etcd-0", "etcd-1"] {
        scene.namespace.apply(&format!(
            "{{apiVersion: v1, kind: Service, metadata: {{name: only-{member}}}, spec: {{selector: \
             {{statefulset.kubernetes.io/pod-name: {member}}}, ports: [{{port: 2379}}]}}}}"
        ));
    }
    let reaches = |from: &str, to: &str| {
        let endpoint = format!("--endpoints=http://{to}:2379");
        let asked = [
            "exec",
            "--namespace",
            scene.name(),
            from,
            "--",
            "etcdctl",
            &endpoint,
            "--dial-timeout=1s",
            "--command-timeout=1s",
            "get",
            "x",
            "--consistency=s",
        ];
        scene.cluster.try_kubectl(asked).is_ok()
    };
    eventually("the services work", PATIENCE, || reaches("etcd-0", "only-etcd-1").then_some(()));
    let leader = scene.leader();
    let others: Vec<String> =
        ["etcd-0", "etcd-1", "etcd-2"].into_iter().filter(|pod| *pod != leader).map(str::to_owned).collect();
    let ends: Vec<InjectionSpec> = [
        (leader.as_str(), others.iter().map(String::as_str).collect::<Vec<_>>()),
        (others[0].as_str(), vec![leader.as_str()]),
        (others[1].as_str(), vec![leader.as_str()]),
    ]
    .into_iter()
    .map(|(pod, from)| scene.inject(&format!("cut-{pod}"), pod, scene.cut(&from), LONG))
    .collect();
    for end in &ends {
        let status = scene.await_state(&end.name, InjectionState::Injected);
        let observed = status.proof.expect("a proof").observed;
        assert!(observed.contains(" refused (EPERM)"), "{observed}");
    }
    eventually("the leader has lost its majority", SOON, || (!scene.is_healthy(&leader)).then_some(()));
    eventually("the others go on", PATIENCE, || scene.is_healthy(&others[0]).then_some(()));
    // Through a service as well, in both directions, whoever of the two leads.
    let (one, other) = if leader == "etcd-2" { ("etcd-2", "etcd-0") } else { ("etcd-0", "etcd-1") };
    let is_cut = one == leader || other == leader;
    assert!(is_cut, "one of them leads: {leader}");
    assert!(!reaches(one, &format!("{other}.etcd")), "by its name");
    if leader != "etcd-2" {
        assert!(!reaches("etcd-0", "only-etcd-1"), "through a service");
        assert!(!reaches("etcd-1", "only-etcd-0"), "through a service, the other way");
    }
    for end in &ends {
        scene.revert(end);
    }
    for end in &ends {
        scene.await_state(&end.name, InjectionState::Reverted);
        scene.is_clean(&end.pod.name, SOON, "after a cut");
        scene.delete(end);
    }
    eventually("the old leader follows", PATIENCE, || scene.is_healthy(&leader).then_some(()));
}

fn kills(scene: &Scene<'_>) {
    let before = scene.processes("etcd-1");
    let killed = scene.inject("kill", "etcd-1", HostFault::Kill {}, LONG);
    let status = scene.await_state("kill", InjectionState::Injected);
    assert!(status.proof.expect("a proof").observed.contains("is gone"));
    let restarts = "--output=jsonpath={.status.containerStatuses[0].restartCount}";
    eventually("kubelet starts it again", PATIENCE, || {
        (scene.namespace.kubectl(["get", "pod", "etcd-1", restarts]) == "1").then_some(())
    });
    eventually("only the container was killed", SOON, || {
        let now = scene.processes("etcd-1");
        (now.first() == before.first() && now.last() != before.last()).then_some(())
    });
    scene.revert(&killed);
    scene.await_state("kill", InjectionState::Reverted);
    scene.is_clean("etcd-1", SOON, "after a kill");
    scene.delete(&killed);
}

#[test]
fn an_agent_of_one_namespace_leaves_alone_what_that_of_another_has_in_force() {
    let cluster = Cluster::shared();
    let (ours, theirs) = (Scene::new(&cluster, "agent-ours"), Scene::new(&cluster, "agent-theirs"));
    let node = idle_pod(&ours, "null");
    assert_eq!(idle_pod(&theirs, &node), node);
    ours.start_agent("agent", &node, None);
    let pause = ours.inject("pause", "idle-0", HostFault::Pause {}, LONG);
    ours.await_state("pause", InjectionState::Injected);
    // What it does itself, it does after it has looked at everything that it found.
    theirs.start_agent("agent", &node, None);
    theirs.inject("pause", "idle-0", HostFault::Pause {}, LONG);
    theirs.await_state("pause", InjectionState::Injected);
    let held = ours.status("pause").expect("a status").effective_for;
    eventually("the fault goes on", SOON, || {
        ours.status("pause").is_some_and(|status| status.effective_for > held + LOOKS).then_some(())
    });
    theirs.end_agent("agent");
    theirs.is_clean("idle-0", SOON, "by the agent that was told to end");
    let status = ours.status("pause").expect("a status");
    assert_eq!((status.state, status.error), (InjectionState::Injected, None));
    assert_eq!(guardians(ours.name()).len(), 1);
    ours.revert(&pause);
    ours.await_state("pause", InjectionState::Reverted);
    ours.is_clean("idle-0", SOON, "at the end");
}

/// A pod that does nothing, on this node or any; the node.
fn idle_pod(scene: &Scene<'_>, node: &str) -> String {
    scene.namespace.apply(&format!(
        "{{apiVersion: v1, kind: Pod, metadata: {{name: idle-0}}, spec: {{nodeName: {node}, terminationGracePeriodSeconds: 0, \
         containers: [{{name: main, image: 'docker.io/library/busybox:1', command: [sleep, '1000']}}]}}}}"
    ));
    scene.namespace.wait_pod_ready("idle-0");
    scene.pod("idle-0")["spec"]["nodeName"].as_str().expect("it runs").to_owned()
}

#[test]
fn says_why_a_pod_cannot_be_hit() {
    let cluster = Cluster::shared();
    let scene = Scene::new(&cluster, "agent-refusals");
    scene.start_agents();
    let pod = |name: &str, host_network: bool| {
        scene.namespace.apply(&format!(
            "{{apiVersion: v1, kind: Pod, metadata: {{name: {name}}}, spec: {{hostNetwork: {host_network}, \
             terminationGracePeriodSeconds: 0, containers: [{{name: main, image: 'docker.io/library/busybox:1', \
             command: [sleep, '1000']}}]}}}}"
        ));
        scene.namespace.wait_pod_ready(name);
    };
    pod("shared-0", true);
    pod("own-0", false);
    let refused = |spec: &InjectionSpec, why: &str| {
        scene.put(spec);
        let error = scene.await_state(&spec.name, InjectionState::Failed).error.unwrap_or_default();
        assert!(error.contains(why), "{error}");
        scene.is_clean(&spec.pod.name, SOON, "after a refusal");
    };
    let cut = scene.cut(&["own-0"]);
    refused(&scene.spec("host-network", "shared-0", cut, LONG), "uses the network namespace of its node");
    let power = HostFault::PowerLoss { claims: Vec::new(), torn: None };
    refused(&scene.spec("power", "own-0", power, LONG), "a power loss needs the block devices");
    let mut other = scene.spec("other-uid", "own-0", HostFault::Pause {}, LONG);
    other.pod.uid = "another".to_owned();
    refused(&other, "is another one now");
    let mut unknown = scene.spec("container", "own-0", HostFault::Pause {}, LONG);
    unknown.container = Some("sidecar".to_owned());
    refused(&unknown, "no running container called sidecar");
    let mut gone = scene.spec("gone", "own-0", HostFault::Pause {}, LONG);
    gone.pod.name = "own-7".to_owned();
    scene.put(&gone);
    let error = scene.await_state("gone", InjectionState::Failed).error.unwrap_or_default();
    assert!(error.contains("pod own-7 does not run on this node"), "{error}");
}

#[test]
fn new_addresses_of_peers_are_in_force_within_a_second() {
    let cluster = Cluster::shared();
    let scene = Scene::with_etcd(&cluster, "agent-addresses");
    scene.start_agents();
    let mut spec = scene.inject("cut", "etcd-0", scene.cut(&["etcd-1"]), LONG);
    let before = scene.await_state("cut", InjectionState::Injected).proof.expect("a proof").observed;
    assert!(before.contains("holds 2 addresses"), "one in, one out: {before}");
    spec.fault = scene.cut(&["etcd-1", "etcd-2"]);
    let changed = Instant::now();
    scene.put(&spec);
    let asked = changed.elapsed();
    eventually("the change is in the proof", Duration::from_secs(1) + asked, || {
        let proof = scene.status("cut")?.proof?;
        (proof.holds && proof.observed.contains("holds 4 addresses")).then_some(())
    });
    assert_eq!(
        scene.status("cut").map(|status| status.state),
        Some(InjectionState::Injected),
        "without a gap"
    );
    scene.put(&InjectionSpec { desired: Desired::Reverted, ..spec });
    scene.await_state("cut", InjectionState::Reverted);
    scene.is_clean("etcd-0", SOON, "after a change");
    assert!(scene.processes("etcd-0").iter().all(|process| frozen(process.pid).is_none()));
}
