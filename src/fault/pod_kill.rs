//! `podKill`: ends members.

use std::time::Duration;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{Action, BackOff, Chooser, Damage, Hold, Kind, Repeated, Resolved};
use crate::api::HostFault;
use crate::experiment::Selection;

pub mod host;

/// Ends members. With `follow: true` and `for`, each new pod or process is ended as well during that time.
///
/// Changes: a pod is deleted through the platform (`graceful`, `force`), or the processes of its container get SIGKILL
/// (`sigkill`).
///
/// Undone: by the platform, which brings the ordinal back; there is nothing to undo.
///
/// Left if everything of ours dies: nothing.
///
/// Needs: nothing of the kernel.
///
/// Proof: a new pod UID, or a new start time of the container's process.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct PodKill {
    /// Whom.
    pub members: Selection,
    /// How. Default graceful.
    #[serde(default)]
    pub mode: Mode,
    /// In which order, where several are hit. Default together.
    #[serde(default)]
    pub order: Order,
}

/// In which order members end.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub enum Order {
    /// All at once.
    #[default]
    Together,
    /// By ordinal, each one when the one before is healthy again.
    OneByOne,
}

/// How a member ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub enum Mode {
    /// The pod is deleted; its processes get SIGTERM and the pod's own grace period.
    #[default]
    Graceful,
    /// The pod is deleted without a grace period, also one that is being deleted and hangs.
    Force,
    /// The container's processes get SIGKILL; the pod stays and restarts them.
    Sigkill,
}

impl Kind for PodKill {
    const NAME: &'static str = "podKill";
    const SUMMARY: &'static str = "delete a pod (graceful, force) or SIGKILL its processes";
    const EXAMPLE: &'static str = "members: {role: leader}\nmode: sigkill";

    fn must_last(&self) -> bool {
        false
    }

    fn may_last(&self, follow: bool) -> bool {
        follow
    }

    fn selection(&self) -> Option<&Selection> {
        Some(&self.members)
    }

    fn acts_on_a_node(&self) -> bool {
        match self.mode {
            Mode::Graceful | Mode::Force => false,
            Mode::Sigkill => true,
        }
    }

    fn hold(&self) -> Option<Hold> {
        Some(Hold::Killed)
    }

    fn back_off(&self, repeated: &Repeated) -> Option<BackOff> {
        match (self.mode, repeated.follow) {
            // A new pod starts afresh.
            (Mode::Graceful | Mode::Force, _) => None,
            (Mode::Sigkill, true) => Some(BackOff::of_restarts_during(repeated.lasting)),
            (Mode::Sigkill, false) => BackOff::of_kills(repeated.times),
        }
    }

    fn resolve(&self, chooser: &mut dyn Chooser) -> Result<Resolved, String> {
        let members = chooser.pick(&self.members)?;
        let action = match self.mode {
            Mode::Graceful => Action::DeletePod { grace: None },
            Mode::Force => Action::DeletePod { grace: Some(Duration::ZERO) },
            Mode::Sigkill => Action::Host(HostFault::Kill {}),
        };
        Ok(Resolved {
            hits: members.iter().map(|&ordinal| (ordinal, action.clone())).collect(),
            damage: match self.order {
                Order::Together => Damage { down: members.into_iter().collect(), ..Damage::default() },
                Order::OneByOne => Damage { rolling: 1, ..Damage::default() },
            },
            one_by_one: self.order == Order::OneByOne,
            ..Resolved::default()
        })
    }
}
