//! What a run does through the API server: faults of the control plane, and the actions of people who operate the
//! target. It travels as an Injection whose pod has no node, so that there is a durable record before anything changes;
//! the run itself carries it out.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::Ordinal;

/// What is done through the API server, with everything decided.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", rename_all_fields = "camelCase")]
pub enum ApiFault {
    /// Evict the pod, once.
    Evict {
        /// What becomes of a PodDisruptionBudget that is in the way.
        budgets: DisruptionBudgets,
    },
    /// Delete the member's claims, once.
    DeleteClaims {
        /// Of which claim templates; all where empty.
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        claims: Vec<String>,
        /// Whether the pod is evicted as well.
        with_pod: bool,
        /// What becomes of a PodDisruptionBudget that is in the way of that.
        budgets: DisruptionBudgets,
    },
    /// Cordon the node, take its pods away, and keep everything off it.
    NodeDown {
        /// The node's name.
        node: String,
        /// What becomes of a PodDisruptionBudget that is in the way.
        budgets: DisruptionBudgets,
        /// Whether Kubernetes is told that the node is off.
        #[serde(default, skip_serializing_if = "std::ops::Not::not")]
        out_of_service: bool,
    },
    /// Give the StatefulSet a template whose pods cannot start.
    BreakRollout {
        /// Pods from this ordinal on get the broken template.
        partition: Ordinal,
        /// What is wrong with the template.
        by: Breakage,
    },
    /// Deny the creation of objects of these members.
    Deny {
        /// Of which kinds.
        resources: Vec<DeniedResource>,
        /// Of which members; of all where empty, also of those that a scale-up adds.
        ordinals: Vec<Ordinal>,
    },
    /// Detach volumes of these members and deny that they are attached again.
    BlockAttach {
        /// Of which members.
        ordinals: Vec<Ordinal>,
        /// Of which claim templates; all where empty.
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        claims: Vec<String>,
    },
    /// Restart every pod, one after the other, as `kubectl rollout restart` does. Ends by itself.
    Restart {},
    /// Set the number of replicas.
    Scale {
        /// How many.
        replicas: u32,
    },
    /// Set a container's image.
    SetImage {
        /// The container.
        container: String,
        /// The image.
        image: String,
    },
    /// Set an environment variable of a container.
    SetEnv {
        /// The container.
        container: String,
        /// The variable.
        name: String,
        /// Its value.
        value: String,
    },
    /// Take a VolumeSnapshot of each of these claims. Ends by itself.
    TakeSnapshot {
        /// Of which members.
        ordinals: Vec<Ordinal>,
        /// Of which claim templates; all where empty.
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        claims: Vec<String>,
        /// The VolumeSnapshotClass; the default one where it is left out.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        class: Option<String>,
    },
    /// Restore what a step of the same run took into new claims. Ends by itself.
    RestoreSnapshot {
        /// The step that took the snapshots.
        from: String,
        /// Whether a pod reads the restored volumes.
        read: bool,
    },
}

/// What becomes of a PodDisruptionBudget that is in the way.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub enum DisruptionBudgets {
    /// It is respected: what it forbids is not done.
    #[default]
    Respect,
    /// It is passed by, as a node that dies passes it by.
    Ignore,
}

/// What is wrong with a template.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub enum Breakage {
    /// Its image does not exist.
    #[default]
    Image,
    /// Its command does not exist.
    Command,
}

/// A kind of objects whose creation can be denied.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub enum DeniedResource {
    /// Members' pods: the controller cannot re-create them.
    Pods,
    /// Members' claims: no new volume is provisioned.
    PersistentVolumeClaims,
    /// VolumeSnapshots of members' claims.
    VolumeSnapshots,
}

impl DeniedResource {
    /// Whether it is told by the name of a claim, which only a StatefulSet gives.
    pub fn is_told_by_claims(self) -> bool {
        match self {
            Self::Pods => false,
            Self::PersistentVolumeClaims | Self::VolumeSnapshots => true,
        }
    }
}

impl ApiFault {
    /// Whether it is done once it is proven, so that there is nothing to hold.
    pub fn happens_once(&self) -> bool {
        match self {
            Self::Evict { .. }
            | Self::DeleteClaims { .. }
            | Self::Restart {}
            | Self::TakeSnapshot { .. }
            | Self::RestoreSnapshot { .. } => true,
            Self::NodeDown { .. }
            | Self::BreakRollout { .. }
            | Self::Deny { .. }
            | Self::BlockAttach { .. }
            | Self::Scale { .. }
            | Self::SetImage { .. }
            | Self::SetEnv { .. } => false,
        }
    }

    /// Whether it goes on after its proof and says by itself when it is over.
    pub fn ends_by_itself(&self) -> bool {
        matches!(self, Self::Restart {} | Self::TakeSnapshot { .. } | Self::RestoreSnapshot { .. })
    }
}
