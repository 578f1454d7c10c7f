//! When steps happen, and in which order.

use std::time::Duration;

use super::rig::{Fate, Manners, Rig, SECOND, experiment, later, millis, polite, started_at};
use crate::api::Desired;
use crate::journal::entry::{Effect, Input, Phase};

const PAUSE: &str =
    r#"[{"name":"p","at":"2s","for":"10s","fault":{"processPause":{"members":{"ordinals":[1]}}}}]"#;

#[test]
fn a_fault_is_injected_proven_held_reverted_and_forgotten() {
    let mut rig = Rig::new(experiment(PAUSE, "{}"), 3);
    rig.finish();
    let since = rig.entered(Phase::Faulting).expect("it came to that");
    let applied = rig.applied();
    let [(injected_at, injected), (reverted_at, reverted)] = applied.as_slice() else {
        unreachable!("{applied:#?}")
    };
    assert_eq!(*injected_at, since + 2 * SECOND);
    assert_eq!(injected.name, "run.p.0.1");
    assert_eq!(injected.deadline.within, Duration::from_secs(22));
    assert_eq!(
        injected.deadline.at,
        started_at() + Duration::from_nanos(later(*injected_at, Duration::from_secs(22)))
    );
    assert_eq!(reverted.desired, Desired::Reverted);
    assert_eq!(millis(reverted_at - injected_at), 10_020, "held for 10s from its proof");
    let story = rig.story();
    let told: Vec<_> = story.iter().filter(|line| line.ends_with(" p") || line.contains(" p ")).collect();
    assert_eq!(told, ["chosen p [1]", "began p", "ended p"]);
    let forgotten =
        |(_, _, effect): &(_, _, Effect)| matches!(effect, Effect::Forget { name } if name == "run.p.0.1");
    assert!(rig.effects.iter().any(forgotten));
}

#[test]
fn a_repeated_step_starts_every_time_and_what_comes_after_waits_for_the_last() {
    let steps = r#"[
        {"name":"later","after":"p","for":"1s","fault":{"processPause":{"members":{"ordinals":[2]}}}},
        {"name":"p","for":"2s","every":"5s","times":3,"fault":{"processPause":{"members":{"ordinals":[1]}}}}]"#;
    let mut rig = Rig::new(experiment(steps, "{}"), 5);
    rig.finish();
    let since = rig.entered(Phase::Faulting).expect("it came to that");
    let starts: Vec<_> = rig
        .applied()
        .into_iter()
        .filter(|(_, spec)| spec.desired == Desired::Injected)
        .map(|(at, spec)| (spec.name.clone(), millis(at - since)))
        .collect();
    assert_eq!(
        starts,
        [
            ("run.p.0.1".to_string(), 0),
            ("run.p.1.1".to_string(), 5_000),
            ("run.p.2.1".to_string(), 10_000),
            ("run.later.0.2".to_string(), 12_040),
        ]
    );
}

#[test]
fn steps_may_overlap() {
    let steps = r#"[
        {"name":"a","for":"10s","fault":{"processPause":{"members":{"ordinals":[1]}}}},
        {"name":"b","at":"3s","for":"2s","fault":{"processPause":{"members":{"ordinals":[2]}}}}]"#;
    let mut rig = Rig::new(experiment(steps, "{}"), 5);
    rig.finish();
    let story = rig.story();
    let place = |words: &str| story.iter().position(|line| line == words).expect(words);
    assert!(place("began a") < place("began b"));
    assert!(place("ended b") < place("ended a"));
}

#[test]
fn waits_for_a_leader_during_a_failover_but_not_for_ever() {
    let steps = r#"[{"name":"p","for":"2s","fault":{"processPause":{"members":{"role":"leader"}}}}]"#;
    let mut rig = Rig::new(experiment(steps, "{}"), 3);
    rig.run_until(4 * SECOND);
    rig.leader = None;
    rig.run_into_faults(8);
    assert!(rig.engine.waiting_for().expect("waits").contains("there is no leader now"));
    rig.leader = Some(2);
    rig.finish();
    assert_eq!(rig.told("chosen"), "chosen p [2]");

    let mut rig = Rig::new(experiment(steps, "{}"), 3);
    rig.run_until(4 * SECOND);
    rig.leader = None;
    rig.finish();
    assert_eq!(rig.told("doubt"), "doubt: step p was left out after 15s: there is no leader now");
    assert!(rig.applied().is_empty());
}

