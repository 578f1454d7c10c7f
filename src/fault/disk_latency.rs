//! `diskLatency`: a member's disk is slow.
//!
//! By one of three drivers. Named, the others are never tried, and a node that cannot do it refuses before anything is
//! changed. `auto` (default) takes the first that finds all that it needs: for syncs that take 200 ms and more `dmDelay`, then
//! `syscall`; for anything else `syscall`, then `dmDelay`, then `fanotify` (each where it knows the operations and delays
//! asked for). The proof begins with the name of the one that was taken, plans show the order, and agents tell what each
//! node can do.
//!
//! - `syscall`, here: a tracer (ptrace(2)) holds calls of the member's processes. Exact, any delay, any share of the calls.
//! - `dmDelay`, see [`super::mapped_disk`]: device mapper holds requests to the device. All that the device does, also for
//!   io_uring, libaio and memory maps; fixed delays; a tick of the kernel's clock too long.
//! - `fanotify`, see [`super::gated_disk`]: the kernel asks before reads and writes of files that are opened from then on.
//!   Exact, any delay; no syncs, and nothing of files that were open before.
//!
//! Of `syscall`: Changes: nothing on disk and nothing in the kernel. The tracer holds the member's system calls on files of its
//! volumes at their entry for the time asked, on the live process and without a restart; threads and processes that it starts
//! are followed. Undone: the tracer ends. Left if everything of ours dies: nothing, the kernel lets the calls of a dead tracer's
//! processes go on at once. Needs: CAP_SYS_PTRACE, nobody else tracing the process, and calls: what io_uring and libaio submit
//! is never seen, so that a process which has either open is refused, and the proof ends with an io_uring that is opened later
//! (a libaio that is, is not noticed); what goes by way of a memory mapping is not slowed down. Where another claim of the pod
//! is on the same filesystem, `claims` needs `paths`, too. Proof: calls held, how long they were held in the mean, and how
//! late the tracer was: its own waiting comes on top of every call.
//!
//! `paths` narrows it to files whose path below the volume's root fits a pattern, as it is at the moment of the call; the root
//! is the claim's, also where a container mounts only a folder of it by `subPath`. An `open` is meant by the file to which its
//! path leads, with symbolic links followed as it follows them, or by the one that it makes. Left alone are opens that fail by
//! themselves, but for those to which the process has no right (EACCES), `O_PATH`, which opens nothing, and the few of which
//! the file cannot be known before they are made: `host::tracer::opens` names them.
//!
//! Every call of a traced thread takes up to 0.1 ms longer, also those that are not held: `seatrial bench disk` measures
//! that. The quorum guard does not count a slow member as down; a delay beyond the store's own timeouts comes to that.

use std::collections::BTreeSet;
use std::time::Duration;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{Action, Chooser, Damage, Hold, Kind, Resolved, Wrong};
use crate::api::{Delay, DiskOperation, HostFault, LatencyDriver, MOST_RECORDED, Misfit, SlowDisk};
use crate::experiment::Selection;
use crate::host::tracer::Patterns;

pub mod host;

/// The longest that one call may be held: a store that waits longer for its disk is not slow but stalled.
const LONGEST: Duration = Duration::from_secs(30);

/// Slows down calls on the volumes of members.
///
/// Changes: nothing on disk. By the driver `syscall`, a tracer holds the member's calls on files of its volumes at
/// their entry, on the live process and without a restart; `dmDelay` exchanges the table of the volume's device for one
/// that holds its requests; `fanotify` has the kernel ask before reads and writes of files that are opened from then
/// on.
///
/// Undone: the tracer or the answering process ends; the device gets its table back.
///
/// Left if everything of ours dies: nothing: the kernel lets the calls of a dead tracer's processes go on at once, and
/// two guardians put a device's table back at the deadline.
///
/// Needs: by driver. `syscall`: CAP_SYS_PTRACE, nobody else tracing the process, and no io_uring or libaio. `dmDelay`:
/// volumes on a linear mapping of device mapper (LVM), dm-delay, and fixed delays of whole milliseconds. `fanotify`:
/// Linux 6.14 with CONFIG_FANOTIFY_ACCESS_PERMISSIONS, volumes that are an ext4 or xfs of their own, and a store that
/// opens its files anew; it holds no syncs.
///
/// Proof: the driver's name, then calls held, how long they were held in the mean, and how late who holds them was. A
/// step in which the store makes no such call is not proven.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct DiskLatency {
    /// Whose.
    pub members: Selection,
    /// Which claim templates' volumes are slow; all where left out.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub claims: Vec<String>,
    /// Which files, by patterns of their paths below the volume's root (`wal/*`, `**/*.wal`); all where left out.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub paths: Vec<String>,
    /// Which calls: sync (default), write, read, open.
    #[serde(default = "only_sync")]
    #[schemars(length(min = 1))]
    pub operations: BTreeSet<DiskOperation>,
    /// By how much.
    pub delay: Delay,
    /// How many of a hundred calls, chosen by the run's seed. Default: all.
    #[serde(default = "all")]
    #[schemars(range(min = 1, max = 100))]
    pub percent: u8,
    /// By what: auto (default), syscall, dmDelay, fanotify.
    #[serde(default)]
    pub driver: LatencyDriver,
}

