//! Where a file is: on which filesystem, and where on it, by whichever mount it was reached.

use std::ffi::{CString, OsString};
use std::fs::{self, File};
use std::io;
use std::mem::MaybeUninit;
use std::os::fd::AsRawFd;
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::{Path, PathBuf};

use nix::errno::Errno;
use nix::libc;

use super::table::Mounted;

/// On what a file is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Seen {
    /// Its filesystem (`st_dev`).
    pub device: u64,
    /// Which file it is there (`st_ino`).
    pub inode: u64,
    /// The mount by which it was reached; not told by kernels before Linux 5.8.
    pub mount: Option<u64>,
}

/// Looks at the file that a path leads to, with what the kernel knows without asking a server (statx(2)).
pub fn look(path: &Path) -> io::Result<Seen> {
    let path = CString::new(path.as_os_str().as_bytes())?;
    let flags = libc::AT_NO_AUTOMOUNT | libc::AT_STATX_DONT_SYNC;
    let wanted = libc::STATX_INO | libc::STATX_MNT_ID;
    let mut found = MaybeUninit::<libc::statx>::zeroed();
    // SAFETY: the path ends in a zero byte, and the kernel writes one structure, for which there is room.
    let result = unsafe { libc::statx(libc::AT_FDCWD, path.as_ptr(), flags, wanted, found.as_mut_ptr()) };
    Errno::result(result)?;
    // SAFETY: the kernel has written it, and it was zero before.
    let found = unsafe { found.assume_init() };
    let is_told = found.stx_mask & libc::STATX_MNT_ID != 0;
    Ok(Seen {
        device: libc::makedev(found.stx_dev_major, found.stx_dev_minor),
        inode: found.stx_ino,
        mount: is_told.then_some(found.stx_mnt_id),
    })
}

/// Where the kernel says that the file is to which a link of `/proc` leads, in the mount namespace of that file. Of one that
/// was removed, where it was.
pub fn path_of(link: &Path) -> io::Result<PathBuf> {
    let text = fs::read_link(link)?.into_os_string().into_vec();
    let path = text.strip_suffix(b" (deleted)").map(<[u8]>::to_vec).unwrap_or(text);
    Ok(OsString::from_vec(path).into())
}

/// Where an open folder is in its filesystem. It was opened in the mount namespace of `process`.
pub fn folder(folder: &File, process: i32) -> io::Result<PathBuf> {
    let link = PathBuf::from(format!("/proc/self/fd/{}", folder.as_raw_fd()));
    let unknown = || {
        let why =
            "the kernel does not tell by which mount it is reached, as Linux 5.8 and later do (statx(2))";
        io::Error::new(io::ErrorKind::Unsupported, why)
    };
    let mount = look(&link)?.mount.ok_or_else(unknown)?;
    let mounted = Mounted::find(process, mount)?;
    mounted.and_then(|mounted| mounted.inside(&path_of(&link).ok()?)).ok_or_else(unknown)
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::MetadataExt;

    use super::*;

    #[test]
    fn looks_at_a_file_as_stat_does_and_finds_its_folder_again() {
        let file = tempfile::tempdir().expect("writable");
        let open = File::open(file.path()).expect("readable");
        let seen = look(file.path()).expect("there");
        assert_eq!(seen.device, open.metadata().expect("readable").dev());
        let own = std::process::id().cast_signed();
        let mounted = Mounted::find(own, seen.mount.expect("told")).expect("readable").expect("there");
        let real = fs::canonicalize(file.path()).expect("there");
        assert_eq!(folder(&open, own).ok(), mounted.inside(&real));
        assert!(folder(&open, own).expect("found").ends_with(file.path().file_name().expect("named")));
    }

    #[test]
    fn a_removed_file_is_where_it_was() {
        let file = tempfile::NamedTempFile::new().expect("writable");
        let link = PathBuf::from(format!("/proc/self/fd/{}", file.as_file().as_raw_fd()));
        let before = path_of(&link).expect("there");
        fs::remove_file(file.path()).expect("ours");
        assert_eq!(path_of(&link).expect("there still"), before);
    }
}
