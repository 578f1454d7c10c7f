//! Steps that act on a further StatefulSet: it has the same ordinals as the target, and is never taken for it.

use super::rig::{Rig, SECOND, experiment};
use crate::api::{Desired, DisruptionBudget, Disturbance, InjectionSpec, Pod, Snapshot};
use crate::journal::entry::{Effect, Input, Phase};

const PAUSE: &str = r#"[{"name":"lost","target":{"statefulSet":"zookeeper"},"at":"1s","for":"10s",
    "fault":{"processPause":{"members":{"ordinals":[1]}}}}]"#;

/// A run with a further StatefulSet of three beside its target.
fn beside(steps: &str, guards: &str) -> Rig {
    let mut rig = Rig::new(experiment(steps, guards), 3);
    rig.add_other("zookeeper", 3);
    rig
}

fn injected(rig: &Rig) -> Vec<InjectionSpec> {
    let applied = rig.applied().into_iter();
    applied.filter(|(_, spec)| spec.desired == Desired::Injected).map(|(_, spec)| spec.clone()).collect()
}

#[test]
fn its_pod_is_hit_and_the_members_of_the_target_are_not() {
    let mut rig = beside(PAUSE, "{}");
    rig.finish();
    assert_eq!(rig.told("ended"), "ended lost");
    let asked = injected(&rig);
    let [lost] = asked.as_slice() else { unreachable!("{asked:#?}") };
    assert_eq!((lost.name.as_str(), lost.pod.name.as_str()), ("run.lost.0.1", "zookeeper-1"));
    assert_eq!((lost.pod.set(), lost.container.as_deref()), ("zookeeper", None));
    let chosen = rig.effects.iter().find_map(|(_, _, effect)| match effect {
        Effect::Chosen { set, members, .. } => Some((set.clone(), members.clone())),
        _ => None,
    });
    assert_eq!(chosen, Some((Some("zookeeper".into()), vec![1])));
    rig.assert_reverted();
}

#[test]
fn its_own_container_is_meant_where_one_is_named() {
    let named =
        PAUSE.replace(r#"{"statefulSet":"zookeeper"}"#, r#"{"statefulSet":"zookeeper","container":"zk"}"#);
    let mut rig = beside(&named, "{}");
    rig.finish();
    assert_eq!(injected(&rig)[0].container.as_deref(), Some("zk"));
    // Of its own members another container, and the same where its own StatefulSet is named.
    let sidecar =
        PAUSE.replace(r#"{"statefulSet":"zookeeper"}"#, r#"{"statefulSet":"etcd","container":"proxy"}"#);
    let mut rig = Rig::new(experiment(&sidecar, "{}"), 3);
    rig.finish();
    let asked = injected(&rig);
    assert_eq!((asked[0].pod.name.as_str(), asked[0].container.as_deref()), ("etcd-1", Some("proxy")));
    assert!(rig.effects.iter().all(|(_, _, effect)| !matches!(effect, Effect::Chosen { set: Some(_), .. })));
}

#[test]
fn a_deletion_names_it_and_waits_for_its_pod() {
    let kill = r#"[{"name":"kill","target":{"statefulSet":"zookeeper"},
        "fault":{"podKill":{"members":{"ordinals":[2]},"mode":"graceful"}}}]"#;
    let mut rig = beside(kill, "{}");
    rig.finish();
    assert_eq!(rig.told("delete"), "delete zookeeper 2");
    assert_eq!(rig.told("ended"), "ended kill");
}

#[test]
fn the_run_begins_and_is_over_only_when_it_is_healthy() {
    let mut rig = beside(PAUSE, "{}");
    rig.make_other_ready("zookeeper", 0, false);
    rig.run_until(5 * SECOND);
    assert_eq!(rig.engine.phase(), Phase::Preflight);
    assert_eq!(rig.engine.waiting_for().as_deref(), Some("2 of 3 pods of zookeeper are ready"));
    rig.make_other_ready("zookeeper", 0, true);
    rig.run_into_faults(12);
    rig.make_other_ready("zookeeper", 1, false);
    rig.run_until(rig.now + 8 * SECOND);
    assert_eq!(rig.engine.phase(), Phase::Recovering, "{:#?}", rig.story());
    rig.make_other_ready("zookeeper", 1, true);
    rig.run_until(rig.now + 4 * SECOND);
    assert!(rig.is_finished(), "{:#?}", rig.story());
}

#[test]
fn a_run_without_it_breaks_nothing() {
    let mut rig = Rig::new(experiment(PAUSE, "{}"), 3);
    rig.finish();
    let doubt = rig.told("doubt");
    assert!(doubt.ends_with("the platform has not shown the StatefulSet zookeeper yet"), "{doubt}");
    assert!(rig.applied().is_empty());
}

