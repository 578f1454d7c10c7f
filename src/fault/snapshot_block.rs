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
///
/// Changes: a ValidatingAdmissionPolicy of our own denies CREATE of VolumeSnapshots whose source is a claim of these
/// members, whoever asks for it. Snapshots that exist stay, those of other claims in the namespace go on.
///
/// Undone: the policy and its binding are deleted, and the StatefulSet is touched, because its controller backs off
/// after denials.
///
/// Left if everything of ours dies: an object that denies nothing after the deadline, which it carries; the controller
/// or the reaper deletes it.
///
/// Needs: Kubernetes 1.30 that knows VolumeSnapshots, and the ClusterRole `seatrial-runner-admission` for the runner.
///
/// Proof: creations that are tried without effect (dry run) are denied by this very policy, several times in a row, and
/// again every second.
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
    const EXAMPLE: &'static str = "members: {ordinals: [0]}";

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
