//! Where a filesystem is mounted, over all mount namespaces (proc_pid_mountinfo(5)).

use std::collections::{BTreeMap, BTreeSet};
use std::ffi::OsString;
use std::fs;
use std::io;
use std::os::fd::{AsRawFd, BorrowedFd};
use std::os::unix::ffi::OsStringExt;
use std::path::{Path, PathBuf};

use nix::libc;

use crate::host::process::all;
use crate::host::process::threads::living;

/// A mount namespace in which a filesystem is mounted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Namespace {
    /// Its name, which holds its inode.
    pub name: PathBuf,
    /// Who lives in it: the first thread of each process, or another one where that has ended and others go on.
    pub processes: Vec<i32>,
    /// Where the filesystem, or a part of it, is mounted there.
    pub points: Vec<PathBuf>,
    /// Where all of it is mounted there, and not one of its folders alone.
    pub whole: Vec<PathBuf>,
}

/// Every mount namespace in which the filesystem with this device number is mounted.
pub fn of_device(device: u64) -> io::Result<Vec<Namespace>> {
    let wanted = number(device);
    let mut found = Vec::new();
    for (name, processes) in namespaces()? {
        let Some(table) = table_of(&processes) else { continue };
        let (mut points, mut whole) = (Vec::new(), Vec::new());
        for (point, is_whole) in table.lines().filter_map(|line| point(line, &wanted)) {
            whole.extend(is_whole.then(|| point.clone()));
            points.push(point);
        }
        if !points.is_empty() {
            found.push(Namespace { name, processes, points, whole });
        }
    }
    Ok(found)
}

/// The numbers of all mounts of the filesystem with this device number, which are unique over all mount namespaces.
pub fn mounts_of(device: u64) -> io::Result<BTreeSet<u64>> {
    let wanted = number(device);
    let tables = namespaces()?.into_values().filter_map(|processes| table_of(&processes));
    Ok(tables.flat_map(|table| mounts(&table, &wanted)).collect())
}

/// Whether the filesystem with this device number is read-only itself, by whichever mount it is reached; nothing where it is
/// mounted nowhere.
pub fn is_read_only(device: u64) -> io::Result<Option<bool>> {
    let wanted = number(device);
    for processes in namespaces()?.into_values() {
        let table = table_of(&processes).unwrap_or_default();
        if let Some(answer) = table.lines().find_map(|line| superblock(line, &wanted)) {
            return Ok(Some(answer));
        }
    }
    Ok(None)
}

/// Every mount namespace, with those who live in it.
fn namespaces() -> io::Result<BTreeMap<PathBuf, Vec<i32>>> {
    let mut namespaces: BTreeMap<PathBuf, Vec<i32>> = BTreeMap::new();
    for (pid, stat) in all()? {
        let Some(thread) = living(pid, stat) else { continue };
        // Whoever ends meanwhile is not there any more.
        if let Ok(name) = fs::read_link(format!("/proc/{thread}/ns/mnt")) {
            namespaces.entry(name).or_default().push(thread);
        }
    }
    Ok(namespaces)
}

fn table_of(processes: &[i32]) -> Option<String> {
    processes.iter().find_map(|pid| fs::read_to_string(format!("/proc/{pid}/mountinfo")).ok())
}

/// As the table writes it.
fn number(device: u64) -> String {
    format!("{}:{}", libc::major(device), libc::minor(device))
}

/// One mount.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Mounted {
    /// Where it is in its mount namespace.
    point: PathBuf,
    /// Which folder of its filesystem is there.
    root: PathBuf,
}

impl Mounted {
    /// The mount with this number in the mount namespace of a process; nothing where that has none.
    pub fn find(process: i32, number: u64) -> io::Result<Option<Self>> {
        let table = fs::read_to_string(format!("/proc/{process}/mountinfo"))?;
        let Some(found) = table.lines().find_map(|line| mounted(line, number)) else { return Ok(None) };
        // The table tells mount points as they are below the root of that process.
        let root = fs::read_link(format!("/proc/{process}/root"))?;
        let point = root.join(found.point.strip_prefix("/").unwrap_or(&found.point));
        Ok(Some(Self { point, ..found }))
    }

    /// Where a file is in the filesystem, of which the kernel says where it is in the mount namespace.
    pub fn inside(&self, path: &Path) -> Option<PathBuf> {
        Some(self.root.join(path.strip_prefix(&self.point).ok()?))
    }
}

fn mounted(line: &str, number: u64) -> Option<Mounted> {
    let mut fields = line.split_ascii_whitespace();
    let is_it = fields.next()?.parse() == Ok(number);
    let (root, point) = (fields.nth(2)?, fields.next()?);
    is_it.then(|| Mounted { point: unescape(point), root: unescape(root) })
}

