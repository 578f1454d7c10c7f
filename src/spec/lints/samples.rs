//! A quantile of fewer values than it has parts is simply the greatest of them: one slow commit breaks the claim.

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
    let Some(fewest) = fewest(quantile) else { return Vec::new() };
    let spans = [
        ("before", claim.before.is_some().then_some(case.experiment.baseline)),
        ("during", claim.during.as_ref().and_then(|during| time_of_faults(case, during))),
        ("after", claim.after.as_ref().map(|after| after.stable_for.unwrap_or(STABLE_FOR))),
    ];
    let few = spans.into_iter().filter_map(|(phase, span)| {
        let span = span?;
        let (rate, share) = (u64::from(workload.rate), u64::from(Workload::WRITE_PERCENT));
        let most = u128::from(rate * share) * span.as_millis() / 100_000;
        if most >= fewest {
            return None;
        }
        let needed = (fewest * 100_000).div_ceil(u128::from(share) * span.as_millis().max(1));
        let slower = Quantile::of_thousandths(USUAL);
        let message = format!(
            "in {} there are {most} commits at most (rate {rate}, of which {share} in 100 write), and the quantile {quantile} \
             needs {fewest} to be more than the slowest one: write rate: {needed} or more, or quantile: {slower}",
            duration::format(span)
        );
        Some((at("hypothesis", index, &[phase]), message))
    });
    few.collect()
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
