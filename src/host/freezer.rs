//! The freezer of a cgroup, of version 2 or of version 1.
//!
//! A frozen cgroup runs no instruction of any of its processes until it is thawed; it stays frozen when whoever froze it
//! dies. Version 2 answers in `cgroup.events`: only `frozen 1` there means that every process has really stopped
//! (Documentation/admin-guide/cgroup-v2.rst, `cgroup.freeze`). Version 1 answers in `freezer.state`: `FROZEN`, after
//! `FREEZING` (Documentation/admin-guide/cgroup-v1/freezer-subsystem.rst); a process that is frozen there does not even
//! die before it is thawed.
//!
//! A cgroup is named by path *and* inode: a folder made anew under the same path is another cgroup. An open one is held by
//! a descriptor of its folder, through which all of its files are reached, so that nothing ever lands in another one.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Read, Seek, Write};
use std::os::fd::{AsFd, AsRawFd};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use nix::errno::Errno;
use nix::libc;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::signal::Signal;
use serde::{Deserialize, Serialize};

use super::process::{PidFd, ProcessId, cpu_time};

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
        self.folder()?.map_or(Ok(None), Freezer::open)
    }

    /// Opens its folder; `None` where this cgroup is gone.
    pub(super) fn folder(&self) -> io::Result<Option<File>> {
        let mut held = OpenOptions::new();
        held.read(true).custom_flags(libc::O_PATH | libc::O_DIRECTORY);
        match held.open(&self.path).and_then(|folder| Ok((folder.metadata()?.ino(), folder))) {
            Ok((inode, folder)) if inode == self.inode => Ok(Some(folder)),
            Ok(_) => Ok(None),
            Err(error) if is_removed(&error) => Ok(None),
            Err(error) => Err(error),
        }
    }
}

/// An open cgroup with a freezer.
#[derive(Debug)]
pub struct Freezer {
    /// Holds the folder.
    _folder: File,
    /// The folder as this process may name it while it is held, whatever is made at its old path.
    path: PathBuf,
    files: Files,
}

#[derive(Debug)]
enum Files {
    V1 { state: File },
    V2 { freeze: File, events: File },
}

