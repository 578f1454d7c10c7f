//! Block devices by number, what the kernel says about them, and the disks that partitions are on (sysfs(5),
//! Documentation/block/stat.rst of Linux).

use std::fmt;
use std::fs::{self, File};
use std::io::{self, Seek, SeekFrom};
use std::os::unix::fs::{FileExt, MetadataExt};
use std::path::Path;
use std::time::Duration;

use nix::fcntl::{FcntlArg, OFlag, fcntl};
use nix::libc;
use serde::{Deserialize, Serialize};

use super::mount::Access;
use super::process::outside::open_device;

/// Where the kernel lists block devices by number; a guardian that lives apart has no /sys of its own.
const DEVICES: [&str; 2] = ["/sys/dev/block", "/proc/1/root/sys/dev/block"];

/// A block device, written `MAJOR:MINOR`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Device {
    /// Which driver.
    pub major: u32,
    /// Which of the driver's.
    pub minor: u32,
}

/// What a device has completed since it is there; a request that failed is one, too.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Completed {
    /// Reads.
    pub reads: u64,
    /// How long those took together.
    pub reading: Duration,
    /// Writes. A flush without data is one of a device that is made of others.
    pub writes: u64,
    /// How long those took together.
    pub writing: Duration,
}

/// As long as the longest block of a device, and where such a read may write (open(2) on O_DIRECT).
const BLOCK: usize = 4096;

#[repr(C, align(4096))]
struct Block([u8; BLOCK]);

impl fmt::Display for Device {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.major, self.minor)
    }
}

impl Device {
    /// What the filesystem with this device number (`st_dev`) is on.
    pub fn of(filesystem: u64) -> Self {
        Self { major: libc::major(filesystem), minor: libc::minor(filesystem) }
    }

    /// The whole disk that the filesystem with this device number is on: a partition has no queue of its own.
    pub fn disk_of(filesystem: u64) -> io::Result<Self> {
        Self::of(filesystem).disk_in(Path::new(DEVICES[0]))
    }

    fn disk_in(self, devices: &Path) -> io::Result<Self> {
        let own = devices.join(self.to_string());
        // A device number that is not listed is one of a filesystem without a device.
        fs::metadata(&own)?;
        if !own.join("partition").exists() {
            return Ok(self);
        }
        let text = fs::read_to_string(own.join("../dev"))?;
        let numbers = text.trim().split_once(':');
        let disk = numbers.and_then(|(major, minor)| Some((major.parse().ok()?, minor.parse().ok()?)));
        let (major, minor) = disk.ok_or(io::ErrorKind::InvalidData)?;
        Ok(Self { major, minor })
    }

    /// A file of the device; `NotFound` where there is no such device.
    pub fn read(self, file: &str) -> io::Result<String> {
        let mut last = io::Error::new(io::ErrorKind::Unsupported, "there is no /sys/dev/block");
        for devices in DEVICES.map(Path::new) {
            match fs::read_to_string(devices.join(self.to_string()).join(file)) {
                Err(error) if error.kind() != io::ErrorKind::NotFound || !devices.is_dir() => last = error,
                found => return found,
            }
        }
        // Without any list of devices, nobody can tell that it is not there.
        Err(if last.kind() == io::ErrorKind::NotFound { io::ErrorKind::Unsupported.into() } else { last })
    }

    /// Opens it for reading past all caches, also from inside a container.
    pub fn open(self) -> io::Result<File> {
        let uevent = self.read("uevent")?;
        let name = uevent.lines().find_map(|line| line.strip_prefix("DEVNAME="));
        let name =
            name.ok_or_else(|| io::Error::new(io::ErrorKind::NotFound, "it has no name below /dev"))?;
        let opened = open_device(Path::new(name), Access::ReadOnly)?;
        if Self::of(opened.metadata()?.rdev()) != self {
            return Err(io::Error::new(io::ErrorKind::NotFound, format!("/dev/{name} is another device")));
        }
        fcntl(&opened, FcntlArg::F_SETFL(OFlag::O_DIRECT))?;
        Ok(opened)
    }

    /// Has it read its last block, and gives the answer. No filesystem keeps there what it changes all the time and would have
    /// to be written out before.
    pub fn read_last_block(self) -> io::Result<()> {
        let mut device = self.open()?;
        let mut block = Block([0; BLOCK]);
        let blocks = device.seek(SeekFrom::End(0))? / BLOCK as u64;
        device.read_exact_at(&mut block.0, blocks.saturating_sub(1) * BLOCK as u64)
    }

