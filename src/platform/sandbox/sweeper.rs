//! The process outside the sandbox that waits for its end and removes what it left.
//!
//! It is the parent of init. It ends the sandbox when the one who wanted it is gone (unless it is kept), and removes
//! cgroups, and the folder of a sandbox that is not kept, however init died. When this process itself is killed, init
//! dies with it and the next `up`, `ls` or `down` sweeps.

use std::ffi::{CString, OsString};
use std::io;
use std::os::fd::AsFd;
use std::os::unix::ffi::OsStrExt;
use std::path::PathBuf;

use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sched::CloneFlags;
use nix::sys::signal::{SigSet, Signal};
use nix::sys::signalfd::{SfdFlags, SignalFd};
use nix::sys::wait::waitpid;
use nix::unistd::{Pid, setsid};

use super::state_dir::{Setup, StateDir};
use crate::host::namespace::{Spawn, inherited, spawn};
use crate::host::process::{PidFd, ProcessId};
use crate::host::user_namespace::{self, IdentityMap};

/// The descriptor under which sweeper and init get the lock.
pub const LOCK_DESCRIPTOR: i32 = 3;

/// `seatrial __sandbox-sweep DIR`: stdin ends when the one who wanted the sandbox is gone, stdout carries init's
/// report.
pub fn sweeper_main(arguments: impl IntoIterator<Item = OsString>) -> i32 {
    let Some(path) = arguments.into_iter().next() else {
        eprintln!("seatrial: the sandbox's folder is missing");
        return 2;
    };
    let dir = StateDir::at(PathBuf::from(path));
    match watch(&dir) {
        Ok(()) => 0,
        Err(error) => {
            // Whoever waits for the report reads the reason there.
            println!("{error}");
            1
        }
    }
}

fn watch(dir: &StateDir) -> io::Result<()> {
    let _ = setsid();
    let setup = dir.setup()?;
    let lock = inherited(LOCK_DESCRIPTOR)?;
    let mut stopping = SigSet::empty();
    for signal in [Signal::SIGTERM, Signal::SIGINT, Signal::SIGHUP] {
        stopping.add(signal);
    }
    stopping.thread_block()?;
    let signals = SignalFd::with_flags(&stopping, SfdFlags::SFD_CLOEXEC)?;

    let init = start_init(dir, &setup, lock.as_fd())?;
    // It is there until it is reaped below, even if it has ended already.
    let gone = || io::Error::from(io::ErrorKind::NotFound);
    let init_fd = PidFd::open(init.as_raw())?.ok_or_else(gone)?;
    dir.write_init(ProcessId::of(init.as_raw())?.ok_or_else(gone)?)?;
    release_stdout()?;

    let stdin = io::stdin();
    let mut watched = vec![
        PollFd::new(init_fd.as_fd(), PollFlags::POLLIN),
        PollFd::new(signals.as_fd(), PollFlags::POLLIN),
    ];
    if !setup.options.keep {
        // Nobody ever writes: it becomes readable at the end of file.
        watched.push(PollFd::new(stdin.as_fd(), PollFlags::POLLIN));
    }
    poll(&mut watched, PollTimeout::NONE)?;
    init_fd.signal(Signal::SIGKILL)?;
    waitpid(init, None)?;
    // By what was known at the start: somebody may have removed the folder meanwhile.
    setup.sweep_cgroups()?;
    if setup.options.keep { Ok(()) } else { dir.remove() }
}

fn start_init(dir: &StateDir, setup: &Setup, lock: std::os::fd::BorrowedFd<'_>) -> io::Result<Pid> {
    let argv = [
        CString::new(dir.program().as_os_str().as_bytes())?,
        c"__sandbox-init".to_owned(),
        CString::new(dir.path().as_os_str().as_bytes())?,
    ];
    let own = CloneFlags::CLONE_NEWPID
        | CloneFlags::CLONE_NEWNS
        | CloneFlags::CLONE_NEWNET
        | CloneFlags::CLONE_NEWIPC
        | CloneFlags::CLONE_NEWUTS
        | CloneFlags::CLONE_NEWCGROUP;
    let map = IdentityMap::of_caller();
    let (namespaces, identity) =
        if setup.is_root { (own, None) } else { (own | CloneFlags::CLONE_NEWUSER, Some(&map)) };
    let descriptors = [(lock, LOCK_DESCRIPTOR)];
    let started =
        spawn(&Spawn { argv: &argv, namespaces, identity, descriptors: &descriptors, leads_group: false });
    started.map_err(|error| io::Error::new(error.kind(), explain(&error, setup.is_root)))
}

/// What a refused namespace means and what to do about it.
pub fn explain(error: &io::Error, is_root: bool) -> String {
    if is_root {
        return format!(
            "cannot make namespaces: {error}; hint: a container needs CAP_SYS_ADMIN for this (`--privileged`)"
        );
    }
    let mut text = format!("an ordinary user cannot make namespaces here: {error}");
    for obstacle in user_namespace::obstacles() {
        text.push_str("\nhint: ");
        text.push_str(&obstacle);
    }
    text.push_str("\nhint: or run with sudo");
    text
}

/// Init alone reports from now on: whoever reads the report sees its end when init is ready or gone.
fn release_stdout() -> io::Result<()> {
    let null = std::fs::OpenOptions::new().write(true).open("/dev/null")?;
    Ok(nix::unistd::dup2_stdout(&null)?)
}