/// The folder of a filesystem that a kubelet has mounted on this machine as a volume of a pod, where `folder` is that or lies
/// below it, as what a container mounts by `subPath` does.
pub fn volume_of_kubelet(pod: &str, device: u64, folder: &Path) -> Option<PathBuf> {
    volume_around(&fs::read_to_string("/proc/1/mountinfo").ok()?, pod, device, folder)
}

fn volume_around(table: &str, pod: &str, device: u64, folder: &Path) -> Option<PathBuf> {
    let wanted = format!("{}:{}", libc::major(device), libc::minor(device));
    // Where a kubelet has its own folder can be chosen; what is below it cannot.
    let place = format!("/pods/{pod}/volumes/");
    let roots = table.lines().filter_map(|line| {
        let mut fields = line.split_ascii_whitespace().skip(2);
        let (device, root, point) = (fields.next()?, fields.next()?, fields.next()?);
        (device == wanted && point.contains(&place)).then(|| unescape(root))
    });
    roots.filter(|root| folder.starts_with(root)).max_by_key(|root| root.components().count())
}

/// Whether the mount by which a file was opened is still where it was: in the mount namespace of process 1, or in one's own
/// (proc_pid_fdinfo(5)).
pub fn is_mounted(file: BorrowedFd<'_>) -> io::Result<bool> {
    let info = fs::read_to_string(format!("/proc/self/fdinfo/{}", file.as_raw_fd()))?;
    let id = info.lines().find_map(|line| line.strip_prefix("mnt_id:")).map(str::trim).unwrap_or_default();
    let mut tables =
        ["1", "self"].map(|pid| fs::read_to_string(format!("/proc/{pid}/mountinfo"))).into_iter();
    let has = |table: &str| table.lines().any(|line| line.split_ascii_whitespace().next() == Some(id));
    Ok(tables.any(|table| table.is_ok_and(|table| has(&table))))
}

/// The numbers of the mounts in a table whose device is `wanted`.
fn mounts(table: &str, wanted: &str) -> Vec<u64> {
    let of_line = |line: &str| {
        let mut fields = line.split_ascii_whitespace();
        let (number, device) = (fields.next()?, fields.nth(1)?);
        (device == wanted).then(|| number.parse().ok()).flatten()
    };
    table.lines().filter_map(of_line).collect()
}

/// The mount point of a line, where its device is `wanted`, and whether the root of the filesystem is there.
fn point(line: &str, wanted: &str) -> Option<(PathBuf, bool)> {
    let mut fields = line.split_ascii_whitespace().skip(2);
    let (device, root, point) = (fields.next()?, fields.next()?, fields.next()?);
    (device == wanted).then(|| (unescape(point), root == "/"))
}

/// Whether a line, where its device is `wanted`, says that the superblock is read-only: what stands before the dash is about
/// the mount alone.
fn superblock(line: &str, wanted: &str) -> Option<bool> {
    let (mount, filesystem) = line.split_once(" - ")?;
    let is_meant = mount.split_ascii_whitespace().nth(2)? == wanted;
    let options = filesystem.split_ascii_whitespace().nth(2)?;
    is_meant.then(|| options.split(',').any(|option| option == "ro"))
}

/// Blanks, tabs, newlines and backslashes are written as three octal digits.
fn unescape(text: &str) -> PathBuf {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let [first, tail @ ..] = rest {
        let digits = tail.get(..3).and_then(|digits| std::str::from_utf8(digits).ok());
        let escaped =
            digits.filter(|_| *first == b'\\').and_then(|digits| u8::from_str_radix(digits, 8).ok());
        bytes.push(escaped.unwrap_or(*first));
        rest = if escaped.is_some() { &tail[3..] } else { tail };
    }
    OsString::from_vec(bytes).into()
}

/// What a process has open below one of `points`, if anything: its working directory, its root, or a file.
pub fn open_below(pid: i32, points: &[PathBuf]) -> Option<PathBuf> {
    let folder = PathBuf::from(format!("/proc/{pid}"));
    let files = fs::read_dir(folder.join("fd")).into_iter().flatten().flatten().map(|entry| entry.path());
    let links = [folder.join("cwd"), folder.join("root")].into_iter().chain(files);
    links.filter_map(|link| fs::read_link(link).ok()).find(|path| is_below(path, points))
}

fn is_below(path: &Path, points: &[PathBuf]) -> bool {
    points.iter().any(|point| path.starts_with(point))
}

#[cfg(test)]
mod tests {
    use std::path::{Path, PathBuf};

    use nix::libc::makedev;

    use super::{
        Mounted, is_below, mounted, mounts, namespaces, open_below, point, superblock, volume_around,
    };
    use crate::host::process::{ProcessId, headless};

