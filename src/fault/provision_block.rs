//! `provisionBlock`: no new volume is provisioned for members, as when a storage backend is out of space.
//!
//! Changes: what `apiDeny` of persistentVolumeClaims does, see there: CREATE of the claims that the StatefulSet makes for
//! these members is denied, so that nobody is asked to provision anything. Claims that exist stay, and are mounted as
//! ever: what it is felt by is a scale-up, or a member whose claim was deleted. Undone, left if everything of ours dies,
//! needs and proof: those of `apiDeny`; it lapses by itself.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::api_deny::deny;
use super::{Chooser, Kind, Resolved};
use crate::api::DeniedResource;
use crate::experiment::Selection;

/// Denies the creation of members' claims.
///
/// Changes: a ValidatingAdmissionPolicy of our own denies CREATE of the claims that the StatefulSet makes for these
/// members, so that nobody is asked to provision anything. Claims that exist stay: what it is felt by is a scale-up, or
/// a member whose claim was deleted.
///
/// Undone: the policy and its binding are deleted, and the StatefulSet is touched, because its controller backs off
/// after denials.
///
/// Left if everything of ours dies: an object that denies nothing after the deadline, which it carries; the controller
/// or the reaper deletes it.
///
/// Needs: Kubernetes 1.30, and the ClusterRole `seatrial-runner-admission` for the runner.
///
/// Proof: creations that are tried without effect (dry run) are denied by this very policy, several times in a row, and
/// again every second.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct ProvisionBlock {
    /// Whose; everybody's where it is left out, also of members that a scale-up adds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub members: Option<Selection>,
}

impl Kind for ProvisionBlock {
    const NAME: &'static str = "provisionBlock";
    const SUMMARY: &'static str =
        "no volume is provisioned: the API server denies the creation of members' claims";
    const EXAMPLE: &'static str = "members: {ordinals: [2]}";

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
        vec![DeniedResource::PersistentVolumeClaims]
    }

    fn resolve(&self, chooser: &mut dyn Chooser) -> Result<Resolved, String> {
        deny(self.denies(), self.members.as_ref(), chooser)
    }
}
