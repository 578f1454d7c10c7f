//! When an SLI was good again.
//!
//! The moment of recovery is the first one, from the last verified revert on, from which the `after` bound holds without
//! a break for its `stableFor`. It is told always, bounded or not.

use super::bound::subject;
use super::defaults::STABLE_FOR;
use super::judgement::{Finding, Recovery, Scope};
use super::limits::{Limits, nanos};
use super::series::Window;
use super::signals::Signals;
use super::words;
use crate::api::Nanos;
use crate::experiment::{Budget, Sli, Unit, Verdict};

/// For how long without a break a budget must hold.
pub(super) fn stable_for(budget: &Budget) -> Nanos {
    nanos(budget.stable_for.unwrap_or(STABLE_FOR))
}

/// Whether an SLI is good all through a window, as far as it is known at `now`.
pub(super) fn is_good(signals: &Signals, sli: &Sli, limits: Limits, window: Window, now: Nanos) -> bool {
    let measure = signals.measure(sli, &[window], now);
    if measure.unknown_time.saturating_mul(10) > window.length() {
        return false;
    }
    if let Some(waits) = signals.waits(sli) {
        return waits.are_good(window, now, &|value| !limits.allow(value));
    }
    let Some(value) = measure.value else {
        return false;
    };
    match sli.unit() {
        Unit::Latency if matches!(sli, Sli::CommitLatency { .. }) => value < u64::MAX && limits.allow(value),
        Unit::Events => limits.allow(value),
        Unit::Availability | Unit::Condition | Unit::Usage | Unit::Rate | Unit::Latency | Unit::Property => {
            let bad = |value| !limits.allow(value);
            signals.outages(sli, &[window], now, &bad).iter().all(|outage| outage.from >= window.to)
        }
    }
}

/// The first moment of a window from which an SLI is good for `stable`.
pub(super) fn first_good(
    signals: &Signals,
    sli: &Sli,
    limits: Limits,
    window: Window,
    stable: Nanos,
    now: Nanos,
) -> Option<Nanos> {
    let latest = window.to.checked_sub(stable).filter(|&latest| latest >= window.from)?;
    let mut moments = signals.moments(sli, Window::new(window.from, latest), stable);
    moments.push(latest);
    moments.into_iter().find(|&from| is_good(signals, sli, limits, Window::new(from, from + stable), now))
}

/// What a hypothesis' `recoverWithin` says, and whether it recovered at all where its `after` bound needs that.
pub(super) fn finding(
    sli: &Sli,
    recovery: &Recovery,
    is_bounded: bool,
    was_measured: bool,
    watched: Nanos,
) -> Option<Finding> {
    let subject = subject(sli);
    let (verdict, sentence) = match (recovery.recovered, recovery.within) {
        (Some(recovered), Some(within)) => {
            let took = recovered - recovery.from;
            let verdict = if took <= within { Verdict::Pass } else { Verdict::Fail };
            let text = format!(
                "{subject}: recovered {} after the last revert, allowed {}",
                words::time(took),
                words::exactly(within)
            );
            (verdict, text)
        }
        (None, within) if is_bounded || within.is_some() => {
            let (verdict, what) = match (was_measured, within) {
                (false, _) => (Verdict::Inconclusive, "nothing was measured".into()),
                (true, Some(within)) if watched < within => (
                    Verdict::Inconclusive,
                    format!("not recovered when the record ended, {} ", words::time(watched))
                        .trim_end()
                        .into(),
                ),
                (true, Some(_) | None) => (Verdict::Fail, format!("not recovered {}", words::time(watched))),
            };
            let allowed =
                within.map_or(String::new(), |within| format!(", allowed {}", words::exactly(within)));
            (verdict, format!("{subject}: {what} after the last revert{allowed}"))
        }
        (Some(_) | None, _) => return None,
    };
    Some(Finding { scope: Scope::Recovery, step: None, excludes_faulted: false, verdict, sentence })
}
