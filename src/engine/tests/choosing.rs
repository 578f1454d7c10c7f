//! Steps that do one of several things.

use super::rig::{Rig, SECOND, experiment};
use crate::journal::entry::{Effect, Phase};
use crate::plan::draw;

const SOAK: &str = r#"[{"name":"soak","every":"20s","times":8,"for":"4s","oneOf":[
    {"fault":{"processPause":{"members":{"ordinals":[1]}}}},
    {"fault":{"podKill":{"members":{"ordinals":[2]}}}}]}]"#;

/// What was told of each choice: the place, the name and whom it hits.
fn chosen(rig: &Rig) -> Vec<(u32, String, Vec<u32>)> {
    let told = rig.effects.iter().filter_map(|(_, _, effect)| match effect {
        Effect::Chosen { picked: Some(picked), members, .. } => {
            Some((picked.place, picked.name.clone(), members.clone()))
        }
        _ => None,
    });
    told.collect()
}

#[test]
fn each_occurrence_does_what_the_seed_chose_for_it_and_says_so() {
    let experiment = experiment(SOAK, "{}");
    let mut rig = Rig::new(experiment.clone(), 3);
    rig.finish();
    let expected: Vec<_> = (0..8)
        .map(|occurrence| match draw::alternative(&experiment.steps[0], 7, occurrence).0 {
            0 => (0, "processPause".to_owned(), vec![1]),
            _ => (1, "podKill".to_owned(), vec![2]),
        })
        .collect();
    assert_eq!(chosen(&rig), expected);
    let kills = expected.iter().filter(|(place, ..)| *place == 1).count();
    assert!((1..8).contains(&kills), "both are chosen: {expected:?}");
    assert_eq!(rig.story().iter().filter(|line| *line == "delete 2").count(), kills);
    rig.assert_reverted();
}

#[test]
fn occurrences_start_at_the_times_that_the_seed_draws_and_never_before_the_one_before_is_over() {
    let steps = r#"[{"name":"soak","at":"1s","for":"6s","every":{"mean":"10s","jitter":"exponential"},"times":30,
        "fault":{"processPause":{"members":{"ordinals":[1]}}}}]"#;
    let experiment = experiment(steps, r#"{"maxDuration":"2h"}"#);
    let mut rig = Rig::new(experiment.clone(), 3);
    rig.finish();
    let mut due = rig.entered(Phase::Faulting).expect("the baseline held") + SECOND;
    let (mut over, mut number, mut waited) = (0, 0, 0);
    for (at, _, effect) in &rig.effects {
        match effect {
            Effect::Chosen { occurrence, .. } => {
                assert_eq!(*occurrence, number);
                assert_eq!(*at, due.max(over), "occurrence {number}");
                waited += usize::from(over > due);
                number += 1;
                due += draw::gap(&experiment.steps[0], 7, number).as_nanos() as u64;
            }
            Effect::Ended { .. } => over = *at,
            _ => {}
        }
    }
    assert!(number == 30 && (1..29).contains(&waited), "{waited} of {number} had to wait");
    rig.assert_reverted();
}

#[test]
fn each_stays_for_as_long_as_its_own_alternative_says() {
    let steps = r#"[{"name":"soak","every":"20s","times":8,"for":"2s","oneOf":[
        {"fault":{"processPause":{"members":{"ordinals":[1]}}}},
        {"for":"9s","fault":{"networkPartition":{"isolate":{"ordinals":[2]}}}}]}]"#;
    let mut rig = Rig::new(experiment(steps, "{}"), 3);
    rig.finish();
    let mut began = 0;
    let mut lasted = Vec::new();
    for (at, _, effect) in &rig.effects {
        match effect {
            Effect::Began { .. } => began = *at,
            Effect::Ended { .. } => lasted.push((*at - began) / SECOND),
            _ => {}
        }
    }
    let expected: Vec<_> = chosen(&rig).iter().map(|(place, ..)| [2, 9][*place as usize]).collect();
    assert_eq!(lasted, expected);
}

#[test]
fn the_guard_judges_what_was_chosen() {
    let steps = r#"[{"name":"soak","every":"20s","times":8,"for":"2s","oneOf":[
        {"fault":{"processPause":{"members":{"ordinals":[1]}}}},
        {"fault":{"processPause":{"members":{"count":"majority"}}}}]}]"#;
    let mut rig = Rig::new(experiment(steps, "{}"), 3);
    rig.finish();
    assert!(rig.told("refused soak").contains("a majority is 2"), "{:#?}", rig.story());
    assert!(chosen(&rig).iter().all(|(place, ..)| *place == 0));
    rig.assert_reverted();
}
