//! What the kernel says about a block device by its number (sysfs(5), Documentation/block/stat.rst of Linux).

use std::fs;
use std::io;
use std::path::Path;

use nix::libc;

/// The device number as `MAJOR:MINOR`.
pub fn name(device: u64) -> String {
    format!("{}:{}", libc::major(device), libc::minor(device))
}

/// A file of the device; `NotFound` where there is no such device.
pub fn read(device: u64, file: &str) -> io::Result<String> {
    // A guardian that lives apart has no /sys of its own.
    let mut last = io::Error::new(io::ErrorKind::Unsupported, "there is no /sys/dev/block");
    for devices in ["/sys/dev/block", "/proc/1/root/sys/dev/block"] {
        let devices = Path::new(devices);
        match fs::read_to_string(devices.join(name(device)).join(file)) {
            Err(error) if error.kind() != io::ErrorKind::NotFound || !devices.is_dir() => last = error,
            found => return found,
        }
    }
    // Without any list of devices, nobody can tell that it is not there.
    Err(if last.kind() == io::ErrorKind::NotFound { io::ErrorKind::Unsupported.into() } else { last })
}

/// How many reads and writes it has completed since it is there.
pub fn operations(device: u64) -> io::Result<u64> {
    let stat = read(device, "stat")?;
    completed(&stat)
        .ok_or_else(|| io::Error::new(io::ErrorKind::InvalidData, "its statistics are unreadable"))
}

fn completed(stat: &str) -> Option<u64> {
    let mut fields = stat.split_ascii_whitespace().map(str::parse::<u64>);
    let (reads, writes) = (fields.next()?.ok()?, fields.nth(3)?.ok()?);
    Some(reads + writes)
}

#[cfg(test)]
mod tests {
    use std::io;

    use super::{completed, name, operations};

    #[test]
    fn reads_and_writes_are_counted_and_nothing_else() {
        let stat = "    8446       12   180642     4034     5172     3304   101232     9120        0     6132    14210        7        0     88       21      411      1035\n";
        assert_eq!(completed(stat), Some(8446 + 5172));
        assert_eq!(completed("8446 12"), None);
        assert_eq!(completed(""), None);
    }

    #[test]
    fn a_filesystem_without_a_device_has_no_statistics() {
        let anonymous = nix::libc::makedev(0, 0xfffff);
        assert_eq!(name(anonymous), "0:1048575");
        assert_eq!(operations(anonymous).map_err(|error| error.kind()), Err(io::ErrorKind::NotFound));
    }
}
