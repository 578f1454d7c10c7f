//! What is done to calls on files.

use std::time::Duration;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{ErrorDriver, LatencyDriver};
use crate::experiment::{Bytes, duration, quantity};

/// What a system call does to a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub enum DiskOperation {
    /// Makes what was written durable: fsync, fdatasync, sync_file_range, syncfs.
    Sync,
    /// Writes: write, pwrite, writev and their kin, and copies to a file: sendfile, splice, copy_file_range.
    Write,
    /// Reads: read, pread, readv and their kin, and copies from a file: sendfile, splice, copy_file_range. What is read by
    /// way of a memory mapping is no call.
    Read,
    /// Opens: open, openat, openat2, creat, of files and folders.
    Open,
}

/// Which calls on which volumes take how much longer.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct SlowDisk {
    /// The claim templates whose volumes are slow; all where empty.
    pub claims: Vec<String>,
    /// Patterns of files below the volume's root; all files where empty.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub paths: Vec<String>,
    /// Calls that do this.
    pub operations: Vec<DiskOperation>,
    /// By how much.
    pub delay: Delay,
    /// How many of a hundred.
    pub percent: u8,
    /// Decides which, and by how much where that varies.
    pub seed: u32,
    /// By what.
    #[serde(default)]
    pub driver: LatencyDriver,
}

/// Which volumes stall.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct StalledDisk {
    /// The claim templates whose volumes stall; all where empty.
    pub claims: Vec<String>,
    /// In pulses; all the time where left out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pulses: Option<Pulses>,
}

/// A member that stands still for so long at a time counts as down.
const DOWN: Duration = Duration::from_secs(1);

impl StalledDisk {
    /// Whether a member counts as down meanwhile.
    pub fn is_felt_as_down(&self) -> bool {
        self.pulses.is_none_or(|pulses| pulses.frozen >= DOWN)
    }
}

/// A duty cycle.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Pulses {
    /// How long each lasts.
    #[serde(with = "duration")]
    #[schemars(with = "duration::Text")]
    pub frozen: Duration,
    /// How long it is from the end of one to the next.
    #[serde(with = "duration")]
    #[schemars(with = "duration::Text")]
    pub gap: Duration,
}

/// Which volumes are filled.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct FullDisk {
    /// The claim templates whose volumes are filled; all where empty.
    pub claims: Vec<String>,
    /// How full they get.
    pub to: Fill,
}

/// Which volumes are made read-only.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ReadOnlyDisk {
    /// The claim templates whose volumes are made read-only; all where empty.
    pub claims: Vec<String>,
    /// Whether containers that write to them are killed for it.
    pub kill_writers: bool,
}

/// How much I/O on which volumes there is in a second; as much as ever where no limit is named.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ThrottledDisk {
    /// The claim templates whose volumes are limited; all where empty.
    pub claims: Vec<String>,
    /// Reads.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1))]
    pub read_iops: Option<u32>,
    /// Writes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1))]
    pub write_iops: Option<u32>,
    /// Bytes that are read.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1))]
    pub read_bandwidth: Option<u64>,
    /// Bytes that are written.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1))]
    pub write_bandwidth: Option<u64>,
}

/// Which volumes are loaded, and how much.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct StressedDisk {
    /// The claim templates whose volumes are loaded; all where empty.
    pub claims: Vec<String>,
    /// How many reads and writes are under way at once on each.
    pub workers: u32,
    /// How many bytes each is about.
    pub block_size: u64,
    /// How many bytes the file takes on each volume.
    pub size: u64,
    /// How many of a hundred are writes.
    pub write_percent: u8,
    /// How many there are in a second on each volume; as many as can be where left out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rate: Option<u32>,
    /// Decides where, and which are writes.
    pub seed: u32,
}

/// Which calls on which volumes fail.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct FailingDisk {
    /// The claim templates whose volumes fail; all where empty.
    pub claims: Vec<String>,
    /// Patterns of files below the volume's root; all files where empty.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub paths: Vec<String>,
    /// Calls that do this.
    pub operations: Vec<DiskOperation>,
    /// With this error.
    pub error: DiskErrno,
    /// How many of a hundred.
    pub percent: u8,
    /// Decides which.
    pub seed: u32,
    /// By what.
    #[serde(default)]
    pub driver: ErrorDriver,
}

/// With what a disk fails (errno(3)).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum DiskErrno {
    /// The device failed.
    #[serde(rename = "EIO")]
    Eio,
    /// There is no room.
    #[serde(rename = "ENOSPC")]
    Enospc,
    /// The filesystem is read-only, as after an error of its own.
    #[serde(rename = "EROFS")]
    Erofs,
}

impl std::fmt::Display for DiskErrno {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Eio => "EIO",
            Self::Enospc => "ENOSPC",
            Self::Erofs => "EROFS",
        })
    }
}

/// Which volumes stay on their node.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct HeldVolume {
    /// The claim templates whose volumes stay; all where empty.
    pub claims: Vec<String>,
}

/// How full a disk gets. Exactly one form.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub enum Fill {
    /// So much of a hundred is taken.
    Percent(u8),
    /// So many bytes are left.
    Free(
        #[serde(deserialize_with = "quantity::read_bytes")]
        #[schemars(with = "Bytes")]
        u64,
    ),
    /// So many of a hundred inodes are taken: files and folders that there can be.
    InodesPercent(u8),
    /// So many inodes are left.
    FreeInodes(u64),
}

/// How much longer calls take. Exactly one form.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub enum Delay {
    /// Each by the same time.
    Fixed(
        #[serde(with = "duration")]
        #[schemars(with = "duration::Text")]
        Duration,
    ),
    /// Anything from `min` to `max`, each as likely.
    Uniform {
        /// At least.
        #[serde(with = "duration")]
        #[schemars(with = "duration::Text")]
        min: Duration,
        /// At most.
        #[serde(with = "duration")]
        #[schemars(with = "duration::Text")]
        max: Duration,
    },
    /// Normally distributed; never below zero.
    Normal {
        /// The mean.
        #[serde(with = "duration")]
        #[schemars(with = "duration::Text")]
        mean: Duration,
        /// The standard deviation.
        #[serde(with = "duration")]
        #[schemars(with = "duration::Text")]
        deviation: Duration,
    },
    /// One of these, each as likely, as they were measured on a disk.
    Recorded(#[schemars(length(max = MOST_RECORDED))] Vec<Recorded>),
}

/// So many measured times are as good as any number of them: each stands for a thousandth of all calls.
pub const MOST_RECORDED: usize = 1000;

/// One measured time.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(transparent)]
pub struct Recorded(
    #[serde(with = "duration")]
    #[schemars(with = "duration::Text")]
    pub Duration,
);

impl Delay {
    /// The longest time that it is certain to stay below, or that is as good as never passed.
    pub fn longest(&self) -> Duration {
        match self {
            Self::Fixed(time) => *time,
            Self::Uniform { max, .. } => *max,
            // One in 30,000 is later than four deviations after the mean.
            Self::Normal { mean, deviation } => mean.saturating_add(deviation.saturating_mul(4)),
            Self::Recorded(times) => times.iter().map(|time| time.0).max().unwrap_or_default(),
        }
    }
}
