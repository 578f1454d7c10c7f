//! The volumes behind the target's claims, as the platform sees them.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::Ordinal;

/// Every claim of the target that exists now.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Volumes {
    /// By name. One that several members have is told once for each.
    pub claims: Vec<ClaimedVolume>,
    /// Whether nothing is heard of them now, so that they may be others by now.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub unheard: bool,
}

/// A PersistentVolumeClaim and its volume.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ClaimedVolume {
    /// The claim's name.
    pub claim: String,
    /// Whose it is; nobody's where no member has it now.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ordinal: Option<Ordinal>,
    /// `metadata.uid` of the claim: changes when it is made again.
    pub uid: String,
    /// Its deletion was asked for; it is there only for as long as a pod uses it.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub deleted: bool,
    /// `status.phase` says Lost: its volume is gone.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub lost: bool,
    /// Whether Kubernetes attaches the volume to nodes, by VolumeAttachments; false while nobody knows.
    pub attachable: bool,
    /// The nodes to which it is attached.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub nodes: Vec<String>,
    /// What the attacher says of nodes that it should be attached to, or detached from.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub errors: BTreeMap<String, String>,
}
