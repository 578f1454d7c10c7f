//! What a step must not meet whose moment nobody knows, because it waits for a condition.

use std::time::Duration;

use super::{Planned, Stage};
use crate::experiment::{Experiment, Start, Step};
use crate::fault::Damage;
use crate::plan::guard::Asked;
use crate::plan::timeline::Slot;

/// What a guard would have against such a step, if it came while another one is in force. That is told and refuses nothing: it
/// may as well come at another time. Those that are shown at the same time are judged together already.
pub(super) fn meetings(
    experiment: &Experiment,
    stage: Stage<'_>,
    slots: &[Slot],
    planned: &[Planned],
) -> Vec<String> {
    let steps = &experiment.steps;
    let first = || slots.iter().zip(planned).filter(|(slot, _)| slot.occurrence == 0);
    let mut told = Vec::new();
    for (slot, waiting) in first().filter(|(_, planned)| planned.when.is_some()) {
        let step = &steps[slot.step];
        let asked = Asked::of(&experiment.guards, step, &slot.what(steps).work);
        let refused = |held: &[&Damage]| {
            let ruling = stage.ruling(waiting.set.as_deref(), &waiting.damage, held, asked);
            ruling.filter(|ruling| !ruling.holds)
        };
        if refused(&[]).is_some() {
            continue;
        }
        for (other, held) in first() {
            let other = &steps[other.step];
            let is_shown = held.start < end(waiting) && waiting.start < end(held);
            let is_apart = comes_after(steps, step, other) || comes_after(steps, other, step);
            if held.set != waiting.set || end(held) == held.start || is_shown || is_apart {
                continue;
            }
            if let Some(ruling) = refused(&[&held.damage]) {
                told.push(format!(
                    "step {} waits: should it come while {} is in force, a guard refuses it: {}",
                    step.name,
                    other.name,
                    ruling.refusal()
                ));
            }
        }
    }
    told
}

/// When it is over: what stays is not.
fn end(planned: &Planned) -> Duration {
    if planned.stays { Duration::MAX } else { planned.end }
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
