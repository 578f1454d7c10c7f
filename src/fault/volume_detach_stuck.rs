//! `volumeDetachStuck`: a member's volume does not leave its node, as when an unmount hangs or a storage backend does not
//! answer.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{Action, Chooser, Hold, Kind, Resolved};
use crate::api::{HeldVolume, HostFault};
use crate::experiment::Selection;

pub mod host;

/// Keeps the volumes of members on their nodes.
///
/// Changes: nothing that runs. Where kubelet stages the volume, one level above the pod, its mount is held open, so
/// that it cannot be unmounted when the pod is gone: the volume stays in use and attached, and a pod that is made on
/// another node waits for it until Kubernetes gives the old node up.
///
/// Undone: the descriptor is closed, and kubelet's next try succeeds.
///
/// Left if everything of ours dies: nothing, the kernel closes descriptors with their holders.
///
/// Needs: Kubernetes, an agent on the node, and a CSI driver that stages volumes (STAGE_UNSTAGE_VOLUME), so that the
/// pod itself can end. It cannot: hold a volume of a driver that mounts straight into the pod.
///
/// Proof: the descriptor's mount is there in the node's mount table, which a mount that is in use does not leave
/// (umount(2): EBUSY).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct VolumeDetachStuck {
    /// Whose.
    pub members: Selection,
    /// Which claim templates' volumes stay; all where left out.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub claims: Vec<String>,
}

impl Kind for VolumeDetachStuck {
    const NAME: &'static str = "volumeDetachStuck";
    const SUMMARY: &'static str =
        "keep members' volumes mounted on their nodes, so that they cannot be detached";
    const EXAMPLE: &'static str = "members: {ordinals: [1]}\nclaims: [data]";

    fn must_last(&self) -> bool {
        true
    }

    fn may_last(&self, _follow: bool) -> bool {
        true
    }

    fn selection(&self) -> Option<&Selection> {
        Some(&self.members)
    }

    fn claims(&self) -> &[String] {
        &self.claims
    }

    fn needs_kubernetes(&self) -> bool {
        true
    }

    fn acts_on_a_node(&self) -> bool {
        true
    }

    fn hold(&self) -> Option<Hold> {
        Some(Hold::Kept)
    }

    /// Nobody is hit until a pod has to move, and who cannot come back is missing by then.
    fn resolve(&self, chooser: &mut dyn Chooser) -> Result<Resolved, String> {
        let members = chooser.pick(&self.members)?;
        let fault = HostFault::HoldVolume(HeldVolume { claims: self.claims.clone() });
        let hits = members.into_iter().map(|member| (member, Action::Host(fault.clone()))).collect();
        Ok(Resolved { hits, ..Resolved::default() })
    }
}
