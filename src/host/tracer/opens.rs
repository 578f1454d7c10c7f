//! Which file an open would open, found before the kernel does it.
//!
//! The path is read from the thread's memory and resolved by the kernel, below the root that the thread has and with its
//! working directory or the folder that it names (openat2(2), `RESOLVE_IN_ROOT`), without opening anything. A symbolic link
//! is followed as the call would follow it. What the call itself will answer with an error, and what cannot be known, is
//! left alone: a file that is not there and is not to be made, a folder where a file is needed or the other way round, a link
//! that leads nowhere, a path through `/proc/self/fd`, an openat2(2) that restricts how its path is resolved. So is `O_PATH`,
//! by which nothing is opened. What the thread has no right to open is not known here: instead of EACCES or EPERM it waits, or
//! has the error of the disk, and is counted.

use std::ffi::OsString;
use std::fs;
use std::os::fd::OwnedFd;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use nix::errno::Errno;
use nix::fcntl::{OFlag, OpenHow, ResolveFlag, open, openat2, readlinkat};
use nix::libc;
use nix::sys::stat::Mode;

use super::memory;

/// A call that opens a file.
pub(super) struct Open {
    /// The descriptor of the folder from which a relative path leads, or `AT_FDCWD`.
    folder: i32,
    /// Where the path is in the thread's memory.
    path: u64,
    flags: OFlag,
}

/// What would be opened.
pub(super) struct Found {
    /// The file; where it would be made, the folder.
    pub(super) at: OwnedFd,
    /// What it would be called in that folder, where it would be made there.
    pub(super) name: Option<OsString>,
    pub(super) wants: Wants,
}

/// What a call wants of the disk.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Wants {
    /// To use a file that is open.
    Using,
    /// To open one that is there, for reading.
    Reading,
    /// For writing, or to have it truncated.
    Writing,
    /// A new file.
    Making,
}

impl Wants {
    /// Whether a disk that fails so refuses it. Of opens (open(2)), one without room refuses to make a file, and one that is
    /// read-only to open one for writing.
    pub(super) fn may_fail_with(self, errno: i32) -> bool {
        match errno {
            libc::ENOSPC => matches!(self, Self::Using | Self::Making),
            libc::EROFS => matches!(self, Self::Using | Self::Writing | Self::Making),
            _ => true,
        }
    }
}

impl Open {
    /// What the call of this number opens, and which of its arguments is the path.
    pub(super) fn of(thread: i32, number: i64, arguments: [u64; 6]) -> Option<(usize, Self)> {
        let [first, second, third, ..] = arguments;
        let from_here = |flags| (0, Self { folder: libc::AT_FDCWD, path: first, flags });
        let (argument, open) = match number {
            #[cfg(target_arch = "x86_64")]
            libc::SYS_open => from_here(of_bits(second)),
            #[cfg(target_arch = "x86_64")]
            libc::SYS_creat => from_here(OFlag::O_CREAT | OFlag::O_WRONLY | OFlag::O_TRUNC),
            libc::SYS_openat => (1, Self { folder: first as i32, path: second, flags: of_bits(third) }),
            libc::SYS_openat2 => {
                // struct open_how: flags, mode and resolve.
                let how: [u8; 24] = memory::bytes(thread, third)?;
                let [flags, _, resolve] =
                    [0, 8, 16].map(|at| u64::from_ne_bytes(std::array::from_fn(|byte| how[at + byte])));
                if resolve != 0 {
                    return None;
                }
                (1, Self { folder: first as i32, path: second, flags: of_bits(flags) })
            }
            _ => return None,
        };
        (!open.flags.contains(OFlag::O_PATH)).then_some((argument, open))
    }

    /// Looks for what it would open.
    pub(super) fn find(&self, thread: i32) -> Option<Found> {
        let path = memory::path(thread, self.path)?;
        if path.as_os_str().is_empty() {
            return None;
        }
        let root = format!("/proc/{thread}/root");
        let path = if path.is_absolute() { path } else { self.folder(thread, &root)?.join(path) };
        let root = open(root.as_str(), OFlag::O_PATH | OFlag::O_CLOEXEC, Mode::empty()).ok()?;
        let resolve = |path: &Path, more: OFlag| {
            let how = OpenHow::new().flags(OFlag::O_PATH | OFlag::O_CLOEXEC | more);
            openat2(&root, path, how.resolve(ResolveFlag::RESOLVE_IN_ROOT))
        };
        let makes = self.flags.contains(OFlag::O_CREAT);
        let follows = !self.flags.contains(OFlag::O_NOFOLLOW);
        // Of these depends what it may be.
        match resolve(&path, self.flags & (OFlag::O_NOFOLLOW | OFlag::O_DIRECTORY)) {
            // It will be answered that there is one.
            Ok(_) if makes && self.flags.contains(OFlag::O_EXCL) => None,
            Ok(at) if !follows && is(&at, libc::S_IFLNK) => None,
            Ok(at) if self.needs_a_file() && is(&at, libc::S_IFDIR) => None,
            Ok(at) => Some(Found { at, name: None, wants: self.wants() }),
            Err(Errno::ENOENT) if makes => {
                let name = last_of(&path)?;
                let at = resolve(path.parent()?, OFlag::empty()).ok()?;
                // It leads to where the file would be made, which would have to be found as the kernel does.
                if readlinkat(&at, name.as_os_str()).is_ok() {
                    return None;
                }
                Some(Found { at, name: Some(name), wants: Wants::Making })
            }
            Err(_) => None,
        }
    }

