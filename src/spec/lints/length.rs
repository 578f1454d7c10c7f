//! A run that is ended before its steps are over is Aborted, whatever the target does.

use std::time::Duration;

use super::{Case, held};
use crate::experiment::{Repeat, Start, Step, duration};
use crate::spec::rules::{Broken, at};

pub(super) fn find(case: &Case<'_>) -> Vec<Broken> {
    let longest = case.experiment.guards.max_duration;
    let ends =
        case.experiment.steps.iter().enumerate().filter_map(|(index, step)| Some((index, step, end(step)?)));
    ends.filter(|(.., end)| *end > longest)
        .map(|(index, step, end)| {
            let message = format!(
                "step {} ends {} after the baseline at the earliest, and the run is aborted after {}; write guards.maxDuration: \
                 {} or more",
                step.name,
                duration::format(end),
                duration::format(longest),
                // Recovery takes some time as well.
                duration::format(end.saturating_mul(3) / 2)
            );
            (at("steps", index, &[]), message)
        })
        .collect()
}

/// When a step is over at the earliest, counted from the end of the baseline, where that is certain before the run.
fn end(step: &Step) -> Option<Duration> {
    let Repeat { every, times, .. } = step.repeat;
    let Start::At(at) = step.start else { return None };
    if every.jitter.is_some() {
        return None;
    }
    let last = at.saturating_add(every.mean.saturating_mul(times.saturating_sub(1)));
    // What goes on until it is done may be done at once.
    let lasting = step.alternatives().iter().map(|one| held(one).unwrap_or_default()).min()?;
    Some(last.saturating_add(lasting))
}
