//! `diskReadOnly`: a member's filesystem turns read-only, as it does by itself after an error of its disk (`errors=remount-ro`).
//!
//! The kernel makes no filesystem read-only that somebody writes to: neither does anybody else but the filesystem itself, after
//! an error that only a new mount mends. So a live store is either told the error alone, by `diskError` with EROFS, or it is
//! killed (`killWriters: true`) and its volume made read-only in the moment before its container is started again: then it
//! finds it so, as after a restart on a disk that has failed.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{Action, BackOff, Chooser, Damage, Hold, Kind, Repeated, Resolved};
use crate::api::{HostFault, ReadOnlyDisk};
use crate::experiment::Selection;

pub mod host;

/// Makes the volumes of members read-only.
///
/// Changes: the filesystem of each volume is made read-only, for all of its mounts, and what is dirty is written out
/// for that.
///
/// Undone: it is made writable.
///
/// Left if everything of ours dies: nothing after the deadline, or after the start of the next node; a guardian makes
/// it writable at the deadline, and when the pod ends; with the last mount it is forgotten.
///
/// Needs: Linux 5.2, CAP_SYS_ADMIN, volumes that are ext4 or xfs filesystems of their own which nobody else uses, and
/// nobody who has a file open for writing.
///
/// Proof: the kernel says that it is read-only (statvfs), and a file that is to be written is refused (EROFS).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct DiskReadOnly {
    /// Whose.
    pub members: Selection,
    /// Which claim templates' volumes are made read-only; all where left out.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub claims: Vec<String>,
    /// Whether containers are killed (SIGKILL) where one of them has a file open for writing; a volume that is written is refused
    /// otherwise. Default: false.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub kill_writers: bool,
}

impl Kind for DiskReadOnly {
    const NAME: &'static str = "diskReadOnly";
    const SUMMARY: &'static str = "make the volumes' filesystems read-only, as after an error of the disk";
    const EXAMPLE: &'static str = "members: {role: follower, count: 1}\nclaims: [data]\nkillWriters: true";

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
        Some(Hold::ReadOnly)
    }

    fn writes_out(&self) -> bool {
        true
    }

    fn back_off(&self, repeated: &Repeated) -> Option<BackOff> {
        self.kill_writers.then(|| BackOff::of_restarts_during(repeated.lasting))
    }

    fn resolve(&self, chooser: &mut dyn Chooser) -> Result<Resolved, String> {
        let members = chooser.pick(&self.members)?;
        let fault = HostFault::DiskReadOnly(ReadOnlyDisk {
            claims: self.claims.clone(),
            kill_writers: self.kill_writers,
        });
        Ok(Resolved {
            hits: members.iter().map(|&member| (member, Action::Host(fault.clone()))).collect(),
            // Whoever cannot write cannot vote.
            damage: Damage { down: members.into_iter().collect(), ..Damage::default() },
            ..Resolved::default()
        })
    }
}
