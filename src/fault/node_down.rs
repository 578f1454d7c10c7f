//! `nodeDown`: the nodes of members are taken away, as when a machine is drained or lost.
//!
//! With `outOfService` the node is also given the taint by which an administrator says that a machine is off
//! (`node.kubernetes.io/out-of-service`, KEP-2268): Kubernetes deletes what hangs on a node that is not Ready and detaches
//! its volumes at once, without waiting until the node has unmounted them, which takes it six minutes otherwise. Where
//! the machine is not off, its containers go on writing to a volume that another node has by then.
//!
//! Every StatefulSet that has pods on the node is asked whether a majority of its pods is Ready elsewhere; one that would
//! lose it refuses the fault, unless `allowQuorumLoss` is set.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::nodes::Nodes;
use super::{Action, Chooser, Kind, Resolved, Wrong};
use crate::api::{ApiFault, DisruptionBudgets};
use crate::experiment::Selection;

/// Takes away the nodes that members run on.
///
/// Changes: the node is cordoned and tainted with `NoExecute`, so that every pod that does not tolerate it is deleted
/// and none comes back; with `budgets: respect` its pods are evicted first, and the taint comes only when every budget
/// agreed. The kubelet and its containers go on: a kubelet that hangs is `kubeletStop`.
///
/// Undone: the taint is taken away and the node is uncordoned, if it was not cordoned before.
///
/// Left if everything of ours dies: the taint, until the controller or the reaper takes it away by the annotation on
/// the node.
///
/// Needs: Kubernetes.
///
/// Proof: the taint is there and none of the target's pods runs on the node.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct NodeDown {
    /// Whose nodes. Other members on the same node are hit as well.
    pub members: Selection,
    /// Whether PodDisruptionBudgets are respected. Default respect.
    #[serde(default)]
    pub budgets: DisruptionBudgets,
    /// Whether Kubernetes is told that the nodes are off, so that it detaches their volumes by force and at once. Default
    /// false. Needs `destroysData`.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub out_of_service: bool,
    /// Has to be true with `outOfService`: containers that still run there write to a volume that another node has.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub destroys_data: bool,
}

const DESTROYS: &str = "with outOfService detaches volumes by force, and what containers still write to them is lost or spoils them";

impl Kind for NodeDown {
    const NAME: &'static str = "nodeDown";
    const SUMMARY: &'static str = "cordon and taint the nodes of members, so that every pod leaves them";
    const EXAMPLE: &'static str = "members: {ordinals: [1]}";

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

    fn wrong(&self) -> Vec<Wrong> {
        let is_unsaid = self.out_of_service && !self.destroys_data;
        let message = format!("`{}` {DESTROYS}; write destroysData: true if that is meant", Self::NAME);
        Wrong::when(is_unsaid, "destroysData", message).into_iter().collect()
    }

    fn destroys(&self) -> Option<&'static str> {
        self.out_of_service.then_some(DESTROYS)
    }

    fn resolve(&self, chooser: &mut dyn Chooser) -> Result<Resolved, String> {
        let nodes = Nodes::of(&self.members, chooser)?;
        let down =
            |node| ApiFault::NodeDown { node, budgets: self.budgets, out_of_service: self.out_of_service };
        let hits = nodes.names.into_iter().map(|(node, ordinal)| (ordinal, Action::Api(down(node))));
        Ok(Resolved { hits: hits.collect(), damage: nodes.damage, ..Resolved::default() })
    }
}