impl DiskLatency {
    fn slow(&self, seed: u32) -> SlowDisk {
        SlowDisk {
            claims: self.claims.clone(),
            paths: self.paths.clone(),
            operations: self.operations.iter().copied().collect(),
            delay: self.delay.clone(),
            percent: self.percent,
            seed,
            driver: self.driver,
        }
    }
}

/// Calls that are meant where nobody says which.
pub(super) fn only_sync() -> BTreeSet<DiskOperation> {
    BTreeSet::from([DiskOperation::Sync])
}

/// How many of a hundred are meant where nobody says it.
pub(super) fn all() -> u8 {
    100
}

/// What is wrong with the choice of calls, for every fault that has one.
pub(super) fn wrong_choice(
    operations: &BTreeSet<DiskOperation>,
    paths: &[String],
    percent: u8,
) -> impl Iterator<Item = Wrong> {
    let nothing = "no call is meant: write for example operations: [sync]";
    let no_share = format!("{percent} is not between 1 and 100");
    let empty = Wrong::when(operations.is_empty(), "operations", nothing);
    let no_pattern = Patterns::new(paths).err().map(|message| Wrong { field: "paths", message });
    empty.into_iter().chain(no_pattern).chain(Wrong::when(!(1..=100).contains(&percent), "percent", no_share))
}

/// What is in the way of a named driver.
pub(super) fn wrong_driver((field, message): Misfit) -> Wrong {
    Wrong { field, message }
}

impl Kind for DiskLatency {
    const NAME: &'static str = "diskLatency";
    const SUMMARY: &'static str = "hold syncs, writes, reads or opens on the volumes for a while";
    const EXAMPLE: &'static str =
        "members: {role: leader}\nclaims: [data]\noperations: [sync]\ndelay: {fixed: 50ms}";

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

    fn holds(&self) -> Vec<Hold> {
        let hold = |driver| if driver == LatencyDriver::DmDelay { Hold::Mapped } else { Hold::Traced };
        self.slow(0).drivers().into_iter().map(hold).collect()
    }

    fn drivers(&self) -> Vec<&'static str> {
        self.slow(0).drivers().into_iter().map(LatencyDriver::name).collect()
    }

    fn wrong(&self) -> Vec<Wrong> {
        let longest = self.delay.longest();
        let too_long = format!(
            "a delay is more than nothing and at most {} s: write for example delay: {{fixed: 20ms}}",
            LONGEST.as_secs()
        );
        let is_endless = matches!(&self.delay, Delay::Recorded(times) if times.len() > MOST_RECORDED);
        let too_many = format!(
            "more than {MOST_RECORDED} recorded times: write percentiles of them, for example every thousandth part"
        );
        let is_turned = matches!(self.delay, Delay::Uniform { min, max } if min > max);
        Wrong::when(longest.is_zero() || longest > LONGEST, "delay", too_long)
            .into_iter()
            .chain(Wrong::when(is_endless, "delay", too_many))
            .chain(Wrong::when(is_turned, "delay", "min is greater than max: exchange them"))
            .chain(wrong_choice(&self.operations, &self.paths, self.percent))
            .chain(self.slow(0).misfit(self.driver).map(wrong_driver))
            .collect()
    }

    fn resolve(&self, chooser: &mut dyn Chooser) -> Result<Resolved, String> {
        let members = chooser.pick(&self.members)?;
        let fault = |seed| HostFault::DiskLatency(Box::new(self.slow(seed)));
        let seed = chooser.seed();
        Ok(Resolved {
            // Members do not wait in step.
            hits: members
                .iter()
                .map(|&member| (member, Action::Host(fault(seed.wrapping_add(member)))))
                .collect(),
            damage: Damage::default(),
            ..Resolved::default()
        })
    }
}
