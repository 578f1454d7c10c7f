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
    /// Cordon the node, take its pods away, and keep everything off it.
    NodeDown {
        /// The node's name.
        node: String,
        /// What becomes of a PodDisruptionBudget that is in the way.
        budgets: DisruptionBudgets,
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
        /// Of which members.
        ordinals: Vec<Ordinal>,
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
    /// VolumeSnapshots of the namespace, of whichever member.
    VolumeSnapshots,
}

impl ApiFault {
    /// Whether it is done once it is proven, so that there is nothing to hold.
    pub fn happens_once(&self) -> bool {
        match self {
            Self::Evict { .. } | Self::Restart {} => true,
            Self::NodeDown { .. }
            | Self::BreakRollout { .. }
            | Self::Deny { .. }
            | Self::Scale { .. }
            | Self::SetImage { .. }
            | Self::SetEnv { .. } => false,
        }
    }

    /// Whether it goes on after its proof and says by itself when it is over.
    pub fn ends_by_itself(&self) -> bool {
        matches!(self, Self::Restart {})
    }
}
