//! Limits on the I/O of a cgroup to one disk, of version 2 or of version 1, and what the kernel has counted of it.
//!
//! Version 2 has all limits of a device in one line of `io.max` and passes them on to the cgroups below
//! (Documentation/admin-guide/cgroup-v2.rst); it counts in `io.stat` what has been sent to the device. Version 1 has a file for
//! each kind, in which 0 takes a limit away, and looks at no cgroup but the process's own
//! (Documentation/admin-guide/cgroup-v1/blkio-controller.rst); it counts what is to be sent, before that waits.

use std::fs::{self, File};
use std::io::{self, Write};
use std::os::fd::AsRawFd;
use std::path::{Path, PathBuf};

use nix::libc;
use serde::{Deserialize, Serialize};

use super::block_device::Device;
use super::cgroup::hierarchies::Hierarchies;
use super::freezer::{CgroupId, is_removed, pids_below};

/// What is counted per second.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Rate {
    /// Reads.
    ReadIops,
    /// Writes.
    WriteIops,
    /// Bytes that are read.
    ReadBandwidth,
    /// Bytes that are written.
    WriteBandwidth,
}

/// An open cgroup in which I/O can be limited.
#[derive(Debug)]
pub struct Throttle {
    /// Holds the folder.
    _folder: File,
    /// The folder as this process may name it while it is held, whatever is made at its old path.
    path: PathBuf,
    version: Version,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Version {
    V1,
    V2,
}

/// The cgroups whose limits reach every process at `folder` and below, its own first.
pub fn reaching(folder: &Path) -> io::Result<Vec<CgroupId>> {
    let mut found = vec![CgroupId::at(folder)?];
    if Version::at(folder)? == Version::V2 {
        return Ok(found);
    }
    let mut below = vec![folder.to_owned()];
    while let Some(folder) = below.pop() {
        match cgroups_in(&folder) {
            Ok(inner) => {
                below.extend(inner.iter().map(|cgroup| cgroup.path.clone()));
                found.extend(inner);
            }
            // One below that has just been removed reaches nobody.
            Err(error) if is_removed(&error) && found[0].path != folder => {}
            Err(error) => return Err(error),
        }
    }
    Ok(found)
}

fn cgroups_in(folder: &Path) -> io::Result<Vec<CgroupId>> {
    let mut found = Vec::new();
    for entry in fs::read_dir(folder)? {
        let entry = entry?;
        if entry.file_type()?.is_dir() {
            match CgroupId::at(&entry.path()) {
                Err(error) if is_removed(&error) => {}
                cgroup => found.push(cgroup?),
            }
        }
    }
    Ok(found)
}

/// Why no I/O can be limited on a machine, if so.
pub fn obstacle(hierarchies: &Hierarchies) -> Option<String> {
    let (top, is_old) = match (hierarchies.legacy_top("blkio"), hierarchies.unified_top()) {
        (Some(top), _) => (top, true),
        (None, Some(top)) => (top, false),
        (None, None) => return Some("no cgroups are mounted, in which I/O could be limited".to_owned()),
    };
    if is_old {
        let has_limits = top.join(Rate::WriteIops.file()).exists();
        return (!has_limits)
            .then(|| "its blkio controller has no limits (CONFIG_BLK_DEV_THROTTLING)".to_owned());
    }
    let controllers = fs::read_to_string(top.join("cgroup.controllers")).unwrap_or_default();
    let has_io = controllers.split_whitespace().any(|name| name == "io");
    (!has_io)
        .then(|| format!("cgroups below {} have no io controller, nor is there a blkio one", top.display()))
}

impl Version {
    fn at(folder: &Path) -> io::Result<Self> {
        if folder.join("io.max").exists() {
            Ok(Self::V2)
        } else if folder.join(Rate::WriteIops.file()).exists() {
            Ok(Self::V1)
        } else if folder.join("cgroup.procs").exists() {
            Err(io::Error::new(
                io::ErrorKind::Unsupported,
                "it has neither io.max nor blkio.throttle; add +io to cgroup.subtree_control of the cgroups above it",
            ))
        } else {
            Err(io::ErrorKind::NotFound.into())
        }
    }
}

impl Throttle {
    /// Opens a cgroup; `None` where it is gone.
    pub fn open(cgroup: &CgroupId) -> io::Result<Option<Self>> {
        let Some(folder) = cgroup.folder()? else { return Ok(None) };
        let path = PathBuf::from(format!("/proc/self/fd/{}", folder.as_raw_fd()));
        match Version::at(&path) {
            Ok(version) => Ok(Some(Self { _folder: folder, path, version })),
            Err(error) if is_removed(&error) => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// The pids of its processes and of those in cgroups below it.
    pub fn processes(&self) -> io::Result<Vec<i32>> {
        pids_below(&self.path)
    }

    /// A limit now; `None` where there is none.
    pub fn limit(&self, disk: Device, rate: Rate) -> io::Result<Option<u64>> {
        match self.version {
            // `8:0 20`
            Version::V1 => of_disk(&self.read(rate.file())?, disk).next().map(number).transpose(),
            // `8:0 rbps=max wbps=1048576 riops=max wiops=20`
            Version::V2 => {
                let text = self.read("io.max")?;
                let limit = of_disk(&text, disk).find_map(|line| value(line, rate.key()));
                limit.filter(|limit| *limit != "max").map(number).transpose()
            }
        }
    }

    /// Sets a limit, or takes it away.
    pub fn set(&self, disk: Device, rate: Rate, limit: Option<u64>) -> io::Result<()> {
        let (file, line) = match self.version {
            Version::V1 => (rate.file(), format!("{disk} {}", limit.unwrap_or(0))),
            Version::V2 => {
                let limit = limit.map_or("max".to_owned(), |limit| limit.to_string());
                ("io.max", format!("{disk} {}={limit}", rate.key()))
            }
        };
        // One write(2) is one order.
        fs::OpenOptions::new().write(true).open(self.path.join(file))?.write_all(line.as_bytes())
    }

    /// Makes a limit what it was before it was set to `ours`, and reads that back. One that is another by now is somebody
    /// else's, and left as it is; with the cgroup or the disk it is gone.
    pub fn restore(&self, disk: Device, rate: Rate, ours: u64, before: Option<u64>) -> io::Result<()> {
        let restored = self.limit(disk, rate).and_then(|now| {
            if now != Some(ours) {
                return Ok(());
            }
            self.set(disk, rate, before)?;
            match self.limit(disk, rate)? {
                now if now == before => Ok(()),
                now => Err(io::Error::other(format!("expected {}, actual {}", word(before), word(now)))),
            }
        });
        match restored {
            // ENODEV is the answer for a disk that is gone, too, and ENXIO that for one that is just going.
            Err(error) if is_removed(&error) || error.raw_os_error() == Some(libc::ENXIO) => Ok(()),
            restored => restored,
        }
    }

    /// How much the kernel has counted so far.
    pub fn counted(&self, disk: Device, rate: Rate) -> io::Result<u64> {
        let text = self.read(match self.version {
            Version::V1 => rate.counter(),
            Version::V2 => "io.stat",
        })?;
        let counted = of_disk(&text, disk).find_map(|line| match self.version {
            // `8:0 Write 12`
            Version::V1 => line.strip_prefix(rate.direction()),
            // `8:0 rbytes=4096 wbytes=0 rios=1 wios=0 dbytes=0 dios=0`
            Version::V2 => value(line, rate.counter_key()),
        });
        // A disk without any I/O has no line.
        counted.map_or(Ok(0), number)
    }

    /// What has happened to what is counted.
    pub fn word_for_counted(&self) -> &'static str {
        match self.version {
            Version::V1 => "asked for",
            Version::V2 => "sent",
        }
    }

    fn read(&self, file: &str) -> io::Result<String> {
        fs::read_to_string(self.path.join(file))
    }
}

/// A limit, for a person.
pub fn word(limit: Option<u64>) -> String {
    limit.map_or("no limit".to_owned(), |limit| limit.to_string())
}

impl Rate {
    /// The file of its limits in version 1.
    fn file(self) -> &'static str {
        match self {
            Self::ReadIops => "blkio.throttle.read_iops_device",
            Self::WriteIops => "blkio.throttle.write_iops_device",
            Self::ReadBandwidth => "blkio.throttle.read_bps_device",
            Self::WriteBandwidth => "blkio.throttle.write_bps_device",
        }
    }

