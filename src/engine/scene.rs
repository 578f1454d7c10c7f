//! What every part of the engine sees while it takes a step.

use jiff::{SignedDuration, Timestamp};

use super::known::Known;
use super::limits::{Limits, after};
use super::outbox::Outbox;
use super::sets::{Sets, Which};
use super::state::Claims;
use crate::api::Nanos;
use crate::experiment::{Experiment, Step};

/// What never changes during a run.
#[derive(Debug)]
pub(super) struct Brief {
    pub(super) experiment: Experiment,
    pub(super) run: String,
    pub(super) seed: u64,
    pub(super) started_at: Timestamp,
    pub(super) limits: Limits,
}

impl Brief {
    /// A moment of the run by the wall clock.
    pub(super) fn wall_clock(&self, moment: Nanos) -> Timestamp {
        let since = SignedDuration::from_nanos(i64::try_from(moment).unwrap_or(i64::MAX));
        self.started_at.saturating_add(since).unwrap_or(Timestamp::MAX)
    }

    /// Where a step acts.
    pub(super) fn which(&self, step: &Step) -> Which {
        self.experiment.other_set(step).map(str::to_owned)
    }

    /// A moment told by a node, as a person reads it.
    pub(super) fn moment(&self, at: Timestamp) -> String {
        let tenths = at.duration_since(self.started_at).as_millis() / 100;
        format!("{}.{}s into the run ({at})", tenths / 10, (tenths % 10).abs())
    }
}

/// The world at one instant, and the way out.
pub(super) struct Scene<'a> {
    pub(super) brief: &'a Brief,
    pub(super) sets: &'a Sets,
    /// The one that is acted on.
    pub(super) known: &'a Known,
    pub(super) claims: &'a Claims,
    pub(super) outbox: &'a mut Outbox,
    pub(super) now: Nanos,
}

impl Scene<'_> {
    /// The same where a step acts.
    pub(super) fn at(&mut self, step: &Step) -> Scene<'_> {
        let Scene { brief, sets, claims, now, .. } = *self;
        Scene { brief, sets, known: sets.get(&brief.which(step)), claims, outbox: self.outbox, now }
    }

    /// The limits of this run.
    pub(super) fn limits(&self) -> &Limits {
        &self.brief.limits
    }

    /// Whether the target has recovered from what was over at `since`; else what is missing.
    pub(super) fn recovered(&self, since: Nanos) -> Result<(), String> {
        let has_held =
            self.claims.held_after(since).is_some_and(|held| self.passed(held, self.limits().stable));
        match self.claims.broken() {
            Some(broken) => Err(broken),
            None if !has_held => Err("the budgets of `after` to be met for long enough".into()),
            None => self.sets.healthy(),
        }
    }

    /// Whether `wait` has passed since.
    pub(super) fn passed(&self, since: Nanos, wait: std::time::Duration) -> bool {
        self.now >= after(since, wait)
    }
}
