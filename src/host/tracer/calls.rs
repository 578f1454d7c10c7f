//! Which system calls do what to a file.

use nix::libc;
use serde::{Deserialize, Serialize};

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
}

impl Operation {
    /// What the call of this number does to the descriptor that is its first argument.
    fn of(number: i64) -> Option<Self> {
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

/// What the call does at whose entry a thread stands, and its first argument, which is a descriptor. Nothing where it stands at an exit, or
/// where the call is of a foreign ABI, whose numbers mean something else.
pub(super) fn entered(thread: i32) -> Option<(Operation, u64)> {
    let entry = stops::entry(thread)?;
    let operation = Operation::of(i64::try_from(entry.number).ok()?)?;
    Some((operation, entry.first))
}
