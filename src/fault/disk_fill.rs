//! `diskFill`: a member's disk is full.
//!
//! Changes: a file without a name takes room on each volume, down to what shall be left. Undone: the file gives it back. Left
//! if everything of ours dies: nothing, the kernel takes the room of a nameless file back with its last descriptor, which a
//! guardian holds. Needs: volumes that are ext4 or xfs filesystems of their own which nobody else uses, and the right to
//! write to their top folder. Proof: what the filesystem itself says is left (statvfs).

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{Action, Chooser, Damage, Hold, Kind, Resolved, Wrong};
use crate::api::{Fill, FullDisk, HostFault};
use crate::experiment::Selection;

pub mod host;

/// Fills the volumes of members.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct DiskFill {
    /// Whose.
    pub members: Selection,
    /// Which claim templates' volumes are filled; all where left out.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub claims: Vec<String>,
    /// How full they get.
    pub to: Fill,
}

impl Kind for DiskFill {
    const NAME: &'static str = "diskFill";
    const SUMMARY: &'static str = "take the room on the volumes";

    fn must_last(&self) -> bool {
        true
    }

    fn may_last(&self, _follow: bool) -> bool {
        true
    }

    fn selection(&self) -> Option<&Selection> {
        Some(&self.members)
    }

    fn claims(&self) -> &[String] {
        &self.claims
    }

    fn hold(&self) -> Option<Hold> {
        Some(Hold::Filled)
    }

    fn wrong(&self) -> Vec<Wrong> {
        let is_wrong = matches!(self.to, Fill::Percent(percent) if !(1..=100).contains(&percent));
        let message = "a percentage is from 1 to 100: write for example to: {percent: 95}";
        Wrong::when(is_wrong, "to", message).into_iter().collect()
    }

    fn resolve(&self, chooser: &mut dyn Chooser) -> Result<Resolved, String> {
        let members = chooser.pick(&self.members)?;
        let fault = HostFault::DiskFill(FullDisk { claims: self.claims.clone(), to: self.to });
        Ok(Resolved {
            hits: members.iter().map(|&member| (member, Action::Host(fault.clone()))).collect(),
            // Many a store stops when it cannot write its log.
            damage: Damage { down: members.into_iter().collect(), ..Damage::default() },
            ..Resolved::default()
        })
    }
}
