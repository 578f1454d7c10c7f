//! What a node reads of the volumes of one member.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// One look at a member's volumes. It is flat, and says what there is not, because it is merged into the one before.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Measured {
    /// When, in nanoseconds since the node was started: how far two looks are apart does not depend on a wall clock, nor
    /// on when they are heard of.
    pub at: u64,
    /// The UID of the pod whose volumes these are; none where it does not run there, or where nobody could look.
    pub pod: Option<String>,
    /// Each volume from a claim of the pod.
    pub volumes: Vec<MeasuredVolume>,
    /// Why nobody could look, where nobody could.
    pub why: Option<String>,
}

/// What a look shows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Seen<'a> {
    /// The volumes of the pod with this UID.
    Volumes(&'a str, &'a [MeasuredVolume]),
    /// The pod does not run there.
    NoPod,
    /// Nobody could look, for this reason.
    Unknown(&'a str),
}

impl Measured {
    /// A look at the volumes of a pod.
    pub fn volumes(at: u64, pod: &str, volumes: Vec<MeasuredVolume>) -> Self {
        Self { at, pod: Some(pod.to_owned()), volumes, why: None }
    }

    /// The pod does not run there.
    pub fn no_pod(at: u64) -> Self {
        Self { at, pod: None, volumes: Vec::new(), why: None }
    }

    /// Nobody could look.
    pub fn unknown(at: u64, why: String) -> Self {
        Self { at, pod: None, volumes: Vec::new(), why: Some(why) }
    }

    /// What it shows.
    pub fn seen(&self) -> Seen<'_> {
        match (&self.pod, &self.why) {
            (_, Some(why)) => Seen::Unknown(why),
            (Some(pod), None) => Seen::Volumes(pod, &self.volumes),
            (None, None) => Seen::NoPod,
        }
    }
}

/// A volume from a claim. One that no container uses now, because those that mount it do not run, has neither of the two nor
/// a reason.
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

impl MeasuredVolume {
    /// One that no container uses now, because those that mount it do not run.
    pub fn at_rest(claim: String) -> Self {
        Self { claim, room: None, io: None, why: None }
    }

    /// Whether no container uses it now.
    pub fn is_at_rest(&self) -> bool {
        self.room.is_none() && self.io.is_none() && self.why.is_none()
    }
}

/// How full a filesystem is, as df(1) counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct VolumeRoom {
    /// All bytes that are taken.
    pub taken: u64,
    /// Bytes that ordinary users can still take.
    pub available: u64,
    /// Its inodes, where it counts them.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub inodes: Option<VolumeInodes>,
}

/// How many files and folders a filesystem has.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct VolumeInodes {
    /// Those that are taken.
    pub taken: u64,
    /// Those that are left.
    pub free: u64,
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
