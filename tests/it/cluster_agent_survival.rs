//! What becomes of a fault when the agent is killed, the API server is away, its Injection is deleted, or everything is
//! halted: it ends when it should, not before, and nothing is left.

use std::time::{Duration, Instant};

use seatrial::api::{HostFault, InjectionState};
use seatrial::undo::POINTS;

use crate::cluster_agent_fixture::{Scene, end_of};
use crate::cluster_fixture::{Cluster, Held, PATIENCE};
use crate::cluster_traces::{frozen, guardians};
use crate::node_fixture::eventually;

const LONG: Duration = Duration::from_mins(5);
const SOON: Duration = Duration::from_secs(30);
/// What the promise allows after the deadline.
const ONE_SECOND: Duration = Duration::from_secs(1);

/// A pod that does nothing, on a node of its own choice, and one to cut it off from.
fn idle_pods(scene: &Scene<'_>) {
    for name in ["idle-0", "idle-1"] {
        scene.namespace.apply(&format!(
            "{{apiVersion: v1, kind: Pod, metadata: {{name: {name}}}, spec: {{terminationGracePeriodSeconds: 0, containers: \
             [{{name: main, image: 'docker.io/library/busybox:1', command: [sleep, '1000']}}]}}}}"
        ));
    }
    for name in ["idle-0", "idle-1"] {
        scene.namespace.wait_pod_ready(name);
    }
}

fn with_idle_pods<'a>(cluster: &'a Held, purpose: &str) -> Scene<'a> {
    let scene = Scene::new(cluster, purpose);
    idle_pods(&scene);
    scene
}

fn node_of(scene: &Scene<'_>, pod: &str) -> String {
    scene.pod(pod)["spec"]["nodeName"].as_str().expect("it runs").to_owned()
}

fn is_over(scene: &Scene<'_>, agent: &str) {
    eventually("the agent has ended", PATIENCE, || {
        matches!(scene.agent_phase(agent).as_str(), "Failed" | "Succeeded").then_some(())
    });
}

#[test]
fn the_deadline_ends_a_fault_whose_agent_is_dead() {
    let cluster = Cluster::shared();
    let scene = with_idle_pods(&cluster, "agent-deadline");
    scene.start_agent("agent", &node_of(&scene, "idle-0"), None);
    // Long enough for everything before it, on a machine that is busy.
    let lasts = Duration::from_secs(30);
    scene.inject("pause", "idle-0", HostFault::Pause {}, lasts);
    let ends = end_of(&scene.inject("cut", "idle-0", scene.cut(&["idle-1"]), lasts));
    for name in ["pause", "cut"] {
        scene.await_state(name, InjectionState::Injected);
    }
    assert_eq!(guardians(scene.name()).len(), 2);
    assert_eq!(scene.kill_agents(), 1);
    is_over(&scene, "agent");
    assert_eq!(guardians(scene.name()).len(), 2, "guardians outlive the agent's container");
    if Instant::now() + ONE_SECOND < ends {
        assert!(
            scene.left_in("idle-0").len() >= 2,
            "both faults are still in force: {:?}",
            scene.left_in("idle-0")
        );
    }
    scene.is_clean("idle-0", ends.saturating_duration_since(Instant::now()) + SOON, "after the deadline");
}

#[test]
fn an_agent_killed_at_any_point_leaves_nothing() {
    let cluster = Cluster::shared();
    let scene = with_idle_pods(&cluster, "agent-points");
    let node = node_of(&scene, "idle-0");
    let mut late = Vec::new();
    for point in POINTS {
        let agent = format!("agent-{point}");
        scene.start_agent(&agent, &node, Some(point));
        let lasts = Duration::from_secs(20);
        let cut = scene.inject(&format!("cut-{point}"), "idle-0", scene.cut(&["idle-1"]), lasts);
        let ends = end_of(&cut);
        eventually("the agent has died at its point", lasts, || {
            // Points of the revert are reached when it is asked for.
            if scene.status(&cut.name).is_some_and(|status| status.state == InjectionState::Injected) {
                scene.revert(&cut);
            }
            (scene.agent_phase(&agent) == "Failed").then_some(())
        });
        let left = ends.saturating_duration_since(Instant::now()) + SOON;
        let clean = scene.is_clean("idle-0", left, &format!("by an agent killed at {point}"));
        late.extend(clean.checked_duration_since(ends));
        scene.delete(&cut);
    }
    // On a busy machine a guardian may have to wait for a processor, or for a disk, but not each of them.
    assert!(late.iter().any(|late| *late < ONE_SECOND * 2), "so long after their deadlines: {late:?}");
    // The last one finds nothing that it could not explain.
    scene.start_agent("agent-last", &node, None);
    let pause = scene.inject("pause", "idle-0", HostFault::Pause {}, LONG);
    scene.await_state("pause", InjectionState::Injected);
    scene.revert(&pause);
    scene.await_state("pause", InjectionState::Reverted);
    scene.is_clean("idle-0", SOON, "at the end");
}

