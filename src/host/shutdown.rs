//! Takes a filesystem away as a power cut does.
//!
//! `FS_IOC_SHUTDOWN` without a log flush stops ext4 and xfs at once: what was not on the disk never gets there, every
//! later operation fails, and the next mount replays the journal as after a real power cut. Nothing brings the mounted
//! filesystem back but an unmount and a mount (`EXT4_IOC_SHUTDOWN` in fs/ext4/ioctl.c, `XFS_IOC_GOINGDOWN`).
//!
//! A filesystem is named by path *and* device number: where it was unmounted meanwhile, its path is a folder of the host's
//! own filesystem, which must never be shut down.

use std::fs::{self, File};
use std::io;
use std::os::fd::AsRawFd;
use std::os::unix::fs::MetadataExt;
use std::path::Path;

use nix::sys::statfs::{EXT4_SUPER_MAGIC, FsType, fstatfs};

mod request {
    nix::ioctl_read!(fs_ioc_shutdown, b'X', 125, u32);
}

/// `EXT4_GOING_FLAGS_NOLOGFLUSH`, the same number as xfs gives it.
const WITHOUT_LOG_FLUSH: u32 = 2;

/// `XFS_SUPER_MAGIC` of linux/magic.h; nix has it for glibc only.
const XFS_SUPER_MAGIC: FsType = FsType(0x5846_5342);

/// Whether the filesystem of an open file is of a kind that can be shut down.
pub fn is_supported(root: &File) -> io::Result<bool> {
    let kind = fstatfs(root)?.filesystem_type();
    Ok(kind == EXT4_SUPER_MAGIC || kind == XFS_SUPER_MAGIC)
}

/// The device number of the filesystem whose root is at `path`; `None` where `path` is only a folder of a larger one, or
/// of the one that `/` is on.
pub fn device_of(path: &Path) -> io::Result<Option<u64>> {
    let device = fs::metadata(path)?.dev();
    let is_part = device == fs::metadata(path.join(".."))?.dev() || device == fs::metadata("/")?.dev();
    Ok((!is_part).then_some(device))
}

/// Shuts the filesystem at `path` down, if it is the one with this device number; what was not synced is lost.
pub fn shut_down(path: &Path, device: u64) -> io::Result<()> {
    let root = File::open(path)?;
    if root.metadata()?.dev() != device {
        return Err(io::Error::new(io::ErrorKind::NotFound, "it is not mounted there any more"));
    }
    let mut how = WITHOUT_LOG_FLUSH;
    // SAFETY: the ioctl reads one u32, which lives until the call returns.
    unsafe { request::fs_ioc_shutdown(root.as_raw_fd(), &raw mut how) }?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::unix::fs::MetadataExt;
    use std::path::Path;

    use super::{device_of, shut_down};

    #[test]
    fn a_folder_of_a_larger_filesystem_is_no_filesystem_of_its_own() {
        let folder = tempfile::tempdir().expect("a temporary folder can be made");
        assert_eq!(device_of(folder.path()).expect("it is there"), None);
        assert_eq!(device_of(Path::new("/")).expect("it is there"), None);
    }

    #[test]
    fn refuses_to_shut_down_what_lies_below_an_unmounted_volume() {
        let folder = tempfile::tempdir().expect("a temporary folder can be made");
        let device = fs::metadata(folder.path()).expect("it is there").dev();
        let error = shut_down(folder.path(), device + 1).expect_err("it is another filesystem");
        assert_eq!(error.to_string(), "it is not mounted there any more");
    }
}
