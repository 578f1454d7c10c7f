//! Takes a filesystem away as a power cut does.
//!
//! `FS_IOC_SHUTDOWN` without a log flush stops ext4 and xfs at once: what was not on the disk never gets there, every
//! later operation fails, and the next mount replays the journal as after a real power cut. Nothing brings the mounted
//! filesystem back but an unmount and a mount (`EXT4_IOC_SHUTDOWN` in fs/ext4/ioctl.c, `XFS_IOC_GOINGDOWN`).

use std::fs::File;
use std::io;
use std::os::fd::AsRawFd;
use std::path::Path;

mod request {
    nix::ioctl_read!(fs_ioc_shutdown, b'X', 125, u32);
}

/// `EXT4_GOING_FLAGS_NOLOGFLUSH`, the same number as xfs gives it.
const WITHOUT_LOG_FLUSH: u32 = 2;

/// Whether the filesystem at `path` is of a kind that can be shut down.
pub fn is_supported(path: &Path) -> io::Result<bool> {
    let kind = nix::sys::statfs::statfs(path)?.filesystem_type();
    Ok(kind == nix::sys::statfs::EXT4_SUPER_MAGIC || kind == nix::sys::statfs::XFS_SUPER_MAGIC)
}

/// Shuts the filesystem at `path` down; what was not synced is lost.
pub fn shut_down(path: &Path) -> io::Result<()> {
    let root = File::open(path)?;
    let mut how = WITHOUT_LOG_FLUSH;
    // SAFETY: the ioctl reads one u32, which lives until the call returns.
    unsafe { request::fs_ioc_shutdown(root.as_raw_fd(), &raw mut how) }?;
    Ok(())
}