#[test]
fn a_restarted_agent_takes_over_and_takes_back_what_was_deleted_meanwhile() {
    let cluster = Cluster::shared();
    let scene = with_idle_pods(&cluster, "agent-restart");
    let node = node_of(&scene, "idle-0");
    scene.start_agent("first", &node, None);
    let cut = scene.inject("cut", "idle-0", scene.cut(&["idle-1"]), LONG);
    let pause = scene.inject("pause", "idle-0", HostFault::Pause {}, LONG);
    for injection in [&cut, &pause] {
        scene.await_state(&injection.name, InjectionState::Injected);
    }
    let records = scene.records("idle-0");
    scene.kill_agents();
    is_over(&scene, "first");
    scene.delete(&pause);
    scene.start_agent("second", &node, None);
    let status = eventually("a status of the second agent", PATIENCE, || {
        scene.status("cut").filter(|status| status.error.is_some())
    });
    assert_eq!(status.state, InjectionState::Injected);
    assert!(status.error.is_some_and(|note| note.contains("taken over")), "the gap is told");
    eventually("what was deleted is taken back", SOON, || (guardians(scene.name()).len() == 1).then_some(()));
    let now = scene.records("idle-0");
    assert!(now.len() == 1 && records.contains(&now[0]), "the same record: {now:?}");
    scene.delete(&cut);
    scene.is_clean("idle-0", SOON, "after both were deleted");
}

#[test]
fn an_agent_that_is_told_to_end_takes_everything_back_and_says_so() {
    let cluster = Cluster::shared();
    let scene = with_idle_pods(&cluster, "agent-end");
    scene.start_agent("agent", &node_of(&scene, "idle-0"), None);
    scene.inject("pause", "idle-0", HostFault::Pause {}, LONG);
    scene.await_state("pause", InjectionState::Injected);
    scene.end_agent("agent");
    scene.is_clean("idle-0", ONE_SECOND, "by an agent that has ended");
    let status = scene.await_state("pause", InjectionState::Reverted);
    assert!(status.error.is_some_and(|note| note.contains("told to end")), "with the reason");
    // Its successor does not begin again what was ended.
    scene.start_agent("next", &node_of(&scene, "idle-0"), None);
    scene.inject("cut", "idle-0", scene.cut(&["idle-1"]), LONG);
    scene.await_state("cut", InjectionState::Injected);
    assert_eq!(scene.status("pause").map(|status| status.state), Some(InjectionState::Reverted));
    assert_eq!(guardians(scene.name()).len(), 1, "only the new one is in force");
}

#[test]
fn a_halt_ends_everything_and_lets_nothing_begin() {
    let cluster = Cluster::exclusive();
    let scene = with_idle_pods(&cluster, "agent-halt");
    scene.start_agent("agent", &node_of(&scene, "idle-0"), None);
    scene.inject("pause", "idle-0", HostFault::Pause {}, LONG);
    scene.await_state("pause", InjectionState::Injected);
    let halt = format!("halt-{}", scene.name());
    let said = format!(
        "{{apiVersion: seatrial.dev/v1alpha1, kind: Halt, metadata: {{name: {halt}}}, spec: {{reason: a test}}}}"
    );
    scene.cluster.apply("default", &said);
    let status = scene.await_state("pause", InjectionState::Reverted);
    assert!(
        status.error.is_some_and(|note| note.contains(&halt) && note.contains("a test")),
        "with the reason"
    );
    scene.is_clean("idle-0", SOON, "after a Halt");
    scene.inject("cut", "idle-0", scene.cut(&["idle-1"]), LONG);
    scene.await_state("cut", InjectionState::Reverted);
    assert_eq!(scene.left_in("idle-0"), Vec::<String>::new());
    // An agent that starts under a Halt hears of it first.
    scene.kill_agents();
    is_over(&scene, "agent");
    scene.inject("again", "idle-0", HostFault::Pause {}, LONG);
    scene.start_agent("next", &node_of(&scene, "idle-0"), None);
    scene.await_state("again", InjectionState::Reverted);
    scene.cluster.kubectl(["delete", "halt", &halt]);
    scene.inject("after", "idle-0", HostFault::Pause {}, LONG);
    scene.await_state("after", InjectionState::Injected);
    assert_eq!(
        scene.status("again").map(|status| status.state),
        Some(InjectionState::Reverted),
        "ended for good"
    );
}

