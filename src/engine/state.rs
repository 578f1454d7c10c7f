//! The phases of a run, each with the data that belongs to it.

use std::time::Duration;

use super::limits::after;
use super::scene::Brief;
use crate::api::Nanos;
use crate::experiment::Experiment;

/// Where a run is, with what belongs to that.
#[derive(Debug)]
pub(super) enum State {
    /// Waiting for a healthy target.
    Preflight { since: Nanos },
    /// Waiting for the steady state to hold; the clients' start is answered or not.
    Baseline { since: Nanos, starting: Option<u64> },
    /// Steps happen; a majority is missing since a moment, for a reason.
    Faulting { since: Nanos, endangered: Option<(Nanos, String)> },
    /// Waiting for the claims to hold again.
    Recovering { since: Nanos, faulting_since: Nanos },
    /// Waiting for every revert after a stop.
    Reverting,
    /// Waiting for the clients to finish.
    Stopping { stopping: u64 },
    /// Waiting for the final reads.
    Settling { reading: u64 },
    /// Nothing more happens.
    Over,
}

/// What is known of the claims.
#[derive(Debug, Default)]
pub(super) struct Claims {
    unmet: Vec<String>,
    /// Since when all of them hold; nobody has told where they never did.
    held_since: Option<Nanos>,
    is_told: bool,
}

impl Claims {
    /// Takes in which ones do not hold.
    pub(super) fn hear(&mut self, unmet: &[String], now: Nanos) {
        self.is_told = true;
        self.held_since = unmet.is_empty().then(|| self.held_since.unwrap_or(now));
        self.unmet = unmet.to_vec();
    }

    /// Which ones do not hold, for a person.
    pub(super) fn broken(&self) -> Option<String> {
        match (self.is_told, self.unmet.as_slice()) {
            (false, _) => Some("no claim was measured yet".into()),
            (true, []) => None,
            (true, unmet) => Some(unmet.join("; ")),
        }
    }

    /// Since when they have held without a break, counted from `since` at the earliest.
    pub(super) fn held_after(&self, since: Nanos) -> Option<Nanos> {
        self.held_since.map(|held| held.max(since))
    }
}

impl State {
    /// Moments at which something is decided by time alone.
    pub(super) fn timers(&self, brief: &Brief, claims: &Claims) -> Vec<Nanos> {
        let (experiment, limits) = (&brief.experiment, &brief.limits);
        let held = |since, wait| claims.held_after(since).map(|held| after(held, wait));
        let longest = |since| after(since, experiment.guards.max_duration);
        let (fixed, dependent) = match self {
            Self::Preflight { since } => (vec![after(*since, limits.preflight)], None),
            Self::Baseline { since, .. } => (
                vec![after(*since, experiment.baseline + limits.baseline)],
                held(*since, experiment.baseline),
            ),
            Self::Faulting { since, endangered } => (
                vec![longest(*since)],
                endangered.as_ref().map(|(since, _)| after(*since, limits.endangered)),
            ),
            Self::Recovering { since, faulting_since } => (
                vec![longest(*faulting_since), after(*since, recovery(experiment))],
                held(*since, limits.stable),
            ),
            Self::Reverting | Self::Stopping { .. } | Self::Settling { .. } | Self::Over => {
                (Vec::new(), None)
            }
        };
        fixed.into_iter().chain(dependent).collect()
    }
}

/// The longest that is waited for recovery.
pub(super) fn recovery(experiment: &Experiment) -> Duration {
    experiment
        .hypothesis
        .iter()
        .filter_map(|hypothesis| hypothesis.recover_within)
        .fold(experiment.recovery, Duration::max)
}
