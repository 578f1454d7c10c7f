//! Mounts by what they are for (mount(2)); every error says which mount it was.

use std::fs::{self, OpenOptions};
use std::io;
use std::path::Path;

use nix::mount::{MntFlags, MsFlags, mount, umount2};
use nix::unistd::pivot_root;

pub mod place;
pub mod superblock;
pub mod table;

const NONE: Option<&str> = None;

fn named(what: &str, target: &Path, result: nix::Result<()>) -> io::Result<()> {
    result.map_err(|errno| {
        let error = io::Error::from(errno);
        io::Error::new(error.kind(), format!("{what} at {}: {error}", target.display()))
    })
}

/// Cuts this mount namespace off from the one it was copied from: nothing mounted here shows there. What is unmounted
/// there is unmounted here too, so that a sandbox never keeps somebody's disk busy.
pub fn follow_parent() -> io::Result<()> {
    let flags = MsFlags::MS_REC | MsFlags::MS_SLAVE;
    named("cannot make mounts follow", Path::new("/"), mount(NONE, "/", NONE, flags, NONE))
}

/// Cuts this mount namespace off in both directions.
pub fn make_private() -> io::Result<()> {
    let flags = MsFlags::MS_REC | MsFlags::MS_PRIVATE;
    named("cannot make mounts private", Path::new("/"), mount(NONE, "/", NONE, flags, NONE))
}

/// A new filesystem of a kernel type that needs no device.
pub fn filesystem(kind: &str, target: &Path, flags: MsFlags, options: &str) -> io::Result<()> {
    let result = mount(Some(kind), target, Some(kind), flags, Some(options));
    named(&format!("cannot mount {kind}"), target, result)
}

/// A filesystem on a block device.
pub fn device(device: &Path, kind: &str, target: &Path) -> io::Result<()> {
    let result = mount(Some(device), target, Some(kind), MsFlags::MS_NODEV, NONE);
    named(&format!("cannot mount {kind} on {}", device.display()), target, result)
}

/// Whether what is bound may be written to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Access {
    /// Yes.
    ReadWrite,
    /// No.
    ReadOnly,
}

/// Shows `source` at `target` as well.
pub fn bind(source: &Path, target: &Path, access: Access) -> io::Result<()> {
    bind_with(source, target, access, MsFlags::empty())
}

/// Shows `source` and everything mounted below it at `target` as well.
pub fn bind_tree(source: &Path, target: &Path, access: Access) -> io::Result<()> {
    bind_with(source, target, access, MsFlags::MS_REC)
}

fn bind_with(source: &Path, target: &Path, access: Access, depth: MsFlags) -> io::Result<()> {
    let result = mount(Some(source), target, NONE, MsFlags::MS_BIND | depth, NONE);
    named(&format!("cannot bind {}", source.display()), target, result)?;
    // A bind ignores other flags until it is mounted again.
    if access == Access::ReadOnly { make_read_only(target) } else { Ok(()) }
}

/// Makes what is mounted there read-only, there alone.
pub fn make_read_only(target: &Path) -> io::Result<()> {
    // Flags that were on it and are locked in a user namespace must be repeated (mount_namespaces(7)).
    let kept = locked_flags(target)?;
    let flags = MsFlags::MS_BIND | MsFlags::MS_REMOUNT | MsFlags::MS_RDONLY | kept;
    named("cannot make read-only what is", target, mount(NONE, target, NONE, flags, NONE))
}

fn locked_flags(target: &Path) -> io::Result<MsFlags> {
    use nix::sys::statvfs::{FsFlags, statvfs};
    let found = statvfs(target)?.flags();
    let mut flags = MsFlags::empty();
    // Where none of these is about access times, the kernel keeps what there was; otherwise it takes relatime (mount(2)).
    for (seen, kept) in [
        (FsFlags::ST_NOSUID, MsFlags::MS_NOSUID),
        (FsFlags::ST_NODEV, MsFlags::MS_NODEV),
        (FsFlags::ST_NOEXEC, MsFlags::MS_NOEXEC),
        (FsFlags::ST_NOATIME, MsFlags::MS_NOATIME),
        (FsFlags::ST_NODIRATIME, MsFlags::MS_NODIRATIME),
    ] {
        if found.contains(seen) {
            flags |= kept;
        }
    }
    Ok(flags)
}

/// Makes the file or folder that `source` can be bound to.
pub fn make_point(source: &Path, target: &Path) -> io::Result<()> {
    if source.is_dir() {
        fs::create_dir_all(target)
    } else {
        if let Some(folder) = target.parent() {
            fs::create_dir_all(folder)?;
        }
        OpenOptions::new().create(true).append(true).open(target).map(drop)
    }
}

/// Makes `root` the root of this mount namespace and forgets everything else that was mounted (pivot_root(2)).
pub fn become_root(root: &Path) -> io::Result<()> {
    nix::unistd::chdir(root)?;
    // The old root lands on top of the new one and goes away with the next call; no folder for it is needed.
    named("cannot change the root", root, pivot_root(".", "."))?;
    named("cannot forget the old root", root, umount2(".", MntFlags::MNT_DETACH))?;
    Ok(nix::unistd::chdir("/")?)
}

/// Takes away what is mounted there; whoever uses it keeps it until they are done.
pub fn detach(target: &Path) -> io::Result<()> {
    named("cannot detach what is", target, umount2(target, MntFlags::MNT_DETACH))
}

/// Unmounts for real: fails while anybody uses it.
pub fn unmount(target: &Path) -> io::Result<()> {
    named("cannot unmount what is", target, umount2(target, MntFlags::empty()))
}
