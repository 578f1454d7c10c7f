//! The processes of a sandbox, as the host sees them.

use std::fs;
use std::io;

use crate::host::process::{ProcessId, descendants};
use crate::platform::sandbox::StateDir;

use super::super::super::internal::NODE;
use crate::undo::guardian;

/// A process of a sandbox.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Process {
    pub id: ProcessId,
    pub part: Part,
}

/// What it is there.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Part {
    Node,
    Guardian,
    /// A member of the built-in store, by its pod's name.
    Member(String),
    /// Init, a pod's first process.
    Other,
}

/// Every living process of the sandbox, by walking down from its init.
pub(super) fn of_sandbox(dir: &StateDir) -> io::Result<Vec<Process>> {
    let gone = || io::Error::new(io::ErrorKind::NotFound, "the sandbox's init is gone");
    let init = ProcessId::of(dir.init()?.as_raw())?.ok_or_else(gone)?;
    Ok(descendants(&[init])?.into_iter().map(|id| Process { id, part: part(id.pid) }).collect())
}

/// A process that ends while it is looked at is nobody in particular.
fn part(pid: i32) -> Part {
    let words = strings(pid, "cmdline");
    match words.get(1).map(String::as_str) {
        Some(NODE) => Part::Node,
        Some(guardian::SUBCOMMAND) => Part::Guardian,
        Some("refkv") => {
            let environment = strings(pid, "environ");
            let pod = environment.iter().find_map(|entry| entry.strip_prefix("HOSTNAME="));
            Part::Member(pod.unwrap_or("a member").to_owned())
        }
        Some(_) | None => Part::Other,
    }
}

/// A file below `/proc/PID` whose strings end with a zero byte (proc(5)).
fn strings(pid: i32, file: &str) -> Vec<String> {
    let bytes = fs::read(format!("/proc/{pid}/{file}")).unwrap_or_default();
    bytes.split(|&byte| byte == 0).map(|part| String::from_utf8_lossy(part).into_owned()).collect()
}
