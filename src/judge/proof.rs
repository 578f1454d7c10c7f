//! Whether a step's fault was really there, judged from what nodes and platform observed and not from what the engine
//! made of it.
//!
//! The rule: every chosen member has a hit; before a step counts as begun every hit was proven; a fault that lasts was
//! proven for at least [`ENOUGH`] of the time from then until its end was asked for, both by the proofs on record and by
//! the node's own count. A stretch between two proofs further apart than [`RENEWAL`] does not count, nor one that ends
//! with a lost effect, because nobody saw the effect in it.

use super::facts::{Facts, Hit, Observation, Occurrence};
use super::judgement::StepOutcome;
use super::words;
use crate::api::{InjectionState, Nanos};
use crate::experiment::Experiment;

/// How much of its time a fault must be proven for, in thousandths.
pub const ENOUGH: u64 = 900;

/// Proofs are renewed every second; one that comes later than this left a hole.
pub const RENEWAL: Nanos = 1_750_000_000;

/// What a report says of an occurrence.
pub(super) fn outcome(experiment: &Experiment, occurrence: &Occurrence, facts: &Facts) -> StepOutcome {
    let fault = occurrence.what(experiment).map_or("unknown", |what| what.work.name());
    let shares = occurrence
        .hits
        .values()
        .filter(|hit| !hit.is_once)
        .filter_map(|hit| held(occurrence, hit, facts.end).map(|held| held.share()));
    let newest = occurrence
        .hits
        .values()
        .flat_map(|hit| hit.observations.iter().filter(|seen| shows_effect(seen)))
        .max_by_key(|seen| seen.at);
    let gone = occurrence.deletions.iter().filter(|deletion| deletion.effective.is_some()).count();
    let renewed: usize = occurrence.hits.values().map(|hit| renewals(hit).count()).sum();
    StepOutcome {
        step: occurrence.step.clone(),
        occurrence: occurrence.occurrence,
        fault: fault.to_owned(),
        set: occurrence.set.clone(),
        members: occurrence.members.clone(),
        affected: occurrence.affected.clone(),
        chosen: occurrence.chosen,
        began: occurrence.began,
        ended: occurrence.ended,
        effective_share: shares.min().map(|share| share as u32),
        proofs: (renewed + gone) as u32,
        proof: newest.map(|seen| seen.words.clone()).or_else(|| seen_gone(occurrence)),
        unproven: unproven(occurrence, facts),
    }
}

/// What the platform showed of the pods that were deleted.
fn seen_gone(occurrence: &Occurrence) -> Option<String> {
    let gone =
        occurrence.deletions.iter().filter_map(|deletion| Some((deletion.ordinal, deletion.effective?)));
    let (members, times): (Vec<_>, Vec<_>) = gone.unzip();
    let last = words::at(times.into_iter().max()?);
    let whom = words::members_of(occurrence.set.as_deref(), &members);
    Some(match members.len() {
        1 => format!("the deleted pod of {whom} was seen to go {last}"),
        _ => format!("the deleted pods of {whom} were seen to go, the last {last}"),
    })
}

/// Why an occurrence's effect does not count as proven, where it does not.
fn unproven(occurrence: &Occurrence, facts: &Facts) -> Option<String> {
    let Some(began) = occurrence.began else {
        let why = occurrence.unproven.clone().unwrap_or_else(|| {
            "it was decided, but never shown to have taken effect on every member that it hits".into()
        });
        return Some(why);
    };
    if let Some(why) = &occurrence.unproven {
        return Some(why.clone());
    }
    let unhit = occurrence.members.iter().find(|ordinal| {
        !occurrence.hits.values().any(|hit| hit.ordinal == **ordinal)
            && !occurrence.deletions.iter().any(|deletion| deletion.ordinal == **ordinal)
    });
    if let Some(ordinal) = unhit {
        return Some(format!("nothing on record was done to {}", occurrence.member(*ordinal)));
    }
    let undone = occurrence.deletions.iter().find(|deletion| deletion.effective.is_none());
    if let Some(deletion) = undone {
        return Some(format!(
            "the pod of {} was to be deleted {}, but was never seen gone",
            occurrence.member(deletion.ordinal),
            words::at(deletion.asked)
        ));
    }
    if occurrence.ended.is_none() {
        return Some(format!("it began {}, and its end is not on record", words::at(began)));
    }
    occurrence.hits.values().find_map(|hit| unproven_hit(occurrence, hit, began, facts.end))
}

