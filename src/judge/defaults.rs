//! What holds where a hypothesis says nothing, so that a claim without numbers is still a claim.
//!
//! A hypothesis that bounds no phase at all gets every default bound of its SLI. One that bounds some phase is taken at
//! its word for the others, except that *recovered* always means something: the `after` bound, or the default one, of
//! which an `after` that names no value has its values.

use std::time::Duration;

use crate::experiment::{Amount, Budget, Hypothesis, Sli};

/// For how long without a break an SLI must be good to count as recovered.
pub const STABLE_FOR: Duration = Duration::from_secs(2);

/// Heartbeats are at most this old on every member once recovered.
pub const LAG_AFTER: Duration = Duration::from_millis(200);

/// The quantile of commits is at most this slow once recovered.
pub const COMMIT_AFTER: Duration = Duration::from_millis(50);

/// Pods are Pending for at most this long once recovered.
pub const PENDING_AFTER: Duration = Duration::from_secs(10);

/// A volume is attached within this time.
pub const ATTACH: Duration = Duration::from_secs(30);

/// So many attaches of a million succeed: 99.95 %.
pub const ATTACHED: u64 = 999_500;

/// So many snapshots of a million are taken: 99.9 %.
pub const TAKEN: u64 = 999_000;

/// A snapshot is restored within this time.
pub const RESTORE: Duration = Duration::from_hours(1);

/// Disks are taken at most to this many millionths: 80 %.
pub const DISK_USAGE: u64 = 800_000;

/// The bounds of one hypothesis with everything filled in. `plan` shows them, the judge applies them.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Bounds {
    /// Before the first fault.
    pub before: Option<Budget>,
    /// While faults are there.
    pub during: Option<Budget>,
    /// From the moment of recovery.
    pub after: Option<Budget>,
    /// From the steady state to the last sample.
    pub always: Option<Budget>,
    /// What *recovered* means; none for an SLI that is judged over the whole run, or that counts events.
    pub recovered: Option<Budget>,
}

/// The bounds that a hypothesis is judged by.
pub fn bounds(hypothesis: &Hypothesis) -> Bounds {
    let own = Bounds {
        before: hypothesis.before.clone(),
        during: hypothesis.during.clone(),
        after: hypothesis.after.clone().map(|after| with_values(after, &hypothesis.sli)),
        always: hypothesis.always.clone(),
        recovered: None,
    };
    let says_nothing = own == Bounds::default();
    let recovered = match hypothesis.sli {
        Sli::PodAvailability {}
        | Sli::Quorum {}
        | Sli::ReplicationLag {}
        | Sli::CommitLatency { .. }
        | Sli::SchedulerPending {}
        | Sli::AttachLatency {}
        | Sli::DiskUsage { .. }
        | Sli::VolumeIops { .. }
        | Sli::RolloutSuccess {} => own.after.clone().or_else(|| after(&hypothesis.sli)),
        Sli::LeaderElections {}
        | Sli::AttachSuccess {}
        | Sli::ClaimsReclaimed {}
        | Sli::SnapshotSuccess {}
        | Sli::RestoreTime {}
        | Sli::ApiErrors {}
        | Sli::Durability {}
        | Sli::Linearizability {} => None,
    };
    if says_nothing {
        Bounds {
            before: before(&hypothesis.sli),
            // Nothing has to be attached any more once everything has recovered, and no disk is ever to be too full.
            after: after(&hypothesis.sli)
                .filter(|_| !matches!(hypothesis.sli, Sli::AttachLatency {} | Sli::DiskUsage { .. })),
            always: always(&hypothesis.sli),
            recovered,
            ..Bounds::default()
        }
    } else {
        Bounds { recovered, ..own }
    }
}

/// With the values of the default where it names none: for how long something must be good says nothing as long as
/// everything is.
fn with_values(budget: Budget, sli: &Sli) -> Budget {
    match after(sli) {
        Some(usual) if !budget.has_limits() => Budget { min: usual.min, max: usual.max, ..budget },
        Some(_) | None => budget,
    }
}

