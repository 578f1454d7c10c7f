//! Whatever the platform does, however late and in whichever order.

use proptest::prelude::*;

use super::rig::{Fate, Rig, SECOND, experiment, started_at};
use crate::engine::{Engine, Limits};
use crate::journal::entry::{Effect, Input};

/// Steps of every kind, some of which overlap, repeat, follow or come after others.
const STEPS: [&str; 8] = [
    r#"{"name":"pause","at":"1s","for":"6s","fault":{"processPause":{"members":{"role":"leader"}}}}"#,
    r#"{"name":"cut","at":"4s","for":"8s","every":"15s","times":2,"follow":true,"fault":{"networkPartition":{"isolate":{"role":"follower","count":1}}}}"#,
    r#"{"name":"kill","at":"2s","for":"5s","follow":true,"fault":{"podKill":{"members":{"count":1}}}}"#,
    r#"{"name":"power","after":"pause","fault":{"powerLoss":{"members":{"count":"minority"}}}}"#,
    r#"{"name":"ring","after":"cut","for":"3s","fault":{"networkPartition":{"ring":{}}}}"#,
    r#"{"name":"soak","every":{"mean":"9s","jitter":"exponential"},"times":4,"recoverBetween":"20s","for":"4s","oneOf":[
        {"fault":{"processPause":{"members":{"count":1}}}},
        {"weight":2,"fault":{"podKill":{"members":{"role":"follower","count":1}}}},
        {"for":"2s","fault":{"networkPartition":{"isolate":{"role":"leader"}}}}]}"#,
    r#"{"name":"other","at":"2s","for":"6s","every":"11s","times":3,"target":{"statefulSet":"zookeeper"},
        "fault":{"processPause":{"members":{"count":1}}}}"#,
    r#"{"name":"there","at":"3s","for":"7s","follow":true,"target":{"statefulSet":"zookeeper"},
        "fault":{"podKill":{"members":{"count":1}}}}"#,
];

fn fate() -> impl Strategy<Value = Fate> {
    prop_oneof![
        12 => (1_u64..400).prop_map(|delay| Fate::After(vec![delay])),
        1 => (1_u64..20_000, 1_u64..20_000).prop_map(|(once, again)| Fate::After(vec![once, again])),
        1 => Just(Fate::Refused),
        1 => Just(Fate::Never),
    ]
}

#[derive(Debug, Clone)]
enum Event {
    Recreate(u32),
    Silent(u32),
    Speaks(u32),
    Leader(Option<u32>),
    Unmet(bool),
    Interrupted,
    Condition,
    OtherReady(u32, bool),
}

fn event() -> impl Strategy<Value = Event> {
    prop_oneof![
        4 => (0_u32..5).prop_map(Event::Recreate),
        4 => (0_u32..5).prop_map(Event::Silent),
        4 => (0_u32..5).prop_map(Event::Speaks),
        2 => prop::option::of(0_u32..5).prop_map(Event::Leader),
        3 => any::<bool>().prop_map(Event::Unmet),
        1 => Just(Event::Interrupted),
        1 => Just(Event::Condition),
        4 => (0_u32..3, any::<bool>()).prop_map(|(ordinal, ready)| Event::OtherReady(ordinal, ready)),
    ]
}

/// Fates one after the other, for ever.
fn in_turn(fates: Vec<Fate>) -> Box<dyn FnMut(&Effect) -> Fate> {
    let mut turn = 0;
    Box::new(move |_| {
        turn += 1;
        fates[turn % fates.len()].clone()
    })
}