impl Freezer {
    fn open(folder: File) -> io::Result<Option<Self>> {
        let path = PathBuf::from(format!("/proc/self/fd/{}", folder.as_raw_fd()));
        let writable = |name: &str| OpenOptions::new().read(true).write(true).open(path.join(name));
        let files = match (writable("cgroup.freeze"), writable("freezer.state")) {
            (Ok(freeze), _) => {
                File::open(path.join("cgroup.events")).map(|events| Files::V2 { freeze, events })
            }
            (Err(_), Ok(state)) => Ok(Files::V1 { state }),
            (Err(error), Err(_)) if is_removed(&error) && path.join("cgroup.procs").exists() => {
                Err(io::Error::new(io::ErrorKind::Unsupported, "it has no freezer"))
            }
            (Err(error), Err(_)) => Err(error),
        };
        match files {
            Ok(files) => Ok(Some(Self { _folder: folder, path, files })),
            Err(error) if is_removed(&error) => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// Freezes and waits until every process has stopped, for at most `limit`; whether they have.
    pub fn freeze(&self, limit: Duration) -> io::Result<bool> {
        match &self.files {
            Files::V1 { state } => self.press(state, limit),
            Files::V2 { freeze, .. } => {
                rewrite(freeze, b"1")?;
                self.await_frozen(true, limit)
            }
        }
    }

    /// Version 1 may stay at FREEZING while processes come and go: it is asked again, and thawed for a moment in between,
    /// so that a process that waits for another one gets on.
    fn press(&self, state: &File, limit: Duration) -> io::Result<bool> {
        let until = Instant::now() + limit;
        loop {
            rewrite(state, b"FROZEN")?;
            let left = until.saturating_duration_since(Instant::now());
            if self.await_frozen(true, left.min(Duration::from_millis(50)))? {
                return Ok(true);
            }
            if left.is_zero() {
                return Ok(false);
            }
            rewrite(state, b"THAWED")?;
            std::thread::sleep(Duration::from_millis(1));
        }
    }

    /// Thaws and waits until the kernel says so, for at most `limit`; whether it does. A removed cgroup is thawed.
    pub fn thaw(&self, limit: Duration) -> io::Result<bool> {
        let written = match &self.files {
            Files::V1 { state } => rewrite(state, b"THAWED"),
            Files::V2 { freeze, .. } => rewrite(freeze, b"0"),
        };
        match written {
            Err(error) if is_removed(&error) => return Ok(true),
            result => result?,
        }
        self.await_frozen(false, limit)
    }

    /// What the kernel says of a cgroup that is frozen, or of one that is not.
    pub fn word_for(&self, is_frozen: bool) -> &'static str {
        match (&self.files, is_frozen) {
            (Files::V1 { .. }, true) => "`FROZEN` in freezer.state",
            (Files::V1 { .. }, false) => "`THAWED` in freezer.state",
            (Files::V2 { .. }, true) => "`frozen 1` in cgroup.events",
            (Files::V2 { .. }, false) => "`frozen 0` in cgroup.events",
        }
    }

    /// Whether every process in it has stopped; a removed cgroup is not frozen.
    pub fn is_frozen(&self) -> io::Result<bool> {
        let (file, word) = match &self.files {
            Files::V1 { state } => (state, "FROZEN"),
            Files::V2 { events, .. } => (events, "frozen 1"),
        };
        match reread(file) {
            Ok(text) => Ok(text.lines().any(|line| line == word)),
            Err(error) if is_removed(&error) => Ok(false),
            Err(error) => Err(error),
        }
    }

    /// Whether it is quite thawed: not even freezing.
    fn is_thawed(&self) -> io::Result<bool> {
        match &self.files {
            Files::V1 { state } => match reread(state) {
                Ok(text) => Ok(text.trim() == "THAWED"),
                Err(error) if is_removed(&error) => Ok(true),
                Err(error) => Err(error),
            },
            Files::V2 { .. } => Ok(!self.is_frozen()?),
        }
    }

    /// Whether somebody has asked for this cgroup to be frozen, and nobody to thaw it since.
    pub fn is_asked_to_freeze(&self) -> io::Result<bool> {
        let asked = match &self.files {
            Files::V1 { .. } => fs::read_to_string(self.path.join("freezer.self_freezing")),
            Files::V2 { freeze, .. } => reread(freeze),
        };
        match asked {
            Ok(text) => Ok(text.trim() == "1"),
            Err(error) if is_removed(&error) => Ok(false),
            Err(error) => Err(error),
        }
    }

    /// The CPU time that its processes have used so far: in microseconds' resolution (`usage_usec` of `cpu.stat`) in
    /// version 2; in the kernel's ticks in version 1, where another hierarchy counts.
    pub fn cpu_time(&self) -> io::Result<Duration> {
        match &self.files {
            Files::V1 { .. } => {
                let mut processes = Vec::new();
                for pid in self.processes()? {
                    processes.extend(ProcessId::of(pid)?);
                }
                cpu_time(&processes)
            }
            Files::V2 { .. } => fs::read_to_string(self.path.join("cpu.stat"))?
                .lines()
                .find_map(|line| line.strip_prefix("usage_usec ")?.parse().ok())
                .map(Duration::from_micros)
                .ok_or_else(|| io::Error::new(io::ErrorKind::InvalidData, "no usage_usec in cpu.stat")),
        }
    }

    /// The pids of its processes and of those in cgroups below it.
    pub fn processes(&self) -> io::Result<Vec<i32>> {
        pids_below(&self.path)
    }

    /// SIGKILL to every process in it, forks in flight included; whether none is left within `limit` where that is looked
    /// at. Frozen ones die in version 2 only.
    pub fn kill_all(&self, limit: Duration) -> io::Result<bool> {
        let kill = OpenOptions::new().write(true).open(self.path.join("cgroup.kill"));
        match kill.and_then(|mut kill| kill.write_all(b"1")) {
            Ok(()) => Ok(true),
            // Linux 5.14 has it, in version 2.
            Err(error) if is_removed(&error) => self.kill_each(limit),
            Err(error) => Err(error),
        }
    }

    /// Whoever is forked meanwhile is found by the next pass.
    fn kill_each(&self, limit: Duration) -> io::Result<bool> {
        let until = Instant::now() + limit;
        loop {
            let mut handles: Vec<(i32, PidFd)> = Vec::new();
            for pid in self.processes()? {
                handles.extend(PidFd::open(pid)?.map(|handle| (pid, handle)));
            }
            // A handle that was opened first and whose pid is listed still means a process in here, or nobody.
            let listed = self.processes()?;
            if listed.is_empty() {
                return Ok(true);
            }
            for (_, handle) in handles.iter().filter(|(pid, _)| listed.contains(pid)) {
                handle.signal(Signal::SIGKILL)?;
            }
            if Instant::now() >= until {
                return Ok(false);
            }
            std::thread::sleep(Duration::from_millis(1));
        }
    }

    fn await_frozen(&self, wanted: bool, limit: Duration) -> io::Result<bool> {
        let until = Instant::now() + limit;
        loop {
            if if wanted { self.is_frozen()? } else { self.is_thawed()? } {
                return Ok(true);
            }
            let left = until.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return Ok(false);
            }
            let Files::V2 { events, .. } = &self.files else {
                std::thread::sleep(Duration::from_millis(1));
                continue;
            };
            // A change of cgroup.events wakes a poll for POLLPRI; the short limit covers a change before the call.
            let timeout = PollTimeout::from(left.as_millis().clamp(1, 20) as u16);
            let mut fds = [PollFd::new(events.as_fd(), PollFlags::POLLPRI)];
            match poll(&mut fds, timeout) {
                Ok(_) | Err(Errno::EINTR) => {}
                Err(error) => return Err(error.into()),
            }
        }
    }
}

