//! Actions, control-plane faults, and members that are hit one by one.

use super::rig::{Fate, Rig, SECOND, experiment, millis, polite};
use crate::api::{ApiFault, Desired, HostFault, InjectionSpec, PodPhase};
use crate::journal::entry::{Effect, Input, Phase};

const RESTART: &str = r#"[{"name":"roll","at":"1s","action":{"rolloutRestart":{}}},
    {"name":"kill","after":"roll","fault":{"podKill":{"members":{"ordinals":[0]}}}}]"#;

fn injected(rig: &Rig) -> Vec<InjectionSpec> {
    let applied = rig.applied().into_iter();
    applied.filter(|(_, spec)| spec.desired == Desired::Injected).map(|(_, spec)| spec.clone()).collect()
}

#[test]
fn a_rolling_restart_is_over_when_it_is_done_and_what_comes_after_waits_for_that() {
    let mut rig = Rig::new(experiment(RESTART, "{}"), 3);
    rig.finish();
    let since = rig.entered(Phase::Faulting).expect("it came to that");
    let asked = injected(&rig);
    let [roll] = asked.as_slice() else { unreachable!("{asked:#?}") };
    assert_eq!(roll.name, "run.roll.0.set");
    assert_eq!((roll.pod.name.as_str(), roll.pod.node.as_str()), ("etcd", ""));
    assert_eq!(roll.fault, HostFault::Api(ApiFault::Restart {}));
    assert_eq!(rig.told("ended roll"), "ended roll");
    let killed = |(_, _, effect): &&(_, _, Effect)| matches!(effect, Effect::DeletePod { .. });
    let killed = rig.effects.iter().find(killed).expect("the next step came").0;
    assert_eq!(millis(killed - since), 7_000, "a restart of 6 s that began after 1 s");
}

#[test]
fn a_snapshot_is_restored_once_it_is_taken_and_takes_nobody_down() {
    let steps = r#"[{"name":"snap","action":{"takeSnapshot":{"members":{"ordinals":[0,2]}}}},
        {"name":"back","after":"snap","action":{"restoreSnapshot":{"from":"snap"}}}]"#;
    let mut rig = Rig::new(experiment(steps, "{}"), 3);
    rig.finish();
    let asked = injected(&rig);
    let [snap, back] = asked.as_slice() else { unreachable!("{asked:#?}") };
    let expected = ApiFault::TakeSnapshot { ordinals: vec![0, 2], claims: Vec::new(), class: None };
    assert_eq!(snap.fault, HostFault::Api(expected));
    assert_eq!(back.fault, HostFault::Api(ApiFault::RestoreSnapshot { from: "snap".into(), read: false }));
    assert_eq!((rig.told("ended snap"), rig.told("ended back")), ("ended snap".into(), "ended back".into()));
    let harmed = rig.effects.iter().any(|(_, _, effect)| match effect {
        Effect::Chosen { damage, .. } => *damage != crate::fault::Damage::default(),
        _ => false,
    });
    assert!(!harmed, "a quorum guard has nothing to say about a snapshot");
}

#[test]
fn a_pod_that_hangs_in_its_end_is_deleted_by_force_and_no_second_time_gracefully() {
    for (mode, deletions) in [("force", 1), ("graceful", 0)] {
        let steps = format!(
            r#"[{{"name":"k","fault":{{"podKill":{{"members":{{"ordinals":[1]}},"mode":"{mode}"}}}}}}]"#
        );
        let mut rig = Rig::new(experiment(&steps, "{}"), 3);
        rig.pods[1].phase = PodPhase::Terminating;
        let snapshot = rig.snapshot(3);
        rig.tell(0, Input::Pods(snapshot));
        rig.finish();
        let deleted = |(_, _, effect): &&(_, _, Effect)| matches!(effect, Effect::DeletePod { .. });
        assert_eq!(rig.effects.iter().filter(deleted).count(), deletions, "{mode}");
    }
}

#[test]
fn a_rolling_restart_that_is_not_done_in_time_is_not_proven() {
    let steps = r#"[{"name":"roll","for":"30s","action":{"rolloutRestart":{}}}]"#;
    let mut rig = Rig::new(experiment(steps, "{}"), 3);
    rig.rollout_takes = None;
    rig.finish();
    assert_eq!(rig.told("ended roll"), "ended roll unproven: run.roll.0.set was not done after 30s");
}

#[test]
fn a_rolling_restart_counts_as_one_member_for_the_guard() {
    let steps = r#"[{"name":"roll","action":{"rolloutRestart":{}}},
        {"name":"pause","at":"2s","for":"2s","fault":{"processPause":{"members":{"ordinals":[1]}}}}]"#;
    let mut rig = Rig::new(experiment(steps, "{}"), 3);
    rig.rollout_takes = Some(60 * SECOND);
    rig.finish();
    let refused = rig.told("refused pause");
    assert!(
        refused.contains("1 at a time taken by this run, this takes 1 (etcd-1): 1 of 3 left"),
        "{refused}"
    );

    let mut rig = Rig::new(experiment(steps, "{}"), 5);
    rig.finish();
    assert_eq!(rig.told("ended pause"), "ended pause");
}