    /// Its name in `io.max`.
    fn key(self) -> &'static str {
        match self {
            Self::ReadIops => "riops",
            Self::WriteIops => "wiops",
            Self::ReadBandwidth => "rbps",
            Self::WriteBandwidth => "wbps",
        }
    }

    /// The file of what is counted in version 1.
    fn counter(self) -> &'static str {
        match self {
            Self::ReadIops | Self::WriteIops => "blkio.throttle.io_serviced",
            Self::ReadBandwidth | Self::WriteBandwidth => "blkio.throttle.io_service_bytes",
        }
    }

    /// How version 1 calls what it counts.
    fn direction(self) -> &'static str {
        match self {
            Self::ReadIops | Self::ReadBandwidth => "Read ",
            Self::WriteIops | Self::WriteBandwidth => "Write ",
        }
    }

    /// Its name in `io.stat`.
    fn counter_key(self) -> &'static str {
        match self {
            Self::ReadIops => "rios",
            Self::WriteIops => "wios",
            Self::ReadBandwidth => "rbytes",
            Self::WriteBandwidth => "wbytes",
        }
    }
}

/// What each line about a disk says of it.
fn of_disk(text: &str, disk: Device) -> impl Iterator<Item = &str> {
    let name = disk.to_string();
    text.lines()
        .filter_map(move |line| line.split_once(' ').filter(|(of, _)| *of == name).map(|(_, rest)| rest))
}

/// The value of `KEY=VALUE` in a line.
fn value<'a>(line: &'a str, key: &str) -> Option<&'a str> {
    line.split(' ')
        .find_map(|word| word.split_once('=').filter(|(name, _)| *name == key).map(|(_, value)| value))
}

fn number(text: &str) -> io::Result<u64> {
    text.trim()
        .parse()
        .map_err(|_| io::Error::new(io::ErrorKind::InvalidData, format!("`{text}` is no number")))
}

#[cfg(test)]
mod tests;
