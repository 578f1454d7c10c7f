//! `diskError`: a member's disk answers with errors.
//!
//! By one of three drivers, of which a node that cannot do the named one refuses before anything is changed: `syscall`, here;
//! `fanotify`, see [`super::gated_disk`]; and `dmError`, see [`super::mapped_disk`]. `auto` (default) takes `syscall`, or
//! `fanotify` where that cannot be and only reads and writes are meant; never `dmError`, because of what an error of the
//! device leaves: it has to be named, and plans and reports warn of it. The proof begins with the name of the one taken.
//!
//! Of `syscall`: Changes: nothing on disk and nothing in the kernel. The tracer of `diskLatency` has the member's system calls on files of
//! its volumes answered with the error asked for instead of made, on the live process and without a restart; threads and
//! processes that it starts are followed. Undone: the tracer ends. Left if everything of ours dies: nothing, the calls of a
//! dead tracer's processes are made again, and one that was just under way is answered with the error. Only where the process
//! has a seccomp(2) filter, as with `seccompProfile: {type: RuntimeDefault}`, that one is answered EBADF or, an open, EFAULT
//! instead, and one register of its thread is not restored (`host::tracer::divert`). Needs and cannot: as `diskLatency`, with
//! the same `paths`. Proof: calls answered with the error. A store that ends at the first error, as many do, is hit again
//! only with `follow`; the proof then lasts until its container runs again, and in a cluster the calls of a new container are
//! made until the API server says that it runs, which takes a second or two.
//!
//! Nothing of a call that fails has been done: a write leaves no byte, an open makes no file, and what a failed sync should
//! have made durable stays in memory, where the kernel would have dropped it after a real error. Of opens, EROFS hits those
//! that write and ENOSPC those that make a file, as open(2) says; EIO hits all.

use std::collections::BTreeSet;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::disk_latency::{all, only_sync, wrong_choice, wrong_driver};
use super::{Action, BackOff, Chooser, Damage, Hold, Kind, Repeated, Resolved, Wrong};
use crate::api::{DiskErrno, DiskOperation, ErrorDriver, FailingDisk, HostFault};
use crate::experiment::Selection;

/// Has calls on the volumes of members fail.
///
/// Changes: nothing on disk. By the driver `syscall`, a tracer has the member's calls on files of its volumes answered
/// with the error instead of made; `fanotify` answers reads and writes of files that are opened from then on;
/// `dmError`, which has to be named, exchanges the table of the volume's device for one that fails all its requests.
/// Nothing of a call that fails has been done.
///
/// Undone: the tracer or the answering process ends; the device gets its table back.
///
/// Left if everything of ours dies: nothing: the calls of a dead tracer's processes are made, but one that was just
/// under way is answered with the error; two guardians put a device's table back at the deadline. Of `dmError`: what
/// was being written is dropped, and the filesystem may be read-only until it is mounted anew.
///
/// Needs: by driver. `syscall`: CAP_SYS_PTRACE, nobody else tracing the process, and no io_uring or libaio. `dmError`:
/// volumes on a linear mapping of device mapper (LVM), and dm-flakey. `fanotify`: Linux 6.14 with
/// CONFIG_FANOTIFY_ACCESS_PERMISSIONS, volumes that are an ext4 or xfs of their own, and a store that opens its files
/// anew; it fails no syncs.
///
/// Proof: the driver's name, then calls answered with the error, or that the container has ended of it since. A store
/// that ends at the first error, as many do, is hit again only with `follow: true`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct DiskError {
    /// Whose.
    pub members: Selection,
    /// Which claim templates' volumes fail; all where left out.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub claims: Vec<String>,
    /// Which files, by patterns of their paths below the volume's root (`wal/*`, `**/*.wal`); all where left out.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub paths: Vec<String>,
    /// Which calls: sync (default), write, read, open.
    #[serde(default = "only_sync")]
    #[schemars(length(min = 1))]
    pub operations: BTreeSet<DiskOperation>,
    /// With which error: EIO, ENOSPC, EROFS.
    pub error: DiskErrno,
    /// How many of a hundred calls, chosen by the run's seed. Default: all.
    #[serde(default = "all")]
    #[schemars(range(min = 1, max = 100))]
    pub percent: u8,
    /// By what: auto (default), syscall, dmError, fanotify.
    #[serde(default)]
    pub driver: ErrorDriver,
}

impl DiskError {
    fn failing(&self, seed: u32) -> FailingDisk {
        FailingDisk {
            claims: self.claims.clone(),
            paths: self.paths.clone(),
            operations: self.operations.iter().copied().collect(),
            error: self.error,
            percent: self.percent,
            seed,
            driver: self.driver,
        }
    }
}

impl Kind for DiskError {
    const NAME: &'static str = "diskError";
    const SUMMARY: &'static str = "have syncs, writes, reads or opens on the volumes fail";
    const EXAMPLE: &'static str =
        "members: {role: follower, count: 1}\nclaims: [data]\noperations: [sync]\nerror: EIO";

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
        let hold = |driver| if driver == ErrorDriver::DmError { Hold::Mapped } else { Hold::Traced };
        self.failing(0).drivers().into_iter().map(hold).collect()
    }

    fn drivers(&self) -> Vec<&'static str> {
        self.failing(0).drivers().into_iter().map(ErrorDriver::name).collect()
    }

    /// Only `dmError`, and only where it fails writes.
    fn destroys(&self) -> Option<&'static str> {
        let writes = self.operations.contains(&DiskOperation::Write);
        (self.driver == ErrorDriver::DmError && writes).then_some(
            "drops what is being written, and leaves filesystems read-only until they are mounted anew",
        )
    }

    fn wrong(&self) -> Vec<Wrong> {
        let reads = self.operations.contains(&DiskOperation::Read);
        let no_read = format!("no read is answered {}: leave read out, or write error: EIO", self.error);
        Wrong::when(reads && self.error != DiskErrno::Eio, "operations", no_read)
            .into_iter()
            .chain(wrong_choice(&self.operations, &self.paths, self.percent))
            .chain(self.failing(0).misfit(self.driver).map(wrong_driver))
            .collect()
    }

    fn back_off(&self, repeated: &Repeated) -> Option<BackOff> {
        // Followed is what ends of it.
        repeated.follow.then(|| BackOff::of_restarts_during(repeated.lasting))
    }

    fn resolve(&self, chooser: &mut dyn Chooser) -> Result<Resolved, String> {
        let members = chooser.pick(&self.members)?;
        let fault = |seed| HostFault::DiskError(self.failing(seed));
        let seed = chooser.seed();
        Ok(Resolved {
            hits: members
                .iter()
                .map(|&member| (member, Action::Host(fault(seed.wrapping_add(member)))))
                .collect(),
            // Many a store stops when its disk fails, and all should: what they hold may not be what they wrote.
            damage: Damage { down: members.into_iter().collect(), ..Damage::default() },
            ..Resolved::default()
        })
    }
}
