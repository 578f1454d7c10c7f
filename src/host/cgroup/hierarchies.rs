//! The cgroup hierarchies of the machine, as process 1 has them mounted (cgroups(7), proc_pid_mountinfo(5)).
//!
//! They are reached through `/proc/1/root`, because a container sees its own part of them at most, and that read-only.
//! The caller must be in the cgroup namespace of process 1, so that the paths in `/proc/PID/cgroup` fit.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

/// The root of process 1, through which the machine's files are reached (proc_pid_root(5)).
pub const MACHINE: &str = "/proc/1/root";

/// What is mounted.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Hierarchies {
    /// Version 2.
    unified: Option<Mount>,
    /// Those of version 1, named ones too.
    legacy: Vec<Mount>,
}

/// One hierarchy.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Mount {
    /// The controllers of a hierarchy of version 1, and its name where it has one.
    options: Vec<String>,
    /// Which cgroup is at the top of the mount.
    root: String,
    /// Where it is mounted, as the caller reaches it.
    point: PathBuf,
}

impl Hierarchies {
    /// Those of process 1.
    pub fn of_the_machine() -> io::Result<Self> {
        Ok(Self::parse(&fs::read_to_string("/proc/1/mountinfo")?, Path::new(MACHINE)))
    }

    /// Those that the calling process has mounted, for one that lives in no container.
    pub fn of_this_process() -> io::Result<Self> {
        Ok(Self::parse(&fs::read_to_string("/proc/self/mountinfo")?, Path::new("/")))
    }

    fn parse(mountinfo: &str, prefix: &Path) -> Self {
        let mut found = Self::default();
        for line in mountinfo.lines() {
            let Some((mount, filesystem)) = parse_line(line, prefix) else {
                continue;
            };
            match filesystem {
                // A hierarchy may be mounted in more than one place; the first will do.
                "cgroup2" if found.unified.is_none() => found.unified = Some(mount),
                "cgroup" if found.legacy.iter().all(|known| known.options != mount.options) => {
                    found.legacy.push(mount);
                }
                _ => {}
            }
        }
        found
    }

    /// `v1`, `v2`, `hybrid` (both) or `none`.
    pub fn version(&self) -> &'static str {
        match (&self.unified, self.legacy.is_empty()) {
            (Some(_), true) => "v2",
            (Some(_), false) => "hybrid",
            (None, false) => "v1",
            (None, true) => "none",
        }
    }

    /// The folder of a cgroup of version 2 by its path in `/proc/PID/cgroup`.
    pub fn unified_folder(&self, path: &str) -> Option<PathBuf> {
        self.unified.as_ref()?.folder(path)
    }

    /// The folder of a cgroup of version 1's hierarchy with this controller by its path in `/proc/PID/cgroup`.
    pub fn legacy_folder(&self, controller: &str, path: &str) -> Option<PathBuf> {
        self.legacy_mount(controller)?.folder(path)
    }

    /// The folder of the cgroup in which I/O is limited, by its path in either hierarchy: version 1's `blkio` takes the controller
    /// from version 2 where it is mounted.
    pub fn throttle_folder(&self, blkio: Option<&str>, unified: Option<&str>) -> Option<PathBuf> {
        match self.legacy_mount("blkio") {
            Some(mount) => mount.folder(blkio?),
            None => self.unified_folder(unified?),
        }
    }

    /// The top of version 1's hierarchy with this controller.
    pub fn legacy_top(&self, controller: &str) -> Option<PathBuf> {
        self.legacy_mount(controller).map(|mount| mount.point.clone())
    }

    fn legacy_mount(&self, controller: &str) -> Option<&Mount> {
        self.legacy.iter().find(|mount| mount.options.iter().any(|option| option == controller))
    }

    /// The top of each hierarchy of version 1, which belongs to no pod and holds processes.
    pub fn legacy_tops(&self) -> Vec<PathBuf> {
        self.legacy.iter().map(|mount| mount.point.clone()).collect()
    }

    /// The top of version 2's hierarchy, which belongs to no pod but may not hold processes itself.
    pub fn unified_top(&self) -> Option<PathBuf> {
        self.unified.as_ref().map(|mount| mount.point.clone())
    }

    /// Where a new cgroup with a freezer can be made, with the file that tells that it is one.
    pub fn freezer_top(&self) -> Option<PathBuf> {
        self.legacy_top("freezer").or_else(|| self.unified_top())
    }
}

impl Mount {
    fn folder(&self, path: &str) -> Option<PathBuf> {
        let below = match self.root.as_str() {
            "/" => path,
            root => path.strip_prefix(root)?,
        };
        let below = below.trim_start_matches('/');
        // What lies outside the namespace's root is told as `/../…` and is not mounted here.
        if below.split('/').any(|part| part == "..") {
            return None;
        }
        Some(self.point.join(below))
    }
}

