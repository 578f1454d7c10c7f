//! `snapshotBlock`: nobody can take a VolumeSnapshot of members' claims, as when a backup system is broken.
//!
//! Changes: what `apiDeny` of volumeSnapshots does, see there: CREATE of VolumeSnapshots whose source is a claim of these
//! members is denied, whoever asks for it, also a step `takeSnapshot` of the same run, which is refused then. Snapshots
//! that exist stay, those of other claims in the namespace go on. Undone, left if everything of ours dies and proof: those
//! of `apiDeny`; it lapses by itself. Needs as well that the cluster knows VolumeSnapshots.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::api_deny::deny;
use super::{Chooser, Kind, Resolved};
use crate::api::DeniedResource;
use crate::experiment::Selection;

/// Denies the creation of VolumeSnapshots.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct SnapshotBlock {
    /// Of whose claims; of everybody's where it is left out, also of members that a scale-up adds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub members: Option<Selection>,
}

impl Kind for SnapshotBlock {
    const NAME: &'static str = "snapshotBlock";
    const SUMMARY: &'static str = "no VolumeSnapshot can be taken of members' claims";

    fn must_last(&self) -> bool {
        true
    }

    fn may_last(&self, _follow: bool) -> bool {
        true
    }

    fn selection(&self) -> Option<&Selection> {
        self.members.as_ref()
    }

    fn needs_kubernetes(&self) -> bool {
        true
    }

    fn denies(&self) -> Vec<DeniedResource> {
        vec![DeniedResource::VolumeSnapshots]
    }

    fn resolve(&self, chooser: &mut dyn Chooser) -> Result<Resolved, String> {
        deny(self.denies(), self.members.as_ref(), chooser)
    }
}
