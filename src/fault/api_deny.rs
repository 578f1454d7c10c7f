//! `apiDeny`: the API server refuses to create what members need.
//!
//! Changes: a ValidatingAdmissionPolicy of our own denies CREATE of the named kinds in the target's namespace, for the
//! members' names only. It is `failurePolicy: Ignore`, and its expression compares the creation time of the object with
//! a deadline, so that it stops denying by itself. Undone: the policy and its binding are deleted, and the StatefulSet
//! is touched, because its controller backs off after denials (up to 1000 s). Left if everything of ours dies: an object
//! that denies nothing after the deadline; the controller or the reaper deletes it. Needs: Kubernetes 1.30. Proof:
//! creations that are tried without effect (dry run) are denied by this very policy, several times in a row, because
//! each API server takes up to a second to learn of it; again every second.
//!
//! Scheduling (`pods/binding`) is not among the kinds: a Binding carries no creation time to compare with the deadline.

use std::collections::BTreeSet;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{Action, Chooser, Damage, Kind, Resolved};
use crate::api::{ApiFault, DeniedResource};
use crate::experiment::Selection;

/// Denies the creation of members' objects.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct ApiDeny {
    /// Which kinds: pods, persistentVolumeClaims, volumeSnapshots.
    #[schemars(length(min = 1))]
    pub resources: BTreeSet<DeniedResource>,
    /// Whose; everybody's where it is left out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub members: Option<Selection>,
}

impl Kind for ApiDeny {
    const NAME: &'static str = "apiDeny";
    const SUMMARY: &'static str = "the API server denies the creation of pods, claims or snapshots";

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

    /// Nobody is down by it: pods that are there stay. Who loses a pod meanwhile does not get it back, which the guard
    /// sees when that happens.
    fn resolve(&self, chooser: &mut dyn Chooser) -> Result<Resolved, String> {
        if self.resources.is_empty() {
            return Err("denies nothing: write for example resources: [pods]".into());
        }
        let ordinals = match &self.members {
            Some(members) => chooser.pick(members)?,
            None => chooser.all(),
        };
        let resources = self.resources.iter().copied().collect();
        Ok(Resolved {
            set: Some(Action::Api(ApiFault::Deny { resources, ordinals })),
            damage: Damage::default(),
            ..Resolved::default()
        })
    }
}
