//! Preflight and baseline.

use super::rig::{Rig, SECOND, experiment};
use crate::api::{ContainerStatus, Members, Snapshot};
use crate::journal::entry::{Input, Phase};

#[test]
fn a_run_without_steps_goes_through_every_phase() {
    let mut rig = Rig::new(experiment("[]", "{}"), 3);
    rig.finish();
    assert_eq!(
        rig.story(),
        [
            "Preflight",
            "Baseline",
            "start clients",
            "Faulting",
            "Recovering",
            "stop clients",
            "Settling",
            "read ledger",
            "Judged",
            "finish"
        ]
    );
}

#[test]
fn waits_for_a_complete_target_and_says_what_was_missing() {
    let mut rig = Rig::new(experiment("[]", "{}"), 3);
    rig.silent.insert(2);
    rig.run_until(60 * SECOND);
    assert_eq!(rig.engine.phase(), Phase::Preflight);
    assert_eq!(rig.engine.waiting_for().as_deref(), Some("no answer from etcd-2"));
    rig.finish();
    assert_eq!(
        rig.told("doubt"),
        "doubt: nothing was broken, because the target was not healthy within 2m: no answer from etcd-2"
    );
    assert!(!rig.story().contains(&"start clients".to_string()));
}

#[test]
fn says_why_a_pod_does_not_come_up() {
    let mut rig = Rig::new(experiment("[]", "{}"), 3);
    let mut pods = rig.snapshot(3);
    let container = ContainerStatus {
        name: "etcd".into(),
        running: false,
        ready: false,
        restarts: 4,
        waiting: Some("CrashLoopBackOff (exit code 1)".into()),
    };
    (pods.pods[1].ready, pods.pods[1].containers) = (false, vec![container]);
    rig.tell(0, Input::Pods(pods));
    rig.run_until(SECOND);
    assert_eq!(
        rig.engine.waiting_for().as_deref(),
        Some("2 of 3 pods of etcd are ready: etcd of etcd-1 is CrashLoopBackOff (exit code 1)")
    );
}

#[test]
fn two_leaders_are_no_healthy_target() {
    let mut rig = Rig::new(experiment("[]", "{}"), 3);
    rig.leader = None;
    rig.run_until(SECOND);
    assert_eq!(rig.engine.waiting_for().as_deref(), Some("no member leads"));
}

#[test]
fn a_target_without_replicas_is_never_healthy() {
    let mut rig = Rig::new(experiment("[]", "{}"), 0);
    rig.tell(1, Input::Pods(Snapshot { name: "etcd".into(), ..Snapshot::default() }));
    rig.tell(2, Input::Members(Members::default()));
    rig.finish();
    assert!(rig.told("doubt").contains("etcd has no replicas"));
}

#[test]
fn the_steady_state_must_hold_for_the_whole_baseline_without_a_break() {
    let mut rig = Rig::new(experiment("[]", "{}"), 3);
    rig.tell(3 * SECOND, Input::Unmet(vec!["a majority leads".into()]));
    rig.tell(4 * SECOND, Input::Unmet(vec![]));
    rig.finish();
    assert_eq!(rig.entered(Phase::Faulting), Some(9 * SECOND));
}

#[test]
fn nothing_is_broken_when_the_steady_state_does_not_hold() {
    let pause = r#"[{"name":"p","for":"5s","fault":{"processPause":{"members":{"count":1}}}}]"#;
    let mut rig = Rig::new(experiment(pause, "{}"), 3);
    rig.tell(3 * SECOND, Input::Unmet(vec!["a majority leads".into()]));
    rig.finish();
    assert!(rig.told("doubt").contains("did not hold for 5s before anything was broken"));
    assert!(rig.told("doubt").ends_with("a majority leads"));
    assert!(rig.applied().is_empty());
    assert_eq!(rig.told("read ledger"), "read ledger");
}

#[test]
fn a_claim_that_nobody_measured_does_not_hold() {
    let mut engine = super::super::Engine::new(
        experiment("[]", "{}"),
        "run".into(),
        7,
        super::rig::started_at(),
        super::super::Limits::default(),
    );
    let rig = Rig::new(experiment("[]", "{}"), 3);
    engine.step(0, &Input::Pods(rig.snapshot(3)));
    assert_eq!(engine.phase(), Phase::Preflight);
    assert_eq!(engine.waiting_for().as_deref(), Some("no answer from etcd-0, etcd-1, etcd-2"));
}
