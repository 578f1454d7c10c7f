//! What a journal says happened: phases, steps, Injections, and the engine's own words. Nothing is derived here that the
//! journal does not say, and the engine is never asked.

mod occurrence;

use std::collections::{BTreeMap, BTreeSet};

use super::affected;
use crate::api::{Nanos, Ordinal, Snapshot};
use crate::journal::entry::{Effect, Entry, Input, Line, Phase};
use crate::journal::read::Journal;

pub use occurrence::{Deletion, Hit, Observation, Occurrence};

/// A run's facts, in the order of the journal.
#[derive(Debug, Clone, Default)]
pub struct Facts {
    /// When each phase was entered.
    pub phases: Vec<(Nanos, Phase)>,
    /// Every occurrence of a step that was decided.
    pub occurrences: Vec<Occurrence>,
    /// What could not be proven or decided.
    pub doubts: Vec<(Nanos, String)>,
    /// Refusals of a guard.
    pub refusals: Vec<(Nanos, String)>,
    /// Why the run stopped early.
    pub aborts: Vec<(Nanos, String)>,
    /// Reverts that did not succeed.
    pub failed_reverts: Vec<(Nanos, String)>,
    /// When the run ended by itself.
    pub finished: Option<Nanos>,
    /// When the clients began.
    pub workload_began: Option<Nanos>,
    /// When the clients were told to stop.
    pub workload_ended: Option<Nanos>,
    /// When the first decision is missing: they are numbered without gaps.
    pub gap: Option<Nanos>,
    /// The moment of the last line.
    pub end: Nanos,
    /// The number of the next decision.
    next_effect: u64,
    /// The pods as they were last seen, to tell a new one from an old one: of the target, and of each further StatefulSet.
    uids: BTreeMap<Option<String>, BTreeMap<Ordinal, String>>,
    /// Every ordinal of each.
    all: BTreeMap<Option<String>, BTreeSet<Ordinal>>,
}

impl Facts {
    /// Takes everything out of a journal's lines.
    pub fn of(journal: &Journal) -> Self {
        let mut facts = Self { end: journal.end(), ..Self::default() };
        facts.saw(None, &journal.header.target);
        for other in &journal.header.others {
            facts.saw(Some(other.name.clone()), other);
        }
        for line in &journal.lines {
            facts.take(line);
        }
        facts
    }

    /// Takes the next line.
    fn take(&mut self, line: &Line) {
        let time = line.time;
        match &line.entry {
            Entry::Header(_) | Entry::FinalRead { .. } => {}
            Entry::Input(input) => match input {
                Input::Injection { name, status } => {
                    for occurrence in &mut self.occurrences {
                        occurrence.heard(time, name, status);
                    }
                }
                Input::Pods(snapshot) => self.pods(time, None, snapshot),
                Input::OtherPods(snapshot) => self.pods(time, Some(snapshot.name.clone()), snapshot),
                Input::Members(_)
                | Input::Unmet(_)
                | Input::Conditions(_)
                | Input::Volumes(_)
                | Input::Disks { .. }
                | Input::Request { .. }
                | Input::AbortCondition(_)
                | Input::Interrupted {}
                | Input::Stopped { .. }
                | Input::Answer { .. }
                | Input::Wake {} => {}
            },
            Entry::Effect { id, effect } => {
                if *id != self.next_effect {
                    self.gap.get_or_insert(time);
                }
                self.next_effect = id.saturating_add(1);
                self.effect(time, effect);
            }
        }
    }

    /// Who there was in the beginning.
    fn saw(&mut self, set: Option<String>, snapshot: &Snapshot) {
        self.uids.insert(set.clone(), uids(snapshot));
        self.all.insert(set, snapshot.ordinals().collect());
    }

    fn pods(&mut self, time: Nanos, set: Option<String>, snapshot: &Snapshot) {
        for occurrence in self.occurrences.iter_mut().filter(|occurrence| occurrence.set == set) {
            occurrence.saw_pods(time, snapshot);
        }
        self.uids.insert(set, uids(snapshot));
    }

