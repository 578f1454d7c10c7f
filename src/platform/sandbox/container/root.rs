//! The root of a container: overlays over the host's read-only folders, forgotten when the container ends.
//!
//! What a container writes outside of its volumes lives in memory, and only for this start of it, as in Kubernetes.

use std::fs;
use std::io;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};

use nix::mount::MsFlags;

use super::{Bind, RootPlan, bind, image_root, stage};
use crate::host::mount::{self, Access};
use crate::host::rooted::Rooted;

/// As much as a container may write outside of its volumes.
pub(super) const OVERLAY_LIMIT: &str = "size=1g,mode=755";
/// What the container gets afresh, and nothing of the host's.
pub(super) const OWN: [&str; 5] = ["/proc", "/sys", "/dev", "/run", "/tmp"];
const DEVICES: [&str; 6] = ["null", "zero", "full", "random", "urandom", "tty"];

/// Builds the root and moves the process into it.
/// The process works in `working_dir`, which is made where it is missing.
pub fn enter(plan: &RootPlan, working_dir: &Path) -> io::Result<()> {
    if let Some(image) = &plan.image {
        return image_root::enter(plan, image, working_dir);
    }
    mount::make_private()?;
    mount::filesystem("tmpfs", &plan.scratch, MsFlags::MS_NODEV, OVERLAY_LIMIT)?;
    let [upper, work, root] = ["upper", "work", "root"].map(|name| plan.scratch.join(name));
    fs::create_dir(&root)?;
    // The new root must be a mount (pivot_root(2)).
    mount::bind(&root, &root, Access::ReadWrite)?;
    // Mount points and files are put into the upper layer before it is mounted: in a user namespace nobody may make
    // them in folders of the host's root afterwards.
    let points = stage::stage(plan, &upper)?;
    overlay(plan, &upper, &work, &root)?;
    show_host_mounts(plan, &root)?;
    mount_own(&root)?;
    for hidden in &plan.hidden {
        let place = inside(&root, hidden);
        if place.is_dir() {
            mount::filesystem("tmpfs", &place, MsFlags::MS_RDONLY | MsFlags::MS_NODEV, "size=4k,mode=755")?;
        }
    }
    for (path, content) in &points.files {
        let place = inside(&root, path);
        // The host has mounted something there, as container engines do: cover it.
        if !fs::read_to_string(&place).is_ok_and(|found| found == *content) {
            mount::bind(&inside(&upper, path), &place, Access::ReadWrite)?;
        }
    }
    let rooted = Rooted::at(&root)?;
    bind::all(&rooted, &points.binds)?;
    if plan.read_only {
        rooted.folder(working_dir)?;
        make_read_only(&root, &points.binds)?;
    }
    mount::become_root(&root)
}

/// Everything but what is bound: the root, the overlays on it, and the folders that are its own. Only what is the kernel's
/// stays as it is, as with other runtimes.
fn make_read_only(root: &Path, binds: &[Bind]) -> io::Result<()> {
    let is_bound = |place: &Path| binds.iter().any(|bind| inside(root, &bind.target) == place);
    let mountinfo = fs::read_to_string("/proc/self/mountinfo")?;
    let own: Vec<PathBuf> = mount_points(&mountinfo).collect();
    for entry in fs::read_dir(root)? {
        let place = entry?.path();
        let is_kernels = ["dev", "proc", "sys"].iter().any(|name| place == root.join(name));
        if own.contains(&place) && !is_kernels && !is_bound(&place) {
            mount::make_read_only(&place)?;
        }
    }
    mount::make_read_only(root)
}

/// An overlay over each folder of the host's `/`: over `/` as a whole the kernel allows none in a user namespace, where
/// it would show what lies below the mounts that came along (mount_namespaces(7)).
fn overlay(plan: &RootPlan, upper: &Path, work: &Path, root: &Path) -> io::Result<()> {
    for entry in fs::read_dir("/")? {
        let lower = entry?.path();
        let place = inside(root, &lower);
        if OWN.iter().any(|own| lower.starts_with(own)) {
            continue;
        }
        if lower.is_symlink() {
            symlink(fs::read_link(&lower)?, place)?;
        } else if lower.is_dir() {
            let layers = [inside(upper, &lower), inside(work, &lower)];
            overlay_folder(plan, &lower, &layers, &place)?;
        }
    }
    Ok(())
}

