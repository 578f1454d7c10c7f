//! Leaves everything that a container gives to its processes but its program and its pids.
//!
//! A process that stays in a container's namespaces keeps them, and all that is mounted in them, for as long as it
//! lives. Afterwards the caller lives in the network, ipc, uts and cgroup namespaces of process 1, and in a mount
//! namespace of its own with nothing in it but `/proc`. Files of the machine are reached through `/proc/1/root`
//! (proc_pid_root(5)). Entering the mount namespace of process 1 itself would need CAP_SYS_CHROOT (setns(2)); this needs
//! CAP_SYS_ADMIN and CAP_SYS_PTRACE.

use std::io;

use nix::mount::{MntFlags, MsFlags, mount, umount2};
use nix::sched::{CloneFlags, setns, unshare};
use nix::unistd::{chdir, pivot_root};

use super::PidFd;

/// A folder that exists in every container, on which the new root is mounted where nobody else sees it.
const PLACE: &str = "/sys";
const NOTHING: Option<&str> = None;

/// Moves the calling process, which must have one thread only. Where it fails, the process must not go on.
pub fn leave_container() -> io::Result<()> {
    let first = PidFd::open(1)?.ok_or(io::ErrorKind::NotFound)?;
    let shared = CloneFlags::CLONE_NEWNET
        | CloneFlags::CLONE_NEWIPC
        | CloneFlags::CLONE_NEWUTS
        | CloneFlags::CLONE_NEWCGROUP;
    setns(&first, shared)?;
    unshare(CloneFlags::CLONE_NEWNS)?;
    mount(NOTHING, "/", NOTHING, MsFlags::MS_REC | MsFlags::MS_PRIVATE, NOTHING)?;
    let bare = MsFlags::MS_NOSUID | MsFlags::MS_NODEV | MsFlags::MS_NOEXEC;
    mount(Some("seatrial"), PLACE, Some("tmpfs"), bare, Some("size=4k,mode=700"))?;
    chdir(PLACE)?;
    nix::unistd::mkdir("proc", nix::sys::stat::Mode::S_IRWXU)?;
    mount(Some("proc"), "proc", Some("proc"), bare, NOTHING)?;
    // The old root is stacked on the new one and taken off again (pivot_root(2), NOTES).
    pivot_root(".", ".")?;
    umount2(".", MntFlags::MNT_DETACH)?;
    Ok(chdir("/")?)
}

/// Moves the calling process, which must have one thread only, into the cgroup namespace of process 1, so that it reads
/// and writes cgroups as the machine names them (cgroup_namespaces(7)).
pub fn see_cgroups_of_the_machine() -> io::Result<()> {
    let first = PidFd::open(1)?.ok_or(io::ErrorKind::NotFound)?;
    Ok(setns(first, CloneFlags::CLONE_NEWCGROUP)?)
}
