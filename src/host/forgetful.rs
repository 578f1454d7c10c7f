//! Takes a forgetful volume's power away: the sandbox's own filesystem, which keeps in memory what nobody has synced.
//!
//! Like ext4's shutdown (see [`super::shutdown`]) it is one ioctl(2) on a folder of the volume. The volume says what has
//! come to its disk, and answers EIO from then on, until it is mounted again.

use std::fs::File;
use std::io;
use std::os::fd::AsRawFd;
use std::os::unix::fs::MetadataExt;
use std::path::Path;

use nix::sys::statfs::{FsType, fstatfs};
use nix::unistd::syncfs;

/// `FUSE_SUPER_MAGIC` of linux/magic.h; nix has it for glibc only.
const FUSE_SUPER_MAGIC: FsType = FsType(0x6573_5546);

const WORDS: usize = 8;
type Words = [u64; WORDS];

mod request {
    nix::ioctl_readwrite!(exchange, b'S', 1, super::Words);
}

/// The number of the request.
pub const REQUEST: u32 = nix::request_code_readwrite!(b'S', 1, WORDS * 8) as u32;

const ASK: u64 = 0;
const LOSE: u64 = 1;
const TEAR: u64 = 2;

/// What a power cut does to what was not synced.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Cut {
    /// All of it is gone.
    Lose,
    /// Some of it is on the disk, in pieces and in any order.
    Tear {
        /// Decides which.
        seed: u32,
    },
}

/// What had not been synced, and what became of it.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Left {
    /// Writes.
    pub writes: u64,
    /// Of these, those of which a part is on the disk.
    pub torn: u64,
    /// Sectors that are on the disk.
    pub kept: u64,
    /// Sectors that are not.
    pub dropped: u64,
    /// Changes of names, attributes and lengths that are on the disk.
    pub entries_kept: u64,
    /// Those that are not.
    pub entries_dropped: u64,
}

/// What a volume is asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Request {
    /// Whether it is one.
    Ask,
    /// To lose its power.
    Cut(Cut),
}

impl Request {
    /// Reads what the ioctl carries; `None` where it is nothing of ours.
    pub fn decode(bytes: &[u8]) -> Option<Self> {
        let mut words = bytes.as_chunks().0.iter().map(|word| u64::from_ne_bytes(*word));
        match (words.next()?, words.next()?) {
            (ASK, _) => Some(Self::Ask),
            (LOSE, _) => Some(Self::Cut(Cut::Lose)),
            (TEAR, seed) => Some(Self::Cut(Cut::Tear { seed: u32::try_from(seed).ok()? })),
            _ => None,
        }
    }

    fn encode(self) -> Words {
        let (how, seed) = match self {
            Self::Ask => (ASK, 0),
            Self::Cut(Cut::Lose) => (LOSE, 0),
            Self::Cut(Cut::Tear { seed }) => (TEAR, seed.into()),
        };
        [how, seed, 0, 0, 0, 0, 0, 0]
    }
}

impl Left {
    /// What the ioctl carries back.
    pub fn encode(self) -> Vec<u8> {
        let Self { writes, torn, kept, dropped, entries_kept, entries_dropped } = self;
        let words = [0, 0, writes, torn, kept, dropped, entries_kept, entries_dropped];
        words.into_iter().flat_map(u64::to_ne_bytes).collect()
    }

    fn decode([_, _, writes, torn, kept, dropped, entries_kept, entries_dropped]: Words) -> Self {
        Self { writes, torn, kept, dropped, entries_kept, entries_dropped }
    }
}

/// Whether an open folder is on such a volume.
pub fn is_one(folder: &File) -> io::Result<bool> {
    if fstatfs(folder)?.filesystem_type() != FUSE_SUPER_MAGIC {
        return Ok(false);
    }
    match exchange(folder, Request::Ask) {
        Ok(_) => Ok(true),
        // Another filesystem of this kind does not know the request.
        Err(error) if matches!(error.raw_os_error(), Some(nix::libc::ENOTTY | nix::libc::ENOSYS)) => {
            Ok(false)
        }
        Err(error) => Err(error),
    }
}

/// Cuts the power of the volume at `path`, if it is the one with this device number.
///
/// A tear first has the kernel hand over the pages that were changed through shared maps, so that the volume can tear them
/// as well. That makes nothing durable: to such a filesystem syncfs(2) writes pages and says no more (`fuse_sync_fs` of
/// fs/fuse/inode.c). Whoever changes the volume must be stopped.
pub fn cut(path: &Path, device: u64, how: Cut) -> io::Result<Left> {
    let folder = File::open(path)?;
    if folder.metadata()?.dev() != device {
        return Err(io::Error::new(io::ErrorKind::NotFound, "it is not mounted there any more"));
    }
    if let Cut::Tear { .. } = how {
        syncfs(&folder)?;
    }
    exchange(&folder, Request::Cut(how))
}

fn exchange(folder: &File, request: Request) -> io::Result<Left> {
    let mut words = request.encode();
    // SAFETY: the ioctl reads and writes these words, which live until the call returns.
    unsafe { request::exchange(folder.as_raw_fd(), &raw mut words) }?;
    Ok(Left::decode(words))
}

#[cfg(test)]
mod tests {
    use std::fs::File;

    use super::{Cut, Left, Request, is_one};

    #[test]
    fn what_goes_over_the_wire_comes_back() {
        for request in [Request::Ask, Request::Cut(Cut::Lose), Request::Cut(Cut::Tear { seed: 7 })] {
            let bytes: Vec<u8> = request.encode().into_iter().flat_map(u64::to_ne_bytes).collect();
            assert_eq!(Request::decode(&bytes), Some(request));
        }
        let left = Left { writes: 1, torn: 2, kept: 3, dropped: 4, entries_kept: 5, entries_dropped: 6 };
        let mut words = [0; 8];
        for (word, bytes) in words.iter_mut().zip(left.encode().as_chunks().0) {
            *word = u64::from_ne_bytes(*bytes);
        }
        assert_eq!(Left::decode(words), left);
        assert_eq!(Request::decode(&[9; 64]), None);
        assert_eq!(Request::decode(&[]), None);
    }

    #[test]
    fn another_filesystem_is_none() {
        let folder = tempfile::tempdir().expect("a temporary folder can be made");
        assert!(!is_one(&File::open(folder.path()).expect("there")).expect("an answer"));
    }
}