fn overlay_folder(plan: &RootPlan, lower: &Path, layers: &[PathBuf; 2], place: &Path) -> io::Result<()> {
    let [upper, work] = layers;
    stage::make_folder_like(lower, upper, plan.is_root)?;
    fs::create_dir_all(work)?;
    fs::create_dir(place)?;
    let options = overlay_options(lower, upper, work, plan.is_root);
    let mounted = mount::filesystem("overlay", place, MsFlags::MS_NODEV, &options);
    if plan.is_root {
        return mounted;
    }
    // A folder in which the host has mounted something is shown as it is.
    mounted.or_else(|_| mount::bind_tree(lower, place, Access::ReadOnly))
}

/// What mount(2) is told of an overlay.
pub(super) fn overlay_options(lower: &Path, upper: &Path, work: &Path, is_root: bool) -> String {
    // Trusted attributes need root outside (overlayfs documentation, "User extended attributes").
    let attributes = if is_root { "" } else { ",userxattr" };
    format!("lowerdir={},upperdir={},workdir={}{attributes}", escaped(lower), escaped(upper), escaped(work))
}

/// Colons separate lower folders, commas options; a backslash takes their meaning away.
fn escaped(path: &Path) -> String {
    path.display().to_string().replace('\\', "\\\\").replace(':', "\\:").replace(',', "\\,")
}

/// An overlay does not show what the host has mounted inside of its folder, and programs may live there. In a user
/// namespace such a folder is shown with everything in it already.
fn show_host_mounts(plan: &RootPlan, root: &Path) -> io::Result<()> {
    if !plan.is_root {
        return Ok(());
    }
    let mountinfo = fs::read_to_string("/proc/self/mountinfo")?;
    let mut shown: Vec<PathBuf> = mount_points(&mountinfo)
        .filter(|point| point.components().count() > 2)
        .filter(|point| !OWN.iter().any(|own| point.starts_with(own)))
        .filter(|point| !plan.hidden.iter().any(|hidden| point.starts_with(hidden)))
        .collect();
    shown.sort();
    shown.dedup();
    for point in shown {
        // Alone, lest it brings a volume of another pod. A place that cannot be shown (an autofs, a stale network
        // mount) is absent inside, which a program will say.
        let _ = mount::bind(&point, &inside(root, &point), Access::ReadOnly);
    }
    Ok(())
}

/// The fifth field of each line, with its octal escapes resolved (proc_pid_mountinfo(5)).
fn mount_points(mountinfo: &str) -> impl Iterator<Item = PathBuf> {
    mountinfo.lines().filter_map(|line| line.split(' ').nth(4)).map(|point| {
        let plain = point.replace("\\040", " ").replace("\\011", "\t").replace("\\012", "\n");
        PathBuf::from(plain.replace("\\134", "\\"))
    })
}

fn mount_own(root: &Path) -> io::Result<()> {
    let place = |name: &str| {
        let path = root.join(name);
        fs::create_dir_all(&path).map(|()| path)
    };
    mount_devices(&place)?;
    for (name, mode) in [("run", "mode=755"), ("tmp", "mode=1777")] {
        mount::filesystem("tmpfs", &place(name)?, MsFlags::MS_NOSUID | MsFlags::MS_NODEV, mode)?;
    }
    Ok(())
}

/// Mounts `/proc`, `/sys` and `/dev` in their places, which `place` makes where they are missing.
pub(super) fn mount_devices(place: &dyn Fn(&str) -> io::Result<PathBuf>) -> io::Result<()> {
    let hardened = MsFlags::MS_NOSUID | MsFlags::MS_NODEV | MsFlags::MS_NOEXEC;
    mount::filesystem("proc", &place("proc")?, hardened, "")?;
    let sys = place("sys")?;
    if mount::filesystem("sysfs", &sys, hardened | MsFlags::MS_RDONLY, "").is_err() {
        mount::bind_tree(Path::new("/sys"), &sys, Access::ReadOnly)?;
    }
    mount::filesystem("tmpfs", &place("dev")?, MsFlags::MS_NOSUID, "mode=755,size=64k")?;
    // What is below the mount has had its place until now.
    let dev = place("dev")?;
    for device in DEVICES {
        let (source, target) = (Path::new("/dev").join(device), dev.join(device));
        if source.exists() {
            mount::make_point(&source, &target)?;
            mount::bind(&source, &target, Access::ReadWrite)?;
        }
    }
    for (name, kind, options) in
        [("pts", "devpts", "newinstance,ptmxmode=0666,mode=0620"), ("shm", "tmpfs", "mode=1777,size=64m")]
    {
        fs::create_dir(dev.join(name))?;
        mount::filesystem(kind, &dev.join(name), MsFlags::MS_NOSUID | MsFlags::MS_NOEXEC, options)?;
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
    Ok(())
}

/// A path of the container, below where its root is now.
pub(super) fn inside(root: &Path, path: &Path) -> PathBuf {
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
