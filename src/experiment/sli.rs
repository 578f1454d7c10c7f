//! What is measured.

use std::fmt;
use std::str::FromStr;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// A service level indicator.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub enum Sli {
    /// M1: Ready ordinals over replicas, averaged over time.
    PodAvailability {},
    /// A majority of voters is up and agrees on one leader.
    Quorum {},
    /// M10: how often the leader changed; two leaders in one term fail whatever the budget.
    LeaderElections {},
    /// M3: how old the newest heartbeat is that the slowest replica holds locally.
    ReplicationLag {},
    /// M4: latency of acknowledged writes of the workload, from their intended start.
    CommitLatency {
        /// Which quantile. Default 0.99.
        #[serde(default)]
        quantile: Quantile,
    },
    /// M11: the longest time that a pod has been Pending: from its creation until every container has started once, with
    /// scheduling, attaching and pulling in it.
    SchedulerPending {},
    /// M6: every pod that a rollout asks for has its revision and is Ready. Bad while a rollout goes on: bound how long
    /// that may take by longestOutage.
    RolloutSuccess {},
    /// M2: how many of the attaches that pods needed were done within 30 seconds. An attach is needed from the moment at
    /// which the pod is on a node to which a volume of its claims is not attached.
    AttachSuccess {},
    /// M9: the longest time that a pod has waited on its node for the attach of a volume.
    AttachLatency {},
    /// M7: how many claims of the target were deleted, or lost their volume.
    ClaimsReclaimed {},
    /// M5: how many of the steps that take snapshots had every snapshot ready to use before the step was over.
    SnapshotSuccess {},
    /// M14: the longest time that a restore of snapshots took, from the new claims to their last file where the step says
    /// `read`. One that was not done before its step was over has no end.
    RestoreTime {},
    /// M13: how full the fullest volume of a member is, of bytes or of inodes, whichever is nearer to its end, as df(1)
    /// counts.
    DiskUsage {
        /// Only the volumes of these claim templates; all where left out.
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        claims: Vec<String>,
    },
    /// M8: how many reads and writes the block device of each member's volume completes in a second, in the mean over the
    /// time that is judged. `min` is about the slowest of the volumes, `max` about the busiest one.
    VolumeIops {
        /// Only the volumes of these claim templates; all where left out.
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        claims: Vec<String>,
    },
    /// M12: how many of the run's own requests to the API server, one a second, failed or took longer than a second.
    ApiErrors {},
    /// Every acknowledged ledger write is held by every member that should hold it.
    Durability {},
    /// The registers' history has an order that explains every read.
    Linearizability {},
}

/// In which unit an SLI is measured, and so which budgets it can have.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Unit {
    /// A ratio from 0 to 1 over time; low is bad.
    Availability,
    /// Good or bad over time: budgets are outages.
    Condition,
    /// A share of a whole that is taken, from 0 to 1; high is bad.
    Usage,
    /// So many per second; high or low is bad.
    Rate,
    /// A number of events; high is bad.
    Events,
    /// A duration; high is bad.
    Latency,
    /// Holds or is violated, over the whole run: no budget.
    Property,
}

