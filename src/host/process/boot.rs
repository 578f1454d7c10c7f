//! Which boot this is, in which pid namespace, and how long it has lasted.

use std::fs;
use std::io;
use std::os::unix::fs::MetadataExt;
use std::time::Duration;

use nix::time::{ClockId, clock_gettime};
use serde::{Deserialize, Serialize};

/// Where a pid and a start time mean something: one boot of one kernel, seen from one pid namespace.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Era {
    /// `/proc/sys/kernel/random/boot_id` (random(4)).
    pub boot: String,
    /// The inode of `/proc/self/ns/pid` (pid_namespaces(7)).
    pub pid_namespace: u64,
}

impl Era {
    /// The era of the calling process.
    pub fn current() -> io::Result<Self> {
        // A node that is itself a container has an id of its own where it has covered the kernel's; the first process
        // sees that one.
        let of_first = fs::read_to_string("/proc/1/root/proc/sys/kernel/random/boot_id");
        Ok(Self {
            boot: of_first
                .or_else(|_| fs::read_to_string("/proc/sys/kernel/random/boot_id"))?
                .trim()
                .to_owned(),
            pid_namespace: fs::metadata("/proc/self/ns/pid")?.ino(),
        })
    }
}

/// How long the machine has been up, the time that it slept included (CLOCK_BOOTTIME, clock_gettime(2)).
pub fn uptime() -> Duration {
    let now = clock_gettime(ClockId::CLOCK_BOOTTIME).expect("CLOCK_BOOTTIME exists since Linux 2.6.39");
    Duration::from(now)
}
