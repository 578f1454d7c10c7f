//! Steps that wait for a condition.

use super::rig::{Rig, SECOND, experiment};
use crate::api::PodPhase;
use crate::journal::entry::{Input, Phase};

fn paused(when: &str) -> String {
    format!(
        r#"[{{"name":"p","when":{when},"for":"2s","fault":{{"processPause":{{"members":{{"ordinals":[1]}}}}}}}}]"#
    )
}

#[test]
fn a_step_starts_when_a_pod_is_terminating() {
    let steps = paused(r#"{"pod":{"ordinal":2,"is":"Terminating"}}"#);
    let mut rig = Rig::new(experiment(&steps, "{}"), 5);
    rig.run_into_faults(7);
    assert!(rig.applied().is_empty());
    let waits = rig.engine.waiting_for().expect("it waits");
    assert_eq!(waits, "the start of step p, when the pod of ordinal 2 is Terminating");
    rig.pods[2].phase = PodPhase::Terminating;
    let snapshot = rig.snapshot(5);
    let at = rig.now;
    rig.tell(at, Input::Pods(snapshot));
    rig.run_into_faults(8);
    assert_eq!(rig.applied()[0].0, at);
    rig.pods[2].phase = PodPhase::Running;
    let snapshot = rig.snapshot(5);
    rig.tell(rig.now, Input::Pods(snapshot));
    rig.finish();
    assert_eq!(rig.told("ended p"), "ended p");
}

#[test]
fn a_step_starts_when_a_member_leads() {
    let mut rig = Rig::new(experiment(&paused(r#"{"role":{"ordinal":2,"is":"leader"}}"#), "{}"), 3);
    rig.run_into_faults(5);
    assert!(rig.applied().is_empty());
    rig.leader = Some(2);
    rig.finish();
    assert_eq!(rig.told("ended p"), "ended p");
}

#[test]
fn a_step_starts_when_an_sli_is_bad() {
    let steps = paused(r#"{"sli":{"commitLatency":{}},"above":"1s"}"#);
    let mut rig = Rig::new(experiment(&steps, "{}"), 3);
    rig.run_into_faults(5);
    rig.tell(rig.now, Input::Conditions(vec!["another".into()]));
    rig.run_into_faults(6);
    assert!(rig.applied().is_empty());
    rig.tell(rig.now, Input::Conditions(vec!["p".into()]));
    rig.finish();
    assert_eq!(rig.told("ended p"), "ended p");
}

#[test]
fn a_condition_that_never_holds_leaves_the_step_out_and_says_so() {
    let mut rig =
        Rig::new(experiment(&paused(r#"{"pod":{"any":{},"is":"Pending"},"within":"20s"}"#), "{}"), 3);
    rig.finish();
    assert_eq!(
        rig.told("doubt"),
        "doubt: step p was left out after 20s: never was it true that any pod is Pending"
    );
    assert!(rig.applied().is_empty());
    let faulting = rig.entered(Phase::Recovering).expect("it went on")
        - rig.entered(Phase::Faulting).expect("it came to that");
    assert_eq!(faulting / SECOND, 20);
}