fn parse_line<'a>(line: &'a str, prefix: &Path) -> Option<(Mount, &'a str)> {
    let (mount, rest) = line.split_once(" - ")?;
    let mut fields = mount.split(' ').skip(3);
    let (root, point) = (unescape(fields.next()?), unescape(fields.next()?));
    let mut rest = rest.split(' ');
    let (filesystem, _source, options) = (rest.next()?, rest.next()?, rest.next()?);
    let own = |option: &&str| !matches!(*option, "rw" | "ro" | "xattr" | "clone_children");
    let mount = Mount {
        options: options.split(',').filter(own).map(str::to_owned).collect(),
        root,
        point: prefix.join(point.trim_start_matches('/')),
    };
    Some((mount, filesystem))
}

/// Space, tab, newline and backslash are written in octal (proc_pid_mountinfo(5)).
fn unescape(field: &str) -> String {
    [("\\040", " "), ("\\011", "\t"), ("\\012", "\n"), ("\\134", "\\")]
        .iter()
        .fold(field.to_owned(), |text, (code, letter)| text.replace(code, letter))
}

#[cfg(test)]
mod tests {
    use super::*;

    const LEGACY: &str = "\
37 31 0:34 / /sys/fs/cgroup/freezer rw,relatime shared:3 - cgroup cgroup rw,freezer
40 31 0:37 / /sys/fs/cgroup/systemd rw,relatime - cgroup cgroup rw,xattr,name=systemd
33 31 0:30 / /sys/fs/cgroup/cpu,cpuacct rw,relatime - cgroup cgroup rw,cpu,cpuacct";
    const UNIFIED: &str = "29 23 0:26 / /sys/fs/cgroup rw,nosuid,nodev,noexec,relatime shared:4 - cgroup2 cgroup2 rw,nsdelegate";
    const BESIDE: &str = "41 31 0:38 / /sys/fs/cgroup/unified rw,relatime - cgroup2 cgroup2 rw";

    fn parse(text: &str) -> Hierarchies {
        Hierarchies::parse(text, Path::new(MACHINE))
    }

    #[test]
    fn tells_the_versions_apart() {
        assert_eq!(parse(LEGACY).version(), "v1");
        assert_eq!(parse(UNIFIED).version(), "v2");
        assert_eq!(parse(&format!("{LEGACY}\n{BESIDE}")).version(), "hybrid");
        assert_eq!(parse("23 1 8:1 / / rw - ext4 /dev/sda1 rw").version(), "none");
    }

    #[test]
    fn finds_a_cgroup_in_the_machines_own_mounts() {
        let path = "/kubepods/burstable/podX/Y";
        assert_eq!(
            parse(LEGACY).legacy_folder("freezer", path),
            Some(PathBuf::from("/proc/1/root/sys/fs/cgroup/freezer/kubepods/burstable/podX/Y"))
        );
        assert_eq!(parse(LEGACY).unified_folder(path), None);
        assert_eq!(
            parse(UNIFIED).unified_folder(path),
            Some(PathBuf::from("/proc/1/root/sys/fs/cgroup/kubepods/burstable/podX/Y"))
        );
    }

    #[test]
    fn finds_nothing_outside_of_what_is_mounted() {
        assert_eq!(parse(UNIFIED).unified_folder("/../elsewhere"), None);
        let part = "29 23 0:26 /docker/n1 /sys/fs/cgroup rw - cgroup2 cgroup2 rw";
        assert_eq!(parse(part).unified_folder("/kubepods/x"), None);
        assert_eq!(
            parse(part).unified_folder("/docker/n1/kubepods/x"),
            Some(PathBuf::from("/proc/1/root/sys/fs/cgroup/kubepods/x"))
        );
    }

    #[test]
    fn limits_on_io_are_where_the_controller_is() {
        let below = |path: &str| Some(Path::new("/proc/1/root/sys/fs/cgroup").join(path));
        let blkio = "36 31 0:33 / /sys/fs/cgroup/blkio rw,relatime - cgroup cgroup rw,blkio";
        let hybrid = parse(&format!("{blkio}\n{BESIDE}"));
        assert_eq!(hybrid.throttle_folder(Some("/a"), Some("/b")), below("blkio/a"));
        assert_eq!(hybrid.throttle_folder(None, Some("/b")), None, "version 2 has no such controller then");
        assert_eq!(parse(UNIFIED).throttle_folder(Some("/a"), Some("/b")), below("b"));
        assert_eq!(parse(BESIDE).throttle_folder(None, None), None);
    }

    #[test]
    fn every_hierarchy_has_a_top() {
        let found = parse(&format!("{LEGACY}\n{BESIDE}"));
        let below = Path::new("/proc/1/root/sys/fs/cgroup");
        let tops = ["freezer", "systemd", "cpu,cpuacct"].map(|name| below.join(name));
        assert_eq!((found.legacy_tops(), found.unified_top()), (tops.to_vec(), Some(below.join("unified"))));
    }
}
