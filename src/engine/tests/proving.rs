//! What counts as proven.

use std::time::Duration;

use super::rig::{Fate, Rig, SECOND, experiment, polite};
use crate::api::{Desired, InjectionState};
use crate::journal::entry::{Effect, Input, Phase};

const PAUSE: &str = r#"[{"name":"p","for":"10s","fault":{"processPause":{"members":{"ordinals":[1]}}}}]"#;

#[test]
fn a_fault_that_nobody_proves_is_doubted_and_reverted() {
    let manners = |effect: &Effect| match effect {
        Effect::Apply(spec) if spec.desired == Desired::Injected => Fate::Never,
        _ => Fate::After(vec![20]),
    };
    let mut rig = Rig::new(experiment(PAUSE, "{}"), 3).with_manners(polite(), Box::new(manners));
    rig.finish();
    assert_eq!(
        rig.told("doubt"),
        "doubt: step p did not come into force: 1 of 1 hits were not proven within 10s"
    );
    assert!(rig.told("ended").contains("unproven"));
    assert!(!rig.story().iter().any(|line| line.starts_with("began")));
    rig.assert_reverted();
}

#[test]
fn a_fault_that_its_node_cannot_make_yet_is_doubted_with_what_the_node_says() {
    let manners = |effect: &Effect| match effect {
        Effect::Apply(spec) if spec.desired == Desired::Injected => Fate::Never,
        _ => Fate::After(vec![20]),
    };
    let mut rig = Rig::new(experiment(PAUSE, "{}"), 3).with_manners(polite(), Box::new(manners));
    rig.run_into_faults(1);
    let mut status = rig.status(InjectionState::Pending, rig.now, Duration::ZERO);
    status.error = Some("the cgroup is frozen already".into());
    rig.tell(rig.now, Input::Injection { name: "run.p.0.1".into(), status });
    rig.finish();
    let doubt = rig.told("doubt");
    assert!(doubt.contains("1 of 1 hits were not proven within 10s; run.p.0.1 on "), "{doubt}");
    assert!(doubt.ends_with(": its node says Pending: the cgroup is frozen already"), "{doubt}");
    rig.assert_reverted();
}

#[test]
fn a_fault_that_fails_is_doubted_at_once_with_its_reason() {
    let manners = |effect: &Effect| match effect {
        Effect::Apply(spec) if spec.desired == Desired::Injected => Fate::Refused,
        _ => Fate::After(vec![20]),
    };
    let mut rig = Rig::new(experiment(PAUSE, "{}"), 3).with_manners(polite(), Box::new(manners));
    rig.run_into_faults(1);
    assert!(rig.told("doubt").contains("it failed 5.0s into the run"));
    rig.finish();
    rig.assert_reverted();
}

#[test]
fn a_request_that_is_not_answered_is_not_injected() {
    let answers = |effect: &Effect| match effect {
        Effect::Apply(spec) if spec.desired == Desired::Injected => Fate::Never,
        _ => Fate::After(vec![20]),
    };
    let mut rig = Rig::new(experiment(PAUSE, "{}"), 3)
        .with_manners(Box::new(answers), Box::new(|_| Fate::After(vec![60_000])));
    rig.finish();
    assert!(rig.told("doubt").contains("no answer within 10s"));
    rig.assert_reverted();
}

#[test]
fn less_than_nine_tenths_is_not_proven() {
    for (proven, is_enough) in [(8_900, false), (9_000, true)] {
        let mut rig = Rig::new(experiment(PAUSE, "{}"), 3);
        rig.proven_for.insert("run.p.0.1".into(), Duration::from_millis(proven));
        rig.finish();
        assert_eq!(rig.told("ended") == "ended p", is_enough, "{proven} of 10000 ms");
    }
}

