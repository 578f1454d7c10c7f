//! A quantile of fewer values than it has parts is simply the greatest of them: one slow commit breaks the claim. And where
//! there can be fewer than a budget asks for, nothing ever comes of it.

use std::time::Duration;

use super::{Case, held};
use crate::experiment::{Budget, Hypothesis, Quantile, Sli, Workload, duration};
use crate::judge::defaults::STABLE_FOR;
use crate::spec::rules::{Broken, at};

/// What is written where nobody writes a quantile of few values.
const USUAL: u32 = 500;

pub(super) fn find(case: &Case<'_>) -> Vec<Broken> {
    let Some(workload) = &case.experiment.workload else { return Vec::new() };
    let claims = case.experiment.hypothesis.iter().enumerate();
    claims.flat_map(|(index, claim)| of_claim(case, workload, index, claim)).collect()
}

fn of_claim(case: &Case<'_>, workload: &Workload, index: usize, claim: &Hypothesis) -> Vec<Broken> {
    let Sli::CommitLatency { quantile } = claim.sli else { return Vec::new() };
    let stable = |after: &Budget| after.stable_for.unwrap_or(STABLE_FOR);
    let phases = [
        ("before", &claim.before, Some(case.experiment.baseline)),
        ("during", &claim.during, claim.during.as_ref().and_then(|during| time_of_faults(case, during))),
        ("after", &claim.after, claim.after.as_ref().map(stable)),
        ("always", &claim.always, None),
    ];
    let few = phases.into_iter().filter_map(|(phase, budget, length)| {
        let budget = budget.as_ref()?;
        // A window is longer than its phase, or all that is looked at of it at a time.
        let span = [length, budget.window].into_iter().flatten().min()?;
        let (rate, share) = (u64::from(workload.rate), u64::from(Workload::WRITE_PERCENT));
        let beats = span.as_millis() / Workload::HEARTBEAT.as_millis();
        let most = u128::from(rate * share) * span.as_millis() / 100_000 + beats;
        let wanted = [of_quantile(quantile), budget.min_samples.map(of_budget)].into_iter().flatten();
        let Wanted { fewest, why, instead } = wanted.max_by_key(|wanted| wanted.fewest)?;
        if most >= fewest {
            return None;
        }
        let needed = ((fewest - beats) * 100_000).div_ceil(u128::from(share) * span.as_millis().max(1));
        let message = format!(
            "in {} there are {most} commits at most (rate {rate}, of which {share} in 100 write, and {beats} heartbeats), \
             and {why}: write rate: {needed} or more, or {instead}",
            duration::format(span)
        );
        Some((at("hypothesis", index, &[phase]), message))
    });
    few.collect()
}

/// How many values somebody asks for.
struct Wanted {
    fewest: u128,
    why: String,
    /// What can be written, so that fewer are enough.
    instead: String,
}

/// Those of which a quantile leaves one out; none for the greatest one itself.
fn of_quantile(quantile: Quantile) -> Option<Wanted> {
    let fewest = fewest(quantile)?;
    Some(Wanted {
        fewest,
        why: format!("the quantile {quantile} needs {fewest} to be more than the slowest one"),
        instead: format!("quantile: {}", Quantile::of_thousandths(USUAL)),
    })
}

/// Those without which a budget says nothing.
fn of_budget(samples: u64) -> Wanted {
    Wanted {
        fewest: samples.into(),
        why: format!("with fewer than {samples} the claim is Inconclusive"),
        instead: "a smaller minSamples".into(),
    }
}

/// How many values there have to be for a quantile to leave one out; none for the greatest one itself.
fn fewest(quantile: Quantile) -> Option<u128> {
    let left_out = 1000_u32.checked_sub(quantile.thousandths()).filter(|&left_out| left_out > 0)?;
    Some(u128::from(1000_u32.div_ceil(left_out)))
}

/// For how long the faults are there that a budget is about, where that is known before the run.
fn time_of_faults(case: &Case<'_>, budget: &Budget) -> Option<Duration> {
    let meant =
        case.faults().filter(|(_, step, ..)| budget.step.as_ref().is_none_or(|name| *name == step.name));
    // What happens once is felt until the target has recovered, for as long as that takes.
    meant
        .map(|(_, step, one, _)| Some(held(one)? * step.repeat.times))
        .sum::<Option<Duration>>()
        .filter(|time| !time.is_zero())
}
