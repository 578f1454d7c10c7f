//! What a step must not meet whose moment nobody knows, because it waits for a condition.

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
    let first = || slots.iter().zip(planned).zip(lost).filter(|((slot, _), _)| slot.occurrence == 0);
    let mut told = Vec::new();
    for ((slot, _), losses) in first().filter(|((_, planned), _)| planned.when.is_some()) {
        let step = &steps[slot.step];
        let asked = Asked::of(&experiment.guards, step, &slot.what(steps).work);
        let refused =
            |held: &Losses| stage.against(losses, &|which| held.get(which).into_iter().collect(), asked);
        if refused(&Losses::new()).is_some() {
            continue;
        }
        for ((held, _), taken) in first() {
            let other = &steps[held.step];
            let is_shown = held.start < end(slot, steps) && slot.start < end(held, steps);
            let is_apart = comes_after(steps, step, other) || comes_after(steps, other, step);
            if end(held, steps) == held.start || is_shown || is_apart {
                continue;
            }
            if let Some(ruling) = refused(taken) {
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
