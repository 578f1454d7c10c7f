//! How long the engine waits for what it cannot make happen.

use std::time::Duration;

use crate::api::Nanos;
use crate::experiment::Extent;

/// Every wait of a run that the experiment does not name itself. None is unbounded, so that a run always ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// For the target to be complete and healthy before anything.
    pub preflight: Duration,
    /// On top of the experiment's baseline, for the steady state to hold without a break.
    pub baseline: Duration,
    /// For a step to become decidable: a leader during a failover, a pod that is being re-created.
    pub decide: Duration,
    /// From asking for a fault that stays to its proof.
    pub inject: Duration,
    /// From asking for a fault that happens once to its proof, which may need the container to be started again.
    pub once: Duration,
    /// From the deletion of a pod to the pod that takes its place; longer than the usual grace period of 30s.
    pub replace: Duration,
    /// What a fault's deadline has on top of its duration and of the longest time that it may take to be proven, so
    /// that the run itself ends it. Deadlines are never moved.
    pub margin: Duration,
    /// After a fault's deadline, for its revert to be verified.
    pub overdue: Duration,
    /// After a revert was asked for, for it to be verified, even if the deadline is far.
    pub revert: Duration,
    /// Between two requests for the same revert.
    pub retry: Duration,
    /// From asking for what is done through the API server to its proof: pods end in their grace period, and policies
    /// are learned of by and by.
    pub api: Duration,
    /// For the answer to an effect.
    pub answer: Duration,
    /// For the ledger to be read from every member.
    pub ledger: Duration,
    /// For which every claim must hold after the last revert to count as recovered.
    pub stable: Duration,
    /// For which a majority must be missing, in more than one round of questions, before a fault is reverted for it:
    /// a store that elects a leader on a busy machine may not answer for one or two seconds, and is not dead.
    pub endangered: Duration,
    /// For which a member that was killed is not taken for healthy, because what was heard may be older than the kill.
    pub stale: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            preflight: Duration::from_mins(2),
            baseline: Duration::from_mins(1),
            decide: Duration::from_secs(15),
            inject: Duration::from_secs(10),
            once: Duration::from_secs(30),
            replace: Duration::from_mins(1),
            margin: Duration::from_secs(2),
            overdue: Duration::from_secs(10),
            revert: Duration::from_secs(30),
            retry: Duration::from_secs(3),
            api: Duration::from_mins(1),
            answer: Duration::from_secs(10),
            ledger: Duration::from_mins(1),
            stable: Duration::from_secs(2),
            endangered: Duration::from_secs(3),
            stale: Duration::from_secs(1),
        }
    }
}

impl Limits {
    /// From asking for a fault to its proof.
    pub(super) fn arming(&self, extent: Extent, is_api: bool) -> Duration {
        match extent {
            _ if is_api => self.api,
            Extent::Once => self.once,
            Extent::For(_) | Extent::UntilDone(_) | Extent::ToTheEnd => self.inject,
        }
    }
}

/// The moment `wait` after `since`.
pub(super) fn after(since: Nanos, wait: Duration) -> Nanos {
    since.saturating_add(u64::try_from(wait.as_nanos()).unwrap_or(u64::MAX))
}

/// From one moment to a later one.
pub(super) fn between(since: Nanos, until: Nanos) -> Duration {
    Duration::from_nanos(until.saturating_sub(since))
}