#[test]
fn names_the_time_at_which_the_proof_was_lost() {
    let mut rig = Rig::new(experiment(PAUSE, "{}"), 3);
    rig.proven_for.insert("run.p.0.1".into(), Duration::from_secs(4));
    rig.run_into_faults(4);
    let mut status = rig.status(InjectionState::Lost, rig.now, Duration::from_secs(4));
    status.error = Some("the cgroup reads thawed".into());
    rig.tell(rig.now, Input::Injection { name: "run.p.0.1".into(), status });
    rig.finish();
    assert_eq!(
        rig.told("ended"),
        "ended p unproven: run.p.0.1 was proven for 4s of 10s; the proof was lost 9.0s into the run \
         (2026-01-01T00:00:09Z): the cgroup reads thawed"
    );
}

#[test]
fn an_older_status_does_not_replace_a_newer_one() {
    let mut rig = Rig::new(experiment(PAUSE, "{}"), 3);
    rig.run_into_faults(9);
    let pending = rig.status(InjectionState::Pending, 4 * SECOND, Duration::ZERO);
    let injected = rig.status(InjectionState::Injected, rig.now, Duration::from_secs(9));
    for status in [injected, pending] {
        let name = "run.p.0.1".into();
        rig.tell(rig.now, Input::Injection { name, status });
    }
    rig.finish();
    assert_eq!(rig.told("ended"), "ended p");
}

#[test]
fn a_fault_that_ends_by_itself_is_not_proven_and_not_brought_back() {
    let mut rig = Rig::new(experiment(PAUSE, "{}"), 3);
    rig.proven_for.insert("run.p.0.1".into(), Duration::from_secs(3));
    rig.run_into_faults(3);
    let status = rig.status(InjectionState::Reverted, rig.now, Duration::from_secs(3));
    rig.tell(rig.now, Input::Injection { name: "run.p.0.1".into(), status });
    rig.finish();
    assert!(rig.told("ended").contains("it ended by itself 8.0s into the run"));
    let injected = rig.applied().iter().filter(|(_, spec)| spec.desired == Desired::Injected).count();
    assert_eq!(injected, 1);
}

#[test]
fn a_fault_that_took_long_to_arm_is_held_as_long_as_asked_before_its_deadline() {
    for armed_after in [4, 9] {
        let manners = move |effect: &Effect| match effect {
            Effect::Apply(spec) if spec.desired == Desired::Injected => Fate::After(vec![armed_after * 1000]),
            _ => Fate::After(vec![20]),
        };
        let mut rig = Rig::new(experiment(PAUSE, "{}"), 3).with_manners(polite(), Box::new(manners));
        rig.finish();
        assert_eq!(rig.told("ended"), "ended p");
        let applied = rig.applied();
        let ((asked_at, asked), (reverted_at, _)) = (&applied[0], &applied[1]);
        assert_eq!((reverted_at - asked_at) / SECOND, armed_after + 10);
        assert_eq!(asked.deadline.within, Duration::from_secs(22), "not before the run has ended it");
    }
}

#[test]
fn a_step_waits_for_one_that_still_holds_its_member_because_it_took_long_to_arm() {
    let steps = r#"[
        {"name":"a","for":"5s","fault":{"processPause":{"members":{"ordinals":[1]}}}},
        {"name":"b","at":"6s","for":"2s","fault":{"processPause":{"members":{"ordinals":[1]}}}},
        {"name":"c","at":"6s","for":"2s","fault":{"networkPartition":{"isolate":{"ordinals":[1]}}}}]"#;
    let manners = |effect: &Effect| match effect {
        Effect::Apply(spec) if spec.desired == Desired::Injected && spec.step == "a" => {
            Fate::After(vec![4_000])
        }
        _ => Fate::After(vec![20]),
    };
    let mut rig = Rig::new(experiment(steps, "{}"), 3).with_manners(polite(), Box::new(manners));
    rig.finish();
    for step in ["a", "b", "c"] {
        assert_eq!(rig.told(&format!("ended {step}")), format!("ended {step}"));
    }
    let since = rig.entered(Phase::Faulting).expect("it came to that");
    let asked = |step: &str| {
        let applied = rig.applied();
        let first = applied.iter().find(|(_, spec)| spec.step == step).expect("it was asked for");
        (first.0 - since) / SECOND
    };
    assert_eq!((asked("a"), asked("b"), asked("c")), (0, 9, 6));
}
