//! Occurrences that wait for recovery from the one before.

use super::rig::{Rig, SECOND, experiment};
use crate::journal::entry::{Effect, Input, Phase};

const SOAK: &str = r#"[{"name":"soak","for":"4s","every":"10s","times":3,"recoverBetween":"30s",
    "fault":{"processPause":{"members":{"ordinals":[1]}}}}]"#;

/// When each occurrence was decided, in seconds since the first one.
fn starts(rig: &Rig) -> Vec<u64> {
    let at = rig.effects.iter().filter_map(|(at, _, effect)| match effect {
        Effect::Chosen { .. } => Some(*at),
        _ => None,
    });
    let all: Vec<_> = at.collect();
    all.iter().map(|at| (at - all[0]) / SECOND).collect()
}

fn unmet(rig: &mut Rig, claims: &[&str]) {
    let claims = claims.iter().map(|claim| (*claim).to_owned()).collect();
    rig.tell(rig.now, Input::Unmet(claims));
}

#[test]
fn the_next_one_starts_at_its_time_where_the_target_has_recovered_by_then() {
    let mut rig = Rig::new(experiment(SOAK, "{}"), 3);
    rig.run_into_faults(2);
    unmet(&mut rig, &["a majority leads"]);
    rig.run_into_faults(6);
    unmet(&mut rig, &[]);
    rig.finish();
    assert_eq!(starts(&rig), [0, 10, 20]);
}

#[test]
fn the_next_one_waits_until_every_claim_has_held_since_the_revert() {
    let mut rig = Rig::new(experiment(SOAK, "{}"), 3);
    rig.run_into_faults(2);
    unmet(&mut rig, &["a majority leads"]);
    rig.run_into_faults(25);
    let waits = rig.engine.waiting_for().expect("it waits");
    assert_eq!(waits, "the target to recover, so that step soak can go on: a majority leads");
    unmet(&mut rig, &[]);
    rig.finish();
    // It has to hold for two seconds; the third one's time came meanwhile, and the one before must recover, too.
    assert_eq!(starts(&rig), [0, 27, 33]);
    assert!(rig.story().iter().all(|line| !line.starts_with("doubt")), "{:#?}", rig.story());
}

#[test]
fn the_next_one_waits_for_members_as_well() {
    let mut rig = Rig::new(experiment(SOAK, "{}"), 3);
    rig.run_into_faults(6);
    rig.silent.insert(2);
    rig.run_into_faults(30);
    assert_eq!(starts(&rig), [0]);
    rig.silent.remove(&2);
    rig.finish();
    assert_eq!(starts(&rig).len(), 3);
    assert_eq!(starts(&rig)[1], 30);
}

#[test]
fn nothing_more_is_broken_where_the_target_does_not_recover_and_the_run_waits_for_it_as_at_its_end() {
    let other = r#",{"name":"other","at":"12s","for":"60s","fault":{"processPause":{"members":{"ordinals":[2]}}}},
        {"name":"last","after":"other","fault":{"podKill":{"members":{"ordinals":[0]}}}}]"#;
    let steps = format!("{}{other}", SOAK.trim_end_matches(']'));
    let mut rig = Rig::new(experiment(&steps, r#"{"allowQuorumLoss":true}"#), 3);
    rig.run_into_faults(2);
    unmet(&mut rig, &["a majority leads"]);
    rig.finish();
    assert_eq!(
        rig.told("doubt"),
        "doubt: nothing more was broken: the target had not recovered 30s after the time of occurrence 2 of 3 of step soak: a majority leads"
    );
    let given_up = rig.effects.iter().find_map(|(at, _, effect)| match effect {
        Effect::Doubt { .. } => Some(*at),
        _ => None,
    });
    let faulting = rig.entered(Phase::Faulting).expect("the baseline held");
    assert_eq!((given_up.expect("told above") - faulting) / SECOND, 40);
    assert!(rig.entered(Phase::Recovering).is_some(), "{:#?}", rig.story());
    assert_eq!(rig.told("ended other"), "ended other", "it is ended early, and was proven until then");
    assert!(rig.story().iter().all(|line| !line.contains("last") && !line.starts_with("abort")));
    rig.assert_reverted();
}

#[test]
fn what_recovers_and_breaks_again_before_the_next_ones_time_is_waited_for() {
    let mut rig = Rig::new(experiment(SOAK, "{}"), 3);
    rig.run_into_faults(9);
    unmet(&mut rig, &["a majority leads"]);
    rig.run_into_faults(15);
    assert_eq!(starts(&rig), [0]);
    unmet(&mut rig, &[]);
    rig.run_into_faults(18);
    assert_eq!(starts(&rig), [0, 17]);
}
