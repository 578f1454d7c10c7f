//! `ioStress`: a member shares its disk with a noisy neighbour.
//!
//! What a member feels of it is up to its disk: the load asks for as much as `workers` at a time can get, or for `rate`. Limits
//! and weights of the container's cgroup hold for both together. In version 2 so do those of memory and of processes
//! (`pids.max`): the load takes some 8 MiB, and for each worker on each volume a thread and a `blockSize`. Without so much memory
//! left it is refused, because kubelet has the kernel end the whole container where one process goes too far
//! (`memory.oom.group`); without the threads it fails at once. A slow member counts as up for the quorum guard.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{Action, Chooser, Damage, Hold, Kind, Resolved, Wrong};
use crate::api::{HostFault, StressedDisk};
use crate::experiment::{Bytes, Selection};

pub mod host;

/// The sector of the largest disks: direct I/O is in multiples of it.
const SMALLEST_BLOCK: Bytes = Bytes(4 << 10);
/// What one request of a disk holds at most, or near to it.
const LARGEST_BLOCK: Bytes = Bytes(1 << 20);
/// The largest file: it is written once before the load begins.
const LARGEST: Bytes = Bytes(1 << 30);
/// So many threads are more than the queue of any disk takes from one process.
const MOST_WORKERS: u32 = 32;

/// Loads the volumes of members.
///
/// Changes: a process of ours in the container's own cgroup reads and writes a file without a name on each volume, past
/// the kernel's memory.
///
/// Undone: it is ended.
///
/// Left if everything of ours dies: nothing, it ends when neither node nor guardian is there any more, or the container
/// is not, and the kernel takes the room of a nameless file back.
///
/// Needs: a cgroup of the container's own in which I/O is limited and counted, volumes that are ext4 or xfs filesystems
/// of their own which nobody else uses, the right to write to their top folder, and room for the file.
///
/// Proof: what the kernel says that this process has read from and written to a disk since the last look, with how many
/// that were and how long they took.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct IoStress {
    /// Whose.
    pub members: Selection,
    /// Which claim templates' volumes are loaded; all where left out.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub claims: Vec<String>,
    /// How many reads and writes are under way at once on each volume. Default: 4.
    #[serde(default = "workers")]
    #[schemars(range(min = 1, max = 32))]
    pub workers: u32,
    /// How many bytes each is about, as a quantity: a multiple of 4Ki. Default: 64Ki.
    #[serde(default = "block_size")]
    pub block_size: Bytes,
    /// How much room the file takes on each volume, as a quantity. Default: 32Mi.
    #[serde(default = "size")]
    pub size: Bytes,
    /// How many of a hundred are writes. Default: 50.
    #[serde(default = "half")]
    #[schemars(range(max = 100))]
    pub write_percent: u8,
    /// How many there are in a second on each volume; as many as the disk does where left out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1))]
    pub rate: Option<u32>,
}

fn workers() -> u32 {
    4
}

fn block_size() -> Bytes {
    Bytes(64 << 10)
}

fn size() -> Bytes {
    Bytes(32 << 20)
}

fn half() -> u8 {
    50
}

impl Kind for IoStress {
    const NAME: &'static str = "ioStress";
    const SUMMARY: &'static str = "load the volumes from the members' own cgroups, as a noisy neighbour does";
    const EXAMPLE: &'static str = "members: {role: leader}\nclaims: [data]\nworkers: 4\nwritePercent: 50";

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
        Some(Hold::Loaded)
    }

    fn wrong(&self) -> Vec<Wrong> {
        let (block, size) = (self.block_size, self.size);
        let is_block = (SMALLEST_BLOCK..=LARGEST_BLOCK).contains(&block) && block.0 % SMALLEST_BLOCK.0 == 0;
        let is_size = is_block && (block..=LARGEST).contains(&size) && size.0 % block.0 == 0;
        let many = format!("there are from 1 to {MOST_WORKERS} at a time: write for example workers: 4");
        let blocks = format!(
            "a block is a multiple of {SMALLEST_BLOCK}, and {LARGEST_BLOCK} at most: write for example blockSize: 64Ki"
        );
        let sizes = format!(
            "the file is a multiple of blockSize, and {LARGEST} at most: write for example size: 32Mi"
        );
        let percents = "a percentage is 100 at most: write for example writePercent: 50";
        let rates = "a load of nothing is none: write for example rate: 200, or leave it out";
        [
            Wrong::when(!(1..=MOST_WORKERS).contains(&self.workers), "workers", many),
            Wrong::when(!is_block, "blockSize", blocks),
            Wrong::when(is_block && !is_size, "size", sizes),
            Wrong::when(self.write_percent > 100, "writePercent", percents),
            Wrong::when(self.rate == Some(0), "rate", rates),
        ]
        .into_iter()
        .flatten()
        .collect()
    }

    fn resolve(&self, chooser: &mut dyn Chooser) -> Result<Resolved, String> {
        let members = chooser.pick(&self.members)?;
        let fault = HostFault::IoStress(StressedDisk {
            claims: self.claims.clone(),
            workers: self.workers,
            block_size: self.block_size.0,
            size: self.size.0,
            write_percent: self.write_percent,
            rate: self.rate,
            seed: chooser.seed(),
        });
        Ok(Resolved {
            hits: members.iter().map(|&member| (member, Action::Host(fault.clone()))).collect(),
            damage: Damage::default(),
            ..Resolved::default()
        })
    }
}