fn unproven_hit(occurrence: &Occurrence, hit: &Hit, began: Nanos, end: Nanos) -> Option<String> {
    let whom = occurrence.whom(hit);
    if !renewals(hit).any(|seen| seen.at <= began) {
        return Some(format!("no proof of its effect on {whom} is on record before it began"));
    }
    if hit.is_once {
        return None;
    }
    let held = held(occurrence, hit, end)?;
    if held.share() >= ENOUGH {
        return None;
    }
    let share = words::ratio(held.share() * 1000);
    Some(match (held.lost, held.hole) {
        (Some((at, what)), _) => format!(
            "its effect on {whom} was lost {}: {what} (proven for {share} of its time)",
            words::at(at)
        ),
        (None, Some(at)) => format!(
            "its effect on {whom} was not proven again after {} (proven for {share} of its time)",
            words::moment(at)
        ),
        (None, None) => format!(
            "the node counted {} of effect on {whom}, {share} of its time",
            words::time(hit.effective_for())
        ),
    })
}

/// For how long a lasting hit's effect was there.
struct Held {
    /// How long it should have been.
    wanted: Nanos,
    /// How long it is proven to have been.
    proven: Nanos,
    /// The first time that it was seen to be gone, and what was seen.
    lost: Option<(Nanos, String)>,
    /// The first proof that was not renewed in time.
    hole: Option<Nanos>,
}

impl Held {
    /// In thousandths.
    fn share(&self) -> u64 {
        if self.wanted == 0 {
            return 1000;
        }
        (u128::from(self.proven) * 1000 / u128::from(self.wanted)).min(1000) as u64
    }
}

fn held(occurrence: &Occurrence, hit: &Hit, end: Nanos) -> Option<Held> {
    let began = occurrence.began?;
    let until = hit.end_asked.or(occurrence.ended).unwrap_or(end).max(began);
    let mut held = Held { wanted: until - began, proven: 0, lost: None, hole: None };
    let mut last_proof = began;
    let stretch = |held: &mut Held, from: Nanos, to: Nanos, apart: Nanos| {
        if apart <= RENEWAL {
            held.proven += to.saturating_sub(from);
        } else {
            held.hole = held.hole.or(Some(from));
        }
    };
    let mut newest = None;
    let mut effective = true;
    for seen in hit.observations.iter().filter(|seen| seen.at <= until) {
        if shows_effect(seen) {
            if seen.proven_at <= newest {
                continue;
            }
            // A status may arrive late: the node's own times say how far two proofs are apart.
            let by_node = seen
                .proven_at
                .zip(newest)
                .map(|(now, before)| u64::try_from(now.duration_since(before).as_nanos()).unwrap_or(0));
            newest = seen.proven_at;
            if effective && seen.at > began {
                let apart = seen.at.saturating_sub(last_proof);
                stretch(&mut held, last_proof, seen.at, by_node.map_or(apart, |by_node| by_node.min(apart)));
            }
            last_proof = seen.at.max(began);
            effective = true;
        } else if seen.at > began {
            effective = false;
            held.lost = held.lost.or(Some((seen.at, seen.words.clone())));
        }
    }
    if effective {
        stretch(&mut held, last_proof, until, until - last_proof);
    }
    // The node's count may lack what passed since its last renewal, where it was never asked again.
    let counted = hit.effective_for().saturating_add(RENEWAL.min(until - last_proof));
    held.proven = held.proven.min(counted);
    Some(held)
}

fn shows_effect(seen: &Observation) -> bool {
    seen.holds
        && match seen.state {
            InjectionState::Injected => true,
            InjectionState::Pending
            | InjectionState::Lost
            | InjectionState::Failed
            | InjectionState::Reverted
            | InjectionState::RevertFailed => false,
        }
}

/// The observations that bring a new proof of effect: a status told twice is one proof.
fn renewals(hit: &Hit) -> impl Iterator<Item = &Observation> {
    let mut newest = None;
    hit.observations.iter().filter(move |seen| {
        let is_new = shows_effect(seen) && seen.proven_at > newest;
        if is_new {
            newest = seen.proven_at;
        }
        is_new
    })
}
