//! The quorum guard, before and while a fault is there.

use super::rig::{Rig, SECOND, experiment};
use crate::api::{DisruptionBudget, Disturbance, Snapshot};
use crate::journal::entry::{Input, Phase};

const MAJORITY: &str =
    r#"[{"name":"p","for":"10s","fault":{"processPause":{"members":{"count":"majority"}}}}]"#;
const ONE: &str = r#"[{"name":"p","for":"20s","fault":{"processPause":{"members":{"ordinals":[0]}}}}]"#;

#[test]
fn refuses_to_take_a_majority_before_anything_is_injected() {
    let mut rig = Rig::new(experiment(MAJORITY, "{}"), 3);
    rig.finish();
    let refused = rig.told("refused");
    assert!(refused.starts_with("refused p: 3 voters, this takes 2 (etcd-"), "{refused}");
    assert!(refused.ends_with("1 of 3 left, a majority is 2; spec.guards.allowQuorumLoss: true allows it"));
    assert!(rig.applied().is_empty());
    assert_eq!(rig.told("Reverting"), "Reverting");
}

#[test]
fn takes_a_majority_where_the_experiment_allows_it() {
    let mut rig = Rig::new(experiment(MAJORITY, r#"{"allowQuorumLoss":true}"#), 3);
    rig.finish();
    assert_eq!(rig.told("ended"), "ended p");
    rig.assert_reverted();
}

#[test]
fn refuses_the_second_of_two_steps_that_overlap_and_reverts_the_first() {
    let steps = r#"[
        {"name":"a","for":"20s","fault":{"processPause":{"members":{"ordinals":[0]}}}},
        {"name":"b","at":"5s","for":"5s","fault":{"processPause":{"members":{"ordinals":[1]}}}}]"#;
    let mut rig = Rig::new(experiment(steps, "{}"), 3);
    rig.finish();
    assert!(rig.told("refused b").contains("1 held down by this run (etcd-0), this takes 1 (etcd-1)"));
    assert_eq!(rig.told("ended a"), "ended a", "proven for as long as it was there");
    let since = rig.entered(Phase::Faulting).expect("faulting");
    assert_eq!(rig.entered(Phase::Reverting), Some(since + 5 * SECOND));
    rig.assert_reverted();
}

#[test]
fn a_member_whose_data_was_destroyed_counts_as_lost_for_the_rest_of_the_run() {
    let steps = r#"[
        {"name":"a","fault":{"claimDelete":{"members":{"ordinals":[0]},"destroysData":true}}},
        {"name":"b","at":"20s","fault":{"claimDelete":{"members":{"ordinals":[1]},"destroysData":true}}}]"#;
    let mut rig = Rig::new(experiment(steps, "{}"), 3);
    rig.finish();
    assert_eq!(rig.told("ended a"), "ended a");
    let refused = rig.told("refused b");
    assert!(refused.contains("1 held down by this run (etcd-0), this takes 1 (etcd-1)"), "{refused}");
    let mut rig = Rig::new(experiment(steps, "{}"), 5);
    rig.finish();
    assert_eq!(rig.told("ended b"), "ended b");
}

#[test]
fn waits_for_a_member_that_is_away_before_it_refuses() {
    let mut rig = Rig::new(experiment(ONE, "{}"), 3);
    rig.run_until(4 * SECOND);
    rig.silent.insert(2);
    rig.finish();
    let since = rig.entered(Phase::Faulting).expect("faulting");
    assert_eq!(rig.entered(Phase::Reverting), Some(since + 15 * SECOND));
    assert!(rig.told("refused").contains("1 already down (etcd-2: unreachable), this takes 1 (etcd-0)"));
}

#[test]
fn a_member_that_goes_down_as_well_ends_the_fault() {
    let mut rig = Rig::new(experiment(ONE, "{}"), 3);
    rig.run_into_faults(5);
    rig.silent.extend([0, 2]);
    rig.run_into_faults(10);
    let abort = rig.told("abort");
    assert!(
        abort.contains("1 already down (etcd-2: unreachable), 1 held down by this run (etcd-0)"),
        "{abort}"
    );
    rig.finish();
    rig.assert_reverted();
}

#[test]
fn what_the_run_itself_takes_down_is_not_blamed_on_the_target() {
    let mut rig = Rig::new(experiment(ONE, "{}"), 3);
    rig.run_into_faults(1);
    rig.silent.insert(0);
    rig.run_into_faults(19);
    rig.silent.clear();
    rig.finish();
    assert_eq!(rig.told("ended"), "ended p");
}

#[test]
fn answers_that_are_lost_for_two_seconds_are_no_death() {
    let mut rig = Rig::new(experiment(ONE, "{}"), 3);
    rig.run_into_faults(5);
    rig.silent.insert(2);
    rig.run_until(rig.now + 2 * SECOND);
    rig.silent.clear();
    rig.finish();
    assert_eq!(rig.told("ended"), "ended p");
}

#[test]
fn an_abort_condition_ends_the_run_with_its_words() {
    let mut rig = Rig::new(experiment(ONE, "{}"), 3);
    rig.run_into_faults(5);
    rig.tell(rig.now, Input::AbortCondition("podAvailability below 34%".into()));
    rig.finish();
    assert_eq!(rig.told("abort"), "abort: podAvailability below 34%");
    rig.assert_reverted();
    assert_eq!(rig.told("read ledger"), "read ledger");
}

#[test]
fn a_run_that_takes_too_long_is_ended() {
    let mut rig = Rig::new(experiment(ONE, r#"{"maxDuration":"8s"}"#), 3);
    rig.finish();
    assert_eq!(rig.told("abort"), "abort: it took longer than spec.guards.maxDuration: 8s");
    rig.assert_reverted();
}

#[test]
fn a_fault_of_another_run_on_the_same_members_ends_this_one() {
    let mut rig = Rig::new(experiment(ONE, "{}"), 3);
    rig.run_into_faults(5);
    let by = "Injection other.pause.0.2".to_owned();
    let disturbance = Disturbance { by, down: [2].into(), ..Disturbance::default() };
    let disturbed = Snapshot { disturbances: vec![disturbance], ..rig.snapshot(3) };
    rig.tell(rig.now, Input::Pods(disturbed));
    rig.run_into_faults(8);
    let abort = rig.told("abort");
    assert!(abort.contains("1 held down (etcd-2) by Injection other.pause.0.2"), "{abort}");
    rig.finish();
    rig.assert_reverted();
}

#[test]
fn a_budget_refuses_a_step_that_does_not_ignore_it() {
    let budget = |rig: &Rig| {
        let covers = (0..3).collect();
        let budgets = vec![DisruptionBudget { name: "etcd".into(), covers, wants: 3 }];
        Input::Pods(Snapshot { budgets, ..rig.snapshot(3) })
    };
    let mut rig = Rig::new(experiment(ONE, "{}"), 3);
    rig.tell(0, budget(&rig));
    rig.finish();
    let refused = rig.told("refused");
    assert!(
        refused.contains("2 of 3 left, the budget wants 3; budgets: ignore in the step allows it"),
        "{refused}"
    );
    assert!(rig.applied().is_empty());
    let ignoring = ONE.replace("\"for\"", "\"budgets\":\"ignore\",\"for\"");
    let mut rig = Rig::new(experiment(&ignoring, "{}"), 3);
    rig.tell(0, budget(&rig));
    rig.finish();
    assert_eq!(rig.told("ended"), "ended p");
}
