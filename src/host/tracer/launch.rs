//! The side of whoever starts a tracer.

use std::ffi::OsStr;
use std::io;
use std::process::Child;

use super::orders::{Answer, Order};
use super::{Rules, SUBCOMMAND, Traced};
use crate::host::process::asked::Asked;
use crate::host::process::{ProcessId, is_gone};
use crate::host::tally::Tally;

/// A tracer that was started here, and ends with this value. The kernel then lets its tracees go on.
#[derive(Debug)]
pub struct Tracer(Asked);

impl Tracer {
    /// Has `launch` start one with these words, its standard input and output as pipes, which traces nobody yet.
    pub fn start(rules: &Rules, launch: impl FnOnce([&OsStr; 2]) -> io::Result<Child>) -> io::Result<Self> {
        Ok(Self(Asked::start(SUBCOMMAND, rules, launch)?))
    }

    /// Who it is.
    pub fn process(&self) -> ProcessId {
        self.0.process
    }

    /// Has it attach to every thread of these processes, and says how things stand.
    pub fn attach(&mut self, processes: Vec<ProcessId>) -> io::Result<Traced> {
        let mut order = serde_json::to_vec(&Order { attach: processes })?;
        order.push(b'\n');
        let answer: Answer = self.0.ask(&order)?;
        answer.refused.map_or(Ok(answer.traced), |refused| Err(refused.into()))
    }

    /// How things stood when it answered the first call with an error, if it did, also where it has ended since.
    pub fn first_failure(&mut self) -> Option<Tally> {
        self.0.unasked()
    }
}

/// Who traces a process; nobody where it is gone (proc_pid_status(5)).
pub fn tracer_of(pid: i32) -> io::Result<Option<i32>> {
    let status = match std::fs::read_to_string(format!("/proc/{pid}/status")) {
        Ok(status) => status,
        Err(error) if is_gone(&error) => return Ok(None),
        Err(error) => return Err(error),
    };
    let tracer = status.lines().find_map(|line| line.strip_prefix("TracerPid:")?.trim().parse().ok());
    Ok(tracer.filter(|&tracer| tracer != 0))
}

/// By what a process may do input and output that no tracer sees, if it does.
pub fn unseen_io(pid: i32) -> io::Result<Option<&'static str>> {
    if let Some(ring) = open_ring(pid)? {
        return Ok(Some(ring));
    }
    // The ring of libaio is a mapping (io_setup(2)).
    let maps = std::fs::read_to_string(format!("/proc/{pid}/maps")).unwrap_or_default();
    let is_ring = |line: &str| line.ends_with("/[aio] (deleted)") || line.ends_with("/[aio]");
    Ok(maps.lines().any(is_ring).then_some("libaio"))
}

/// The same as far as descriptors tell, which is cheaper than a list of all mappings.
pub fn open_ring(pid: i32) -> io::Result<Option<&'static str>> {
    let entries = match std::fs::read_dir(format!("/proc/{pid}/fd")) {
        Ok(entries) => entries,
        Err(error) if is_gone(&error) => return Ok(None),
        Err(error) => return Err(error),
    };
    let is_ring = |path: std::path::PathBuf| path.as_os_str() == "anon_inode:[io_uring]";
    let mut entries = entries.flatten();
    Ok(entries.any(|entry| std::fs::read_link(entry.path()).is_ok_and(is_ring)).then_some("io_uring"))
}
