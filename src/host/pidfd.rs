//! A process by descriptor: a pid that cannot come to mean another process (pidfd_open(2)).

use std::io;
use std::os::fd::{AsFd, BorrowedFd, FromRawFd, OwnedFd};
use std::time::Duration;

use nix::libc;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::signal::Signal;
use nix::unistd::Pid;

/// A process that was alive when this was made.
pub struct PidFd(OwnedFd);

impl PidFd {
    /// Opens the process that has this pid now.
    pub fn open(pid: Pid) -> io::Result<Self> {
        // SAFETY: a system call with plain numbers.
        let descriptor = unsafe { libc::syscall(libc::SYS_pidfd_open, pid.as_raw(), 0) };
        if descriptor < 0 {
            return Err(io::Error::last_os_error());
        }
        // SAFETY: pidfd_open(2) has just returned this descriptor, nobody else knows it.
        Ok(Self(unsafe { OwnedFd::from_raw_fd(descriptor as i32) }))
    }

    /// Sends a signal; a process that has ended already is no error.
    pub fn signal(&self, signal: Signal) -> io::Result<()> {
        use std::os::fd::AsRawFd;
        // SAFETY: the descriptor is open, a null pointer asks for the default siginfo (pidfd_send_signal(2)).
        let done = unsafe {
            libc::syscall(
                libc::SYS_pidfd_send_signal,
                self.0.as_raw_fd(),
                signal as i32,
                std::ptr::null::<libc::siginfo_t>(),
                0,
            )
        };
        let error = io::Error::last_os_error();
        if done < 0 && error.raw_os_error() != Some(libc::ESRCH) {
            return Err(error);
        }
        Ok(())
    }

    /// Waits until the process has ended; whether it has within `limit`.
    pub fn wait_ended(&self, limit: Duration) -> io::Result<bool> {
        let timeout = PollTimeout::try_from(limit).unwrap_or(PollTimeout::MAX);
        let mut watched = [PollFd::new(self.0.as_fd(), PollFlags::POLLIN)];
        Ok(poll(&mut watched, timeout)? > 0)
    }
}

impl AsFd for PidFd {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }
}
