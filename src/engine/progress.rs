//! How far a step is, and when its next occurrence may start.

use super::limits::after;
use super::scene::Scene;
use crate::api::Nanos;
use crate::experiment::{Step, duration};
use crate::plan::draw;

/// How far a step is.
#[derive(Debug, Clone, Copy)]
pub(super) enum Progress {
    /// The step that it comes after is not over.
    Waiting,
    /// Occurrence `next` starts when its time has come, after the one before was over at `since`.
    Due { at: Nanos, next: u32, since: Option<Nanos>, undecided_since: Option<Nanos> },
    /// Occurrence `number` is there, whose time came at `due`.
    Running { due: Nanos, number: u32 },
    /// Its last occurrence ended.
    Over { at: Nanos },
}

/// What comes after occurrence `number`, whose time came at `due`: the next one at its own time, or at once where that is over.
pub(super) fn next(step: &Step, due: Nanos, number: u32, scene: &Scene<'_>) -> Progress {
    let next = number + 1;
    if next >= step.repeat.times {
        return Progress::Over { at: scene.now };
    }
    let at = after(due, draw::gap(step, scene.brief.seed, next));
    Progress::Due { at, next, since: Some(scene.now), undecided_since: None }
}

/// Until when an occurrence waits for the target to recover from the one before, and what is missing; nothing where it need
/// not wait, or no more.
pub(super) fn unrecovered(step: &Step, progress: Progress, scene: &Scene<'_>) -> Option<(Nanos, String)> {
    let Progress::Due { at, since: Some(since), undecided_since: None, .. } = progress else {
        return None;
    };
    let limit = step.repeat.recover_between?;
    let why = scene.recovered(since).err()?;
    Some((after(at.max(since), limit), why))
}

/// That nothing more is broken, and why.
pub(super) fn given_up(step: &Step, number: u32, why: &str) -> String {
    let limit = step.repeat.recover_between.unwrap_or_default();
    format!(
        "nothing more was broken: the target had not recovered {} after the time of occurrence {} of {} of step {}: {why}",
        duration::format(limit),
        number + 1,
        step.repeat.times,
        step.name
    )
}