fn run(
    which: &[usize],
    allowed: bool,
    members: u32,
    answers: Vec<Fate>,
    statuses: Vec<Fate>,
    events: &[(u64, Event)],
) -> Rig {
    let steps: Vec<_> =
        STEPS.iter().enumerate().filter(|(place, _)| which.contains(place)).map(|(_, step)| *step).collect();
    let guards = format!(r#"{{"allowQuorumLoss":{allowed}}}"#);
    let mut rig = Rig::new(experiment(&format!("[{}]", steps.join(",")), &guards), members)
        .with_manners(in_turn(answers), in_turn(statuses));
    rig.add_other("zookeeper", 3);
    // Before that nothing is broken; other tests tell what happens then.
    rig.run_until(4 * SECOND);
    for (wait, event) in events {
        rig.run_until(rig.now + wait * 1_000_000);
        if rig.is_finished() {
            break;
        }
        match event {
            Event::Recreate(ordinal) => rig.recreate(ordinal % members),
            Event::Silent(ordinal) => drop(rig.silent.insert(*ordinal)),
            Event::Speaks(ordinal) => drop(rig.silent.remove(ordinal)),
            Event::Leader(leader) => rig.leader = *leader,
            Event::Unmet(false) => rig.tell(rig.now, Input::Unmet(vec![])),
            Event::Unmet(true) => rig.tell(rig.now, Input::Unmet(vec!["claim".into()])),
            Event::OtherReady(ordinal, ready) => rig.make_other_ready("zookeeper", *ordinal, *ready),
            Event::Interrupted => rig.tell(rig.now, Input::Interrupted {}),
            Event::Condition => rig.tell(rig.now, Input::AbortCondition("condition".into())),
        }
    }
    rig.finish();
    rig
}

/// What is wrong with the sum of all damage at any moment, as the effects tell it.
fn majority_is_kept(rig: &Rig, members: u32) -> Result<(), TestCaseError> {
    let mut active = std::collections::BTreeMap::new();
    for (_, _, effect) in &rig.effects {
        match effect {
            Effect::Chosen { step, occurrence, set, damage, .. } => {
                active.insert((step, occurrence), (set, damage));
                let members = if set.is_some() { 3 } else { members };
                let there: Vec<_> =
                    active.values().filter(|(other, _)| *other == set).map(|(_, damage)| damage).collect();
                let up = |ordinal| !there.iter().any(|damage| damage.down.contains(&ordinal));
                let open = |a, b| !there.iter().any(|damage| damage.cut.contains(&(a, b)));
                let has_leader = (0..members).filter(|&leader| up(leader)).any(|leader| {
                    let others = (0..members).filter(|&other| other != leader && up(other));
                    let reached = others.filter(|&other| open(leader, other) && open(other, leader)).count();
                    reached + 1 > members as usize / 2
                });
                prop_assert!(has_leader, "no leader is possible: {active:?}");
            }
            Effect::Ended { step, occurrence, .. } => {
                active.remove(&(step, occurrence));
            }
            _ => {}
        }
    }
    Ok(())
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 300, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn everything_is_reverted_and_the_run_ends(
        which in prop::collection::vec(0_usize..8, 1..4),
        allowed in any::<bool>(),
        members in prop_oneof![Just(1_u32), Just(3), Just(4), Just(5)],
        answers in prop::collection::vec(fate(), 1..8),
        statuses in prop::collection::vec(fate(), 1..8),
        events in prop::collection::vec((0_u64..8_000, event()), 0..12),
    ) {
        let rig = run(&which, allowed, members, answers, statuses, &events);
        rig.assert_reverted();
        prop_assert!(rig.now < 3600 * SECOND, "took {}s", rig.now / SECOND);
        if !allowed {
            majority_is_kept(&rig, members)?;
        }
        let began: Vec<_> = rig.story().into_iter().filter(|line| line.starts_with("chosen")).collect();
        let ended = rig.story().into_iter().filter(|line| line.starts_with("ended")).count();
        let failed = rig.story().iter().any(|line| line.starts_with("revert failed"));
        prop_assert!(ended == began.len() || failed, "{:#?}", rig.story());

        // The same inputs at the same moments give the same effects.
        let mut again = Engine::new(rig.engine.brief.experiment.clone(), "run".into(), 7, started_at(), Limits::default());
        let mut effects = Vec::new();
        for (now, input) in &rig.heard {
            effects.extend(again.step(*now, input).into_iter().map(|(id, effect)| (*now, id, effect)));
        }
        prop_assert_eq!(effects, rig.effects);
    }
}
