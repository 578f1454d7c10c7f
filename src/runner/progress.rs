//! What an Experiment's status says of a run, folded from the journal's entries. Pure.

use std::collections::BTreeSet;

use jiff::Timestamp;

use crate::api::{Ordinal, Snapshot};
use crate::journal::entry::{self, Effect, Entry};
use crate::judge::affected;
use crate::resource::Phase;

/// How far a run is.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Progress {
    /// When it began.
    pub started_at: Option<Timestamp>,
    /// Its seed.
    pub seed: Option<u64>,
    /// Where it is.
    pub phase: Option<Phase>,
    /// Whether a fault could not be taken back.
    pub revert_failed: bool,
    target: Snapshot,
    others: Vec<Snapshot>,
    /// Decided occurrences, in order.
    faults: Vec<Fault>,
    /// What matters more than the phase, for as long as the run goes on.
    told: Option<String>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
struct Fault {
    step: String,
    occurrence: u32,
    /// What it does, where the step has a choice.
    picked: Option<String>,
    /// The further StatefulSet that they belong to; the target where there is none.
    set: Option<String>,
    members: Vec<Ordinal>,
    is_in_force: bool,
}

impl Progress {
    /// Takes notice of a journal entry.
    pub fn observe(&mut self, entry: &Entry) {
        match entry {
            Entry::Header(header) => {
                self.started_at = Some(header.started_at);
                self.seed = Some(header.seed);
                self.target = header.target.clone();
                self.others.clone_from(&header.others);
            }
            Entry::Effect { effect, .. } => self.effect(effect),
            Entry::Input(_) | Entry::FinalRead { .. } => {}
        }
    }

    fn effect(&mut self, effect: &Effect) {
        match effect {
            Effect::Phase(phase) => {
                self.phase = Some(match phase {
                    entry::Phase::Preflight => Phase::Preflight,
                    entry::Phase::Baseline => Phase::Baseline,
                    entry::Phase::Faulting => Phase::Faulting,
                    entry::Phase::Recovering => Phase::Recovering,
                    entry::Phase::Reverting => Phase::Reverting,
                    // The verdict is not there before the judge has read the journal.
                    entry::Phase::Settling | entry::Phase::Judged => Phase::Settling,
                });
            }
            Effect::Chosen { step, occurrence, picked, set, members, damage, along: _ } => {
                let snapshot = match set {
                    None => Some(&self.target),
                    Some(set) => self.others.iter().find(|other| other.name == *set),
                };
                let all: BTreeSet<Ordinal> = snapshot.iter().flat_map(|found| found.ordinals()).collect();
                let affected: Vec<Ordinal> = affected::members(&all, &[damage]).into_iter().collect();
                self.faults.push(Fault {
                    step: step.clone(),
                    occurrence: *occurrence,
                    picked: picked.as_ref().map(|picked| picked.name.clone()),
                    set: set.clone(),
                    members: if affected.is_empty() { members.clone() } else { affected },
                    is_in_force: false,
                });
            }
            Effect::Began { step, occurrence } => {
                let found = self.faults.iter_mut().find(|fault| fault.is(step, *occurrence));
                if let Some(fault) = found {
                    fault.is_in_force = true;
                }
            }
            Effect::Ended { step, occurrence, .. } => {
                self.faults.retain(|fault| !fault.is(step, *occurrence));
            }
            Effect::Doubt { reason } => {
                self.told.get_or_insert_with(|| reason.clone());
            }
            Effect::Refused { step, reason } => {
                self.told = Some(format!("step {step} was refused: {reason}"));
            }
            Effect::Abort { reason } => self.told = Some(format!("aborted: {reason}")),
            Effect::RevertFailed { reason } => {
                self.revert_failed = true;
                self.told = Some(format!("a fault could not be taken back: {reason}"));
            }
            Effect::Apply(_)
            | Effect::DeletePod { .. }
            | Effect::Forget { .. }
            | Effect::StartWorkload {}
            | Effect::StopWorkload {}
            | Effect::ReadLedger {}
            | Effect::Finish {} => {}
        }
    }

    /// The faults in force now: `cut-leader on etcd-1`.
    pub fn fault(&self) -> Option<String> {
        let told: Vec<String> =
            self.faults.iter().filter(|fault| fault.is_in_force).map(|fault| self.name(fault)).collect();
        (!told.is_empty()).then(|| told.join("; "))
    }

    fn name(&self, fault: &Fault) -> String {
        let set = fault.set.as_ref().unwrap_or(&self.target.name);
        let pods: Vec<String> = fault.members.iter().map(|ordinal| format!("{set}-{ordinal}")).collect();
        let picked = fault.picked.as_ref().map_or_else(String::new, |picked| format!(" ({picked})"));
        let whom = if pods.is_empty() { set.clone() } else { pods.join(", ") };
        format!("{}{picked} on {whom}", fault.step)
    }

