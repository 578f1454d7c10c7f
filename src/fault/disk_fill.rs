//! `diskFill`: a member's disk is full, of bytes or of inodes.
//!
//! Inodes can only run out where their number is fixed, which of the two is ext4. Each that is taken costs a descriptor and some
//! two kilobytes of the kernel's memory, which count for nobody's container; more than half of the files that the machine can
//! still open, or than a quarter of its available memory holds, is refused, and it is lost where that comes true meanwhile; where
//! memory is short, that process is the first that the kernel ends. Taking and freeing takes time, some two seconds for each
//! hundred thousand; it is in force when all were taken once.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{Action, Chooser, Damage, Hold, Kind, Resolved, Wrong};
use crate::api::{Fill, FullDisk, HostFault};
use crate::experiment::Selection;

pub mod host;

/// Fills the volumes of members.
///
/// Changes: a file without a name takes room on each volume, down to what shall be left; or a process of ours takes
/// inodes without a name.
///
/// Undone: the file gives the room back; that process is ended.
///
/// Left if everything of ours dies: nothing, the kernel takes a nameless file back with its last descriptor: of room a
/// guardian holds one, of inodes only that process, which ends with the last of node and guardian.
///
/// Needs: volumes that are ext4 or xfs filesystems of their own which nobody else uses, and the right to write to their
/// top folder.
///
/// Proof: what the filesystem itself says is left (statvfs).
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
    const SUMMARY: &'static str = "take the room on the volumes, or their inodes";
    const EXAMPLE: &'static str = "members: {role: follower, count: 1}\nclaims: [data]\nto: {percent: 100}";

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
        let (form, percent) = match self.to {
            Fill::Percent(percent) => ("percent", percent),
            Fill::InodesPercent(percent) => ("inodesPercent", percent),
            Fill::Free(_) | Fill::FreeInodes(_) => return Vec::new(),
        };
        let message = format!("a percentage is from 1 to 100: write for example to: {{{form}: 95}}");
        Wrong::when(!(1..=100).contains(&percent), "to", message).into_iter().collect()
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
