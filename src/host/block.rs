//! Block devices by number, and the disks that partitions are on.

use std::fmt;
use std::fs;
use std::io;
use std::path::Path;

use nix::libc;
use serde::{Deserialize, Serialize};

/// Where the kernel lists block devices by number (sysfs(5)).
const DEVICES: &str = "/sys/dev/block";

/// A block device, written `MAJOR:MINOR`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Device {
    /// Which driver.
    pub major: u32,
    /// Which of the driver's.
    pub minor: u32,
}

impl fmt::Display for Device {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.major, self.minor)
    }
}

impl Device {
    /// The whole disk that the filesystem with this device number (`st_dev`) is on: a partition has no queue of its own.
    pub fn disk_of(filesystem: u64) -> io::Result<Self> {
        Self { major: libc::major(filesystem), minor: libc::minor(filesystem) }.disk_in(Path::new(DEVICES))
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
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::io::ErrorKind;
    use std::os::unix::fs::symlink;

    use super::Device;

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
}
