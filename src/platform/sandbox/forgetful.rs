//! A volume that forgets what nobody has synced: a filesystem of our own (FUSE), for power cuts that tear writes.
//!
//! An ext4 image that is shut down loses what was not synced, but never a part of a write. This volume keeps what was
//! not synced in memory, as a kernel's cache does, and at a cut loses it or lets a seeded choice of its pieces reach
//! the disk.
//!
//! # What is durable when
//!
//! The rules are those that the journaling filesystems of Linux share (ext4 with `data=ordered`, XFS), and no more than
//! these. POSIX alone promises so little that most stores rely on more, and a loss that no filesystem causes would say
//! nothing about a store. How filesystems differ here is told by Pillai et al., "All File Systems Are Not Created
//! Equal" (OSDI 2014).
//!
//! - Everybody sees at once what was done, and a process that is killed loses nothing.
//! - Changes of names, attributes and lengths (create, link, unlink, rename, mkdir, truncate, fallocate, chmod) are
//!   entries of one log, which reaches the disk in order. An fsync of a file or folder brings it there up to the newest
//!   entry about that one: what was done before it to others is durable as well, what was done after it is not. So a
//!   new file that was fsynced has its name, a rename without an fsync of the folder or the file may be undone, and
//!   never is there half of one.
//! - An fdatasync brings the log there up to what the bytes depend on (the file's creation, its length), not a later
//!   rename.
//! - Bytes are durable by fsync, fdatasync or msync of that file, or by O_SYNC or O_DSYNC. There is no flush at a
//!   rename or a close that nobody asked for, which ext4 has (`auto_da_alloc`) and XFS has not.
//! - An unmount makes everything durable, and so does the volume itself where remembering it takes more than 64 MiB, as
//!   a kernel does when too much memory is dirty. What is older than 30 seconds is durable with the next call, as every
//!   kernel writes it out by then. The kernel tells no server of this kind of sync(2), syncfs(2) and
//!   sync_file_range(2), so these make nothing durable here.
//!
//! A cut that **loses** leaves what is durable. A cut that **tears** leaves besides:
//!
//! - of the log a first part, of any length;
//! - of each write nothing, all, its first sectors, or any of them, each whole sector of 512 bytes as memory held it at
//!   some moment since it was durable; in any order among writes and files, so that a file can have grown beyond
//!   zeroes. Bytes whose file's creation or new length is lost are lost.
//!
//! # Where it lives
//!
//! What is durable is in a folder of the sandbox, everything besides that is in the memory of one server process per
//! volume, a child of init. Whatever kills it is a power cut that loses: the kernel answers every call with an error
//! from then on, so that nobody hangs, the pod is ended, and a new server goes on with what was durable. It ends itself
//! where its folder cannot be written. Pages that were changed through a shared map and not synced are in the kernel's
//! memory, which writes them when it likes; a cut that tears has it write them first, any other loses them.
//!
//! # What it lacks
//!
//! O_TMPFILE, holes punched by fallocate(2), extended attributes, sockets and pipes, RENAME_EXCHANGE: refused as by any
//! filesystem without them. fallocate(2) says whether there is room, and keeps none. All of a volume is in memory while it
//! is mounted.

use std::ffi::OsString;
use std::fs::OpenOptions;
use std::path::PathBuf;

use crate::host::namespace::inherited;

mod content;
mod cut;
mod folder;
mod mounted;
mod server;
#[cfg(test)]
mod tests;
mod tree;
mod volume;

pub use mounted::Mounted;

/// The hidden subcommand that is a volume's server.
pub const SUBCOMMAND: &str = "__sandbox-volume";

/// The descriptor under which the server gets the device that the volume was mounted with.
const DEVICE_DESCRIPTOR: i32 = 3;

/// The device of FUSE.
const DEVICE: &str = "/dev/fuse";

/// Why there can be no such volume on this machine, if there cannot.
pub fn obstacle() -> Option<String> {
    let opened = OpenOptions::new().read(true).write(true).open(DEVICE);
    opened.err().map(|error| format!("{DEVICE} cannot be opened: {error}"))
}

/// `seatrial __sandbox-volume FOLDER SIZE`, until the volume is unmounted.
pub fn volume_main(arguments: impl IntoIterator<Item = OsString>) -> i32 {
    let mut arguments = arguments.into_iter();
    let folder = arguments.next().map(PathBuf::from);
    let size = arguments.next().and_then(|size| size.to_str()?.parse().ok());
    let (Some(folder), Some(size)) = (folder, size) else {
        eprintln!("seatrial: a volume needs its folder and its size");
        return 2;
    };
    match inherited(DEVICE_DESCRIPTOR).and_then(|device| server::serve(folder.clone(), size, device)) {
        Ok(()) => 0,
        Err(error) => {
            eprintln!("seatrial: the volume in {} ended: {error}", folder.display());
            1
        }
    }
}