    /// Where the folder from which a relative path leads is below the thread's root.
    fn folder(&self, thread: i32, root: &str) -> Option<PathBuf> {
        let link = match self.folder {
            libc::AT_FDCWD => format!("/proc/{thread}/cwd"),
            descriptor => format!("/proc/{thread}/fd/{descriptor}"),
        };
        let below = fs::read_link(link).ok()?.strip_prefix(fs::read_link(root).ok()?).ok()?.to_owned();
        Some(Path::new("/").join(below))
    }

    /// Whether a folder would be refused (EISDIR of open(2)).
    fn needs_a_file(&self) -> bool {
        let not_of_a_folder = OFlag::O_WRONLY | OFlag::O_RDWR | OFlag::O_TRUNC | OFlag::O_CREAT;
        self.flags.intersects(not_of_a_folder) && !self.flags.contains(OFlag::O_TMPFILE)
    }

    /// What it wants of a file that is there.
    fn wants(&self) -> Wants {
        if self.flags.contains(OFlag::O_TMPFILE) {
            Wants::Making
        } else if self.flags.intersects(OFlag::O_WRONLY | OFlag::O_RDWR | OFlag::O_TRUNC) {
            Wants::Writing
        } else {
            Wants::Reading
        }
    }
}

fn of_bits(bits: u64) -> OFlag {
    OFlag::from_bits_retain(bits as i32)
}

/// Whether a file is of this type (inode(7)).
fn is(file: &OwnedFd, kind: libc::mode_t) -> bool {
    nix::sys::stat::fstat(file).is_ok_and(|found| found.st_mode & libc::S_IFMT == kind)
}

/// The name of the file that is to be made; nothing where the path can only be that of a folder.
fn last_of(path: &Path) -> Option<OsString> {
    let bytes = path.as_os_str().as_bytes();
    let ends_in_a_folder = bytes.ends_with(b"/") || bytes.ends_with(b"/.");
    path.file_name().filter(|_| !ends_in_a_folder).map(ToOwned::to_owned)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_full_disk_makes_no_file_and_a_read_only_one_lets_nobody_write() {
        let refused = |errno| {
            let all = [Wants::Using, Wants::Reading, Wants::Writing, Wants::Making];
            all.map(|wants| wants.may_fail_with(errno))
        };
        assert_eq!(refused(libc::EIO), [true, true, true, true]);
        assert_eq!(refused(libc::EROFS), [true, false, true, true]);
        assert_eq!(refused(libc::ENOSPC), [true, false, false, true]);
    }

    #[test]
    fn what_an_open_wants_follows_from_its_flags() {
        let wants = |flags| Open { folder: libc::AT_FDCWD, path: 0, flags }.wants();
        assert_eq!(wants(OFlag::O_RDONLY | OFlag::O_CREAT), Wants::Reading, "of a file that is there");
        assert_eq!(wants(OFlag::O_RDONLY | OFlag::O_TRUNC), Wants::Writing);
        assert_eq!(wants(OFlag::O_RDONLY | OFlag::O_DIRECTORY), Wants::Reading);
        assert_eq!(wants(OFlag::O_WRONLY), Wants::Writing);
        assert_eq!(wants(OFlag::O_RDWR), Wants::Writing);
        assert_eq!(wants(OFlag::O_RDWR | OFlag::O_TMPFILE), Wants::Making);
    }

    #[test]
    fn only_a_file_can_be_made_by_an_open() {
        assert_eq!(last_of(Path::new("/data/wal")), Some("wal".into()));
        for folder in ["/data/", "/data/.", "/data/..", "/"] {
            assert_eq!(last_of(Path::new(folder)), None, "{folder}");
        }
    }
}
