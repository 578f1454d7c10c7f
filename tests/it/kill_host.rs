//! What sandboxes below one state folder still have on this host.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::Path;

/// Mounts, loop devices, cgroups, processes and network namespaces of sandboxes below `state`, one line each. The
/// namespaces are known by their inodes, as [`networks_of`] tells them.
pub fn remains(state: &Path, networks: &BTreeSet<u64>) -> Vec<String> {
    let real = fs::canonicalize(state).expect("it is the test's own");
    let sandboxes = format!("{}/sandboxes/", real.display());
    let mut found = Vec::new();
    for folder in fs::read_dir(real.join("sandboxes")).into_iter().flatten().flatten() {
        let Ok(about) = folder.metadata() else { continue };
        // What is left of a sandbox whose folder is gone is looked for by the tests of the sandbox's end.
        let name = format!("{}-{:x}-{:x}", folder.file_name().display(), about.dev(), about.ino());
        found.push(format!("folder {}", folder.path().display()));
        for root in ["/sys/fs/cgroup", "/sys/fs/cgroup/unified", "/sys/fs/cgroup/blkio"] {
            let cgroup = Path::new(root).join("seatrial").join(&name);
            if cgroup.exists() {
                found.push(format!("cgroup {}", cgroup.display()));
            }
        }
    }
    let mounts = fs::read_to_string("/proc/self/mountinfo").expect("proc is mounted");
    found.extend(mounts.lines().filter(|line| line.contains(&sandboxes)).map(|line| format!("mount {line}")));
    for device in fs::read_dir("/sys/block").expect("sysfs is mounted").flatten() {
        let image = fs::read_to_string(device.path().join("loop/backing_file")).unwrap_or_default();
        if image.contains(&sandboxes) {
            found.push(format!("loop device of {}", image.trim()));
        }
    }
    for (pid, command) in processes() {
        let folder = Path::new("/proc").join(pid.to_string());
        let program = fs::read_link(folder.join("exe")).unwrap_or_default();
        if command.contains(&sandboxes) || program.to_string_lossy().contains(&sandboxes) {
            found.push(format!("process {pid}: {command}"));
        }
        let is_held =
            |path: &Path| fs::metadata(path).is_ok_and(|namespace| networks.contains(&namespace.ino()));
        // The inode of a namespace can be that of another filesystem's file: only the descriptors' names tell.
        let descriptors = fs::read_dir(folder.join("fd")).into_iter().flatten().flatten();
        let held = descriptors.filter(|descriptor| {
            fs::read_link(descriptor.path()).is_ok_and(|name| name.to_string_lossy().starts_with("net:["))
                && is_held(&descriptor.path())
        });
        if is_held(&folder.join("ns/net")) || held.count() > 0 {
            found.push(format!("network namespace in process {pid}: {command}"));
        }
    }
    found
}

/// The network namespaces of a process and all below it, but not the caller's own.
pub fn networks_of(root: i32) -> BTreeSet<u64> {
    let parents: BTreeMap<i32, i32> = processes()
        .into_keys()
        .filter_map(|pid| {
            let status = fs::read_to_string(format!("/proc/{pid}/status")).ok()?;
            let parent = status.lines().find_map(|line| line.strip_prefix("PPid:"))?;
            Some((pid, parent.trim().parse().ok()?))
        })
        .collect();
    let is_below = |pid: i32| {
        std::iter::successors(Some(pid), |pid| parents.get(pid).copied()).any(|ancestor| ancestor == root)
    };
    let network = |pid: &str| fs::metadata(format!("/proc/{pid}/ns/net")).map(|namespace| namespace.ino());
    let mut found: BTreeSet<u64> = parents
        .keys()
        .filter(|&&pid| is_below(pid))
        .filter_map(|pid| network(&pid.to_string()).ok())
        .collect();
    if let Ok(own) = network("self") {
        found.remove(&own);
    }
    found
}

/// Every process with its command line.
fn processes() -> BTreeMap<i32, String> {
    let entries = fs::read_dir("/proc").expect("proc is mounted").flatten();
    entries
        .filter_map(|entry| {
            let pid = entry.file_name().to_str()?.parse().ok()?;
            let command = fs::read_to_string(entry.path().join("cmdline")).ok()?;
            Some((pid, command.replace('\0', " ")))
        })
        .collect()
}