impl Sli {
    /// Its name in documents.
    pub fn name(&self) -> &'static str {
        match self {
            Self::PodAvailability {} => "podAvailability",
            Self::Quorum {} => "quorum",
            Self::LeaderElections {} => "leaderElections",
            Self::ReplicationLag {} => "replicationLag",
            Self::CommitLatency { .. } => "commitLatency",
            Self::SchedulerPending {} => "schedulerPending",
            Self::RolloutSuccess {} => "rolloutSuccess",
            Self::AttachSuccess {} => "attachSuccess",
            Self::AttachLatency {} => "attachLatency",
            Self::ClaimsReclaimed {} => "claimsReclaimed",
            Self::SnapshotSuccess {} => "snapshotSuccess",
            Self::RestoreTime {} => "restoreTime",
            Self::DiskUsage { .. } => "diskUsage",
            Self::VolumeIops { .. } => "volumeIops",
            Self::ApiErrors {} => "apiErrors",
            Self::Durability {} => "durability",
            Self::Linearizability {} => "linearizability",
        }
    }

    /// Its unit.
    pub fn unit(&self) -> Unit {
        match self {
            Self::PodAvailability {} | Self::AttachSuccess {} | Self::SnapshotSuccess {} => {
                Unit::Availability
            }
            Self::Quorum {} | Self::RolloutSuccess {} => Unit::Condition,
            Self::DiskUsage { .. } => Unit::Usage,
            Self::VolumeIops { .. } => Unit::Rate,
            Self::LeaderElections {} | Self::ClaimsReclaimed {} | Self::ApiErrors {} => Unit::Events,
            Self::ReplicationLag {}
            | Self::CommitLatency { .. }
            | Self::SchedulerPending {}
            | Self::AttachLatency {}
            | Self::RestoreTime {} => Unit::Latency,
            Self::Durability {} | Self::Linearizability {} => Unit::Property,
        }
    }

    /// The unit of the SLI with this name in documents, if there is one: every SLI can be written without parameters.
    pub fn unit_of(name: &str) -> Option<Unit> {
        serde_json::from_value::<Self>(serde_json::json!({ name: {} })).ok().map(|sli| sli.unit())
    }

    /// Whether it can only be measured with a workload.
    pub fn needs_workload(&self) -> bool {
        match self {
            Self::PodAvailability {}
            | Self::Quorum {}
            | Self::LeaderElections {}
            | Self::SchedulerPending {}
            | Self::RolloutSuccess {}
            | Self::AttachSuccess {}
            | Self::AttachLatency {}
            | Self::ClaimsReclaimed {}
            | Self::SnapshotSuccess {}
            | Self::RestoreTime {}
            | Self::DiskUsage { .. }
            | Self::VolumeIops { .. }
            | Self::ApiErrors {} => false,
            Self::ReplicationLag {}
            | Self::CommitLatency { .. }
            | Self::Durability {}
            | Self::Linearizability {} => true,
        }
    }

    /// Whether it can only be measured where an API server is.
    pub fn needs_kubernetes(&self) -> bool {
        self.needs_volumes()
            || matches!(self, Self::SnapshotSuccess {} | Self::RestoreTime {} | Self::ApiErrors {})
    }

    /// Whether it has a value only where something was tried, so that nothing can be waited for.
    pub fn counts_attempts(&self) -> bool {
        matches!(self, Self::AttachSuccess {} | Self::SnapshotSuccess {} | Self::RestoreTime {})
    }

    /// Whether a phase's value is one of all its moments together, a quantile or a mean.
    pub fn is_of_a_whole_time(&self) -> bool {
        matches!(self, Self::PodAvailability {} | Self::CommitLatency { .. } | Self::VolumeIops { .. })
    }

    /// Whether it is told of each member, so that some can be left out.
    pub fn is_told_by_member(&self) -> bool {
        matches!(
            self,
            Self::PodAvailability {}
                | Self::ReplicationLag {}
                | Self::DiskUsage { .. }
                | Self::VolumeIops { .. }
        )
    }

    /// Whether it is sampled again and again, or tried, so that many samples say more than few.
    pub fn counts_samples(&self) -> bool {
        match self {
            Self::Quorum {}
            | Self::LeaderElections {}
            | Self::ReplicationLag {}
            | Self::CommitLatency { .. }
            | Self::AttachSuccess {}
            | Self::SnapshotSuccess {}
            | Self::RestoreTime {}
            | Self::DiskUsage { .. }
            | Self::VolumeIops { .. }
            | Self::ApiErrors {} => true,
            Self::PodAvailability {}
            | Self::SchedulerPending {}
            | Self::RolloutSuccess {}
            | Self::AttachLatency {}
            | Self::ClaimsReclaimed {}
            | Self::Durability {}
            | Self::Linearizability {} => false,
        }
    }

    /// Whether it is measured by the claims and volumes of the target.
    pub fn needs_volumes(&self) -> bool {
        matches!(self, Self::AttachSuccess {} | Self::AttachLatency {} | Self::ClaimsReclaimed {})
    }

    /// Whether it is read from the members' volumes on their nodes.
    pub fn needs_disks(&self) -> bool {
        matches!(self, Self::DiskUsage { .. } | Self::VolumeIops { .. })
    }

    /// Whether it can only be measured through a store adapter.
    pub fn needs_store(&self) -> bool {
        match self {
            Self::PodAvailability {}
            | Self::SchedulerPending {}
            | Self::RolloutSuccess {}
            | Self::AttachSuccess {}
            | Self::AttachLatency {}
            | Self::ClaimsReclaimed {}
            | Self::SnapshotSuccess {}
            | Self::RestoreTime {}
            | Self::DiskUsage { .. }
            | Self::VolumeIops { .. }
            | Self::ApiErrors {} => false,
            Self::Quorum {}
            | Self::LeaderElections {}
            | Self::ReplicationLag {}
            | Self::CommitLatency { .. }
            | Self::Durability {}
            | Self::Linearizability {} => true,
        }
    }
}

/// A quantile in thousandths, above 0 and at most 1.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Quantile(u32);

impl Quantile {
    /// A quantile of this many thousandths, from 1 to 1000.
    pub const fn of_thousandths(thousandths: u32) -> Self {
        assert!(thousandths > 0 && thousandths <= 1000, "a quantile is above 0 and at most 1");
        Self(thousandths)
    }

    /// As a fraction.
    pub fn fraction(self) -> f64 {
        f64::from(self.0) / 1000.0
    }

    /// In thousandths.
    pub fn thousandths(self) -> u32 {
        self.0
    }
}

impl Default for Quantile {
    fn default() -> Self {
        Self(990)
    }
}

impl FromStr for Quantile {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let refuse = || format!("`{text}` is not a quantile: write 0.5, 0.99 or 0.999");
        let number: f64 = text.trim().parse().map_err(|_| refuse())?;
        let thousandths = (number * 1000.0).round();
        // Rounding 0.9999 to 1 would judge another thing than what is written.
        let is_exact = (number * 1000.0 - thousandths).abs() < 1e-6;
        if is_exact && (1.0..=1000.0).contains(&thousandths) {
            Ok(Self(thousandths as u32))
        } else {
            Err(refuse())
        }
    }
}

impl fmt::Display for Quantile {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.fraction())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_name_in_documents_has_a_unit() {
        let schema = serde_json::to_value(schemars::schema_for!(Sli)).expect("a schema is JSON");
        let variants = schema["oneOf"].as_array().expect("one schema for each SLI");
        assert!(variants.len() > 10, "{schema}");
        for variant in variants {
            let names = variant["required"].as_array().expect("its name");
            let name = names[0].as_str().expect("a name");
            assert!(Sli::unit_of(name).is_some(), "{name}");
        }
        assert_eq!(Sli::unit_of("commitLatency"), Some(Unit::Latency));
        assert_eq!(Sli::unit_of("nothing"), None);
    }

    #[test]
    fn refuses_a_quantile_that_is_finer_than_it_can_tell() {
        for text in ["0.9999", "0.0004", "0", "1.001", "NaN", "inf", "-0.5"] {
            assert!(text.parse::<Quantile>().is_err(), "{text}");
        }
        for thousandths in 1..=1000 {
            let text = format!("{}", f64::from(thousandths) / 1000.0);
            assert_eq!(text.parse(), Ok(Quantile(thousandths)), "{text}");
        }
    }
}
