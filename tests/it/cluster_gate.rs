//! A pod on a real node whose reads wait for an answer of its agent (driver `fanotify`): on a volume that kubelet has staged
//! and mounted into it, by processes that came after the agent had begun to answer.

use std::fs;
use std::time::Duration;

use seatrial::api::{Delay, DiskOperation, HostFault, InjectionState, LatencyDriver, SlowDisk};
use seatrial::host::gate::SUBCOMMAND;

use crate::cluster_agent_fixture::Scene;
use crate::cluster_fixture::{Cluster, PATIENCE, eventually};
use crate::cluster_traces::with_words;

const WORKERS: &str =
    include_str!(concat!(env!("CARGO_MANIFEST_DIR"), "/experiments/workers/claim-lost.yaml"));
const POD: &str = "workers-0";
const LONG: Duration = Duration::from_mins(5);
const SOON: Duration = Duration::from_secs(10);

/// By how much a read is delayed, and what is seen of that at least: the pod's clock has hundredths of a second.
const DELAY: Duration = Duration::from_millis(300);
const SEEN: f64 = 0.29;

/// Opens and reads a file of the volume three times. busybox's `cat` copies it by sendfile(2).
const READ: &str = "for n in 1 2 3; do read a _ </proc/uptime; cat /data/started >/dev/null; \
    read b _ </proc/uptime; echo $a $b; done";

/// How long each took, in seconds.
fn reads(scene: &Scene<'_>) -> Vec<f64> {
    let told = scene.namespace.kubectl(["exec", POD, "--", "sh", "-c", READ]);
    let took = told.lines().map(|line| {
        let moments = line.split(' ').map(|moment| moment.parse::<f64>().expect("seconds"));
        moments.reduce(|before, after| after - before).expect("two moments")
    });
    let took: Vec<f64> = took.collect();
    assert_eq!(took.len(), 3, "{told}");
    took
}

fn is_quick(scene: &Scene<'_>) -> bool {
    // On a busy machine one of them may wait for something else.
    reads(scene).into_iter().any(|took| took < SEEN)
}

/// The processes that answer for the pod with this UID, by the cgroup whose reads are meant.
fn gates(uid: &str) -> Vec<i32> {
    let is_for = |pid: &i32| {
        let words = fs::read(format!("/proc/{pid}/cmdline")).unwrap_or_default();
        String::from_utf8_lossy(&words).contains(uid)
    };
    with_words(&[SUBCOMMAND]).into_iter().filter(is_for).collect()
}

#[test]
fn reads_of_a_pod_are_held_by_fanotify_proven_and_let_go() {
    let cluster = Cluster::shared();
    let scene = Scene::new(&cluster, "agent-gate");
    let (_, workers) = WORKERS.split_once("\n---\n").expect("the experiment comes first");
    scene.namespace.apply(&workers.replace("replicas: 3", "replicas: 1"));
    scene.namespace.wait_ready("workers");
    let found = scene.pod(POD);
    let uid = found["metadata"]["uid"].as_str().expect("it exists");
    scene.start_agent("agent", found["spec"]["nodeName"].as_str().expect("it runs"), None);
    eventually("reads are quick", PATIENCE, || is_quick(&scene).then_some(()));

    let slow = scene.inject(
        "slow",
        POD,
        HostFault::DiskLatency(Box::new(SlowDisk {
            claims: vec!["data".to_owned()],
            paths: Vec::new(),
            operations: vec![DiskOperation::Read],
            delay: Delay::Fixed(DELAY),
            percent: 100,
            seed: 7,
            driver: LatencyDriver::Fanotify,
        })),
        LONG,
    );
    // Only what is read proves it.
    eventually("it is proven", PATIENCE, || {
        let took = reads(&scene);
        let status = scene.status("slow").filter(|status| status.state != InjectionState::Pending)?;
        assert_eq!(status.state, InjectionState::Injected, "{status:?} {took:?}");
        Some(())
    });
    let proof = scene.await_state("slow", InjectionState::Injected).proof.expect("a proof").observed;
    assert!(proof.starts_with("fanotify: ") && proof.contains("asked for 300.00 ms"), "{proof}");
    let took = reads(&scene);
    assert!(took.iter().all(|took| *took >= SEEN), "{took:?}");
    assert_eq!(gates(uid).len(), 1);

    scene.revert(&slow);
    scene.await_state("slow", InjectionState::Reverted);
    scene.is_clean(POD, SOON, "after slow reads");
    assert_eq!(gates(uid), Vec::<i32>::new());
    eventually("reads are quick again", PATIENCE, || is_quick(&scene).then_some(()));
    scene.delete(&slow);
}
