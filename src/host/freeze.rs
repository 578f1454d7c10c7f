//! Freezes a mounted filesystem: whoever writes to it waits until it is thawed.
//!
//! A freeze belongs to the filesystem and not to the one who asked for it, whose death it survives (ioctl_fsfreeze). While
//! it lasts a writer sleeps where not even SIGKILL reaches it. An idle one can be unmounted and is then out of reach and still
//! frozen, so that whoever freezes holds a descriptor of it from before until after.
//!
//! The kernel tells nobody whether a filesystem is frozen: the only question is another freeze, which answers EBUSY.

use std::fs::{self, File};
use std::io;
use std::os::fd::{AsFd, AsRawFd};
use std::sync::mpsc;
use std::time::Duration;

use nix::errno::Errno;

pub mod ledger;

mod request {
    // FIFREEZE and FITHAW of linux/fs.h; their argument is not looked at.
    nix::ioctl_readwrite!(fifreeze, b'X', 119, i32);
    nix::ioctl_readwrite!(fithaw, b'X', 120, i32);
}

/// What the kernel answered to a freeze.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Freeze {
    /// It is frozen now, by this very call.
    Done,
    /// It was frozen before.
    Already,
}

/// What the kernel answered to a thaw.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Thaw {
    /// It goes on now.
    Done,
    /// It was not frozen, or not completely yet.
    NotFrozen,
}

/// Freezes the filesystem of an open file. Flushes it first, and returns when nobody can write to it any more.
pub fn freeze(root: &impl AsFd) -> io::Result<Freeze> {
    let mut unused = 0;
    // SAFETY: the request takes an open file; its argument is a number that lives until the call returns.
    match unsafe { request::fifreeze(root.as_fd().as_raw_fd(), &raw mut unused) } {
        Ok(_) => Ok(Freeze::Done),
        Err(Errno::EBUSY) => Ok(Freeze::Already),
        Err(error) => Err(error.into()),
    }
}

/// Thaws it. Waits for a freeze that flushes.
pub fn thaw(root: &impl AsFd) -> io::Result<Thaw> {
    let mut unused = 0;
    // SAFETY: as above.
    match unsafe { request::fithaw(root.as_fd().as_raw_fd(), &raw mut unused) } {
        Ok(_) => Ok(Thaw::Done),
        Err(Errno::EINVAL) => Ok(Thaw::NotFrozen),
        Err(error) => Err(error.into()),
    }
}

/// Writes out what is dirty (syncfs(2)); whether that was done within `limit`. It goes on by itself where it was not.
pub fn flush(root: &File, limit: Duration) -> io::Result<bool> {
    let root = root.try_clone()?;
    let (done, answer) = mpsc::channel();
    std::thread::Builder::new().name("flush".to_owned()).spawn(move || {
        // SAFETY: syncfs(2) takes an open file and touches no memory of ours.
        let result = Errno::result(unsafe { nix::libc::syncfs(root.as_raw_fd()) });
        // Nobody listens any more where it took too long.
        let _ = done.send(result.map(drop));
    })?;
    match answer.recv_timeout(limit) {
        Ok(result) => Ok(result.map(|()| true)?),
        Err(mpsc::RecvTimeoutError::Timeout) => Ok(false),
        Err(mpsc::RecvTimeoutError::Disconnected) => Err(io::ErrorKind::BrokenPipe.into()),
    }
}

/// Whether this kernel panics when a process waits for long, as a frozen writer does. One that cannot is built without the
/// check and has no such file.
pub fn panics_when_somebody_waits() -> bool {
    fs::read_to_string("/proc/sys/kernel/hung_task_panic").is_ok_and(|text| is_on(&text))
}

fn is_on(setting: &str) -> bool {
    // Newer kernels count how many it takes; anything but none is on.
    setting.trim() != "0"
}

#[cfg(test)]
mod tests {
    use super::is_on;

    #[test]
    fn any_number_of_hung_tasks_that_panics_counts() {
        assert_eq!(["0\n", "1\n", "5\n"].map(is_on), [false, true, true]);
    }
}
