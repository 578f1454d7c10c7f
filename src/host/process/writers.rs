//! Who keeps a filesystem from becoming read-only: whoever has a file of it open for writing, or one that has been removed.
//!
//! By which mount a file was opened is asked first, because nobody comes back from a look at a file of a network filesystem
//! whose server is gone. So a file that was opened by a mount which is mounted nowhere any more is not seen.

use std::collections::BTreeSet;
use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use nix::fcntl::OFlag;
use nix::libc;

use super::all;
use crate::host::mount::table::mounts_of;

/// A process with such a file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Writer {
    /// Who.
    pub pid: i32,
    /// Its name.
    pub name: String,
    /// One of the files.
    pub file: PathBuf,
}

impl std::fmt::Display for Writer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "process {} ({}) with {}", self.pid, self.name, self.file.display())
    }
}

/// Every process that has one on the filesystem with this device number, as far as they can be looked at.
pub fn writers(device: u64) -> std::io::Result<Vec<Writer>> {
    let mounts = mounts_of(device)?;
    let mut found = Vec::new();
    for (pid, _) in all()? {
        if let Some(file) = open_file(pid, &mounts).or_else(|| mapped_file(pid, device)) {
            let name = fs::read_to_string(format!("/proc/{pid}/comm")).unwrap_or_default();
            found.push(Writer { pid, name: name.trim().to_owned(), file });
        }
    }
    Ok(found)
}

fn open_file(pid: i32, mounts: &BTreeSet<u64>) -> Option<PathBuf> {
    let folder = PathBuf::from(format!("/proc/{pid}"));
    let files = fs::read_dir(folder.join("fd")).into_iter().flatten().flatten();
    let mut files = files.filter(|entry| {
        let info = fs::read_to_string(folder.join("fdinfo").join(entry.file_name())).unwrap_or_default();
        let is_removed = || fs::metadata(entry.path()).is_ok_and(|file| file.nlink() == 0);
        mount(&info).is_some_and(|mount| mounts.contains(&mount)) && (is_written(&info) || is_removed())
    });
    fs::read_link(files.next()?.path()).ok()
}

/// The mount by which an open file was opened (proc_pid_fdinfo(5)).
fn mount(info: &str) -> Option<u64> {
    info.lines().find_map(|line| line.strip_prefix("mnt_id:"))?.trim().parse().ok()
}

/// Whether the flags of an open file let it be written (proc_pid_fdinfo(5)).
fn is_written(info: &str) -> bool {
    let flags = info.lines().find_map(|line| line.strip_prefix("flags:"));
    let flags = flags.and_then(|flags| i32::from_str_radix(flags.trim(), 8).ok()).unwrap_or_default();
    let is_path = flags & OFlag::O_PATH.bits() != 0;
    !is_path && flags & OFlag::O_ACCMODE.bits() != OFlag::O_RDONLY.bits()
}

/// A mapping holds its file as a descriptor does.
fn mapped_file(pid: i32, device: u64) -> Option<PathBuf> {
    let maps = fs::read_to_string(format!("/proc/{pid}/maps")).unwrap_or_default();
    maps.lines().find_map(|line| mapping(line, device))
}

/// The file of a line, where it is one of this filesystem that may be written through it (proc_pid_maps(5)).
fn mapping(line: &str, device: u64) -> Option<PathBuf> {
    let mut fields = line.split_ascii_whitespace().skip(1);
    let (rights, of, file) = (fields.next()?, fields.nth(1)?, fields.nth(1)?);
    let wanted = format!("{:02x}:{:02x}", libc::major(device), libc::minor(device));
    let is_written = rights.contains('w') && rights.ends_with('s');
    (of == wanted && is_written).then(|| Path::new(file).to_owned())
}

#[cfg(test)]
mod tests {
    use std::fs::{File, OpenOptions};
    use std::os::fd::AsRawFd;
    use std::os::unix::fs::OpenOptionsExt;
    use std::path::Path;

    use nix::fcntl::OFlag;
    use nix::libc::makedev;

    use super::{is_written, mapping};

    #[test]
    fn a_file_that_is_open_for_writing_is_told_from_one_that_is_read_or_only_named() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("file");
        let is_written = |file: &File| {
            let info = std::fs::read_to_string(format!("/proc/self/fdinfo/{}", file.as_raw_fd()));
            is_written(&info.expect("open"))
        };
        assert!(is_written(&File::create(&path).expect("writable")));
        assert!(is_written(&OpenOptions::new().read(true).append(true).open(&path).expect("writable")));
        assert!(!is_written(&File::open(&path).expect("readable")));
        let named = OpenOptions::new().write(true).custom_flags(OFlag::O_PATH.bits()).open(&path);
        assert!(!is_written(&named.expect("there")));
    }

    #[test]
    fn a_mapping_that_is_shared_and_written_counts_and_no_other() {
        let line = |rights: &str| format!("7f00-7f01 {rights} 00000000 07:03 12  /data/wal");
        let device = makedev(7, 3);
        assert_eq!(mapping(&line("rw-s"), device).as_deref(), Some(Path::new("/data/wal")));
        assert_eq!(mapping(&line("rw-p"), device), None);
        assert_eq!(mapping(&line("r--s"), device), None);
        assert_eq!(mapping(&line("rw-s"), makedev(7, 4)), None);
        assert_eq!(mapping("7f00-7f01 rw-s 00000000 00:01 12", device), None);
    }
}
