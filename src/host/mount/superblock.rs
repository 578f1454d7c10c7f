//! A filesystem made read-only and writable again, for all of its mounts at once, by an open folder.
//!
//! `fspick(2)` and `fsconfig(2)` (Linux 5.2 and later) change the superblock and nothing else: mount(2) with `MS_REMOUNT` would
//! set the options of one mount as well, and reaches only mounts of the caller's own namespace. The kernel writes out what is
//! dirty first. It answers EBUSY while any file is open for writing or has been removed and is still open
//! (`sb_prepare_remount_readonly` in fs/namespace.c), and changes nothing then.

use std::fs::File;
use std::io;
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd};
use std::ptr;

use nix::errno::Errno;
use nix::libc;
use nix::sys::statvfs::{FsFlags, fstatvfs};

use super::Access;
use crate::host::room::unnamed;

/// `FSPICK_CLOEXEC` and `FSPICK_EMPTY_PATH` of linux/mount.h.
const BY_DESCRIPTOR: libc::c_uint = 0x1 | 0x8;
/// `FSCONFIG_SET_FLAG` of linux/mount.h.
const SET_FLAG: libc::c_uint = 0;
/// `FSCONFIG_CMD_RECONFIGURE` of linux/mount.h.
const RECONFIGURE: libc::c_uint = 7;

/// Makes the filesystem read-only or writable. `root` is the top of any mount of it.
pub fn set(root: &File, access: Access) -> io::Result<()> {
    let word = match access {
        Access::ReadOnly => c"ro",
        Access::ReadWrite => c"rw",
    };
    // SAFETY: fspick(2) reads an empty path, which lives for ever, and makes a descriptor.
    let picked = unsafe { libc::syscall(libc::SYS_fspick, root.as_raw_fd(), c"".as_ptr(), BY_DESCRIPTOR) };
    let picked = Errno::result(picked)?;
    // SAFETY: the call succeeded, so that this is a new descriptor which nobody else owns.
    let picked = unsafe { OwnedFd::from_raw_fd(picked as i32) };
    for (command, word) in [(SET_FLAG, word.as_ptr()), (RECONFIGURE, ptr::null())] {
        // SAFETY: fsconfig(2) reads a word that lives for ever, or nothing.
        let done = unsafe {
            libc::syscall(libc::SYS_fsconfig, picked.as_raw_fd(), command, word, ptr::null::<u8>(), 0)
        };
        Errno::result(done)?;
    }
    Ok(())
}

/// Whether files can be written by the mount through which a folder was opened, by the kernel's word (statvfs(3)).
pub fn access(root: &File) -> io::Result<Access> {
    let is_read_only = fstatvfs(root)?.flags().contains(FsFlags::ST_RDONLY);
    Ok(if is_read_only { Access::ReadOnly } else { Access::ReadWrite })
}

/// Whether a file that is to be written is refused there because the filesystem is read-only (EROFS).
pub fn refuses_to_write(root: &File) -> io::Result<bool> {
    match unnamed(root) {
        Ok(_) => Ok(false),
        Err(error) if error.kind() == io::ErrorKind::ReadOnlyFilesystem => Ok(true),
        Err(error) => Err(error),
    }
}