#[test]
fn an_action_without_a_duration_is_put_back_when_everything_else_is_over() {
    let steps = r#"[{"name":"image","action":{"setImage":{"container":"etcd","image":"etcd:2"}}},
        {"name":"pause","at":"2s","for":"3s","fault":{"processPause":{"members":{"ordinals":[1]}}}}]"#;
    let mut rig = Rig::new(experiment(steps, "{}"), 5);
    rig.finish();
    rig.assert_reverted();
    let story = rig.story();
    let place = |words: &str| story.iter().position(|line| line == words).expect(words);
    assert!(place("ended pause") < place("ended image"));
    let asked = injected(&rig);
    assert_eq!(asked[0].deadline.within.as_secs(), 600 + 60 + 2, "guards.maxDuration, and what it may take");
}

#[test]
fn an_action_with_a_duration_is_put_back_after_it() {
    let steps = r#"[{"name":"scale","for":"4s","action":{"scale":{"replicas":2}}}]"#;
    let mut rig = Rig::new(experiment(steps, "{}"), 3);
    rig.finish();
    let applied = rig.applied();
    assert_eq!(millis(applied[1].0 - applied[0].0), 4_020);
    assert_eq!(rig.told("ended scale"), "ended scale");
}

#[test]
fn scaling_below_a_majority_is_refused() {
    let steps = r#"[{"name":"scale","for":"4s","action":{"scale":{"replicas":1}}}]"#;
    let mut rig = Rig::new(experiment(steps, "{}"), 3);
    rig.finish();
    let refused = rig.told("refused scale");
    assert!(refused.contains("this takes 2 (etcd-1, etcd-2): 1 of 3 left"), "{refused}");
}

#[test]
fn a_control_plane_fault_may_take_long_to_come_into_force_and_is_held_for_all_its_time() {
    let steps = r#"[{"name":"down","for":"10s","fault":{"nodeDown":{"members":{"ordinals":[1]}}}}]"#;
    let slow = Box::new(|effect: &Effect| match effect {
        Effect::Apply(spec) if spec.desired == Desired::Injected => Fate::After(vec![30_000]),
        _ => Fate::After(vec![20]),
    });
    let mut rig = Rig::new(experiment(steps, "{}"), 5).with_manners(polite(), slow);
    for (place, pod) in rig.pods.iter_mut().enumerate() {
        pod.node = format!("node-{}", place / 2);
    }
    let snapshot = rig.snapshot(5);
    rig.tell(0, Input::Pods(snapshot));
    rig.finish();
    let applied = rig.applied();
    assert_eq!(millis(applied[1].0 - applied[0].0), 40_000);
    assert_eq!(rig.told("ended down"), "ended down");
    assert_eq!(rig.told("chosen"), "chosen down [1]");
    let HostFault::Api(ApiFault::NodeDown { node, .. }) = &applied[0].1.fault else { unreachable!() };
    assert_eq!(node, "node-0");
    let damage = rig.effects.iter().find_map(|(_, _, effect)| match effect {
        Effect::Chosen { damage, .. } => Some(damage.down.clone()),
        _ => None,
    });
    assert_eq!(damage, Some([0, 1].into()), "the other member on that node is hit as well");
}

#[test]
fn members_that_are_killed_one_by_one_wait_for_each_other() {
    let steps = r#"[{"name":"k","fault":{"podKill":{"members":{"ordinals":["0..2"]},"order":"oneByOne"}}}]"#;
    let mut rig = Rig::new(experiment(steps, "{}"), 3);
    rig.finish();
    let deleted: Vec<_> = rig.story().into_iter().filter(|line| line.starts_with("delete")).collect();
    assert_eq!(deleted, ["delete 0", "delete 1", "delete 2"]);
    let at: Vec<_> = rig
        .effects
        .iter()
        .filter(|(_, _, effect)| matches!(effect, Effect::DeletePod { .. }))
        .map(|(at, _, _)| *at)
        .collect();
    assert!(at.windows(2).all(|pair| pair[1] - pair[0] >= SECOND), "{at:?}");
    assert_eq!(rig.told("ended k"), "ended k");
}

#[test]
fn a_member_that_does_not_come_back_ends_a_kill_one_by_one() {
    let steps = r#"[{"name":"k","fault":{"podKill":{"members":{"ordinals":[0,1]},"order":"oneByOne"}}}]"#;
    let mut rig = Rig::new(experiment(steps, r#"{"allowQuorumLoss":true}"#), 3);
    rig.run_until(4 * SECOND);
    rig.silent.insert(0);
    rig.finish();
    assert!(!rig.story().contains(&"delete 1".to_string()));
    let doubt = rig.told("doubt");
    assert!(doubt.contains("step k did not go on: etcd-0 was not healthy again within 1m"), "{doubt}");
}
