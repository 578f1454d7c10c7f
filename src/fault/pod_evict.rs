//! `podEvict`: pods are evicted, as `kubectl drain` does.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{Action, Chooser, Damage, Kind, Resolved};
use crate::api::{ApiFault, DisruptionBudgets};
use crate::experiment::Selection;

/// Evicts members' pods.
///
/// Changes: the pod is deleted through the eviction subresource, which asks every PodDisruptionBudget; or, where
/// budgets are ignored, deleted directly with its own grace period, as a drain with `--disable-eviction` does.
///
/// Undone: by the platform, which brings the ordinal back; there is nothing to undo.
///
/// Left if everything of ours dies: nothing.
///
/// Needs: Kubernetes.
///
/// Proof: the pod is terminating, gone, or there with a new UID. A budget that forbids the eviction for as long as it
/// is asked is told, and the step does not count as proven.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct PodEvict {
    /// Whom.
    pub members: Selection,
    /// Whether PodDisruptionBudgets are respected. Default respect.
    #[serde(default)]
    pub budgets: DisruptionBudgets,
}

impl Kind for PodEvict {
    const NAME: &'static str = "podEvict";
    const SUMMARY: &'static str = "evict pods, respecting PodDisruptionBudgets or not";
    const EXAMPLE: &'static str = "members: {ordinals: [1]}\nbudgets: respect";

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

    fn budgets(&self) -> DisruptionBudgets {
        self.budgets
    }

    fn resolve(&self, chooser: &mut dyn Chooser) -> Result<Resolved, String> {
        let members = chooser.pick(&self.members)?;
        let action = Action::Api(ApiFault::Evict { budgets: self.budgets });
        Ok(Resolved {
            hits: members.iter().map(|&ordinal| (ordinal, action.clone())).collect(),
            damage: Damage { down: members.into_iter().collect(), ..Damage::default() },
            ..Resolved::default()
        })
    }
}
