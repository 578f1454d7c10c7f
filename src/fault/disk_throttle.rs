//! `diskThrottle`: a member's disk does so much in a second and no more.
//!
//! What waits is I/O that the container's processes send to the disk: reads that memory cannot answer, direct I/O, and what a
//! sync writes. What the kernel writes out later by itself counts in version 2 where the memory controller is on as well, and is
//! never limited in version 1; neither is the filesystem's journal. In version 2 what is written to a file counts for the cgroup
//! that has written to it so far: a container that has just been started over the files of another is limited only when the kernel
//! has noticed, some seconds of writing later. A partition has no limits of its own: they are those of its
//! whole disk, for this container alone. In version 1 limits do not reach a cgroup that is made below the container's own
//! afterwards: with one the fault is lost; one that is removed is not counted any more. The quorum guard does not count a slow
//! member as down; a limit below what the store needs comes to that.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{Action, Chooser, Damage, Hold, Kind, Resolved, Wrong};
use crate::api::{HostFault, ThrottledDisk};
use crate::experiment::{Bytes, Selection};

pub mod host;

/// The smallest bandwidth: one page a second. A single request may be 256 times as large.
const SMALLEST: Bytes = Bytes(4 << 10);

/// Limits the I/O on the volumes of members.
///
/// Changes: limits of the container's own cgroup for the disk below each volume: `io.max` in version 2
/// (Documentation/admin-guide/cgroup-v2.rst), `blkio.throttle.*_device` in version 1
/// (Documentation/admin-guide/cgroup-v1/blkio-controller.rst).
///
/// Undone: each gets back what it was before, unless somebody has changed it since.
///
/// Left if everything of ours dies: nothing after the deadline; the guardian takes everything back then, and as soon as
/// one of the containers ends. That is a race with the runtime, which removes the cgroup: in version 2 what a removed
/// cgroup has left to be written out stays limited until it is written, and nobody can reach that limit.
///
/// Needs: the blkio controller of version 1 or the io controller of version 2, with throttling, a cgroup of the
/// container's own there, and volumes that are ext4 or xfs filesystems of their own which nobody else uses, on disks
/// that no folder of the node is on.
///
/// Proof: the limits, read back, once the I/O that the kernel counts has come to nine tenths of one of them for each
/// container on each disk, all within 10 s. After that it is proven for as long as the limits are there, as held calls
/// are, also while nobody has anything to do: the measured rate is told beside each limit, and when something was near
/// it last. A limit that nobody comes near slows nobody down, and is no fault. An agent that is started again has to
/// see it anew.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct DiskThrottle {
    /// Whose.
    pub members: Selection,
    /// Which claim templates' volumes are limited; all where left out.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub claims: Vec<String>,
    /// How many reads there are in a second.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1))]
    pub read_iops: Option<u32>,
    /// How many writes there are in a second.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1))]
    pub write_iops: Option<u32>,
    /// How many bytes are read in a second, as a quantity: 1Mi.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub read_bandwidth: Option<Bytes>,
    /// How many bytes are written in a second, as a quantity: 1Mi.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub write_bandwidth: Option<Bytes>,
}

impl Kind for DiskThrottle {
    const NAME: &'static str = "diskThrottle";
    const SUMMARY: &'static str = "limit reads and writes on the volumes, by number or by bytes per second";
    const EXAMPLE: &'static str = "members: {role: leader}\nclaims: [data]\nwriteIops: 20";

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
        Some(Hold::Throttled)
    }

    fn wrong(&self) -> Vec<Wrong> {
        let iops = [("readIops", self.read_iops), ("writeIops", self.write_iops)];
        let bandwidths = [("readBandwidth", self.read_bandwidth), ("writeBandwidth", self.write_bandwidth)];
        let is_empty = iops.iter().all(|(_, limit)| limit.is_none())
            && bandwidths.iter().all(|(_, limit)| limit.is_none());
        let no_limit = "nothing is limited: write for example writeIops: 20, or writeBandwidth: 1Mi";
        let iops = iops.into_iter().filter_map(|(field, limit)| {
            // The largest number stands for no limit.
            let message = format!("a limit is from 1 to {}: write for example {field}: 20", u32::MAX - 1);
            Wrong::when(matches!(limit, Some(0 | u32::MAX)), field, message)
        });
        let bandwidths = bandwidths.into_iter().filter_map(|(field, limit)| {
            let message = format!(
                "a limit is {SMALLEST} at least, what is slower stalls: write for example {field}: 1Mi"
            );
            Wrong::when(limit.is_some_and(|limit| limit < SMALLEST), field, message)
        });
        Wrong::when(is_empty, "writeIops", no_limit).into_iter().chain(iops).chain(bandwidths).collect()
    }

    fn resolve(&self, chooser: &mut dyn Chooser) -> Result<Resolved, String> {
        let members = chooser.pick(&self.members)?;
        let fault = HostFault::DiskThrottle(ThrottledDisk {
            claims: self.claims.clone(),
            read_iops: self.read_iops,
            write_iops: self.write_iops,
            read_bandwidth: self.read_bandwidth.map(|bytes| bytes.0),
            write_bandwidth: self.write_bandwidth.map(|bytes| bytes.0),
        });
        Ok(Resolved {
            hits: members.iter().map(|&member| (member, Action::Host(fault.clone()))).collect(),
            damage: Damage::default(),
            ..Resolved::default()
        })
    }
}
