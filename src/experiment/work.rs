//! What a step does: a fault or an action.

use std::time::Duration;

use super::{Change, Selection};
use crate::api::{DeniedResource, DisruptionBudgets};
use crate::fault::{Chooser, Fault, Resolved};

/// What a step does.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Work {
    /// Something is broken.
    Fault(Fault),
    /// Something is operated, as people do.
    Action(Change),
}

/// For how long an occurrence of a step is there.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Extent {
    /// It happens once, and is over when it is proven.
    Once,
    /// It stays for this long.
    For(Duration),
    /// It goes on until it is done, at most for this long.
    UntilDone(Duration),
    /// It stays until every other step is over.
    ToTheEnd,
}

impl Work {
    /// Its name in documents.
    pub fn name(&self) -> &'static str {
        match self {
            Self::Fault(fault) => fault.name(),
            Self::Action(change) => change.name(),
        }
    }

    /// Whom it selects, for checks before any snapshot exists. Empty where it speaks of all members.
    pub fn selection(&self) -> Option<&Selection> {
        match self {
            Self::Fault(fault) => fault.selection(),
            Self::Action(change) => change.selection(),
        }
    }

    /// Whether it only makes sense for members that tell their role.
    pub fn needs_roles(&self) -> bool {
        match self {
            Self::Fault(fault) => fault.needs_roles(),
            Self::Action(change) => matches!(change.selection(), Some(Selection::Role { .. })),
        }
    }

    /// The fewest members that it makes sense for.
    pub fn fewest_members(&self) -> u32 {
        match self {
            Self::Fault(fault) => fault.fewest_members(),
            Self::Action(_) => 1,
        }
    }

    /// Whether it is done through the API server of Kubernetes alone, which a sandbox does not have.
    pub fn needs_kubernetes(&self) -> bool {
        match self {
            Self::Fault(fault) => fault.needs_kubernetes(),
            Self::Action(Change::RolloutRestart {} | Change::Scale { .. } | Change::SetEnv { .. }) => false,
            Self::Action(
                Change::SetImage { .. } | Change::TakeSnapshot { .. } | Change::RestoreSnapshot { .. },
            ) => true,
        }
    }

    /// Whether it needs a StatefulSet, which a target of pods does not have.
    pub fn needs_stateful_set(&self) -> bool {
        match self {
            Self::Fault(Fault::RolloutBreak(_) | Fault::VolumeAttachBlock(_) | Fault::ClaimDelete(_))
            | Self::Action(_) => true,
            Self::Fault(fault) => fault.denies().into_iter().any(DeniedResource::is_told_by_claims),
        }
    }

    /// Whether it denies snapshots, which nobody feels where none can be taken.
    pub fn denies_snapshots(&self) -> bool {
        matches!(self, Self::Fault(fault) if fault.denies().contains(&DeniedResource::VolumeSnapshots))
    }

    /// Why a member cannot be in both at once, if so.
    pub fn contradicts(&self, other: &Self) -> Option<String> {
        match (self, other) {
            (Self::Fault(one), Self::Fault(other)) => one.contradicts(other),
            (Self::Action(_), _) | (_, Self::Action(_)) => None,
        }
    }

    /// Whether it destroys data for good.
    pub fn destroys(&self) -> bool {
        matches!(self, Self::Fault(fault) if fault.destroys().is_some())
    }

    /// Whether its own parameters say that it is done whatever PodDisruptionBudgets say.
    pub fn budgets(&self) -> DisruptionBudgets {
        match self {
            Self::Fault(fault) => fault.budgets(),
            Self::Action(_) => DisruptionBudgets::Respect,
        }
    }

    /// Decides who is hit and how.
    pub fn resolve(&self, chooser: &mut dyn Chooser) -> Result<Resolved, String> {
        match self {
            Self::Fault(fault) => fault.resolve(chooser),
            Self::Action(change) => change.resolve(chooser),
        }
    }
}
