//! `schedulingBlock`: a member whose pod is lost is not scheduled again.
//!
//! Changes: what `apiDeny` of pods does, see there: the member's pod cannot be made, so that the scheduler never sees it.
//! It is not the scheduler's own request (`pods/binding`) that is denied: a Binding carries no creation time, so nothing
//! could compare it with the deadline, and the denial would outlive us. What differs is what a person sees: no pod at all
//! with `FailedCreate` in the StatefulSet's events, and not a Pending pod with `FailedScheduling`; `schedulerPending` does
//! not see it, `podAvailability` does. Pods that run stay. Undone, left if everything of ours dies, needs and proof: those
//! of `apiDeny`; it lapses by itself.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::api_deny::deny;
use super::{Chooser, Kind, Resolved};
use crate::api::DeniedResource;
use crate::experiment::Selection;

/// Keeps members' pods from the scheduler.
///
/// Changes: a ValidatingAdmissionPolicy of our own denies CREATE of these members' pods, so that the scheduler never
/// sees one that is lost. Pods that run stay; a person sees `FailedCreate` in the StatefulSet's events, and no Pending
/// pod.
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
pub struct SchedulingBlock {
    /// Whose; everybody's where it is left out, also of members that a scale-up adds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub members: Option<Selection>,
}

impl Kind for SchedulingBlock {
    const NAME: &'static str = "schedulingBlock";
    const SUMMARY: &'static str =
        "members whose pods are lost are not scheduled again: their pods cannot be made";
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
        vec![DeniedResource::Pods]
    }

    fn resolve(&self, chooser: &mut dyn Chooser) -> Result<Resolved, String> {
        deny(self.denies(), self.members.as_ref(), chooser)
    }
}
