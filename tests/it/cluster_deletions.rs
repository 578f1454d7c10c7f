//! What a run depends on is deleted in the middle of it, with faults of every kind in force: nothing is left, nothing is
//! passed over in silence, and nobody who deletes has to wait for us.

use std::time::{Duration, Instant};

use nix::sys::signal::Signal;
use serde_json::{Value, json};

use crate::cluster_fixture::{Cluster, Held, PATIENCE};
use crate::cluster_traces::signal_all;
use crate::cluster_whole_fixture::Whole;
use crate::node_fixture::eventually;

/// How long it may take until everything is taken back, on a machine that is busy.
const SOON: Duration = Duration::from_secs(40);
/// How long a deletion may take that has to wait for nothing of ours.
const AT_ONCE: &str = "--timeout=20s";

/// A frozen member, one that is cut off, and a StatefulSet that is changed.
fn with_faults<'a>(cluster: &'a Held, purpose: &str) -> (Whole<'a>, String) {
    let whole = Whole::with_members(cluster, purpose, "");
    let steps = json!([
        {"name": "pause", "for": "5m", "fault": {"processPause": {"members": {"ordinals": [0]}}}},
        {"name": "cut", "for": "5m", "fault": {"networkPartition": {"isolate": {"ordinals": [1]}}}},
        {"name": "scale", "action": {"scale": {"replicas": 4}}},
    ]);
    whole.create("middle", &json!({"statefulSet": "db"}), &steps, &json!({"allowQuorumLoss": true}));
    let run = whole.wait_in_force("middle", 5);
    // Of each Injection its object, of all but one a guardian and a record; and the mark.
    assert!(whole.left().len() > 5 + 4 + 4, "everything is in force: {:?}", whole.left());
    (whole, run)
}

fn assert_aborted(status: &Value, words: &str) {
    assert_eq!((&status["phase"], &status["verdict"]), (&json!("Judged"), &json!("Aborted")), "{status:#}");
    let message = status["message"].as_str().expect("a message");
    assert!(message.contains(words), "{message}");
}

fn replicas(whole: &Whole<'_>) -> String {
    whole.kubectl(["get", "statefulset", "db", "--output=jsonpath={.spec.replicas}"])
}

#[test]
fn the_experiment_is_deleted() {
    let cluster = Cluster::shared();
    let (whole, run) = with_faults(&cluster, "delete-experiment");
    let since = Instant::now();
    whole.kubectl(["delete", "experiment", "middle", AT_ONCE]);
    println!("kubectl delete experiment: {:.1} s", since.elapsed().as_secs_f64());
    eventually("the runner is gone", PATIENCE, || whole.try_kubectl(&["get", "pod", &run]).err());
    let gone = since.elapsed();
    eventually("the Lease is given back", PATIENCE, || {
        whole
            .kubectl(["get", "leases", "--selector=seatrial.dev/target", "--output=name"])
            .is_empty()
            .then_some(())
    });
    let free = since.elapsed().saturating_sub(gone);
    println!(
        "the runner was gone after {:.1} s, the target free {:.1} s later",
        gone.as_secs_f64(),
        free.as_secs_f64()
    );
    assert!(free < Duration::from_secs(20), "long before anything is looked for by the minute");
    whole.wait_clean(SOON);
    assert_eq!(replicas(&whole), "3");
    // The target is free for the next one.
    let steps =
        json!([{"name": "pause", "for": "3s", "fault": {"processPause": {"members": {"ordinals": [0]}}}}]);
    whole.kubectl(["wait", "--for=delete", "pod/db-3", "--timeout=60s"]);
    whole.create("next", &json!({"statefulSet": "db"}), &steps, &json!({}));
    assert_eq!(whole.wait_complete("next")["verdict"], "Pass");
}

#[test]
fn the_experiment_is_deleted_and_its_runner_killed() {
    let cluster = Cluster::shared();
    let (whole, run) = with_faults(&cluster, "delete-both");
    // Nobody is left who knows of the run: only what the objects say of themselves.
    whole.kubectl(["delete", "pod", &run, "--grace-period=0", "--force", AT_ONCE]);
    whole.kubectl(["delete", "experiment", "middle", AT_ONCE]);
    let took = whole.wait_clean(SOON);
    println!("nothing left {:.1} s after runner and Experiment", took.as_secs_f64());
    assert_eq!(replicas(&whole), "3");
}

#[test]
fn the_runner_is_deleted() {
    let cluster = Cluster::shared();
    let (whole, run) = with_faults(&cluster, "delete-runner");
    whole.kubectl(["delete", "pod", &run, "--timeout=60s"]);
    let status = whole.wait_complete("middle");
    assert_aborted(&status, "SIGTERM");
    whole.wait_clean(SOON);
    assert_eq!(replicas(&whole), "3");
}

