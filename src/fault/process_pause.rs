//! `processPause`: members stop running and go on later, as in a long garbage collection or a stalled virtual machine.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{Action, Chooser, Damage, Hold, Kind, Resolved};
use crate::api::HostFault;
use crate::experiment::Selection;

pub mod host;

/// Pauses every process of the target's container.
///
/// Changes: the container's cgroup is frozen; SIGSTOP where it has no cgroup of its own.
///
/// Undone: thawed, SIGCONT.
///
/// Left if everything of ours dies: nothing after the deadline, the guardian thaws.
///
/// Needs: cgroup v2, or nothing.
///
/// Proof: the cgroup reads frozen and its CPU time stands still.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct ProcessPause {
    /// Whom.
    pub members: Selection,
}

impl Kind for ProcessPause {
    const NAME: &'static str = "processPause";
    const SUMMARY: &'static str = "stop a container's processes and let them go on later";
    const EXAMPLE: &'static str = "members: {role: follower, count: 1}";

    fn must_last(&self) -> bool {
        true
    }

    fn may_last(&self, _follow: bool) -> bool {
        true
    }

    fn selection(&self) -> Option<&Selection> {
        Some(&self.members)
    }

    fn hold(&self) -> Option<Hold> {
        Some(Hold::Stopped)
    }

    fn resolve(&self, chooser: &mut dyn Chooser) -> Result<Resolved, String> {
        let members = chooser.pick(&self.members)?;
        Ok(Resolved {
            hits: members.iter().map(|&ordinal| (ordinal, Action::Host(HostFault::Pause {}))).collect(),
            damage: Damage { down: members.into_iter().collect(), ..Damage::default() },
            ..Resolved::default()
        })
    }
}