#[test]
fn without_the_api_server_faults_stay_until_their_deadlines_and_no_longer() {
    let cluster = Cluster::exclusive();
    let scene = with_idle_pods(&cluster, "agent-outage");
    let node = node_of(&scene, "idle-0");
    scene.start_agent("agent", &node, None);
    let lasts = Duration::from_secs(25);
    let cut = scene.inject("cut", "idle-0", scene.cut(&["idle-1"]), LONG);
    let ends = end_of(&scene.inject("pause", "idle-0", HostFault::Pause {}, lasts));
    let first = scene.await_state("cut", InjectionState::Injected);
    scene.await_state("pause", InjectionState::Injected);
    // While nobody can be asked, the pod is looked at through processes that are known already.
    let processes = scene.processes("idle-0");
    let is_frozen = || processes.iter().any(|process| frozen(process.pid).is_some());
    let tables = || -> usize {
        let all = processes
            .iter()
            .map(|process| seatrial::host::nftables::tables_of(process).expect("readable").len());
        all.max().unwrap_or_default()
    };
    cluster.stop("apiserver");
    std::thread::sleep(Duration::from_secs(5));
    assert!(tables() == 1 && (is_frozen() || Instant::now() > ends), "nothing is taken back early");
    // Not even a new agent does: it knows the deadline.
    scene.kill_agents();
    eventually("the pause ends at its deadline", lasts + ONE_SECOND * 2, || (!is_frozen()).then_some(()));
    assert!(Instant::now() < ends + ONE_SECOND * 2, "and not later");
    assert_eq!(tables(), 1, "the cut goes on");
    cluster.start("apiserver");
    is_over(&scene, "agent");
    scene.start_agent("second", &node, None);
    let newer = eventually("a newer proof is told", PATIENCE, || {
        let status = scene.status("cut")?;
        (status.proof.as_ref()?.at > first.proof.as_ref()?.at && status.state == InjectionState::Injected)
            .then_some(status)
    });
    assert!(newer.proof.is_some_and(|proof| proof.holds));
    scene.revert(&cut);
    scene.await_state("cut", InjectionState::Reverted);
    scene.is_clean("idle-0", SOON, "after an outage");
}

#[test]
fn the_newest_status_is_told_when_the_api_server_is_back() {
    let cluster = Cluster::exclusive();
    let scene = with_idle_pods(&cluster, "agent-silence");
    scene.start_agent("agent", &node_of(&scene, "idle-0"), None);
    let lasts = Duration::from_secs(15);
    scene.inject("short", "idle-0", scene.cut(&["idle-1"]), lasts);
    let long = scene.inject("long", "idle-1", HostFault::Pause {}, LONG);
    let same_node = node_of(&scene, "idle-0") == node_of(&scene, "idle-1");
    scene.await_state("short", InjectionState::Injected);
    let before = same_node.then(|| scene.await_state("long", InjectionState::Injected));
    cluster.stop("apiserver");
    std::thread::sleep(lasts + ONE_SECOND);
    cluster.start("apiserver");
    scene.await_state("short", InjectionState::Reverted);
    if let Some(before) = before {
        eventually("the time of silence is proven too", SOON, || {
            let now = scene.status("long")?;
            (now.effective_for >= before.effective_for + lasts / 2).then_some(())
        });
    }
    scene.delete(&long);
    scene.is_clean("idle-0", SOON, "after silence");
}