#[test]
fn the_runner_is_gone_without_a_word() {
    let cluster = Cluster::shared();
    let (whole, run) = with_faults(&cluster, "kill-runner");
    // Where it runs it is told to end, and has seconds for a last word.
    let uid = whole.kubectl(["get", "pod", &run, "--output=jsonpath={.metadata.uid}"]);
    signal_all(&uid, "runner", Signal::SIGSTOP);
    whole.kubectl(["delete", "pod", &run, "--grace-period=0", "--force", AT_ONCE]);
    let status = whole.wait_complete("middle");
    assert_aborted(&status, "the runner is gone without a verdict");
    whole.wait_clean(SOON);
    assert_eq!(replicas(&whole), "3");
}

#[test]
fn the_target_is_deleted() {
    let cluster = Cluster::shared();
    let (whole, _) = with_faults(&cluster, "delete-target");
    let since = Instant::now();
    whole.kubectl(["delete", "statefulset", "db", "--cascade=foreground", "--timeout=60s"]);
    println!("kubectl delete statefulset: {:.1} s", since.elapsed().as_secs_f64());
    let status = whole.wait_complete("middle");
    assert_aborted(&status, "StatefulSet db was deleted");
    whole.wait_clean(SOON);
}

#[test]
fn a_member_is_deleted() {
    let cluster = Cluster::shared();
    let (whole, _) = with_faults(&cluster, "delete-member");
    // Each is frozen or cut off; neither may keep its pod from ending.
    for pod in ["db-0", "db-1"] {
        let since = Instant::now();
        whole.kubectl(["delete", "pod", pod, "--timeout=30s"]);
        println!("kubectl delete pod {pod}: {:.1} s", since.elapsed().as_secs_f64());
    }
    whole.scene.namespace.wait_ready("db");
    whole.kubectl(["annotate", "experiment", "middle", "seatrial.dev/abort=seen enough"]);
    let status = whole.wait_complete("middle");
    assert_aborted(&status, "seen enough");
    let outcomes = whole.seatrial(&["judge", "middle", "--on", "kubernetes"]).exits(12);
    outcomes.says("pause.0.0 was proven for").says("the processes that it held ended");
    whole.wait_clean(SOON);
}

#[test]
fn the_namespace_is_deleted() {
    let cluster = Cluster::shared();
    let (whole, _) = with_faults(&cluster, "delete-namespace");
    let since = Instant::now();
    cluster.kubectl(["delete", "namespace", whole.scene.name(), "--timeout=90s"]);
    println!("kubectl delete namespace: {:.1} s", since.elapsed().as_secs_f64());
    whole.wait_clean(SOON);
}

#[test]
fn somebody_else_writes_at_the_same_time() {
    let cluster = Cluster::shared();
    let whole = Whole::with_members(&cluster, "conflicts", "");
    let steps =
        json!([{"name": "pause", "for": "8s", "fault": {"processPause": {"members": {"ordinals": [0]}}}}]);
    whole.create("disputed", &json!({"statefulSet": "db"}), &steps, &json!({}));
    let mut number = 0;
    let status = eventually("the run ends all the same", PATIENCE * 2, || {
        // Each write makes whatever was read before it out of date.
        number += 1;
        let note = format!("note={number}");
        let said = json!({"status": {"message": format!("not by Seatrial {number}")}}).to_string();
        let subresource = "--subresource=status";
        let by_us = [
            vec!["annotate", "--overwrite", "experiment", "disputed", &note],
            vec!["patch", "experiment", "disputed", subresource, "--type=merge", "--patch", &said],
            vec!["label", "--overwrite", "injections", "--all", &note],
        ];
        for write in by_us {
            let _ = whole.try_kubectl(&write);
        }
        Some(whole.status("disputed")).filter(|status| {
            let conditions = status["conditions"].as_array().cloned().unwrap_or_default();
            conditions.iter().any(|one| one["type"] == "Complete" && one["status"] == "True")
        })
    });
    assert_eq!(status["verdict"], "Pass", "{status:#}");
    whole.wait_clean(SOON);
}

#[test]
fn a_fault_that_somebody_else_takes_back_is_no_proven_one() {
    let cluster = Cluster::shared();
    let whole = Whole::with_members(&cluster, "taken-back", "");
    let steps =
        json!([{"name": "pause", "for": "15s", "fault": {"processPause": {"members": {"ordinals": [0]}}}}]);
    for (name, how) in [("patched", "patch"), ("deleted", "delete")] {
        whole.create(name, &json!({"statefulSet": "db"}), &steps, &json!({}));
        let run = whole.wait_in_force(name, 1);
        let injection = format!("{run}.pause.0.0");
        match how {
            "patch" => {
                let reverted = json!({"spec": {"desired": "Reverted"}}).to_string();
                whole.kubectl(["patch", "injection", &injection, "--type=merge", "--patch", &reverted]);
            }
            _ => {
                whole.kubectl(["delete", "injection", &injection, AT_ONCE]);
            }
        }
        let status = whole.wait_complete(name);
        assert_eq!(status["verdict"], "Inconclusive", "{how}: {status:#}");
        whole.wait_clean(SOON);
    }
}
