//! The root of a container: an overlay over the host's read-only `/`, forgotten when the container ends.
//!
//! What a container writes outside of its volumes lives in memory, and only for this start of it, as in Kubernetes.

use std::fs;
use std::io;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::{Path, PathBuf};

use nix::mount::MsFlags;

use super::RootPlan;
use crate::host::mount::{self, Access};

/// As much as a container may write outside of its volumes.
const OVERLAY_LIMIT: &str = "size=1g,mode=755";
/// What the container gets afresh, and nothing of the host's.
const OWN: [&str; 5] = ["/proc", "/sys", "/dev", "/run", "/tmp"];
const DEVICES: [&str; 6] = ["null", "zero", "full", "random", "urandom", "tty"];

/// Builds the root and moves the process into it.
pub fn enter(plan: &RootPlan) -> io::Result<()> {
    mount::make_private()?;
    let root = overlay(plan)?;
    show_host_mounts(plan, &root)?;
    mount_own(&root)?;
    for hidden in &plan.hidden {
        let place = inside(&root, hidden);
        if place.is_dir() {
            mount::filesystem(
                "tmpfs",
                &place,
                MsFlags::MS_RDONLY | MsFlags::MS_NODEV,
                "size=4k,mode=755",
            )?;
        }
    }
    for (path, content) in &plan.files {
        write_file(&inside(&root, path), content)?;
    }
    for bind in &plan.binds {
        let target = inside(&root, &bind.target);
        mount::make_point(&bind.source, &target)?;
        let access = if bind.read_only {
            Access::ReadOnly
        } else {
            Access::ReadWrite
        };
        mount::bind(&bind.source, &target, access)?;
    }
    mount::become_root(&root)
}

fn overlay(plan: &RootPlan) -> io::Result<PathBuf> {
    mount::filesystem("tmpfs", &plan.scratch, MsFlags::MS_NODEV, OVERLAY_LIMIT)?;
    let [upper, work, root] = ["upper", "work", "root"].map(|name| plan.scratch.join(name));
    for folder in [&upper, &work, &root] {
        fs::create_dir(folder)?;
    }
    // Trusted attributes need root outside (overlayfs documentation, "User extended attributes").
    let attributes = if plan.is_root { "" } else { ",userxattr" };
    let options = format!(
        "lowerdir=/,upperdir={},workdir={}{attributes}",
        upper.display(),
        work.display()
    );
    mount::filesystem("overlay", &root, MsFlags::MS_NODEV, &options)?;
    Ok(root)
}

/// An overlay does not show what is mounted on the host below `/`: programs may live there.
fn show_host_mounts(plan: &RootPlan, root: &Path) -> io::Result<()> {
    let mountinfo = fs::read_to_string("/proc/self/mountinfo")?;
    let mut shown: Vec<PathBuf> = mount_points(&mountinfo)
        .filter(|point| point != Path::new("/"))
        .filter(|point| !OWN.iter().any(|own| point.starts_with(own)))
        .filter(|point| !plan.hidden.iter().any(|hidden| point.starts_with(hidden)))
        .collect();
    shown.sort();
    shown.dedup();
    for point in shown {
        let target = inside(root, &point);
        // In a user namespace what lies below a mount must come along (mount_namespaces(7)); as root a plain bind
        // brings no volume of another pod.
        let result = if plan.is_root {
            mount::bind(&point, &target, Access::ReadOnly)
        } else {
            mount::bind_tree(&point, &target, Access::ReadOnly)
        };
        // A place that cannot be shown (an autofs, a stale network mount) is absent inside, which a program will say.
        let _ = result;
    }
    Ok(())
}

/// The fifth field of each line, with its octal escapes resolved (proc_pid_mountinfo(5)).
fn mount_points(mountinfo: &str) -> impl Iterator<Item = PathBuf> {
    mountinfo
        .lines()
        .filter_map(|line| line.split(' ').nth(4))
        .map(|point| {
            let plain = point
                .replace("\\040", " ")
                .replace("\\011", "\t")
                .replace("\\012", "\n");
            PathBuf::from(plain.replace("\\134", "\\"))
        })
}

fn mount_own(root: &Path) -> io::Result<()> {
    let place = |name: &str| {
        let path = root.join(name);
        fs::create_dir_all(&path).map(|()| path)
    };
    let hardened = MsFlags::MS_NOSUID | MsFlags::MS_NODEV | MsFlags::MS_NOEXEC;
    mount::filesystem("proc", &place("proc")?, hardened, "")?;
    let sys = place("sys")?;
    if mount::filesystem("sysfs", &sys, hardened | MsFlags::MS_RDONLY, "").is_err() {
        mount::bind_tree(Path::new("/sys"), &sys, Access::ReadOnly)?;
    }
    let dev = place("dev")?;
    mount::filesystem("tmpfs", &dev, MsFlags::MS_NOSUID, "mode=755,size=64k")?;
    for device in DEVICES {
        let (source, target) = (Path::new("/dev").join(device), dev.join(device));
        if source.exists() {
            mount::make_point(&source, &target)?;
            mount::bind(&source, &target, Access::ReadWrite)?;
        }
    }
    for (name, kind, options) in [
        ("pts", "devpts", "newinstance,ptmxmode=0666,mode=0620"),
        ("shm", "tmpfs", "mode=1777,size=64m"),
    ] {
        fs::create_dir(dev.join(name))?;
        mount::filesystem(
            kind,
            &dev.join(name),
            MsFlags::MS_NOSUID | MsFlags::MS_NOEXEC,
            options,
        )?;
    }
    for (link, target) in [
        ("ptmx", "pts/ptmx"),
        ("fd", "/proc/self/fd"),
        ("stdin", "/proc/self/fd/0"),
        ("stdout", "/proc/self/fd/1"),
        ("stderr", "/proc/self/fd/2"),
    ] {
        symlink(target, dev.join(link))?;
    }
    for (name, mode) in [("run", "mode=755"), ("tmp", "mode=1777")] {
        mount::filesystem(
            "tmpfs",
            &place(name)?,
            MsFlags::MS_NOSUID | MsFlags::MS_NODEV,
            mode,
        )?;
    }
    Ok(())
}

/// Replaces the file, which on the host may be a link to somewhere else.
fn write_file(path: &Path, content: &str) -> io::Result<()> {
    match fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        Ok(()) | Err(_) => {}
    }
    if let Some(folder) = path.parent() {
        fs::create_dir_all(folder)?;
    }
    fs::write(path, content)?;
    fs::set_permissions(path, fs::Permissions::from_mode(0o644))
}

fn inside(root: &Path, path: &Path) -> PathBuf {
    root.join(path.strip_prefix("/").unwrap_or(path))
}

#[cfg(test)]
mod tests {
    use std::path::PathBuf;

    use super::mount_points;

    #[test]
    fn reads_mount_points_with_spaces() {
        let lines = "22 27 0:21 / /proc rw - proc proc rw\n30 27 8:1 / /mnt/a\\040b rw - ext4 /dev/sda1 rw\n";
        let expected = ["/proc", "/mnt/a b"].map(PathBuf::from);
        assert_eq!(mount_points(lines).collect::<Vec<_>>(), expected);
    }
}
