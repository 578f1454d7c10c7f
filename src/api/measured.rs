//! What a node reads of the volumes of one member.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// One look at a member's volumes.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Measured {
    /// When, in nanoseconds since the node was started: how far two looks are apart does not depend on a wall clock, nor
    /// on when they are heard of.
    pub at: u64,
    /// What was seen.
    pub seen: Seen,
}

/// What a look shows.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub enum Seen {
    /// The pod's volumes.
    Volumes {
        /// The pod's UID.
        pod: String,
        /// Each volume from a claim.
        volumes: Vec<MeasuredVolume>,
    },
    /// The pod does not run there.
    NoPod {},
    /// Nobody could look.
    Unknown {
        /// Why not.
        why: String,
    },
}

/// A volume from a claim.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct MeasuredVolume {
    /// The claim template's name.
    pub claim: String,
    /// How full its filesystem is (statvfs(3)).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub room: Option<VolumeRoom>,
    /// What its block device has done, where it has one of its own.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub io: Option<VolumeIo>,
    /// Why one of the two is missing.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub why: Option<String>,
}

/// How full a filesystem is, in bytes, as df(1) counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct VolumeRoom {
    /// All that is taken.
    pub taken: u64,
    /// What ordinary users can still take.
    pub available: u64,
}

/// What a block device has done.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct VolumeIo {
    /// Its number, `MAJOR:MINOR`.
    pub device: String,
    /// Reads and writes that it has completed since it is there.
    pub operations: u64,
}
