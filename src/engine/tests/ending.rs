//! Reverts that do not succeed, people who interrupt, and final reads that do not come.

use super::rig::{Fate, Rig, SECOND, experiment, polite};
use crate::api::{Desired, InjectionState};
use crate::journal::entry::{Effect, Input, Phase};

const PAUSE: &str = r#"[{"name":"p","for":"10s","fault":{"processPause":{"members":{"ordinals":[1]}}}}]"#;

fn no_revert(effect: &Effect) -> Fate {
    match effect {
        Effect::Apply(spec) if spec.desired == Desired::Reverted => Fate::Refused,
        _ => Fate::After(vec![20]),
    }
}

#[test]
fn a_revert_is_asked_for_until_it_is_verified_and_told_when_it_is_late() {
    let mut rig = Rig::new(experiment(PAUSE, "{}"), 3).with_manners(polite(), Box::new(no_revert));
    rig.finish();
    let asked = rig.applied().iter().filter(|(_, spec)| spec.desired == Desired::Reverted).count();
    assert!(asked >= 4, "{asked}");
    assert!(rig.told("revert failed").contains("run.p.0.1 on node: its node says RevertFailed"));
    assert_eq!(rig.told("read ledger"), "read ledger", "final reads are made all the same");
}

#[test]
fn nothing_more_is_broken_after_a_failed_revert() {
    let steps = r#"[
        {"name":"a","for":"5s","fault":{"processPause":{"members":{"ordinals":[1]}}}},
        {"name":"b","at":"60s","for":"5s","fault":{"processPause":{"members":{"ordinals":[2]}}}}]"#;
    let mut rig = Rig::new(experiment(steps, "{}"), 3).with_manners(polite(), Box::new(no_revert));
    rig.finish();
    assert_eq!(rig.told("abort"), "abort: a revert failed, so nothing more is broken");
    assert!(!rig.story().iter().any(|line| line.starts_with("chosen b")));
}

#[test]
fn a_late_revert_still_counts() {
    let slow = |effect: &Effect| match effect {
        Effect::Apply(spec) if spec.desired == Desired::Reverted => Fate::After(vec![11_500]),
        _ => Fate::After(vec![20]),
    };
    let mut rig = Rig::new(experiment(PAUSE, "{}"), 3).with_manners(polite(), Box::new(slow));
    rig.finish();
    assert_eq!(rig.told("ended"), "ended p");
}

#[test]
fn an_interrupt_reverts_first_and_a_second_one_does_not_lose_that() {
    let mut slow = 0;
    let manners = move |effect: &Effect| match effect {
        Effect::Apply(spec) if spec.desired == Desired::Reverted => {
            slow += 1;
            if slow < 3 { Fate::Never } else { Fate::After(vec![20]) }
        }
        _ => Fate::After(vec![20]),
    };
    let mut rig = Rig::new(experiment(PAUSE, "{}"), 3).with_manners(polite(), Box::new(manners));
    rig.run_into_faults(5);
    rig.tell(rig.now, Input::Interrupted {});
    rig.tell(rig.now + SECOND, Input::Interrupted {});
    rig.run_into_faults(7);
    assert_eq!(rig.engine.phase(), Phase::Reverting);
    rig.finish();
    assert_eq!(rig.told("abort"), "abort: interrupted");
    assert!(rig.story().iter().any(|line| line.starts_with("ended p")));
    rig.assert_reverted();
}

#[test]
fn an_interrupt_before_anything_ends_at_once() {
    let mut rig = Rig::new(experiment(PAUSE, "{}"), 3);
    rig.silent.insert(0);
    rig.run_until(5 * SECOND);
    rig.tell(rig.now, Input::Interrupted {});
    rig.run_until(6 * SECOND);
    assert!(rig.is_finished());
}

#[test]
fn an_interrupt_during_final_reads_ends_at_once() {
    let answers = |effect: &Effect| match effect {
        Effect::ReadLedger {} => Fate::Never,
        _ => Fate::After(vec![20]),
    };
    let mut rig = Rig::new(experiment("[]", "{}"), 3).with_manners(Box::new(answers), polite());
    rig.run_until(20 * SECOND);
    assert_eq!(rig.engine.phase(), Phase::Settling);
    rig.tell(rig.now, Input::Interrupted {});
    rig.run_until(21 * SECOND);
    assert!(rig.is_finished());
    assert!(rig.told("abort").contains("before the final reads"));
}

#[test]
fn clients_and_ledgers_that_do_not_answer_are_doubted() {
    let answers = |effect: &Effect| match effect {
        Effect::ReadLedger {} | Effect::StopWorkload {} => Fate::Never,
        _ => Fate::After(vec![20]),
    };
    let mut rig = Rig::new(experiment("[]", "{}"), 3).with_manners(Box::new(answers), polite());
    rig.finish();
    assert_eq!(rig.told("doubt: the clients"), "doubt: the clients did not finish: no answer within 11s");
    assert_eq!(rig.told("doubt: the ledger"), "doubt: the ledger was not read: no answer within 1m");
}

#[test]
fn a_fault_that_comes_back_while_others_are_reverted_is_reverted_again() {
    let steps = r#"[{"name":"p","for":"5s","fault":{"processPause":{"members":{"ordinals":[0,1]}}}}]"#;
    let manners = |effect: &Effect| match effect {
        Effect::Apply(spec) if spec.desired == Desired::Reverted && spec.pod.ordinal == 0 => {
            Fate::After(vec![2_500])
        }
        _ => Fate::After(vec![20]),
    };
    let mut rig = Rig::new(experiment(steps, "{}"), 5).with_manners(polite(), Box::new(manners));
    rig.run_into_faults(6);
    let before = rig.applied().len();
    let status = rig.status(InjectionState::Injected, rig.now, std::time::Duration::from_secs(6));
    rig.tell(rig.now, Input::Injection { name: "run.p.0.1".into(), status });
    rig.run_until(rig.now + SECOND / 10);
    let applied = rig.applied();
    assert_eq!(applied.len(), before + 1);
    assert_eq!(
        (applied[before].1.name.as_str(), applied[before].1.desired),
        ("run.p.0.1", Desired::Reverted)
    );
}

#[test]
fn nothing_comes_after_the_end() {
    let mut rig = Rig::new(experiment("[]", "{}"), 3);
    rig.finish();
    assert!(rig.engine.step(rig.now + SECOND, &Input::Interrupted {}).is_empty());
    assert_eq!(rig.engine.wake_at(), None);
}
