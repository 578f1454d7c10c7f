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
    /// Writes: write(2) and its kin, and copies to a file: sendfile(2), splice(2), copy_file_range(2).
    Write,
    /// Reads: read(2) and its kin, and copies from a file.
    Read,
    /// Opens: open(2), openat(2), openat2(2), creat(2).
    Open,
}

impl Operation {
    /// What the call of this number does, and to the descriptor that is which of its arguments.
    pub(in crate::host) fn of(number: i64) -> &'static [(Self, usize)] {
        match number {
            libc::SYS_fsync | libc::SYS_fdatasync | libc::SYS_sync_file_range | libc::SYS_syncfs => {
                &[(Self::Sync, 0)]
            }
            libc::SYS_write
            | libc::SYS_pwrite64
            | libc::SYS_writev
            | libc::SYS_pwritev
            | libc::SYS_pwritev2 => &[(Self::Write, 0)],
            libc::SYS_read | libc::SYS_pread64 | libc::SYS_readv | libc::SYS_preadv | libc::SYS_preadv2 => {
                &[(Self::Read, 0)]
            }
            libc::SYS_sendfile => &[(Self::Read, 1), (Self::Write, 0)],
            libc::SYS_splice | libc::SYS_copy_file_range => &[(Self::Read, 0), (Self::Write, 2)],
            _ => &[],
        }
    }
}

/// What a call does to a file, at whose entry a thread stands.
pub(super) struct Use {
    pub(super) operation: Operation,
    /// Which of the call's arguments says which file it is.
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

/// What the call does at whose entry a thread stands. Nothing where it stands at an exit, where the call is about no file, or
/// where it is of a foreign ABI, whose numbers mean something else.
pub(super) fn entered(thread: i32) -> Vec<Use> {
    let Some(stops::Entry { number, arguments }) = stops::entry(thread) else { return Vec::new() };
    let Ok(number) = i64::try_from(number) else { return Vec::new() };
    let of_descriptors = Operation::of(number).iter().map(|&(operation, argument)| Use {
        operation,
        argument,
        file: File::Descriptor(arguments[argument] as i32),
    });
    let open = Open::of(thread, number, arguments);
    let of_open =
        open.map(|(argument, open)| Use { operation: Operation::Open, argument, file: File::Named(open) });
    of_descriptors.chain(of_open).collect()
}