/// The pids of the processes in a cgroup and in those below it.
pub(super) fn pids_below(folder: &Path) -> io::Result<Vec<i32>> {
    let mut found = Vec::new();
    let mut folders = vec![folder.to_owned()];
    while let Some(folder) = folders.pop() {
        match pids_in(&folder, &mut folders) {
            Ok(pids) => found.extend(pids),
            Err(error) if is_removed(&error) => {}
            Err(error) => return Err(error),
        }
    }
    Ok(found)
}

/// The cgroup at or below `folder` that has a process itself; `None` where none of them has. In version 2 whoever joins it has
/// to join that one: a cgroup that passes controllers on to those below it takes no process.
pub fn cgroup_of(pid: i32, folder: &Path) -> io::Result<Option<PathBuf>> {
    let mut folders = vec![folder.to_owned()];
    while let Some(folder) = folders.pop() {
        match pids_in(&folder, &mut folders) {
            Ok(pids) if pids.contains(&pid) => return Ok(Some(folder)),
            Ok(_) => {}
            Err(error) if is_removed(&error) => {}
            Err(error) => return Err(error),
        }
    }
    Ok(None)
}

fn pids_in(folder: &Path, below: &mut Vec<PathBuf>) -> io::Result<Vec<i32>> {
    for entry in fs::read_dir(folder)? {
        let entry = entry?;
        if entry.file_type()?.is_dir() {
            below.push(entry.path());
        }
    }
    let text = fs::read_to_string(folder.join("cgroup.procs"))?;
    Ok(text.lines().filter_map(|line| line.parse().ok()).collect())
}

fn rewrite(mut file: &File, text: &[u8]) -> io::Result<()> {
    file.rewind()?;
    file.write_all(text)
}

fn reread(mut file: &File) -> io::Result<String> {
    let mut text = String::new();
    file.rewind()?;
    file.read_to_string(&mut text)?;
    Ok(text)
}

/// ENOENT on opening, ENODEV on reading or writing what was opened before the cgroup was removed.
pub(super) fn is_removed(error: &io::Error) -> bool {
    error.kind() == io::ErrorKind::NotFound || error.raw_os_error() == Some(libc::ENODEV)
}