/// What holds of an SLI before anything is broken, where a hypothesis does not say.
pub fn before(sli: &Sli) -> Option<Budget> {
    match sli {
        Sli::PodAvailability {} => Some(Budget { min: Some(Amount::Ratio(1_000_000)), ..Budget::default() }),
        Sli::Quorum {} | Sli::RolloutSuccess {} => Some(Budget::default()),
        Sli::LeaderElections {} | Sli::ApiErrors {} => {
            Some(Budget { max: Some(Amount::Count(0)), ..Budget::default() })
        }
        Sli::ReplicationLag {}
        | Sli::CommitLatency { .. }
        | Sli::SchedulerPending {}
        | Sli::AttachSuccess {}
        | Sli::AttachLatency {}
        | Sli::ClaimsReclaimed {}
        | Sli::SnapshotSuccess {}
        | Sli::RestoreTime {}
        | Sli::DiskUsage { .. }
        | Sli::VolumeIops { .. }
        | Sli::Durability {}
        | Sli::Linearizability {} => None,
    }
}

/// What holds of an SLI all the time, where a hypothesis does not say.
fn always(sli: &Sli) -> Option<Budget> {
    match sli {
        Sli::AttachSuccess {} => Some(Budget { min: Some(Amount::Ratio(ATTACHED)), ..Budget::default() }),
        Sli::SnapshotSuccess {} => Some(Budget { min: Some(Amount::Ratio(TAKEN)), ..Budget::default() }),
        Sli::AttachLatency {} | Sli::DiskUsage { .. } => after(sli),
        Sli::RestoreTime {} => Some(Budget { max: Some(Amount::Time(RESTORE)), ..Budget::default() }),
        Sli::ClaimsReclaimed {} => Some(Budget { max: Some(Amount::Count(0)), ..Budget::default() }),
        _ => None,
    }
}

/// What holds of an SLI once everything has recovered, where a hypothesis does not say.
pub fn after(sli: &Sli) -> Option<Budget> {
    let at_most = |time| Some(Budget { max: Some(Amount::Time(time)), ..Budget::default() });
    match sli {
        Sli::PodAvailability {} | Sli::Quorum {} | Sli::RolloutSuccess {} | Sli::ApiErrors {} => before(sli),
        Sli::SchedulerPending {} => at_most(PENDING_AFTER),
        Sli::AttachLatency {} => at_most(ATTACH),
        Sli::DiskUsage { .. } => Some(Budget { max: Some(Amount::Ratio(DISK_USAGE)), ..Budget::default() }),
        Sli::ReplicationLag {} => at_most(LAG_AFTER),
        Sli::CommitLatency { .. } => at_most(COMMIT_AFTER),
        Sli::LeaderElections {}
        | Sli::AttachSuccess {}
        | Sli::ClaimsReclaimed {}
        | Sli::SnapshotSuccess {}
        | Sli::RestoreTime {}
        | Sli::VolumeIops { .. }
        | Sli::Durability {}
        | Sli::Linearizability {} => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn hypothesis(text: &str) -> Hypothesis {
        serde_json::from_str(text).expect("a valid hypothesis")
    }

    #[test]
    fn a_claim_without_numbers_gets_the_defaults() {
        let bounds = bounds(&hypothesis(r#"{"name":"lag","sli":{"replicationLag":{}}}"#));
        assert_eq!(bounds.after.and_then(|after| after.max), Some(Amount::Time(LAG_AFTER)));
    }

    #[test]
    fn attaches_are_bounded_all_the_time_because_none_is_needed_after_recovery() {
        let bounds = bounds(&hypothesis(r#"{"name":"a","sli":{"attachLatency":{}}}"#));
        assert_eq!(bounds.after, None);
        assert_eq!(bounds.always.and_then(|always| always.max), Some(Amount::Time(ATTACH)));
        assert!(bounds.recovered.is_some());
    }

    #[test]
    fn a_claim_about_one_phase_is_not_bounded_in_others_but_knows_what_recovered_means() {
        let bounds = bounds(&hypothesis(
            r#"{"name":"q","sli":{"quorum":{}},"during":{"longestOutage":"5s"},"recoverWithin":"15s"}"#,
        ));
        assert_eq!((bounds.before, bounds.after), (None, None));
        assert_eq!(bounds.recovered, Some(Budget::default()));
    }
}
