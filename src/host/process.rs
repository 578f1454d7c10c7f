//! Processes by pid *and* start time, signalled through pidfds.
//!
//! A bare pid can name another process a moment later; a [`ProcessId`] cannot: the kernel gives no two processes of one
//! boot the same pid and start time. Signals go through a [`PidFd`] that was opened first and checked against the start
//! time afterwards, so that they never reach a stranger.

use std::fs;
use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, FromRawFd, OwnedFd};

use nix::errno::Errno;
use nix::libc;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::signal::Signal;
use serde::{Deserialize, Serialize};

pub mod apart;
pub mod asked;
pub mod boot;
pub mod copy;
pub mod ended;
#[cfg(test)]
pub(crate) mod headless;
pub mod held;
pub mod launch;
pub mod memory;
pub mod outside;
mod stat;
pub mod threads;
pub mod tied;
pub mod tree;
pub mod writers;

pub use stat::{Stat, all, cpu_time, descendants};

/// One process of this boot, whoever gets its pid later.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub struct ProcessId {
    /// Its pid in the pid namespace of whoever made this value.
    pub pid: i32,
    /// When it started, in clock ticks since boot (field 22 of `/proc/PID/stat`, proc_pid_stat(5)).
    pub start: u64,
}

impl ProcessId {
    /// Who has `pid` now; `None` where nobody has.
    pub fn of(pid: i32) -> io::Result<Option<Self>> {
        Ok(stat::read(pid)?.map(|stat| Self { pid, start: stat.start }))
    }

    /// A handle to the process; `None` where it is gone, or a zombie that only waits to be reaped.
    pub fn open(&self) -> io::Result<Option<PidFd>> {
        self.open_where(|stat| !stat.has_ended())
    }

    /// The same, also for a zombie: the kernel calls a process so whose first thread has ended, while others may still have
    /// open what it had. Its handle becomes readable with the end of the last one.
    pub fn open_to_the_last_thread(&self) -> io::Result<Option<PidFd>> {
        self.open_where(|_| true)
    }

    fn open_where(&self, is_meant: impl FnOnce(Stat) -> bool) -> io::Result<Option<PidFd>> {
        let Some(handle) = PidFd::open(self.pid)? else {
            return Ok(None);
        };
        // The handle was opened first: if the start time still fits now, it fits the handle too.
        match stat::read(self.pid)? {
            Some(stat) if stat.start == self.start && is_meant(stat) => Ok(Some(handle)),
            Some(_) | None => Ok(None),
        }
    }

    /// Whether the process runs, is stopped or frozen, in short: is not gone.
    pub fn is_alive(&self) -> io::Result<bool> {
        Ok(stat::read(self.pid)?.is_some_and(|stat| stat.start == self.start && !stat.has_ended()))
    }

    /// What the kernel says about it; `None` where it is gone.
    pub fn stat(&self) -> io::Result<Option<Stat>> {
        Ok(stat::read(self.pid)?.filter(|stat| stat.start == self.start))
    }

    /// The inode of one of its namespaces, by the name under `/proc/PID/ns`; `None` where the process is gone.
    pub fn namespace(&self, kind: &str) -> io::Result<Option<u64>> {
        use std::os::unix::fs::MetadataExt;
        let inode = match fs::metadata(format!("/proc/{}/ns/{kind}", self.pid)) {
            Ok(metadata) => metadata.ino(),
            Err(error) if is_gone(&error) => return Ok(None),
            Err(error) => return Err(error),
        };
        Ok(self.is_alive()?.then_some(inode))
    }
}

impl std::fmt::Display for ProcessId {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "process {} (started at tick {})", self.pid, self.start)
    }
}

/// Whether an error of `/proc/PID/…` says that the process is gone (proc(5): ENOENT on opening, ESRCH on reading).
pub(crate) fn is_gone(error: &io::Error) -> bool {
    error.kind() == io::ErrorKind::NotFound || error.raw_os_error() == Some(libc::ESRCH)
}

/// A process that keeps its identity as long as this is held, even after its death.
#[derive(Debug)]
pub struct PidFd(OwnedFd);

impl PidFd {
    /// A handle to whoever has `pid` now; `None` where nobody has.
    pub fn open(pid: i32) -> io::Result<Option<Self>> {
        // SAFETY: pidfd_open(2) takes two integers and touches no memory of ours.
        let fd = unsafe { libc::syscall(libc::SYS_pidfd_open, pid, 0) };
        match Errno::result(fd) {
            // SAFETY: the call succeeded, so that this is a new descriptor which nobody else owns.
            Ok(fd) => Ok(Some(Self(unsafe { OwnedFd::from_raw_fd(fd as i32) }))),
            Err(Errno::ESRCH) => Ok(None),
            Err(error) => Err(error.into()),
        }
    }

    /// Sends a signal; a process that is gone needs none and is no error.
    pub fn signal(&self, signal: Signal) -> io::Result<()> {
        // SAFETY: pidfd_send_signal(2) with a null siginfo reads no memory of ours.
        let result = unsafe {
            libc::syscall(
                libc::SYS_pidfd_send_signal,
                self.0.as_raw_fd(),
                signal as i32,
                std::ptr::null::<libc::siginfo_t>(),
                0,
            )
        };
        match Errno::result(result) {
            Ok(_) | Err(Errno::ESRCH) => Ok(()),
            Err(error) => Err(error.into()),
        }
    }

    /// A copy of one of the process's descriptors, which stays open when the process dies (pidfd_getfd(2)).
    pub fn descriptor(&self, number: i32) -> io::Result<OwnedFd> {
        // SAFETY: pidfd_getfd(2) takes three integers and touches no memory of ours.
        let fd = unsafe { libc::syscall(libc::SYS_pidfd_getfd, self.0.as_raw_fd(), number, 0) };
        let fd = Errno::result(fd)?;
        // SAFETY: the call succeeded, so that this is a new descriptor which nobody else owns.
        Ok(unsafe { OwnedFd::from_raw_fd(fd as i32) })
    }

    /// Waits until the process has ended, for at most `limit`; whether it has.
    pub fn wait(&self, limit: std::time::Duration) -> io::Result<bool> {
        let until = std::time::Instant::now() + limit;
        loop {
            let left = until.saturating_duration_since(std::time::Instant::now());
            let timeout =
                PollTimeout::try_from(left.as_millis().min(60_000) as i32).unwrap_or(PollTimeout::MAX);
            // A pidfd becomes readable when its process ends (pidfd_open(2)).
            let mut fds = [PollFd::new(self.0.as_fd(), PollFlags::POLLIN)];
            match poll(&mut fds, timeout) {
                Ok(0) if until <= std::time::Instant::now() => return Ok(false),
                Ok(0) | Err(Errno::EINTR) => {}
                Ok(_) => return Ok(true),
                Err(error) => return Err(error.into()),
            }
        }
    }
}

impl AsFd for PidFd {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }
}

impl AsRawFd for PidFd {
    fn as_raw_fd(&self) -> i32 {
        self.0.as_raw_fd()
    }
}

#[cfg(test)]
mod tests;
