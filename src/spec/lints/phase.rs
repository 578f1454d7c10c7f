//! A bound that is as long as the time that it is about cannot be broken, nor one that every value keeps.

use std::time::Duration;

use super::{Case, held};
use crate::experiment::{Amount, Budget, Hypothesis, Unit, Work, duration};
use crate::judge::signals::ALL;
use crate::spec::rules::{Broken, at, within};

pub(super) fn find(case: &Case<'_>) -> Vec<Broken> {
    let experiment = case.experiment;
    let mut found = Vec::new();
    // The run watches for as long as the most patient claim asks for.
    let watched = experiment
        .hypothesis
        .iter()
        .filter_map(|claim| claim.recover_within)
        .fold(experiment.recovery, Duration::max);
    for (index, claim) in experiment.hypothesis.iter().enumerate() {
        found.extend(values(index, claim));
        if let Some(budget) = &claim.during {
            found.extend(outages(case, index, budget));
        }
        let stable = claim.after.as_ref().and_then(|after| after.stable_for);
        if let Some(stable) = stable.filter(|&stable| stable >= watched) {
            let message = format!(
                "is never seen: after the last revert the run goes on for {} at most; write a shorter one, or recovery: {}",
                duration::format(watched),
                duration::format(stable * 2)
            );
            found.push((at("hypothesis", index, &["after", "stableFor"]), message));
        }
    }
    let longest = experiment.guards.max_duration;
    for (index, condition) in experiment.guards.abort_when.iter().enumerate() {
        let unit = condition.sli.unit();
        for side in extremes(unit, ("below", condition.below), ("above", condition.above)) {
            let message = format!("never aborts: no value is {side} that; write another one");
            found.push((within(&["guards", "abortWhen"], index, &[side]), message));
        }
        if condition.lasting >= longest {
            let message = format!(
                "never aborts: maxDuration ends the run after {} anyway; write a shorter one, for example for: 30s",
                duration::format(longest)
            );
            found.push((within(&["guards", "abortWhen"], index, &["for"]), message));
        }
    }
    found
}

/// Values of which there is none beyond them.
fn values(index: usize, claim: &Hypothesis) -> Vec<Broken> {
    let unit = claim.sli.unit();
    let phases = [
        ("before", &claim.before),
        ("during", &claim.during),
        ("after", &claim.after),
        ("always", &claim.always),
    ];
    let budgets = phases.into_iter().filter_map(|(phase, budget)| Some((phase, budget.as_ref()?)));
    let kept = budgets.flat_map(|(phase, budget)| {
        extremes(unit, ("min", budget.min), ("max", budget.max)).map(move |field| {
            let message =
                "cannot be broken: every value keeps it; write what you have promised, or leave it out";
            (at("hypothesis", index, &[phase, field]), message.to_owned())
        })
    });
    kept.collect()
}

/// Those of a lower and an upper bound that there is nothing beyond.
fn extremes(
    unit: Unit,
    (lower, least): (&'static str, Option<Amount>),
    (upper, most): (&'static str, Option<Amount>),
) -> impl Iterator<Item = &'static str> {
    let is_share = matches!(unit, Unit::Availability | Unit::Usage);
    let is_least = least.is_some_and(|least| least.in_unit(unit) == 0);
    let is_most = most.is_some_and(|most| is_share && most.in_unit(unit) >= ALL);
    is_least.then_some(lower).into_iter().chain(is_most.then_some(upper))
}

/// Outages of `during` that may be as long as the faults are there.
fn outages(case: &Case<'_>, index: usize, budget: &Budget) -> Vec<Broken> {
    let meant =
        || case.faults().filter(|(_, step, ..)| budget.step.as_ref().is_none_or(|name| *name == step.name));
    let acts = case.experiment.steps.iter().any(|step| {
        let is_meant = budget.step.as_ref().is_none_or(|name| *name == step.name);
        is_meant && step.works().any(|work| matches!(work, Work::Action(_)))
    });
    // Nobody knows how long an action takes.
    if acts {
        return Vec::new();
    }
    // What happens once is felt until the target has recovered. Steps that overlap are one time without a break.
    let each: Option<Duration> = meant().map(|(_, _, one, _)| held(one)).sum();
    let all: Option<Duration> = meant().map(|(_, step, one, _)| Some(held(one)? * step.repeat.times)).sum();
    let bounds = [("longestOutage", budget.longest_outage, each), ("totalOutage", budget.total_outage, all)];
    let never = bounds.into_iter().filter_map(|(field, bound, time)| {
        let (bound, time) = (bound?, time.filter(|time| !time.is_zero())?);
        if bound < time {
            return None;
        }
        let message = format!(
            "cannot be broken: an outage of {} is allowed while the fault is there, which is {}; write a shorter one, or \
             bound what comes after it by recoverWithin alone",
            duration::format(bound),
            duration::format(time)
        );
        Some((at("hypothesis", index, &["during", field]), message))
    });
    never.collect()
}
