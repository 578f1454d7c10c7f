//! The freezer of a version 2 cgroup.
//!
//! A frozen cgroup runs no instruction of any of its processes until it is thawed; it stays frozen when whoever froze it
//! dies (cgroups(7) and Documentation/admin-guide/cgroup-v2.rst, `cgroup.freeze`). The kernel answers in
//! `cgroup.events`: only `frozen 1` there means that every process has really stopped.
//!
//! A cgroup is named by path *and* inode: a folder made anew under the same path is another cgroup.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Read, Seek, Write};
use std::os::fd::AsFd;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use nix::errno::Errno;
use nix::libc;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use serde::{Deserialize, Serialize};

/// One cgroup of this boot, whatever is made at its path later.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct CgroupId {
    /// Its folder.
    pub path: PathBuf,
    /// The folder's inode, which the kernel never gives twice in one boot.
    pub inode: u64,
}

impl CgroupId {
    /// Which cgroup is at `path` now.
    pub fn at(path: &Path) -> io::Result<Self> {
        Ok(Self { path: path.to_owned(), inode: fs::metadata(path)?.ino() })
    }

    /// Opens its freezer; `None` where this cgroup is gone.
    pub fn open(&self) -> io::Result<Option<Freezer>> {
        let opened = Freezer::open(&self.path);
        match (opened, fs::metadata(&self.path)) {
            (Ok(freezer), Ok(metadata)) if metadata.ino() == self.inode => Ok(Some(freezer)),
            (Ok(_), Ok(_)) => Ok(None),
            (Err(error), _) | (_, Err(error)) if is_removed(&error) => Ok(None),
            (Err(error), _) | (_, Err(error)) => Err(error),
        }
    }
}

/// The open files of a cgroup's freezer.
#[derive(Debug)]
pub struct Freezer {
    path: PathBuf,
    freeze: File,
    events: File,
}

impl Freezer {
    fn open(path: &Path) -> io::Result<Self> {
        Ok(Self {
            path: path.to_owned(),
            freeze: OpenOptions::new().read(true).write(true).open(path.join("cgroup.freeze"))?,
            events: File::open(path.join("cgroup.events"))?,
        })
    }

    /// Freezes and waits until every process has stopped, for at most `limit`; whether they have.
    pub fn freeze(&self, limit: Duration) -> io::Result<bool> {
        (&self.freeze).write_all(b"1")?;
        self.await_frozen(true, limit)
    }

    /// Thaws and waits until the kernel says so, for at most `limit`; whether it does. A removed cgroup is thawed.
    pub fn thaw(&self, limit: Duration) -> io::Result<bool> {
        match (&self.freeze).write_all(b"0") {
            Err(error) if is_removed(&error) => return Ok(true),
            result => result?,
        }
        self.await_frozen(false, limit)
    }

    /// Whether every process in it has stopped; a removed cgroup is not frozen.
    pub fn is_frozen(&self) -> io::Result<bool> {
        match reread(&self.events) {
            Ok(text) => Ok(text.lines().any(|line| line == "frozen 1")),
            Err(error) if is_removed(&error) => Ok(false),
            Err(error) => Err(error),
        }
    }

    /// Whether somebody has asked for this cgroup to be frozen, and nobody to thaw it since.
    pub fn is_asked_to_freeze(&self) -> io::Result<bool> {
        match reread(&self.freeze) {
            Ok(text) => Ok(text.trim() == "1"),
            Err(error) if is_removed(&error) => Ok(false),
            Err(error) => Err(error),
        }
    }

    /// The CPU time that its processes have used so far, in microseconds' resolution (`usage_usec` of `cpu.stat`).
    pub fn cpu_time(&self) -> io::Result<Duration> {
        let text = fs::read_to_string(self.path.join("cpu.stat"))?;
        text.lines()
            .find_map(|line| line.strip_prefix("usage_usec ")?.parse().ok())
            .map(Duration::from_micros)
            .ok_or_else(|| io::Error::new(io::ErrorKind::InvalidData, "no usage_usec in cpu.stat"))
    }

    /// The pids of its processes.
    pub fn processes(&self) -> io::Result<Vec<i32>> {
        match fs::read_to_string(self.path.join("cgroup.procs")) {
            Ok(text) => Ok(text.lines().filter_map(|line| line.parse().ok()).collect()),
            Err(error) if is_removed(&error) => Ok(Vec::new()),
            Err(error) => Err(error),
        }
    }

    /// SIGKILL to every process in it, forks in flight included, frozen or not (`cgroup.kill`, Linux 5.14).
    pub fn kill_all(&self) -> io::Result<()> {
        match fs::write(self.path.join("cgroup.kill"), "1") {
            Err(error) if is_removed(&error) => Ok(()),
            result => result,
        }
    }

    fn await_frozen(&self, wanted: bool, limit: Duration) -> io::Result<bool> {
        let until = Instant::now() + limit;
        loop {
            if self.is_frozen()? == wanted {
                return Ok(true);
            }
            let left = until.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return Ok(false);
            }
            // A change of cgroup.events wakes a poll for POLLPRI; the short limit covers a change before the call.
            let timeout = PollTimeout::from(left.as_millis().clamp(1, 20) as u16);
            let mut fds = [PollFd::new(self.events.as_fd(), PollFlags::POLLPRI)];
            match poll(&mut fds, timeout) {
                Ok(_) | Err(Errno::EINTR) => {}
                Err(error) => return Err(error.into()),
            }
        }
    }
}

fn reread(mut file: &File) -> io::Result<String> {
    let mut text = String::new();
    file.rewind()?;
    file.read_to_string(&mut text)?;
    Ok(text)
}

/// ENOENT on opening, ENODEV on reading or writing what was opened before the cgroup was removed.
fn is_removed(error: &io::Error) -> bool {
    error.kind() == io::ErrorKind::NotFound || error.raw_os_error() == Some(libc::ENODEV)
}