    #[test]
    fn mount_points_are_read_with_their_blanks() {
        let line = r"36 35 7:3 / /mnt/a\040b rw,noatime master:1 - ext4 /dev/loop3 rw";
        assert_eq!(point(line, "7:3"), Some((PathBuf::from("/mnt/a b"), true)));
        assert_eq!(point(&line.replace(" / ", " /a "), "7:3"), Some((PathBuf::from("/mnt/a b"), false)));
        assert_eq!(point(line, "7:4"), None);
    }

    #[test]
    fn the_mounts_of_a_device_are_told_from_those_of_others() {
        let table = "36 35 7:3 / /mnt/a rw - ext4 /dev/loop3 rw
37 36 7:4 / /mnt/a/b rw - ext4 /dev/loop4 rw
40 35 7:3 /db /mnt/c rw - ext4 /dev/loop3 rw";
        assert_eq!(mounts(table, "7:3"), [36, 40]);
        assert!(mounts(table, "7:5").is_empty());
    }

    #[test]
    fn a_mount_that_is_read_only_is_told_from_a_filesystem_that_is() {
        let line = r"36 35 7:3 / /mnt/a ro,noatime master:1 - ext4 /dev/loop3 rw,errors=remount-ro";
        assert_eq!(superblock(line, "7:3"), Some(false));
        assert_eq!(superblock(&line.replace("loop3 rw", "loop3 ro"), "7:3"), Some(true));
        assert_eq!(superblock(line, "7:4"), None);
    }

    #[test]
    fn a_mount_of_one_folder_says_where_its_files_are_in_the_filesystem() {
        let line = r"36 35 7:3 /db /mnt/a\040b rw,noatime master:1 - ext4 /dev/loop3 rw";
        let found = mounted(line, 36).expect("it is that one");
        assert_eq!(found, Mounted { point: "/mnt/a b".into(), root: "/db".into() });
        assert_eq!(found.inside(Path::new("/mnt/a b/wal/0")), Some("/db/wal/0".into()));
        assert_eq!(found.inside(Path::new("/mnt/a bc/wal/0")), None);
        assert_eq!(mounted(line, 35), None);
    }

    #[test]
    fn a_volume_begins_where_the_kubelet_mounted_it_and_not_where_a_container_sees_a_part_of_it() {
        let table = "36 35 7:3 / /data rw - ext4 /dev/loop3 rw
37 35 7:3 /disks/a /kubelet/pods/u1/volumes/kubernetes.io~local-volume/a rw - ext4 /dev/loop3 rw
38 35 7:3 /disks/b /kubelet/pods/u1/volumes/kubernetes.io~local-volume/b rw - ext4 /dev/loop3 rw
39 35 7:3 /disks/a/sub /kubelet/pods/u1/volume-subpaths/a/db/0 rw - ext4 /dev/loop3 rw
40 35 7:4 / /kubelet/pods/u2/volumes/kubernetes.io~csi/c/mount rw - ext4 /dev/loop4 rw";
        let found =
            |pod, minor, folder: &str| volume_around(table, pod, makedev(7, minor), Path::new(folder));
        assert_eq!(found("u1", 3, "/disks/a/sub"), Some("/disks/a".into()));
        assert_eq!(found("u1", 3, "/disks/b"), Some("/disks/b".into()));
        assert_eq!(found("u1", 3, "/disks/c"), None);
        assert_eq!(found("u2", 4, "/sub"), Some("/".into()));
        assert_eq!(found("u2", 3, "/disks/a"), None);
    }

    #[test]
    fn a_file_of_a_neighbour_with_a_longer_name_is_not_below() {
        let points = [PathBuf::from("/data")];
        assert!(is_below(Path::new("/data/wal"), &points) && is_below(Path::new("/data"), &points));
        assert!(!is_below(Path::new("/data2/wal"), &points));
    }

    #[test]
    fn what_a_process_has_open_is_seen_after_its_first_thread_has_ended() {
        headless::be_where_asked();
        let test =
            "host::mount::table::tests::what_a_process_has_open_is_seen_after_its_first_thread_has_ended";
        let folder = tempfile::tempdir().expect("a folder");
        let points = [folder.path().canonicalize().expect("there")];
        let mut child = headless::command(test).current_dir(&points[0]).spawn().expect("it can be started");
        let process = ProcessId::of(child.id().cast_signed()).expect("readable").expect("it lives");
        headless::wait_for(process);
        let all: Vec<i32> = namespaces().expect("readable").into_values().flatten().collect();
        let open: Vec<PathBuf> = all.into_iter().filter_map(|pid| open_below(pid, &points)).collect();
        assert_eq!(open, points);
        drop(child.stdin.take());
        child.wait().expect("ours");
    }
}
