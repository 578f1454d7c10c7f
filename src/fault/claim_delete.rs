//! `claimDelete`: a member's PersistentVolumeClaims are deleted, by a slip of the hand or by automation that cleans up.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{Action, Chooser, Damage, Kind, Resolved, Wrong};
use crate::api::{ApiFault, DisruptionBudgets};
use crate::experiment::Selection;

const DESTROYS: &str = "deletes claims, and nothing brings them back: a volume whose reclaim policy is Delete goes with its claim";

/// Deletes the claims of members, with what is on their volumes.
///
/// Changes: the claims are deleted through the API server. While their pod runs, Kubernetes keeps them (the finalizer
/// `kubernetes.io/pvc-protection`), and they go when it ends, whenever that is; with `withPod` the pod is evicted right
/// afterwards, so that the claims are gone and the StatefulSet makes new ones, with empty volumes.
///
/// Undone: never, and that is why it has to be said: a deletion cannot be taken back, and a volume whose reclaim policy
/// is Delete is destroyed with its claim.
///
/// Left if everything of ours dies: what was deleted.
///
/// Needs: Kubernetes, a StatefulSet with claim templates.
///
/// Proof: the claims are terminating, gone, or there with a new UID; with `withPod` the pod is terminating or gone as
/// well. Nothing is deleted where one of the claims or the pod may not go, or where another pod uses a claim.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct ClaimDelete {
    /// Whose.
    pub members: Selection,
    /// Which claim templates' claims; all where left out.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub claims: Vec<String>,
    /// Whether the pod is evicted as well, so that the claims go at once. Default false: it runs on, and they go when it
    /// ends.
    #[serde(default)]
    pub with_pod: bool,
    /// Whether PodDisruptionBudgets are respected by the eviction. Default respect.
    #[serde(default)]
    pub budgets: DisruptionBudgets,
    /// Has to be true: what is on the volumes does not come back.
    #[serde(default)]
    pub destroys_data: bool,
}

impl Kind for ClaimDelete {
    const NAME: &'static str = "claimDelete";
    const SUMMARY: &'static str = "delete members' claims, and with them what is on their volumes";
    const EXAMPLE: &'static str =
        "members: {ordinals: [1]}\nclaims: [data]\nwithPod: true\ndestroysData: true";

    fn must_last(&self) -> bool {
        false
    }

    fn may_last(&self, _follow: bool) -> bool {
        false
    }

    fn selection(&self) -> Option<&Selection> {
        Some(&self.members)
    }

    fn needs_kubernetes(&self) -> bool {
        true
    }

    fn claims(&self) -> &[String] {
        &self.claims
    }

    fn budgets(&self) -> DisruptionBudgets {
        self.budgets
    }

    fn wrong(&self) -> Vec<Wrong> {
        let message = format!("`{}` {DESTROYS}; write destroysData: true if that is meant", Self::NAME);
        Wrong::when(!self.destroys_data, "destroysData", message).into_iter().collect()
    }

    fn destroys(&self) -> Option<&'static str> {
        Some(DESTROYS)
    }

    /// Whoever keeps its pod is counted as well, and all of them until the run is over: a member whose claims were deleted
    /// has lost its data as soon as its pod ends.
    fn resolve(&self, chooser: &mut dyn Chooser) -> Result<Resolved, String> {
        let members = chooser.pick(&self.members)?;
        let action = Action::Api(ApiFault::DeleteClaims {
            claims: self.claims.clone(),
            with_pod: self.with_pod,
            budgets: self.budgets,
        });
        Ok(Resolved {
            hits: members.iter().map(|&ordinal| (ordinal, action.clone())).collect(),
            damage: Damage { down: members.into_iter().collect(), ..Damage::default() },
            ..Resolved::default()
        })
    }
}
