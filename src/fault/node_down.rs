//! `nodeDown`: the nodes of members are taken away, as when a machine is drained or lost.
//!
//! Changes: the node is cordoned and tainted with `NoExecute`, so that every pod that does not tolerate it is deleted and
//! none comes back; with `budgets: respect` its pods are evicted first, and the taint comes only when every budget agreed.
//! The kubelet and its containers go on: a kubelet that hangs is `kubeletStop`. Undone: the taint is
//! taken away and the node is uncordoned, if it was not cordoned before. Left if everything of ours dies: the taint,
//! until the controller or the reaper takes it away by the annotation on the node. Needs: Kubernetes. Proof: the taint is
//! there and none of the target's pods runs on the node.
//!
//! Every StatefulSet that has pods on the node is asked whether a majority of its pods is Ready elsewhere; one that would
//! lose it refuses the fault, unless `allowQuorumLoss` is set.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::nodes::Nodes;
use super::{Action, Chooser, Kind, Resolved};
use crate::api::{ApiFault, DisruptionBudgets};
use crate::experiment::Selection;

/// Takes away the nodes that members run on.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct NodeDown {
    /// Whose nodes. Other members on the same node are hit as well.
    pub members: Selection,
    /// Whether PodDisruptionBudgets are respected. Default respect.
    #[serde(default)]
    pub budgets: DisruptionBudgets,
}

impl Kind for NodeDown {
    const NAME: &'static str = "nodeDown";
    const SUMMARY: &'static str = "cordon and taint the nodes of members, so that every pod leaves them";

    fn must_last(&self) -> bool {
        true
    }

    fn may_last(&self, _follow: bool) -> bool {
        true
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
        let nodes = Nodes::of(&self.members, chooser)?;
        let hits = nodes.names.into_iter();
        let hits = hits
            .map(|(node, ordinal)| (ordinal, Action::Api(ApiFault::NodeDown { node, budgets: self.budgets })))
            .collect();
        Ok(Resolved { hits, damage: nodes.damage, ..Resolved::default() })
    }
}
