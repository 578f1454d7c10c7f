//! The raw side of ptrace(2). All of it is for one thread: the kernel takes orders only from the thread that attached.
//!
//! waitpid(2) and ptrace(2) are called as the C library has them, because signals of a tracee may be real-time ones, which
//! typed wrappers do not know.

use std::io;
use std::time::Duration;

use nix::errno::Errno;
use nix::libc;
use nix::poll::PollFd;

use super::tracer_of;
use crate::host::process::{ProcessId, is_gone};

/// What happened to a thread.
pub(super) struct Stopped {
    pub(super) thread: i32,
    pub(super) stop: Stop,
}

/// Why it stopped.
#[derive(Clone, Copy)]
pub(super) enum Stop {
    /// At the entry or the exit of a system call.
    Call,
    /// A signal is about to reach it.
    Signal(i32),
    /// Its process was stopped, as by SIGSTOP.
    Group,
    /// It has another program now, and the number of its process; with the one that it had before.
    Exec(Option<i32>),
    /// It was seized, or did something that is followed.
    Other,
    /// It is no more.
    Gone,
}

/// The entry of a call.
pub(super) struct Entry {
    pub(super) number: u64,
    pub(super) arguments: [u64; 6],
}

/// `struct ptrace_syscall_info` as far as an entry needs it (ptrace(2)); not every C library has it.
#[repr(C)]
#[derive(Default)]
struct SyscallInfo {
    op: u8,
    pad: [u8; 3],
    arch: u32,
    instruction_pointer: u64,
    stack_pointer: u64,
    number: u64,
    arguments: [u64; 6],
}

const PTRACE_GET_SYSCALL_INFO: libc::c_int = 0x420e;
const PTRACE_SYSCALL_INFO_ENTRY: u8 = 1;

/// `AUDIT_ARCH_*` of this program's own ABI (linux/audit.h).
#[cfg(target_arch = "x86_64")]
const NATIVE: u32 = 0xc000_003e;
#[cfg(target_arch = "aarch64")]
const NATIVE: u32 = 0xc000_00b7;

/// Has this process run before others of its cgroup where that is allowed (CAP_SYS_NICE, setpriority(2)): on a busy machine
/// everybody whom it holds, and everybody who only passes by, would wait for its turn as well. Agents in a cluster have no
/// such right; there it competes with guardians alone, in their cgroup, which has a share of the processor like any other.
pub(super) fn hurry() {
    const FIRST: libc::c_int = -20;
    // SAFETY: setpriority(2) takes integers only.
    unsafe { libc::setpriority(libc::PRIO_PROCESS as _, 0, FIRST) };
}

/// The next thread that stopped, if one has.
pub(super) fn next() -> io::Result<Option<Stopped>> {
    let mut status = 0;
    // SAFETY: waitpid(2) writes one integer, which is ours.
    let thread = unsafe { libc::waitpid(-1, &raw mut status, libc::__WALL | libc::WNOHANG) };
    match Errno::result(thread) {
        Ok(0) | Err(Errno::ECHILD) => Ok(None),
        Ok(thread) => Ok(Some(Stopped { thread, stop: Stop::of(thread, status) })),
        Err(error) => Err(error.into()),
    }
}

impl Stop {
    fn of(thread: i32, status: i32) -> Self {
        if !libc::WIFSTOPPED(status) {
            return Self::Gone;
        }
        let signal = libc::WSTOPSIG(status);
        let is_stopping = [libc::SIGSTOP, libc::SIGTSTP, libc::SIGTTIN, libc::SIGTTOU].contains(&signal);
        match status >> 16 {
            // PTRACE_O_TRACESYSGOOD marks a stop at a call.
            0 if signal == libc::SIGTRAP | 0x80 => Self::Call,
            0 => Self::Signal(signal),
            libc::PTRACE_EVENT_STOP if is_stopping => Self::Group,
            libc::PTRACE_EVENT_EXEC => Self::Exec(before_exec(thread)),
            _ => Self::Other,
        }
    }

    /// Whether a thread that stopped before under the same number is no more.
    pub(super) fn ends_what_was(self) -> bool {
        matches!(self, Self::Exec(_) | Self::Gone)
    }
}