#[test]
fn its_majority_is_kept_by_its_own_count() {
    let two = PAUSE.replace("[1]", "[0,1]");
    let mut rig = beside(&two, "{}");
    rig.finish();
    let refused = rig.told("refused");
    assert!(refused.contains("3 voters, this takes 2 (zookeeper-0, zookeeper-1): 1 of 3 left"), "{refused}");
    assert!(rig.applied().is_empty());
    let mut rig = beside(&two, r#"{"allowQuorumLoss":true}"#);
    rig.finish();
    assert_eq!(rig.told("ended"), "ended lost");
}

#[test]
fn what_is_held_of_one_is_not_counted_for_the_other() {
    let both = r#"[
        {"name":"own","for":"20s","fault":{"processPause":{"members":{"ordinals":[0]}}}},
        {"name":"other","target":{"statefulSet":"zookeeper"},"at":"5s","for":"5s",
         "fault":{"processPause":{"members":{"ordinals":[0]}}}},
        {"name":"more","target":{"statefulSet":"zookeeper"},"at":"7s","for":"5s",
         "fault":{"processPause":{"members":{"ordinals":[2]}}}}]"#;
    let mut rig = beside(both, "{}");
    rig.finish();
    assert_eq!(rig.told("began other"), "began other");
    let refused = rig.told("refused more");
    assert!(
        refused.contains("1 held down by this run (zookeeper-0), this takes 1 (zookeeper-2): 1 of 3 left"),
        "{refused}"
    );
    rig.assert_reverted();
}

#[test]
fn its_budgets_and_what_others_do_to_it_count() {
    let budget = DisruptionBudget { name: "zk".into(), covers: (0..3).collect(), wants: 3 };
    let by = "Injection other.pause.0.2".to_owned();
    let disturbance = Disturbance { by, down: [2].into(), ..Disturbance::default() };
    for (around, words) in [
        (Snapshot { budgets: vec![budget], ..Snapshot::default() }, "2 of 3 left, the budget wants 3"),
        (
            Snapshot { disturbances: vec![disturbance], ..Snapshot::default() },
            "1 held down (zookeeper-2) by Injection other.pause.0.2",
        ),
    ] {
        let mut rig = beside(PAUSE, "{}");
        let shown = rig.other("zookeeper");
        rig.tell(0, Input::OtherPods(Snapshot { pods: shown.pods, name: shown.name, replicas: 3, ..around }));
        rig.finish();
        let refused = rig.told("refused");
        assert!(refused.contains(words), "{refused}");
    }
}

#[test]
fn a_member_of_it_that_goes_down_as_well_ends_the_fault() {
    let mut rig = beside(PAUSE, "{}");
    rig.run_into_faults(3);
    rig.make_other_ready("zookeeper", 2, false);
    rig.run_into_faults(8);
    let abort = rig.told("abort");
    assert!(
        abort.contains("1 already down (zookeeper-2: not ready), 1 held down by this run (zookeeper-1)"),
        "{abort}"
    );
    rig.finish();
    rig.assert_reverted();
    // One of the target is not its loss.
    let mut rig = beside(PAUSE, "{}");
    rig.run_into_faults(3);
    rig.silent.insert(2);
    rig.run_into_faults(9);
    assert_eq!(rig.engine.phase(), Phase::Faulting);
}

#[test]
fn a_node_that_goes_takes_members_of_the_target_along() {
    let down = r#"[
        {"name":"own","for":"30s","fault":{"processPause":{"members":{"ordinals":[0]}}}},
        {"name":"node","target":{"statefulSet":"zookeeper"},"at":"5s","for":"5s",
         "fault":{"nodeDown":{"members":{"ordinals":[1]}}}}]"#;
    let mut rig = beside(down, "{}");
    rig.place(|pod: &mut Pod| pod.node = format!("node-{}", pod.ordinal));
    rig.finish();
    let refused = rig.told("refused node");
    assert!(refused.contains("1 held down by this run (etcd-0), this takes 1 (etcd-1)"), "{refused}");
    rig.assert_reverted();
    // Where that is allowed the record tells it.
    let mut rig = beside(down, r#"{"allowQuorumLoss":true}"#);
    rig.place(|pod: &mut Pod| pod.node = format!("node-{}", pod.ordinal));
    rig.finish();
    let along = rig.effects.iter().filter_map(|(_, _, effect)| match effect {
        Effect::Chosen { set, along, .. } => Some((set.as_deref(), along.as_slice())),
        _ => None,
    });
    assert_eq!(along.collect::<Vec<_>>(), [(None, &[][..]), (Some("zookeeper"), &[1][..])]);
}

#[test]
fn conditions_on_pods_are_about_its_pods() {
    let when =
        PAUSE.replace(r#""at":"1s""#, r#""when":{"pod":{"ordinal":2,"is":"NotReady"},"within":"20s"}"#);
    let mut rig = beside(&when, r#"{"allowQuorumLoss":true}"#);
    rig.run_into_faults(2);
    assert_eq!(
        rig.engine.waiting_for().as_deref(),
        Some("the start of step lost, when the pod of ordinal 2 is NotReady (zookeeper)")
    );
    rig.make_other_ready("zookeeper", 2, false);
    rig.run_into_faults(4);
    assert_eq!(rig.told("began"), "began lost");
}
