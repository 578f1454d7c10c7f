//! `volumeAttachBlock`: members' volumes are really detached and cannot be attached again.
//!
//! Kubernetes tries an attach again after 0.5 s, 1 s, 2 s and so on, up to two minutes. What it takes longer than the
//! fault is told apart and counts for nobody's recovery, if it is not longer than the revert waits.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{Action, BackOff, Chooser, Damage, Hold, Kind, Repeated, Resolved};
use crate::api::ApiFault;
use crate::experiment::Selection;

/// Detaches members' volumes and blocks their attach.
///
/// Changes: one ValidatingAdmissionPolicy of our own denies CREATE of VolumeAttachments of the PersistentVolumes behind
/// the members' claims; a second one holds back the re-creation of their pods, and the pods are deleted. When the old
/// VolumeAttachments are gone the second policy is taken away: without it a pod that returns to its node quickly is
/// never detached, and nothing would be attached that could be denied.
///
/// Undone: both policies are deleted, the StatefulSet is touched, and the attach is waited for.
///
/// Left if everything of ours dies: two objects that deny nothing after the deadline, which they carry; the controller
/// or the reaper deletes them.
///
/// Needs: in a cluster Kubernetes 1.30, and volumes of a CSI driver that are attached; in a sandbox, which attaches
/// nothing, the mount for the new pod is held.
///
/// Proof: the denial itself, told by the event `FailedAttachVolume` that names the policy and the volume, of each
/// member's new pod; dry runs are denied before any pod is deleted, and again every second.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct VolumeAttachBlock {
    /// Whose.
    pub members: Selection,
    /// The volumes of these claim templates; all where it is left out.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub claims: Vec<String>,
}

impl Kind for VolumeAttachBlock {
    const NAME: &'static str = "volumeAttachBlock";
    const SUMMARY: &'static str = "detach members' volumes and deny that they are attached again";
    const EXAMPLE: &'static str = "members: {role: follower, count: 1}\nclaims: [data]";

    fn must_last(&self) -> bool {
        true
    }

    fn may_last(&self, _follow: bool) -> bool {
        true
    }

    fn selection(&self) -> Option<&Selection> {
        Some(&self.members)
    }

    fn acts_on_a_node(&self) -> bool {
        false
    }

    /// New pods wait as well.
    fn can_follow(&self) -> bool {
        false
    }

    fn claims(&self) -> &[String] {
        &self.claims
    }

    fn hold(&self) -> Option<Hold> {
        Some(Hold::Detached)
    }

    fn back_off(&self, repeated: &Repeated) -> Option<BackOff> {
        BackOff::of_attaches(repeated.lasting)
    }

    fn resolve(&self, chooser: &mut dyn Chooser) -> Result<Resolved, String> {
        let ordinals = chooser.pick(&self.members)?;
        let down = ordinals.iter().copied().collect();
        Ok(Resolved {
            set: Some(Action::Api(ApiFault::BlockAttach { ordinals, claims: self.claims.clone() })),
            damage: Damage { down, ..Damage::default() },
            ..Resolved::default()
        })
    }
}