    /// Whether what it completes is counted: an administrator may have the kernel leave that out.
    fn is_counted_in(self, devices: &Path) -> bool {
        let own = devices.join(self.to_string());
        let queue = if own.join("partition").exists() { own.join("../queue") } else { own.join("queue") };
        fs::read_to_string(queue.join("iostats")).map_or(true, |text| text.trim() != "0")
    }

    /// How many reads and writes it has completed since it is there.
    pub fn operations(self) -> io::Result<u64> {
        let all = self.completed()?;
        if !self.is_counted_in(Path::new(DEVICES[0])) {
            return Err(io::Error::other(
                "the kernel is told not to count: write 1 to queue/iostats of the disk, below /sys/block",
            ));
        }
        Ok(all.reads + all.writes)
    }

    /// What it has completed since it is there. A device of device mapper may be told not to count and count all the same: older
    /// kernels do not look there.
    pub fn completed(self) -> io::Result<Completed> {
        completed(&self.read("stat")?)
            .ok_or_else(|| io::Error::new(io::ErrorKind::InvalidData, "its statistics are unreadable"))
    }
}

fn completed(stat: &str) -> Option<Completed> {
    let mut fields = stat.split_ascii_whitespace().map(str::parse::<u64>);
    // Of reads and of writes alike: how many, how many were merged, sectors, milliseconds.
    let (reads, reading) = (fields.next()?.ok()?, fields.nth(2)?.ok()?);
    let (writes, writing) = (fields.next()?.ok()?, fields.nth(2)?.ok()?);
    let (reading, writing) = (Duration::from_millis(reading), Duration::from_millis(writing));
    Some(Completed { reads, reading, writes, writing })
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::io::ErrorKind;
    use std::os::unix::fs::symlink;

    use std::time::Duration;

    use super::{Completed, Device, completed};

    #[test]
    fn a_partition_stands_for_its_whole_disk_and_a_disk_for_itself() {
        let folder = tempfile::tempdir().expect("a folder");
        let (disk, block) = (folder.path().join("devices/sda"), folder.path().join("block"));
        fs::create_dir_all(disk.join("sda1")).expect("writable");
        fs::create_dir(&block).expect("writable");
        fs::write(disk.join("dev"), "8:0\n").expect("writable");
        fs::write(disk.join("sda1/dev"), "8:1\n").expect("writable");
        fs::write(disk.join("sda1/partition"), "1\n").expect("writable");
        symlink(&disk, block.join("8:0")).expect("writable");
        symlink(disk.join("sda1"), block.join("8:1")).expect("writable");
        let disk_of = |minor| Device { major: 8, minor }.disk_in(&block);
        let whole = Device { major: 8, minor: 0 };
        assert_eq!((disk_of(0).expect("there"), disk_of(1).expect("there")), (whole, whole));
        assert_eq!(disk_of(2).expect_err("not listed").kind(), ErrorKind::NotFound);
    }

    #[test]
    fn a_disk_that_is_not_counted_is_told_from_others_and_so_are_its_partitions() {
        let folder = tempfile::tempdir().expect("a folder");
        let (disk, block) = (folder.path().join("devices/sda"), folder.path().join("block"));
        fs::create_dir_all(disk.join("sda1")).expect("writable");
        fs::create_dir_all(disk.join("queue")).expect("writable");
        fs::create_dir(&block).expect("writable");
        fs::write(disk.join("sda1/partition"), "1\n").expect("writable");
        symlink(&disk, block.join("8:0")).expect("writable");
        symlink(disk.join("sda1"), block.join("8:1")).expect("writable");
        let counted = || [0, 1].map(|minor| Device { major: 8, minor }.is_counted_in(&block));
        assert_eq!(counted(), [true, true], "nothing says otherwise");
        fs::write(disk.join("queue/iostats"), "0\n").expect("writable");
        assert_eq!(counted(), [false, false]);
        fs::write(disk.join("queue/iostats"), "1\n").expect("writable");
        assert_eq!(counted(), [true, true]);
    }

    #[test]
    fn reads_and_writes_are_counted_with_their_times_and_nothing_else() {
        let stat = "    8446       12   180642     4034     5172     3304   101232     9120        0     6132    14210        7        0     88       21      411      1035\n";
        let (reading, writing) = (Duration::from_millis(4034), Duration::from_millis(9120));
        assert_eq!(completed(stat), Some(Completed { reads: 8446, reading, writes: 5172, writing }));
        assert_eq!(completed("8446 12"), None);
        assert_eq!(completed(""), None);
    }

    #[test]
    fn a_filesystem_without_a_device_has_no_statistics() {
        let anonymous = Device::of(nix::libc::makedev(0, 0xfffff));
        assert_eq!(anonymous.to_string(), "0:1048575");
        assert_eq!(anonymous.operations().map_err(|error| error.kind()), Err(ErrorKind::NotFound));
    }
}
