//! cgroup v2 folders without controllers: a handle on all processes of a container (cgroups(7)).

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use nix::unistd::geteuid;

pub mod hierarchies;
pub mod limits;
pub mod memory;

use hierarchies::Hierarchies;

/// A folder below which this process may make cgroups, if there is one: at the root of the hierarchy as root, below
/// its own cgroup otherwise.
pub fn delegated_root() -> Option<PathBuf> {
    let mount = fs::read_to_string("/proc/self/mountinfo")
        .ok()?
        .lines()
        .find(|line| line.contains(" - cgroup2 "))
        .and_then(|line| line.split(' ').nth(4).map(PathBuf::from))?;
    if geteuid().is_root() {
        return Some(mount);
    }
    let own = fs::read_to_string("/proc/self/cgroup").ok()?;
    let own = own.lines().find_map(|line| line.strip_prefix("0::/"))?.to_owned();
    Some(mount.join(own))
}

/// The root of version 1's blkio as this process has it mounted, if it has.
pub fn old_blkio() -> Option<PathBuf> {
    Hierarchies::of_this_process().ok()?.legacy_top("blkio")
}

/// Makes a new, empty, thawed cgroup at `path`; one that is there already is emptied and replaced.
pub fn create_fresh(path: &Path) -> io::Result<()> {
    remove(path, Duration::from_secs(5))?;
    match fs::create_dir_all(path) {
        // Somebody has just removed the empty folder above, which nobody needed then.
        Err(error) if error.kind() == io::ErrorKind::NotFound => fs::create_dir_all(path),
        other => other,
    }
}

/// Has cgroups below `path` get version 2's controllers that limit I/O, memory and processors, where `path` has them and
/// holds no process itself. Where it cannot, whoever needs the limits finds none.
pub fn pass_on(path: &Path) {
    for controller in ["+io", "+memory", "+cpu"] {
        let _ = fs::write(path.join("cgroup.subtree_control"), controller);
    }
}

/// Moves the calling process into it.
pub fn join(path: &Path) -> io::Result<()> {
    fs::write(path.join("cgroup.procs"), "0")
}

/// Kills every process in it and below, and removes it and all below; an absent one is fine. Killed processes take a
/// moment to go, at most `limit`.
pub fn remove(path: &Path, limit: Duration) -> io::Result<()> {
    if !path.exists() {
        return Ok(());
    }
    let deadline = Instant::now() + limit;
    // Linux 5.14 and later; without it the caller's own kill has to do.
    let _ = fs::write(path.join("cgroup.kill"), "1");
    loop {
        match remove_folders(path) {
            Ok(()) => return Ok(()),
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
            Err(error) if Instant::now() >= deadline => return Err(error),
            Err(_) => std::thread::sleep(Duration::from_millis(2)),
        }
    }
}

fn remove_folders(path: &Path) -> io::Result<()> {
    for entry in fs::read_dir(path)? {
        let entry = entry?;
        if entry.file_type()?.is_dir() {
            remove_folders(&entry.path())?;
        }
    }
    fs::remove_dir(path)
}
