//! `writeStall`: a member's writes stall again and again.
//!
//! Changes, needs and rules: those of [`diskStall`](super::disk_stall), in pulses: frozen, then free for the gap, and so on. It
//! is a duty cycle of stalled writes and no latency: a write that falls into a gap is as quick as ever. Left if the
//! agent dies: nothing, a guardian notices and thaws. Proof: pulses since the last look, and the time spent frozen.

use std::time::Duration;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{Action, Chooser, Damage, Hold, Kind, Resolved, Wrong};
use crate::api::{HostFault, Pulses, StalledDisk};
use crate::experiment::{Selection, duration};

/// The shortest pulse and gap: a freeze alone takes up to some milliseconds.
const SHORTEST: Duration = Duration::from_millis(1);
/// The longest pulse; what stalls longer is a `diskStall`.
const LONGEST: Duration = Duration::from_secs(30);

/// Freezes the volumes of members in pulses.
///
/// Changes: the filesystem of each volume is frozen (FIFREEZE) for each pulse, so that every write and sync on it
/// waits, and free for the gap. What is dirty is written out first. A write that falls into a gap is as quick as ever.
///
/// Undone: thawed.
///
/// Left if everything of ours dies: nothing, a guardian notices and thaws.
///
/// Needs: CAP_SYS_ADMIN, and volumes that are ext4 or xfs filesystems of their own which nobody else uses.
///
/// Proof: pulses since the last look, and the time spent frozen.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct WriteStall {
    /// Whose.
    pub members: Selection,
    /// Which claim templates' volumes stall; all where left out.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub claims: Vec<String>,
    /// How long each pulse lasts.
    #[serde(with = "duration")]
    #[schemars(with = "duration::Text")]
    pub frozen: Duration,
    /// How long writes go on between two pulses.
    #[serde(with = "duration")]
    #[schemars(with = "duration::Text")]
    pub gap: Duration,
}

impl Kind for WriteStall {
    const NAME: &'static str = "writeStall";
    const SUMMARY: &'static str = "freeze the volumes' filesystems in pulses, a duty cycle of stalled writes";
    const EXAMPLE: &'static str = "members: {role: leader}\nclaims: [data]\nfrozen: 200ms\ngap: 800ms";

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

    fn wrong(&self) -> Vec<Wrong> {
        let shortest = SHORTEST.as_millis();
        let frozen =
            format!("it is from {shortest} ms to {} s: write for example frozen: 50ms", LONGEST.as_secs());
        let gap = format!("it is at least {shortest} ms: write for example gap: 50ms");
        Wrong::when(!(SHORTEST..=LONGEST).contains(&self.frozen), "frozen", frozen)
            .into_iter()
            .chain(Wrong::when(self.gap < SHORTEST, "gap", gap))
            .collect()
    }

    fn writes_out(&self) -> bool {
        true
    }

    fn shortest(&self) -> (Duration, &'static str) {
        ((self.frozen + self.gap).max(Duration::from_secs(1)), "no pulse and gap come to their end in less")
    }

    fn resolve(&self, chooser: &mut dyn Chooser) -> Result<Resolved, String> {
        let members = chooser.pick(&self.members)?;
        let pulses = Some(Pulses { frozen: self.frozen, gap: self.gap });
        let stall = StalledDisk { claims: self.claims.clone(), pulses };
        let is_felt_as_down = stall.is_felt_as_down();
        let fault = HostFault::DiskStall(stall);
        let hits = members.iter().map(|&member| (member, Action::Host(fault.clone()))).collect();
        let down = if is_felt_as_down { members } else { Vec::new() };
        Ok(Resolved {
            hits,
            damage: Damage { down: down.into_iter().collect(), ..Damage::default() },
            ..Resolved::default()
        })
    }
}
