//! Takes room on a filesystem, without a name that could stay behind.
//!
//! The file has no name (O_TMPFILE of open(2)): its room comes back when the last descriptor of it is closed, or at once when
//! it is made shorter.

use std::fs::{File, OpenOptions};
use std::io;
use std::os::fd::AsRawFd;
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::PathBuf;

use nix::fcntl::{FallocateFlags, OFlag, fallocate};
use nix::sys::statvfs::fstatvfs;

/// The blocks of `st_blocks` (stat(3type)).
const BLOCK: u64 = 512;

/// How full a filesystem is, in bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Room {
    /// What ordinary users can still take.
    pub available: u64,
    /// What root can still take, which may be more.
    pub free: u64,
    /// All that is taken.
    pub taken: u64,
}

impl Room {
    /// How much is left where an open file is.
    pub fn at(file: &File) -> io::Result<Self> {
        let found = fstatvfs(file)?;
        let bytes = |blocks: u64| blocks.saturating_mul(found.fragment_size());
        let free = bytes(found.blocks_free());
        Ok(Self {
            available: bytes(found.blocks_available()),
            free,
            taken: bytes(found.blocks()).saturating_sub(free),
        })
    }
}

/// An unnamed file that takes nothing yet, in an open folder. For writing only.
pub fn unnamed(folder: &File) -> io::Result<File> {
    // The folder as this process may name it while it is held.
    let path = PathBuf::from(format!("/proc/self/fd/{}", folder.as_raw_fd()));
    let flags = OFlag::O_TMPFILE | OFlag::O_EXCL;
    OpenOptions::new().write(true).custom_flags(flags.bits()).mode(0o600).open(path)
}

/// How much a file takes at least that takes anything: a block of its filesystem.
pub fn block(file: &File) -> io::Result<u64> {
    Ok(fstatvfs(file)?.fragment_size())
}

/// How much a file takes.
pub fn taken(file: &File) -> io::Result<u64> {
    Ok(file.metadata()?.blocks() * BLOCK)
}

/// Makes a file take `more` bytes beyond its length, without writing them (fallocate(2)).
pub fn take(file: &File, more: u64) -> io::Result<()> {
    let bounded = |bytes: u64| i64::try_from(bytes).map_err(|_| io::Error::from(io::ErrorKind::FileTooLarge));
    let length = file.metadata()?.len();
    Ok(fallocate(file, FallocateFlags::empty(), bounded(length)?, bounded(more)?)?)
}

/// Gives everything back.
pub fn give_back(file: &File) -> io::Result<()> {
    file.set_len(0)
}

#[cfg(test)]
mod tests {
    use std::fs::{self, File};

    use super::{Room, give_back, take, taken, unnamed};

    #[test]
    fn room_is_taken_without_a_name_and_given_back() {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let opened = File::open(folder.path()).expect("there");
        let file = unnamed(&opened).expect("the filesystem of temporary files knows unnamed ones");
        take(&file, 1 << 20).expect("a MiB is there");
        assert!(taken(&file).expect("readable") >= 1 << 20);
        assert_eq!(fs::read_dir(folder.path()).expect("readable").count(), 0);
        give_back(&file).expect("ours");
        assert_eq!(taken(&file).expect("readable"), 0);
        assert!(Room::at(&file).expect("readable").available > 0);
    }
}