    /// The state in one sentence.
    pub fn message(&self) -> String {
        if let Some(told) = &self.told {
            return told.clone();
        }
        match self.phase {
            None | Some(Phase::Waiting | Phase::Starting) => "the runner starts".into(),
            Some(Phase::Preflight) => "waiting for the target to be healthy".into(),
            Some(Phase::Baseline) => "the steady state must hold before anything is broken".into(),
            Some(Phase::Faulting) => match self.faults.iter().find(|fault| !fault.is_in_force) {
                Some(arming) => format!("injecting {}", self.name(arming)),
                None => match self.fault() {
                    Some(fault) => format!("{fault} is in force, proven"),
                    None => "waiting for the next step".into(),
                },
            },
            Some(Phase::Recovering) => "every fault is reverted; waiting for recovery".into(),
            Some(Phase::Reverting) => "every fault is being reverted".into(),
            Some(Phase::Settling) => "reading what every member holds".into(),
            Some(Phase::Judged | Phase::Refused) => String::new(),
        }
    }
}

impl Fault {
    fn is(&self, step: &str, occurrence: u32) -> bool {
        self.step == step && self.occurrence == occurrence
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fault::Damage;

    fn effect(effect: Effect) -> Entry {
        Entry::Effect { id: 0, effect }
    }

    fn faulting() -> Progress {
        let target = Snapshot { name: "etcd".into(), replicas: 3, ..Snapshot::default() };
        let mut progress = Progress { target, ..Progress::default() };
        progress.observe(&effect(Effect::Phase(entry::Phase::Faulting)));
        let damage =
            Damage { cut: [(1, 0), (0, 1), (1, 2), (2, 1)].into_iter().collect(), ..Damage::default() };
        progress.observe(&effect(Effect::Chosen {
            step: "cut".into(),
            occurrence: 0,
            picked: None,
            set: None,
            members: vec![0, 1, 2],
            damage,
            along: Vec::new(),
        }));
        progress
    }

    #[test]
    fn a_fault_is_told_from_its_proof_to_its_end_by_whom_it_takes_away() {
        let mut progress = faulting();
        assert_eq!(progress.fault(), None);
        assert_eq!(progress.message(), "injecting cut on etcd-1");
        progress.observe(&effect(Effect::Began { step: "cut".into(), occurrence: 0 }));
        assert_eq!(progress.fault().as_deref(), Some("cut on etcd-1"));
        assert_eq!(progress.message(), "cut on etcd-1 is in force, proven");
        progress.observe(&effect(Effect::Ended { step: "cut".into(), occurrence: 0, unproven: None }));
        assert_eq!(progress.fault(), None);
        assert_eq!(progress.message(), "waiting for the next step");
    }

    #[test]
    fn what_a_step_chose_is_told_with_it() {
        let target = Snapshot { name: "etcd".into(), replicas: 3, ..Snapshot::default() };
        let mut progress = Progress { target, ..Progress::default() };
        progress.observe(&effect(Effect::Chosen {
            step: "soak".into(),
            occurrence: 4,
            picked: Some(entry::Picked { place: 1, name: "processPause".into() }),
            set: None,
            members: vec![1],
            damage: Damage { down: [1].into_iter().collect(), ..Damage::default() },
            along: Vec::new(),
        }));
        progress.observe(&effect(Effect::Began { step: "soak".into(), occurrence: 4 }));
        assert_eq!(progress.fault().as_deref(), Some("soak (processPause) on etcd-1"));
    }

    #[test]
    fn a_fault_elsewhere_is_told_by_the_pods_there() {
        let snapshot = |name: &str| Snapshot { name: name.into(), replicas: 3, ..Snapshot::default() };
        let others = vec![snapshot("zookeeper")];
        let mut progress = Progress { target: snapshot("kafka"), others, ..Progress::default() };
        let mut chosen = |members: Vec<Ordinal>, down: &[Ordinal]| {
            progress.observe(&effect(Effect::Chosen {
                step: "lost".into(),
                occurrence: 0,
                picked: None,
                set: Some("zookeeper".into()),
                members,
                damage: Damage { down: down.iter().copied().collect(), ..Damage::default() },
                along: Vec::new(),
            }));
            progress.observe(&effect(Effect::Began { step: "lost".into(), occurrence: 0 }));
            let told = progress.fault();
            progress.observe(&effect(Effect::Ended { step: "lost".into(), occurrence: 0, unproven: None }));
            told
        };
        assert_eq!(chosen(vec![1], &[1]).as_deref(), Some("lost on zookeeper-1"));
        assert_eq!(chosen(Vec::new(), &[]).as_deref(), Some("lost on zookeeper"));
    }

    #[test]
    fn why_a_run_stops_is_told_until_its_end() {
        let mut progress = faulting();
        progress.observe(&effect(Effect::Abort { reason: "a Halt exists".into() }));
        progress.observe(&effect(Effect::Phase(entry::Phase::Reverting)));
        progress.observe(&effect(Effect::Phase(entry::Phase::Judged)));
        assert_eq!(progress.phase, Some(Phase::Settling), "there is no verdict yet");
        assert_eq!(progress.message(), "aborted: a Halt exists");
    }

    #[test]
    fn a_failed_revert_is_never_forgotten() {
        let mut progress = faulting();
        progress.observe(&effect(Effect::RevertFailed { reason: "etcd-1".into() }));
        progress.observe(&effect(Effect::Ended { step: "cut".into(), occurrence: 0, unproven: None }));
        assert!(progress.revert_failed);
    }
}
