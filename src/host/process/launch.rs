//! Starts a process that outlives its parent.

use std::ffi::OsStr;
use std::fs::{File, OpenOptions};
use std::io;
use std::os::fd::{AsRawFd, BorrowedFd};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use nix::errno::Errno;
use nix::libc;

/// Starts `program` in a session of its own, so that no signal to the parent's group or terminal reaches it, and in
/// `cgroups`, one folder per hierarchy, so that no signal to the parent's cgroup does.
///
/// It keeps the descriptors `inherited` open under their numbers; its standard input and output are pipes, and its
/// environment is empty.
pub fn detached<'a>(
    program: &Path,
    arguments: impl IntoIterator<Item = &'a OsStr>,
    inherited: &[BorrowedFd<'_>],
    cgroups: &[PathBuf],
) -> io::Result<Child> {
    let joined = |folder: &PathBuf| OpenOptions::new().write(true).open(folder.join("cgroup.procs"));
    let cgroups: Vec<File> = cgroups.iter().map(joined).collect::<io::Result<_>>()?;
    let numbers: Vec<i32> = inherited.iter().map(AsRawFd::as_raw_fd).collect();
    let mut command = Command::new(program);
    command.args(arguments).env_clear().current_dir("/");
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::null());
    let prepare = move || {
        nix::unistd::setsid()?;
        for cgroup in &cgroups {
            // "0" means the writer itself, in whichever pid namespace it is (cgroups(7)).
            nix::unistd::write(cgroup, b"0")?;
        }
        for number in &numbers {
            // SAFETY: fcntl(2) with F_SETFD takes integers only; it drops FD_CLOEXEC in the child's table alone.
            Errno::result(unsafe { libc::fcntl(*number, libc::F_SETFD, 0) })?;
        }
        Ok(())
    };
    // SAFETY: between fork and exec the closure makes only async-signal-safe system calls and allocates nothing.
    unsafe { command.pre_exec(prepare) };
    command.spawn()
}
