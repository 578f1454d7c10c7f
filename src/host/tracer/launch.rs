//! The side of whoever starts a tracer.

use std::io;
use std::os::fd::AsFd;
use std::path::Path;
use std::process::{Child, ChildStdin, ChildStdout};
use std::time::Duration;

use nix::errno::Errno;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};

use super::orders::{Order, receive, send};
use super::{Rules, SUBCOMMAND, Tally};
use crate::host::process::ProcessId;
use crate::host::process::launch::detached;

/// For how long a tracer may take to answer: with thousands of threads, attaching takes some milliseconds each.
const PATIENCE: Duration = Duration::from_secs(10);

/// A tracer that was started here, and ends with this value.
#[derive(Debug)]
pub struct Tracer {
    child: Child,
    /// Taken when it is dropped.
    orders: Option<ChildStdin>,
    answers: ChildStdout,
    /// Who it is.
    pub process: ProcessId,
}

impl Tracer {
    /// Starts one that traces nobody yet. `program` knows the hidden subcommand.
    pub fn start(program: &Path, rules: &Rules) -> io::Result<Self> {
        let rules = serde_json::to_string(rules)?;
        let mut child = detached(program, [SUBCOMMAND.as_ref(), rules.as_ref()], &[], &[])?;
        let (Some(orders), Some(answers)) = (child.stdin.take(), child.stdout.take()) else {
            return Err(io::ErrorKind::BrokenPipe.into());
        };
        let process = ProcessId::of(child.id().cast_signed())?.ok_or(io::ErrorKind::NotFound)?;
        Ok(Self { child, orders: Some(orders), answers, process })
    }

    /// Has it attach to every thread of these processes, and says how things stand.
    pub fn attach(&mut self, processes: Vec<ProcessId>) -> io::Result<Tally> {
        let orders = self.orders.as_mut().ok_or(io::ErrorKind::BrokenPipe)?;
        send(orders, &Order { attach: processes })?;
        let limit = PollTimeout::try_from(PATIENCE).unwrap_or(PollTimeout::MAX);
        let mut fds = [PollFd::new(self.answers.as_fd(), PollFlags::POLLIN)];
        let answered = loop {
            match poll(&mut fds, limit) {
                Err(Errno::EINTR) => {}
                answered => break answered? > 0,
            }
        };
        if !answered {
            // What it answers later would be taken for the answer to the next order.
            self.orders = None;
            return Err(io::Error::new(io::ErrorKind::TimedOut, "the tracer does not answer"));
        }
        let answer = receive(&mut self.answers)?;
        match answer.refused {
            None => Ok(answer.tally),
            Some(refused) => Err(io::Error::new(io::ErrorKind::PermissionDenied, refused)),
        }
    }
}

impl Drop for Tracer {
    /// It ends when nobody gives orders any more; SIGKILL is for one that hangs, and lets its tracees go on as well.
    fn drop(&mut self) {
        drop(self.orders.take());
        let handle = self.process.open().ok().flatten();
        if !handle.is_none_or(|handle| handle.wait(PATIENCE).unwrap_or(false)) {
            let _ = self.child.kill();
        }
        let _ = self.child.wait();
    }
}

/// Who traces a process; nobody where it is gone (proc_pid_status(5)).
pub fn tracer_of(pid: i32) -> io::Result<Option<i32>> {
    let status = match std::fs::read_to_string(format!("/proc/{pid}/status")) {
        Ok(status) => status,
        Err(error) if crate::host::process::is_gone(&error) => return Ok(None),
        Err(error) => return Err(error),
    };
    let tracer = status.lines().find_map(|line| line.strip_prefix("TracerPid:")?.trim().parse().ok());
    Ok(tracer.filter(|&tracer| tracer != 0))
}

/// By what a process does input and output that no tracer sees, if it does.
pub fn unseen_io(pid: i32) -> io::Result<Option<&'static str>> {
    let entries = match std::fs::read_dir(format!("/proc/{pid}/fd")) {
        Ok(entries) => entries,
        Err(error) if crate::host::process::is_gone(&error) => return Ok(None),
        Err(error) => return Err(error),
    };
    let is_ring = |path: std::path::PathBuf| path.as_os_str() == "anon_inode:[io_uring]";
    if entries.flatten().any(|entry| std::fs::read_link(entry.path()).is_ok_and(is_ring)) {
        return Ok(Some("io_uring"));
    }
    // The ring of libaio is a mapping (io_setup(2)).
    let maps = std::fs::read_to_string(format!("/proc/{pid}/maps")).unwrap_or_default();
    Ok(maps
        .lines()
        .any(|line| line.ends_with("/[aio] (deleted)") || line.ends_with("/[aio]"))
        .then_some("libaio"))
}
