//! The call that a thread makes about whose file the kernel asks.

use std::fs;
use std::io;
use std::os::fd::{AsRawFd, BorrowedFd};
use std::path::Path;

use crate::host::mount::place::look;
use crate::host::process::is_gone;
use crate::host::tracer::Operation;

/// What a call does to files.
pub(super) struct Call {
    thread: i32,
    /// What it does, and to which descriptor of the thread.
    uses: Vec<(Operation, i32)>,
}

/// What is known of a thread.
pub(super) enum Known {
    /// Nothing yet: it is still on its way to wait for the answer.
    Nothing,
    /// What it waits in.
    Call(Call),
}

/// Whether the kernel tells which calls a process makes; of one that is gone there is nothing to tell.
pub fn is_told_of(pid: i32) -> io::Result<()> {
    match text(pid) {
        Err(error) if !is_gone(&error) => Err(error),
        Ok(_) | Err(_) => Ok(()),
    }
}

fn text(thread: i32) -> io::Result<String> {
    fs::read_to_string(format!("/proc/{thread}/syscall"))
}

impl Known {
    /// What is known now of a thread about whose file the kernel asks.
    pub(super) fn of(thread: i32) -> Self {
        // One that is gone waits for no answer.
        match uses(&text(thread).unwrap_or_default()) {
            None => Self::Nothing,
            Some(uses) => Self::Call(Call { thread, uses }),
        }
    }
}

impl Call {
    /// Whether it does one of these to the file about which the kernel asks. Where it has two files, there is a question about
    /// each, and only the thread's own descriptors tell which of them is read.
    pub(super) fn does(&self, operations: &[Operation], file: BorrowedFd<'_>) -> bool {
        let is_alone = self.uses.len() == 1;
        let mut meant = self.uses.iter().filter(|(operation, _)| operations.contains(operation));
        meant.any(|(_, descriptor)| is_alone || self.is(*descriptor, file))
    }

    fn is(&self, descriptor: i32, file: BorrowedFd<'_>) -> bool {
        let at = |link: String| look(Path::new(&link)).ok();
        let own = at(format!("/proc/{}/fd/{descriptor}", self.thread));
        let asked = at(format!("/proc/self/fd/{}", file.as_raw_fd()));
        own.zip(asked).is_some_and(|(own, asked)| (own.device, own.inode) == (asked.device, asked.inode))
    }
}

/// What is done to which descriptors, by the text that the kernel has of a thread's call: `NUMBER ARGUMENT…` of one that
/// waits, in a call or (-1) outside of any, and `running` of one that does not wait (proc_pid_syscall(5)).
fn uses(text: &str) -> Option<Vec<(Operation, i32)>> {
    let mut words = text.split_ascii_whitespace();
    let number = words.next().unwrap_or_default();
    if number == "running" {
        return None;
    }
    let arguments: Vec<&str> = words.collect();
    let descriptor = |argument: usize| {
        let digits = arguments.get(argument)?.strip_prefix("0x")?;
        Some(u64::from_str_radix(digits, 16).ok()? as i32)
    };
    let known = number.parse().map(Operation::of).unwrap_or_default();
    Some(known.iter().filter_map(|&(operation, argument)| Some((operation, descriptor(argument)?))).collect())
}

#[cfg(test)]
mod tests {
    use nix::libc;

    use super::*;

    #[test]
    fn a_call_between_two_files_reads_one_and_writes_the_other() {
        let text = format!("{} 0x1 0x3 0x0 0x1000000 0x7fff 0x0 0x7ffd 0x7f12\n", libc::SYS_sendfile);
        assert_eq!(uses(&text), Some(vec![(Operation::Read, 3), (Operation::Write, 1)]));
        let text = format!("{} 0x4 0x0 0xffffffff00000005 0x0 0x10 0x0 0x7ffd 0x7f12\n", libc::SYS_splice);
        assert_eq!(uses(&text), Some(vec![(Operation::Read, 4), (Operation::Write, 5)]));
        let text = format!("{} 0x6 0x7ffd 0x10 0x0 0x0 0x0 0x7ffd 0x7f12\n", libc::SYS_read);
        assert_eq!(uses(&text), Some(vec![(Operation::Read, 6)]));
    }

    #[test]
    fn who_has_not_come_to_wait_is_not_known_and_who_makes_no_such_call_does_nothing() {
        assert_eq!(uses("running\n"), None);
        for text in ["-1 0x7ffd 0x7f12\n", "", "nonsense"] {
            assert_eq!(uses(text), Some(Vec::new()), "{text}");
        }
        let text = format!("{} 0x6 0x7ffd 0x10 0x0 0x0 0x0 0x7ffd 0x7f12\n", libc::SYS_fsync);
        assert_eq!(uses(&text), Some(vec![(Operation::Sync, 6)]));
    }
}
