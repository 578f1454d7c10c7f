//! One occurrence of a step, with everything that was observed of its effect.

use std::collections::BTreeMap;

use jiff::Timestamp;

use crate::experiment::{Alternative, Experiment};
use crate::journal::entry::Picked;
use crate::judge::words;

use crate::api::{
    Desired, InjectionSpec, InjectionState, InjectionStatus, Nanos, Ordinal, PodPhase, Snapshot,
};

/// One occurrence of a step.
#[derive(Debug, Clone)]
pub struct Occurrence {
    /// The step.
    pub step: String,
    /// Which occurrence, from 0.
    pub occurrence: u32,
    /// Which of the step's alternatives it is, where there is a choice.
    pub picked: Option<Picked>,
    /// The further StatefulSet that it acts on; the target where there is none.
    pub set: Option<String>,
    /// Whom it hits.
    pub members: Vec<Ordinal>,
    /// Whom it takes down or cuts off.
    pub affected: Vec<Ordinal>,
    /// When it was decided.
    pub chosen: Nanos,
    /// When the engine took every hit for proven.
    pub began: Option<Nanos>,
    /// When the engine took every hit for reverted.
    pub ended: Option<Nanos>,
    /// Why the engine does not take its effect for proven.
    pub unproven: Option<String>,
    /// Its Injections, by name.
    pub hits: BTreeMap<String, Hit>,
    /// Its deleted pods.
    pub deletions: Vec<Deletion>,
}

/// An Injection and what its node said.
#[derive(Debug, Clone)]
pub struct Hit {
    /// Whom it hits.
    pub ordinal: Ordinal,
    /// Whether it is about the StatefulSet as a whole, and the ordinal says nothing.
    pub is_of_whole_set: bool,
    /// Whether it happens once, so that there is nothing to hold.
    pub is_once: bool,
    /// When it was asked for.
    pub asked: Nanos,
    /// When its end was asked for.
    pub end_asked: Option<Nanos>,
    /// What its node said while it was to be there, in order.
    pub observations: Vec<Observation>,
    /// For how long its effect was proven on the newest pod, as its node counts.
    counted_now: Nanos,
    /// The same on earlier pods.
    counted_before: Nanos,
}

impl Hit {
    /// For how long its effect was proven, as its node counted.
    pub fn effective_for(&self) -> Nanos {
        self.counted_before.saturating_add(self.counted_now)
    }
}

/// One status.
#[derive(Debug, Clone)]
pub struct Observation {
    /// When the run heard it.
    pub at: Nanos,
    /// Where the Injection stood.
    pub state: InjectionState,
    /// When its newest proof was taken, by the node's wall clock.
    pub proven_at: Option<Timestamp>,
    /// Whether that proof shows the effect.
    pub holds: bool,
    /// What the proof or the error says.
    pub words: String,
}

/// A pod that was deleted through the platform.
#[derive(Debug, Clone)]
pub struct Deletion {
    /// Whose.
    pub ordinal: Ordinal,
    /// When it was asked for.
    pub asked: Nanos,
    /// When the ordinal was seen without that pod: gone, terminating, or with another UID.
    pub effective: Option<Nanos>,
    /// The UID that it had.
    uid: Option<String>,
}

impl Occurrence {
    pub(super) fn chosen(step: &str, occurrence: u32, members: &[Ordinal], time: Nanos) -> Self {
        Self {
            step: step.to_owned(),
            occurrence,
            picked: None,
            set: None,
            members: members.to_vec(),
            affected: Vec::new(),
            chosen: time,
            began: None,
            ended: None,
            unproven: None,
            hits: BTreeMap::new(),
            deletions: Vec::new(),
        }
    }

    /// What it does, as the experiment says.
    pub fn what<'a>(&self, experiment: &'a Experiment) -> Option<&'a Alternative> {
        let step = experiment.steps.iter().find(|step| step.name == self.step)?;
        step.alternatives().get(self.picked.as_ref().map_or(0, |picked| picked.place as usize))
    }

    /// `cut-leader hit member 0`, for sentences: whom it takes away, or where it is applied if that is nobody.
    pub fn told(&self) -> String {
        let whom = if self.affected.is_empty() { &self.members } else { &self.affected };
        let picked = self.picked.as_ref().map_or_else(String::new, |picked| format!(" ({})", picked.name));
        if whom.is_empty() {
            let elsewhere = self.set.as_ref().map(|set| format!(" at {set}")).unwrap_or_default();
            return format!("{}{picked} went on{elsewhere}", self.step);
        }
        format!("{}{picked} hit {}", self.step, words::members_of(self.set.as_deref(), whom))
    }

    /// Whom one of its Injections hits, in a sentence.
    pub(in crate::judge) fn whom(&self, hit: &Hit) -> String {
        match &self.set {
            _ if !hit.is_of_whole_set => self.member(hit.ordinal),
            Some(set) => format!("StatefulSet {set}"),
            None => "the StatefulSet".into(),
        }
    }

    /// A member of where it acts, in a sentence.
    pub(in crate::judge) fn member(&self, ordinal: Ordinal) -> String {
        words::members_of(self.set.as_deref(), &[ordinal])
    }

    pub(super) fn asked(&mut self, time: Nanos, spec: &InjectionSpec) {
        match spec.desired {
            Desired::Injected => {
                self.hits.entry(spec.name.clone()).or_insert_with(|| Hit {
                    ordinal: spec.pod.ordinal,
                    is_of_whole_set: spec.is_of_whole_set(),
                    is_once: spec.fault.happens_once(),
                    asked: time,
                    end_asked: None,
                    observations: Vec::new(),
                    counted_now: 0,
                    counted_before: 0,
                });
            }
            Desired::Reverted => {
                if let Some(hit) = self.hits.get_mut(&spec.name) {
                    hit.end_asked = hit.end_asked.or(Some(time));
                }
            }
        }
    }

    pub(super) fn heard(&mut self, time: Nanos, name: &str, status: &InjectionStatus) {
        let Some(hit) = self.hits.get_mut(name) else {
            return;
        };
        let effective = u64::try_from(status.effective_for.as_nanos()).unwrap_or(u64::MAX);
        // A fault that goes over to a new pod is counted from 0 again there.
        if effective < hit.counted_now {
            hit.counted_before = hit.counted_before.saturating_add(hit.counted_now);
        }
        hit.counted_now = effective;
        // A status that is late, or of a new pod that the fault has not come to yet, says nothing about its effect.
        if hit.end_asked.is_none() && status.state != InjectionState::Pending {
            let proof = status.proof.as_ref();
            hit.observations.push(Observation {
                at: time,
                state: status.state,
                proven_at: proof.map(|proof| proof.at),
                holds: proof.is_some_and(|proof| proof.holds),
                words: status
                    .error
                    .clone()
                    .or_else(|| proof.map(|proof| proof.observed.clone()))
                    .unwrap_or_default(),
            });
        }
    }

    pub(super) fn deleted(&mut self, time: Nanos, ordinal: Ordinal, uid: Option<String>) {
        self.deletions.push(Deletion { ordinal, asked: time, effective: None, uid });
    }

    pub(super) fn saw_pods(&mut self, time: Nanos, snapshot: &Snapshot) {
        for deletion in &mut self.deletions {
            let is_there = snapshot.pod(deletion.ordinal).is_some_and(|pod| {
                Some(&pod.uid) == deletion.uid.as_ref() && pod.phase != PodPhase::Terminating
            });
            if deletion.effective.is_none() && !is_there {
                deletion.effective = Some(time);
            }
        }
    }
}