#[test]
fn an_ordinal_that_does_not_exist_is_left_out_with_the_valid_ones() {
    let steps = r#"[{"name":"p","for":"2s","fault":{"processPause":{"members":{"ordinals":[7]}}}}]"#;
    let mut rig = Rig::new(experiment(steps, "{}"), 3);
    rig.finish();
    assert!(rig.told("doubt").ends_with("there is no ordinal 7: write 0 to 2"));
}

#[test]
fn a_killed_process_is_over_once_it_is_proven() {
    let steps = r#"[{"name":"k","fault":{"podKill":{"members":{"ordinals":[1]},"mode":"sigkill"}}}]"#;
    let mut rig = Rig::new(experiment(steps, "{}"), 3);
    rig.finish();
    let applied = rig.applied();
    assert_eq!(millis(applied[1].0 - applied[0].0), 20);
    assert_eq!(rig.told("ended"), "ended k");
}

#[test]
fn a_deleted_pod_is_over_once_the_ordinal_has_a_new_one() {
    let steps = r#"[{"name":"k","fault":{"podKill":{"members":{"ordinals":[1]}}}}]"#;
    let mut rig = Rig::new(experiment(steps, "{}"), 3);
    rig.finish();
    assert_eq!(rig.told("delete"), "delete 1");
    assert_eq!(rig.told("began"), "began k");
    assert_eq!(rig.told("ended"), "ended k");
}

#[test]
fn a_deletion_whose_answer_was_lost_is_proven_by_the_new_pod() {
    let steps = r#"[{"name":"k","fault":{"podKill":{"members":{"ordinals":[1]}}}}]"#;
    let lost: Manners = Box::new(|effect| match effect {
        Effect::DeletePod { .. } => Fate::Never,
        _ => Fate::After(vec![20]),
    });
    // Nobody waits for the answer any more when it comes.
    let mut rig =
        Rig::new(experiment(steps, "{}"), 3).with_manners(lost, Box::new(|_| Fate::After(vec![20_000])));
    rig.finish();
    assert_eq!(rig.told("ended"), "ended k");
}

#[test]
fn a_pod_that_does_not_come_back_is_not_proven() {
    let steps = r#"[{"name":"k","fault":{"podKill":{"members":{"ordinals":[1]}}}}]"#;
    let mut rig =
        Rig::new(experiment(steps, "{}"), 3).with_manners(polite(), Box::new(|_| Fate::After(vec![200_000])));
    rig.finish();
    assert_eq!(rig.told("ended"), "ended k unproven: etcd-1 has no new pod");
}

#[test]
fn a_rolling_kill_waits_until_the_one_before_is_back() {
    let steps = r#"[
        {"name":"a","fault":{"podKill":{"members":{"ordinals":[0]}}}},
        {"name":"b","after":"a","fault":{"podKill":{"members":{"ordinals":[1]}}}}]"#;
    let mut rig = Rig::new(experiment(steps, "{}"), 3);
    rig.run_until(4 * SECOND);
    rig.silent.insert(0);
    rig.run_into_faults(5);
    assert!(!rig.story().contains(&"delete 1".to_string()));
    rig.silent.clear();
    rig.finish();
    assert_eq!(rig.told("ended b"), "ended b");
}

#[test]
fn recovering_ends_when_the_claims_hold_again_or_their_time_is_over() {
    let mut rig = Rig::new(experiment(PAUSE, "{}"), 3);
    rig.run_into_faults(5);
    rig.tell(rig.now, Input::Unmet(vec!["a majority leads".into()]));
    rig.run_into_faults(15);
    assert_eq!(rig.engine.phase(), Phase::Recovering);
    rig.tell(rig.now, Input::Unmet(vec![]));
    rig.finish();
    let recovered = rig.entered(Phase::Settling).expect("settled");
    assert_eq!((recovered - rig.entered(Phase::Faulting).expect("faulting")) / SECOND, 17);

    let mut rig = Rig::new(experiment(PAUSE, "{}"), 3);
    rig.run_into_faults(5);
    rig.tell(rig.now, Input::Unmet(vec!["a majority leads".into()]));
    rig.finish();
    let waited =
        rig.entered(Phase::Settling).expect("settled") - rig.entered(Phase::Recovering).expect("recovering");
    assert_eq!(waited / SECOND, 30, "experiment.recovery is longer than recoverWithin");
}
