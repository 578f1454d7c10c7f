//! Limits on the memory and the processors that the processes of a cgroup take, in either version (cgroups(7)).

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use nix::unistd::{AccessFlags, access, geteuid};
use serde::{Deserialize, Serialize};

use super::delegated_root;
use super::hierarchies::Hierarchies;

/// In how many microseconds a share of the processors is given out anew; what a kubelet takes.
const PERIOD: u64 = 100_000;

/// Where limits can be set.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Available {
    /// Whether memory can be limited.
    pub memory: bool,
    /// Whether processors can be limited.
    pub cpu: bool,
    /// Version 1's folders of this process's own cgroup, in which cgroups with limits are made: what limits this process
    /// limits them, too.
    pub legacy: Vec<PathBuf>,
}

impl Available {
    /// What this process may limit.
    pub fn here() -> Self {
        let mut found = Self::default();
        if !geteuid().is_root() {
            return found;
        }
        let legacy = |controller: &str| {
            let own = fs::read_to_string("/proc/self/cgroup").ok()?;
            let line = own.lines().find_map(|line| {
                let (controllers, path) = line.split_once(':')?.1.split_once(':')?;
                controllers.split(',').any(|name| name == controller).then_some(path)
            });
            let folder = Hierarchies::of_this_process().ok()?.legacy_folder(controller, line?)?;
            access(&folder, AccessFlags::W_OK).is_ok().then_some(folder)
        };
        // What the root of version 2 passes on: that is the machine's, and stays as it is.
        let unified = delegated_root()
            .filter(|root| access(root, AccessFlags::W_OK).is_ok())
            .and_then(|root| fs::read_to_string(root.join("cgroup.subtree_control")).ok());
        for (controller, is_there) in [("memory", &mut found.memory), ("cpu", &mut found.cpu)] {
            let folder = legacy(controller);
            *is_there = folder.is_some()
                || unified.iter().any(|all| all.split_whitespace().any(|name| name == controller));
            // Both may be one hierarchy.
            found.legacy.extend(folder.filter(|folder| !found.legacy.contains(folder)));
        }
        found
    }
}

/// Sets the limits that the cgroup `folder` has the controllers for.
pub fn set(folder: &Path, memory: Option<u64>, cpu: Option<u64>) -> io::Result<()> {
    if let Some(bytes) = memory {
        write(&folder.join("memory.limit_in_bytes"), bytes)?;
        write(&folder.join("memory.max"), bytes)?;
        // Where swap is counted, too; otherwise the rest would just be written out.
        write(&folder.join("memory.memsw.limit_in_bytes"), bytes)?;
        write(&folder.join("memory.swap.max"), 0)?;
    }
    if let Some(thousandths) = cpu {
        // The kernel takes nothing below a millisecond.
        let quota = (thousandths * PERIOD / 1000).max(1000);
        write(&folder.join("cpu.cfs_period_us"), PERIOD)?;
        match write(&folder.join("cpu.cfs_quota_us"), quota) {
            // Version 1 takes no more than a group above has, and that one's limit holds anyway.
            Err(error) if error.kind() == io::ErrorKind::InvalidInput => {}
            done => done?,
        }
        write(&folder.join("cpu.max"), format_args!("{quota} {PERIOD}"))?;
    }
    Ok(())
}

/// How many processes of the cgroup the kernel has killed because there was no memory left.
pub fn killed_for_memory(folder: &Path) -> u64 {
    let files = ["memory.oom_control", "memory.events"];
    let counts = files.iter().filter_map(|file| {
        let text = fs::read_to_string(folder.join(file)).ok()?;
        text.lines().find_map(|line| line.strip_prefix("oom_kill "))?.trim().parse::<u64>().ok()
    });
    counts.sum()
}

/// A file that the cgroup does not have is one of another version or controller.
fn write(file: &Path, value: impl std::fmt::Display) -> io::Result<()> {
    if !file.exists() {
        return Ok(());
    }
    fs::write(file, value.to_string())
        .map_err(|error| io::Error::new(error.kind(), format!("cannot set {}: {error}", file.display())))
}

#[cfg(test)]
mod tests {
    use std::fs;

    use nix::unistd::geteuid;

    use super::{killed_for_memory, set};
    use crate::host::cgroup::hierarchies::Hierarchies;

    #[test]
    fn writes_what_each_version_reads() {
        let folder = tempfile::tempdir().expect("a temporary folder can be made");
        let read = |file: &str| fs::read_to_string(folder.path().join(file)).expect("readable");
        for file in ["memory.max", "cpu.max", "cpu.cfs_quota_us"] {
            fs::write(folder.path().join(file), "max").expect("writable");
        }
        set(folder.path(), Some(1 << 20), Some(250)).expect("writable");
        assert_eq!((read("memory.max").as_str(), read("cpu.max").as_str()), ("1048576", "25000 100000"));
        assert_eq!(read("cpu.cfs_quota_us"), "25000");
        assert!(!folder.path().join("memory.limit_in_bytes").exists());
        set(folder.path(), None, Some(1)).expect("writable");
        assert_eq!(read("cpu.max"), "1000 100000");
    }

    #[test]
    fn limit_that_is_above_that_of_all_is_that_of_all() {
        let top = Hierarchies::of_this_process().ok().and_then(|found| found.legacy_top("cpu"));
        let Some(top) = top.filter(|_| geteuid().is_root()) else { return };
        let above = top.join(format!("seatrial-test-{}", std::process::id()));
        let below = above.join("below");
        fs::create_dir_all(&below).expect("root may");
        let results =
            [set(&above, None, Some(1000)), set(&below, None, Some(4000)), set(&below, None, Some(500))];
        let quota = fs::read_to_string(below.join("cpu.cfs_quota_us"));
        fs::remove_dir(&below).and_then(|()| fs::remove_dir(&above)).expect("nobody is in there");
        assert!(results.iter().all(Result::is_ok), "{results:?}");
        assert_eq!(quota.expect("readable").trim(), "50000");
    }

    #[test]
    fn counts_who_was_killed_for_memory() {
        let folder = tempfile::tempdir().expect("a temporary folder can be made");
        assert_eq!(killed_for_memory(folder.path()), 0);
        fs::write(folder.path().join("memory.events"), "low 0\noom 3\noom_kill 2\n").expect("writable");
        assert_eq!(killed_for_memory(folder.path()), 2);
    }
}
