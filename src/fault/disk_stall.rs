//! `diskStall`: a member's disk stops answering.
//!
//! A freeze first writes out what is dirty, so that unsynced data becomes durable: what `durability` says of such a step
//! tells nothing about lost caches. Who waits for a frozen filesystem cannot even be killed; so the volume is thawed as soon
//! as its pod is being ended. The fault is over at its deadline, or as long after it as a flush under way takes.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{Action, Chooser, Damage, Hold, Kind, Resolved};
use crate::api::{HostFault, StalledDisk};
use crate::experiment::Selection;

pub mod host;

/// Freezes the volumes of members for the whole step.
///
/// Changes: the filesystem of each volume is frozen (FIFREEZE), so that every write and sync on it waits; reads go on.
///
/// Undone: thawed.
///
/// Left if everything of ours dies: nothing after the deadline; two guardians hold the volume and thaw it.
///
/// Needs: CAP_SYS_ADMIN, and volumes that are ext4 or xfs filesystems of their own which nobody else uses.
///
/// Proof: another freeze is answered EBUSY, which only a frozen filesystem does; threads that wait for the thaw are
/// counted.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct DiskStall {
    /// Whose.
    pub members: Selection,
    /// Which claim templates' volumes stall; all where left out.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub claims: Vec<String>,
}

impl Kind for DiskStall {
    const NAME: &'static str = "diskStall";
    const SUMMARY: &'static str = "freeze the volumes' filesystems, so that every write waits";
    const EXAMPLE: &'static str = "members: {role: leader}\nclaims: [data]";

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
        Some(Hold::Frozen)
    }

    fn writes_out(&self) -> bool {
        true
    }

    fn resolve(&self, chooser: &mut dyn Chooser) -> Result<Resolved, String> {
        let members = chooser.pick(&self.members)?;
        let fault = HostFault::DiskStall(StalledDisk { claims: self.claims.clone(), pulses: None });
        Ok(Resolved {
            hits: members.iter().map(|&member| (member, Action::Host(fault.clone()))).collect(),
            // Whoever cannot write cannot vote.
            damage: Damage { down: members.into_iter().collect(), ..Damage::default() },
            ..Resolved::default()
        })
    }
}