/// Waits until a descriptor is readable, a child stops, or the time is over.
pub(in crate::host) fn wait(fds: &mut [PollFd<'_>], limit: Option<Duration>) -> io::Result<()> {
    let limit = limit.map(nix::sys::time::TimeSpec::from_duration);
    match nix::poll::ppoll(fds, limit, None) {
        Ok(_) | Err(Errno::EINTR) => Ok(()),
        Err(error) => Err(error.into()),
    }
}

fn request(what: i64, thread: i32, data: usize) -> nix::Result<()> {
    // SAFETY: the requests made here take integers and touch no memory of ours. It is the bare call, because C libraries do
    // not agree on the type of the first argument.
    Errno::result(unsafe { libc::syscall(libc::SYS_ptrace, what, thread, 0_usize, data) }).map(drop)
}

/// Attaches to a thread and has it stop at its calls from now on. False where it is gone. One that the kernel has attached
/// already, because a thread that is traced has made it, stops by itself.
pub(super) fn seize(thread: i32) -> io::Result<bool> {
    let options = libc::PTRACE_O_TRACESYSGOOD
        | libc::PTRACE_O_TRACECLONE
        | libc::PTRACE_O_TRACEFORK
        | libc::PTRACE_O_TRACEVFORK
        | libc::PTRACE_O_TRACEEXEC;
    match request(libc::PTRACE_SEIZE.into(), thread, options as usize) {
        Ok(()) => {}
        Err(Errno::ESRCH) => return Ok(false),
        Err(Errno::EPERM) if tracer_of(thread)? == Some(std::process::id().cast_signed()) => return Ok(true),
        // It is just ending.
        Err(Errno::EPERM)
            if !ProcessId::of(thread)?.is_some_and(|thread| thread.is_alive().unwrap_or(true)) =>
        {
            return Ok(false);
        }
        Err(error) => return Err(error.into()),
    }
    match request(libc::PTRACE_INTERRUPT.into(), thread, 0) {
        Ok(()) | Err(Errno::ESRCH) => Ok(true),
        Err(error) => Err(error.into()),
    }
}

/// Lets a thread go on to its next call. One that was killed meanwhile is told of by waitpid(2).
pub(super) fn go_on(thread: i32, signal: i32) {
    let _ = request(libc::PTRACE_SYSCALL.into(), thread, signal as usize);
}

/// Leaves a thread stopped that was stopped by somebody else, until SIGCONT.
pub(super) fn listen(thread: i32) {
    let _ = request(libc::PTRACE_LISTEN.into(), thread, 0);
}

/// The call at whose entry a thread stands.
pub(super) fn entry(thread: i32) -> Option<Entry> {
    let mut info = SyscallInfo::default();
    // SAFETY: the kernel writes at most as many bytes as the third argument says, which is the size of `info`.
    let written = unsafe {
        libc::ptrace(PTRACE_GET_SYSCALL_INFO as _, thread, size_of::<SyscallInfo>(), &raw mut info)
    };
    Errno::result(written).ok()?;
    (info.op == PTRACE_SYSCALL_INFO_ENTRY && info.arch == NATIVE)
        .then_some(Entry { number: info.number, arguments: info.arguments })
}

/// The number that a thread had before it got that of its process by execve(2).
fn before_exec(thread: i32) -> Option<i32> {
    let event = nix::sys::ptrace::getevent(nix::unistd::Pid::from_raw(thread)).ok()?;
    i32::try_from(event).ok()
}

/// The threads that a process has now; none where it is gone.
pub(super) fn threads(process: &ProcessId) -> io::Result<Vec<i32>> {
    if !process.is_alive()? {
        return Ok(Vec::new());
    }
    let entries = match std::fs::read_dir(format!("/proc/{}/task", process.pid)) {
        Ok(entries) => entries,
        Err(error) if is_gone(&error) => return Ok(Vec::new()),
        Err(error) => return Err(error),
    };
    Ok(entries.flatten().filter_map(|entry| entry.file_name().to_str()?.parse().ok()).collect())
}
