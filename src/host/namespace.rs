//! Starts a program in namespaces of its own, and enters those of others.
//!
//! A child made here runs nothing between clone(2) and execve(2) but calls that are safe after a fork of a process
//! with threads (signal-safety(7)), starts with every signal at its default and none blocked, and inherits no
//! descriptors but those it is given.

use std::ffi::CString;
use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd, RawFd};

use nix::fcntl::{FcntlArg, fcntl};
use nix::libc;
use nix::sched::{CloneFlags, setns};
use nix::unistd::Pid;

use super::user_namespace::IdentityMap;

/// Copies of descriptors are made from here on, so that no copy sits where a child's descriptor must go.
const FIRST_COPY: RawFd = 100;

/// A program to start.
pub struct Spawn<'a> {
    /// Its path and arguments, the path first.
    pub argv: &'a [CString],
    /// The namespaces it gets for itself.
    pub namespaces: CloneFlags,
    /// Who it is in a user namespace of its own, where `namespaces` has one.
    pub identity: Option<&'a IdentityMap>,
    /// What it inherits, and under which number.
    pub descriptors: &'a [(BorrowedFd<'a>, RawFd)],
    /// Whether it leads a process group of its own, so that a signal reaches all it starts.
    pub leads_group: bool,
}

/// Starts it. The result is the child's pid in the caller's pid namespace; when the program could not be executed, the
/// child ends with exit code 127.
pub fn spawn(spawn: &Spawn<'_>) -> io::Result<Pid> {
    let argv: Vec<*const libc::c_char> =
        spawn.argv.iter().map(|argument| argument.as_ptr()).chain([std::ptr::null()]).collect();
    let copies: Vec<(OwnedFd, RawFd)> = spawn
        .descriptors
        .iter()
        .map(|&(source, target)| Ok((copy_above(source)?, target)))
        .collect::<io::Result<_>>()?;
    let moves: Vec<(RawFd, RawFd)> =
        copies.iter().map(|(copy, target)| (copy.as_raw_fd(), *target)).collect();
    let flags = libc::c_long::from(spawn.namespaces.bits() | libc::SIGCHLD);

    // SAFETY: without CLONE_VM this is a fork (clone(2)): the child gets a copy of the memory and of this stack. Until
    // it executes another program it only makes system calls on memory that was prepared above.
    let pid = unsafe { libc::syscall(libc::SYS_clone, flags, 0, 0, 0, 0) };
    if pid < 0 {
        return Err(io::Error::last_os_error());
    }
    if pid == 0 {
        // SAFETY: `argv` ends with a null pointer, its strings and `moves` live in the copied memory.
        unsafe { become_program(spawn.identity, spawn.leads_group, &moves, &argv) }
    }
    Ok(Pid::from_raw(pid as libc::pid_t))
}

/// The child's side: never returns.
///
/// # Safety
/// Only in a child that nobody else shares memory with; `argv` must end with a null pointer.
unsafe fn become_program(
    identity: Option<&IdentityMap>,
    leads_group: bool,
    moves: &[(RawFd, RawFd)],
    argv: &[*const libc::c_char],
) -> ! {
    // SAFETY: plain system calls on valid pointers, all on the list of signal-safety(7) or their raw equivalents.
    unsafe {
        if let Some(identity) = identity
            && !identity.write_own()
        {
            libc::_exit(126);
        }
        for signal in 1..=libc::SIGRTMAX() {
            libc::signal(signal, libc::SIG_DFL);
        }
        let mut none: libc::sigset_t = std::mem::zeroed();
        libc::sigemptyset(&raw mut none);
        libc::sigprocmask(libc::SIG_SETMASK, &raw const none, std::ptr::null_mut());
        if leads_group {
            libc::setpgid(0, 0);
        }
        for &(copy, target) in moves {
            if libc::dup2(copy, target) < 0 {
                libc::_exit(127);
            }
        }
        libc::execv(argv[0], argv.as_ptr());
        libc::_exit(127)
    }
}

fn copy_above(source: BorrowedFd<'_>) -> io::Result<OwnedFd> {
    use std::os::fd::FromRawFd;
    let copy = fcntl(source, FcntlArg::F_DUPFD_CLOEXEC(FIRST_COPY))?;
    // SAFETY: fcntl(2) has just returned this descriptor, nobody else knows it.
    Ok(unsafe { OwnedFd::from_raw_fd(copy) })
}

/// Takes a descriptor that this program was started with, and keeps it from those that it starts.
///
/// # Errors
/// Where there is no such descriptor.
pub fn inherited(number: RawFd) -> io::Result<OwnedFd> {
    use std::os::fd::FromRawFd;
    // SAFETY: the number is only used for fcntl(2), which fails where it is not open.
    let borrowed = unsafe { BorrowedFd::borrow_raw(number) };
    fcntl(borrowed, FcntlArg::F_SETFD(nix::fcntl::FdFlag::FD_CLOEXEC))?;
    // SAFETY: it is open, and by the contract with whoever started this program it belongs to the caller, who asks
    // once at the start.
    Ok(unsafe { OwnedFd::from_raw_fd(number) })
}

/// Moves the calling thread into namespaces of the process that `pidfd` names (setns(2)). A user namespace needs a
/// process with one thread; a pid namespace takes effect for children.
pub fn enter(pidfd: impl AsFd, namespaces: CloneFlags) -> io::Result<()> {
    Ok(setns(pidfd, namespaces)?)
}
