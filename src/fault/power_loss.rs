//! `powerLoss`: members lose power: what was not fsynced is gone, what was is there.
//!
//! Changes: the member's processes get SIGKILL and the filesystem of each volume is shut down without flushing its log,
//! unmounted and mounted again. Undone: by the platform, which mounts and starts again; nothing to undo. Left if the
//! agent dies: nothing. Needs: root, and volumes that are ext4 or xfs filesystems of their own. Proof: an unsynced
//! marker file is gone, a synced one is there.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{Action, Chooser, Damage, Hold, Kind, Resolved};
use crate::api::HostFault;
use crate::experiment::Selection;

pub mod host;

/// Cuts the power of members, all at the same moment.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct PowerLoss {
    /// Whom.
    pub members: Selection,
    /// Which claim templates' volumes lose what was not fsynced; all where left out.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub claims: Vec<String>,
}

impl Kind for PowerLoss {
    const NAME: &'static str = "powerLoss";
    const SUMMARY: &'static str = "SIGKILL, and forget what was not fsynced on the volumes";

    fn must_last(&self) -> bool {
        false
    }

    fn may_last(&self, _follow: bool) -> bool {
        false
    }

    fn selection(&self) -> Option<&Selection> {
        Some(&self.members)
    }

    fn claims(&self) -> &[String] {
        &self.claims
    }

    fn hold(&self) -> Option<Hold> {
        Some(Hold::Killed)
    }

    fn resolve(&self, chooser: &mut dyn Chooser) -> Result<Resolved, String> {
        let members = chooser.pick(&self.members)?;
        let action = Action::Host(HostFault::PowerLoss { claims: self.claims.clone() });
        Ok(Resolved {
            hits: members.iter().map(|&ordinal| (ordinal, action.clone())).collect(),
            damage: Damage { down: members.into_iter().collect(), ..Damage::default() },
            ..Resolved::default()
        })
    }
}
