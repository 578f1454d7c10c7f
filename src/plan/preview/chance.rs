//! What a step must not meet whose moment nobody knows, because it waits for a condition.

use std::collections::BTreeSet;
use std::time::Duration;

use super::{Losses, Planned, Stage};
use crate::experiment::{Experiment, Start, Step};
use crate::plan::guard::Asked;
use crate::plan::timeline::Slot;

/// What a guard would have against such a step, if it came while another one is in force. That is told and refuses nothing: it
/// may as well come at another time. Those that are shown at the same time are judged together already.
pub(super) fn meetings(
    experiment: &Experiment,
    stage: Stage<'_>,
    slots: &[Slot],
    planned: &[Planned],
    lost: &[Losses],
) -> Vec<String> {
    let steps = &experiment.steps;
    let compared = compared(slots, planned, lost);
    let (mut pairs, mut told) = (BTreeSet::new(), Vec::new());
    for &(slot, _, losses) in compared.iter().filter(|(_, planned, _)| planned.when.is_some()) {
        let step = &steps[slot.step];
        let asked = Asked::of(&experiment.guards, step, &slot.what(steps).work);
        let refused =
            |held: &Losses| stage.against(losses, &|which| held.get(which).into_iter().collect(), asked);
        if refused(&Losses::new()).is_some() {
            continue;
        }
        for &(held, _, taken) in &compared {
            let other = &steps[held.step];
            let is_shown = held.start < end(slot, steps) && slot.start < end(held, steps);
            let is_apart = comes_after(steps, step, other) || comes_after(steps, other, step);
            let is_told = pairs.contains(&(slot.step, held.step));
            if end(held, steps) == held.start || is_shown || is_apart || is_told {
                continue;
            }
            if let Some(ruling) = refused(taken) {
                pairs.insert((slot.step, held.step));
                let name = &other.name;
                let is_over = held.what(steps).work.destroys();
                told.push(format!(
                    "step {} waits: should it come {}, a guard refuses it: {}",
                    step.name,
                    if is_over { format!("after {name}") } else { format!("while {name} is in force") },
                    ruling.refusal()
                ));
            }
        }
    }
    told
}

/// An occurrence with what is told of it, and what it takes.
type Occurrence<'a> = (&'a Slot, &'a Planned, &'a Losses);

/// The most that are compared of one step: each is held against each of every other step.
const MOST_COMPARED: usize = 100;

/// One of all occurrences of a step that do the same and take the same: the others are judged alike.
fn compared<'a>(slots: &'a [Slot], planned: &'a [Planned], lost: &'a [Losses]) -> Vec<Occurrence<'a>> {
    let mut compared: Vec<Occurrence<'a>> = Vec::new();
    for ((slot, planned), losses) in slots.iter().zip(planned).zip(lost) {
        let of_step: Vec<&Occurrence<'a>> =
            compared.iter().filter(|(other, ..)| other.step == slot.step).collect();
        let is_alike =
            |(other, _, taken): &Occurrence<'_>| other.alternative == slot.alternative && *taken == losses;
        if of_step.len() < MOST_COMPARED && !of_step.into_iter().any(is_alike) {
            compared.push((slot, planned, losses));
        }
    }
    compared
}

/// When whom it takes is to be relied on again.
fn end(slot: &Slot, steps: &[Step]) -> Duration {
    if slot.is_lasting(steps) { Duration::MAX } else { slot.end }
}

/// Whether a step is the other one, or starts after it, however many there are between them.
fn comes_after(steps: &[Step], step: &Step, other: &Step) -> bool {
    let mut here = step;
    for _ in steps {
        if here.name == other.name {
            return true;
        }
        let Start::After(name) = &here.start else { return false };
        let Some(before) = steps.iter().find(|before| &before.name == name) else { return false };
        here = before;
    }
    false
}
