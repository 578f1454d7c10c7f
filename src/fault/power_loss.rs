//! `powerLoss`: members lose power: what was not fsynced is gone, or torn; what was is there.
//!
//! With `unsynced: torn` some of what was not fsynced is on the disk nevertheless, in pieces and in any order, as the
//! run's seed decides. It needs a sandbox, which gives the claims that are meant a volume that can do it (`/dev/fuse`)
//! instead of an ext4 image, and that writes out what is older than 30 seconds, as kernels do. Proof: the synced marker
//! is there, of the unsynced one not all; how much of what the store had not synced was lost is told.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{Action, Chooser, Damage, Hold, Kind, Resolved};
use crate::api::HostFault;
use crate::experiment::Selection;

pub mod host;

/// What becomes of what was not fsynced.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub enum Unsynced {
    /// It is gone.
    #[default]
    Lost,
    /// A choice of its pieces, which the seed makes, is on the disk. In a sandbox only.
    Torn,
}

impl Unsynced {
    #[expect(clippy::trivially_copy_pass_by_ref, reason = "serde calls it with a reference")]
    fn is_lost(&self) -> bool {
        *self == Self::Lost
    }
}

/// Cuts the power of members, all at the same moment.
///
/// Changes: the member's processes get SIGKILL and the filesystem of each volume is shut down without flushing its log,
/// unmounted and mounted again.
///
/// Undone: by the platform, which mounts and starts again; nothing to undo.
///
/// Left if everything of ours dies: nothing.
///
/// Needs: root, and volumes that are ext4 or xfs filesystems of their own.
///
/// Proof: an unsynced marker file is gone, a synced one is there.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct PowerLoss {
    /// Whom.
    pub members: Selection,
    /// Which claim templates' volumes lose what was not fsynced; all where left out.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub claims: Vec<String>,
    /// What becomes of what was not fsynced: `lost` (default) or, in a sandbox, `torn`.
    #[serde(default, skip_serializing_if = "Unsynced::is_lost")]
    pub unsynced: Unsynced,
}

impl Kind for PowerLoss {
    const NAME: &'static str = "powerLoss";
    const SUMMARY: &'static str = "SIGKILL, and forget what was not fsynced on the volumes";
    const EXAMPLE: &'static str = "members: {count: all}\nclaims: [data]";

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

    fn needs_sandbox(&self) -> Option<&'static str> {
        Some(match self.unsynced {
            Unsynced::Lost => "an agent does not find the block devices of volumes: run it in a sandbox",
            Unsynced::Torn => {
                "writes are torn only on volumes that a sandbox makes for it: run it in a sandbox"
            }
        })
    }

    fn resolve(&self, chooser: &mut dyn Chooser) -> Result<Resolved, String> {
        let members = chooser.pick(&self.members)?;
        let seed = chooser.seed();
        let action = |ordinal| {
            let torn = match self.unsynced {
                Unsynced::Lost => None,
                // Each member's disk keeps something else.
                Unsynced::Torn => Some(seed.wrapping_add(ordinal)),
            };
            Action::Host(HostFault::PowerLoss { claims: self.claims.clone(), torn })
        };
        Ok(Resolved {
            hits: members.iter().map(|&ordinal| (ordinal, action(ordinal))).collect(),
            damage: Damage { down: members.into_iter().collect(), ..Damage::default() },
            ..Resolved::default()
        })
    }
}
