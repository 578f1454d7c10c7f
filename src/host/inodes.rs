//! How many inodes a filesystem has, and how many of them can be held.
//!
//! An inode that has no name is taken for as long as a descriptor of it is open (O_TMPFILE of open(2)). There is no cheaper
//! way to take one that the kernel takes back by itself: each costs a descriptor, and memory of the kernel that cannot be
//! reclaimed meanwhile.

use std::fs::{self, File};
use std::io;

use nix::libc;
use nix::sys::statfs::{EXT4_SUPER_MAGIC, fstatfs};
use nix::sys::statvfs::fstatvfs;

pub mod hoard;

/// How many inodes there are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Inodes {
    /// All that there can be.
    pub all: u64,
    /// Those that are left.
    pub free: u64,
}

impl Inodes {
    /// Of the filesystem of an open file; nothing where it does not count them, as btrfs.
    pub fn at(file: &File) -> io::Result<Option<Self>> {
        let found = fstatvfs(file)?;
        Ok(Self::counted(found.files(), found.files_free()))
    }

    /// A filesystem that does not count them says that it has none, or as CephFS that all numbers are left.
    fn counted(all: u64, free: u64) -> Option<Self> {
        (all > 0 && free <= all).then_some(Self { all, free })
    }
}

/// Whether the filesystem of an open file has the number of inodes that it was made with, and so can run out of them before
/// it runs out of room. xfs makes them as it needs them.
pub fn are_fixed(root: &File) -> io::Result<bool> {
    Ok(fstatfs(root)?.filesystem_type() == EXT4_SUPER_MAGIC)
}

/// What an inode that is held costs, with its entry in the cache of names and its descriptor: by the sizes of
/// `ext4_inode_cache`, `dentry` and `filp` in /proc/slabinfo, rounded up.
const MEMORY: u64 = 2 << 10;
/// Which part of the memory that is available may be taken.
const PART_OF_MEMORY: u64 = 4;
/// Which part of the files that the machine can still open may be taken.
const PART_OF_FILES: u64 = 2;

/// How many can be held on this machine now.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Capacity {
    /// So many.
    pub most: u64,
    /// What there would have to be more of.
    pub why: &'static str,
    /// What the kernel says when there is none of it left (errno(3)).
    pub errno: i32,
}

/// How many inodes can be held, by however many tables of descriptors.
pub fn capacity() -> io::Result<Capacity> {
    let available = of_meminfo(&fs::read_to_string("/proc/meminfo")?).ok_or(io::ErrorKind::InvalidData)?;
    let (opened, openable) =
        of_file_nr(&fs::read_to_string("/proc/sys/fs/file-nr")?).ok_or(io::ErrorKind::InvalidData)?;
    let limits = [
        Capacity {
            most: openable.saturating_sub(opened) / PART_OF_FILES,
            why: "open files of the machine (fs.file-max)",
            errno: libc::ENFILE,
        },
        Capacity {
            most: available / PART_OF_MEMORY / MEMORY,
            why: "memory of the machine",
            errno: libc::ENOMEM,
        },
    ];
    let [files, memory] = limits;
    Ok(if files.most < memory.most { files } else { memory })
}

/// What is available, in bytes (proc_meminfo(5)).
fn of_meminfo(text: &str) -> Option<u64> {
    let line = text.lines().find_map(|line| line.strip_prefix("MemAvailable:"))?;
    let kibibytes: u64 = line.trim().strip_suffix("kB")?.trim().parse().ok()?;
    kibibytes.checked_mul(1024)
}

/// How many files are open, and how many may be (proc_sys_fs(5)).
fn of_file_nr(text: &str) -> Option<(u64, u64)> {
    let mut fields = text.split_ascii_whitespace().map(str::parse::<u64>);
    let (open, most) = (fields.next()?.ok()?, fields.nth(1)?.ok()?);
    Some((open, most))
}

#[cfg(test)]
mod tests {
    use std::fs::File;

    use super::{Inodes, are_fixed, capacity, of_file_nr, of_meminfo};

    #[test]
    fn what_the_kernel_says_is_read() {
        assert_eq!(of_meminfo("MemTotal:  20 kB\nMemAvailable:     12 kB\n"), Some(12 << 10));
        assert_eq!(of_meminfo("MemTotal:  20 kB\n"), None);
        assert_eq!(of_file_nr("1728\t0\t9223372036854775807\n"), Some((1728, i64::MAX as u64)));
        assert_eq!(of_file_nr("1728"), None);
    }

    #[test]
    fn what_says_that_there_are_more_left_than_there_can_be_does_not_count_them() {
        assert_eq!(Inodes::counted(10, 4), Some(Inodes { all: 10, free: 4 }));
        assert_eq!(Inodes::counted(10, 10), Some(Inodes { all: 10, free: 10 }));
        for uncounted in [(0, 0), (10, u64::MAX), (u64::MAX - 1, u64::MAX)] {
            assert_eq!(Inodes::counted(uncounted.0, uncounted.1), None);
        }
    }

    #[test]
    fn a_filesystem_that_makes_inodes_as_it_needs_them_has_no_fixed_number() {
        let proc = File::open("/proc").expect("there");
        assert!(!are_fixed(&proc).expect("readable"));
        assert_eq!(Inodes::at(&proc).expect("readable"), None);
    }

    #[test]
    fn this_machine_can_hold_some_and_says_what_it_would_need_for_more() {
        let capacity = capacity().expect("readable");
        assert!(capacity.most > 0 && !capacity.why.is_empty(), "{capacity:?}");
    }
}