    fn effect(&mut self, time: Nanos, effect: &Effect) {
        match effect {
            Effect::Phase(phase) => self.phases.push((time, *phase)),
            Effect::Chosen { step, occurrence, picked, set, members, damage, along: _ } => {
                let mut chosen = Occurrence::chosen(step, *occurrence, members, time);
                chosen.picked.clone_from(picked);
                chosen.set.clone_from(set);
                let all = self.all.get(set).cloned().unwrap_or_default();
                chosen.affected = affected::members(&all, &[damage]).into_iter().collect();
                self.occurrences.push(chosen);
            }
            Effect::Began { step, occurrence } => {
                if let Some(found) = self.occurrence(step, *occurrence) {
                    found.began = found.began.or(Some(time));
                }
            }
            Effect::Ended { step, occurrence, unproven } => {
                if let Some(found) = self.occurrence(step, *occurrence) {
                    found.ended = found.ended.or(Some(time));
                    found.unproven.clone_from(unproven);
                }
            }
            Effect::Apply(spec) => {
                if let Some(found) = self.occurrence(&spec.step, spec.occurrence) {
                    found.asked(time, spec);
                }
            }
            Effect::DeletePod { set, ordinal, grace: _ } => {
                let uid = self.uids.get(set).and_then(|uids| uids.get(ordinal)).cloned();
                // The effect names no step: it belongs to the newest occurrence that hits this member and has not ended.
                let asking = self.occurrences.iter_mut().rev().find(|occurrence| {
                    occurrence.ended.is_none()
                        && occurrence.set == *set
                        && occurrence.members.contains(ordinal)
                });
                if let Some(found) = asking {
                    found.deleted(time, *ordinal, uid);
                }
            }
            Effect::Forget { .. } | Effect::ReadLedger {} => {}
            Effect::StartWorkload {} => {
                self.workload_began.get_or_insert(time);
            }
            Effect::StopWorkload {} => {
                self.workload_ended.get_or_insert(time);
            }
            Effect::Doubt { reason } => self.doubts.push((time, reason.clone())),
            Effect::Refused { step, reason } => {
                self.refusals.push((time, format!("step `{step}`: {reason}")));
            }
            Effect::Abort { reason } => self.aborts.push((time, reason.clone())),
            Effect::RevertFailed { reason } => self.failed_reverts.push((time, reason.clone())),
            Effect::Finish {} => self.finished = Some(time),
        }
    }

    fn occurrence(&mut self, step: &str, occurrence: u32) -> Option<&mut Occurrence> {
        self.occurrences.iter_mut().rev().find(|found| found.step == step && found.occurrence == occurrence)
    }

    /// When a phase was entered for the first time.
    pub fn entered(&self, phase: Phase) -> Option<Nanos> {
        self.phases.iter().find(|(_, entered)| *entered == phase).map(|&(time, _)| time)
    }

    /// Whether the run stopped before its time.
    pub fn stopped_early(&self) -> bool {
        !self.aborts.is_empty() || !self.refusals.is_empty() || self.finished.is_none()
    }

    /// `, while cut-leader hit member 0`, for sentences: the faults that were there at some time between two moments,
    /// if any.
    pub fn faults_between(&self, from: Nanos, to: Nanos) -> Option<String> {
        let active: Vec<String> = self
            .occurrences
            .iter()
            .filter(|occurrence| occurrence.chosen <= to && occurrence.ended.is_none_or(|ended| from < ended))
            .map(Occurrence::told)
            .collect();
        (!active.is_empty()).then(|| format!(", while {}", active.join(" and ")))
    }
}

fn uids(snapshot: &Snapshot) -> BTreeMap<Ordinal, String> {
    snapshot.pods.iter().map(|pod| (pod.ordinal, pod.uid.clone())).collect()
}
