//! `kubeletStop`: the kubelets of members' nodes stop answering, as when a node hangs or loses the control plane.

use std::time::Duration;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::nodes::Nodes;
use super::{Action, Chooser, Kind, Resolved};
use crate::api::HostFault;
use crate::experiment::Selection;

pub mod host;

/// Stops the kubelets of the nodes that members run on.
///
/// Changes: SIGSTOP to the process that listens on the kubelet's port, and to no other: containers go on, but nothing
/// starts, stops or mounts any more on the node, probes end, and after its grace period the node is NotReady, so that
/// its pods leave their Services and are evicted later.
///
/// Undone: SIGCONT.
///
/// Left if everything of ours dies: nothing after the deadline, the guardian continues it.
///
/// Needs: Kubernetes, an agent on the node. Where kubelet, API server and runtime are one process (k3s), all of that
/// stops.
///
/// Proof: the process is stopped and its CPU time stands still.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct KubeletStop {
    /// Whose nodes. Other members on the same node are hit as well.
    pub members: Selection,
}

impl Kind for KubeletStop {
    const NAME: &'static str = "kubeletStop";
    const SUMMARY: &'static str = "stop the kubelets of members' nodes, so that the nodes become NotReady";
    const EXAMPLE: &'static str = "members: {role: leader}";

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

    fn acts_on_a_node(&self) -> bool {
        true
    }

    fn shortest(&self) -> (Duration, &'static str) {
        (Duration::from_secs(50), "a node is taken for lost only after a grace period of 50s")
    }

    fn resolve(&self, chooser: &mut dyn Chooser) -> Result<Resolved, String> {
        let nodes = Nodes::of(&self.members, chooser)?;
        Ok(Resolved {
            hits: nodes
                .names
                .into_values()
                .map(|ordinal| (ordinal, Action::Host(HostFault::StopKubelet {})))
                .collect(),
            damage: nodes.damage,
            ..Resolved::default()
        })
    }
}
