//! Which system calls do what to a file.

use nix::libc;
use serde::{Deserialize, Serialize};

use super::opens::Open;
use super::stops;

/// What a call does to a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Operation {
    /// Makes what was written durable: fsync(2), fdatasync(2), sync_file_range(2), syncfs(2).
    Sync,
    /// Writes: write(2) and its kin.
    Write,
    /// Reads: read(2) and its kin.
    Read,
    /// Opens: open(2), openat(2), openat2(2), creat(2).
    Open,
}

impl Operation {
    /// What the call of this number does to the descriptor that is its first argument.
    pub(in crate::host) fn of(number: i64) -> Option<Self> {
        Some(match number {
            libc::SYS_fsync | libc::SYS_fdatasync | libc::SYS_sync_file_range | libc::SYS_syncfs => {
                Self::Sync
            }
            libc::SYS_write
            | libc::SYS_pwrite64
            | libc::SYS_writev
            | libc::SYS_pwritev
            | libc::SYS_pwritev2 => Self::Write,
            libc::SYS_read | libc::SYS_pread64 | libc::SYS_readv | libc::SYS_preadv | libc::SYS_preadv2 => {
                Self::Read
            }
            _ => return None,
        })
    }
}

/// A call on a file, at whose entry a thread stands.
pub(super) struct Call {
    pub(super) operation: Operation,
    /// Which of its arguments says which file it is about.
    pub(super) argument: usize,
    pub(super) file: File,
}

/// What a call says of the file that it is about.
pub(super) enum File {
    /// The thread's descriptor.
    Descriptor(i32),
    /// One that is to be opened.
    Named(Open),
}

/// The call at whose entry a thread stands. Nothing where it stands at an exit, where the call is about no file, or where it is
/// of a foreign ABI, whose numbers mean something else.
pub(super) fn entered(thread: i32) -> Option<Call> {
    let stops::Entry { number, arguments } = stops::entry(thread)?;
    let number = i64::try_from(number).ok()?;
    let Some(operation) = Operation::of(number) else {
        let (argument, open) = Open::of(thread, number, arguments)?;
        return Some(Call { operation: Operation::Open, argument, file: File::Named(open) });
    };
    Some(Call { operation, argument: 0, file: File::Descriptor(arguments[0] as i32) })
}
