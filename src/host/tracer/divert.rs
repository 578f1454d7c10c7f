//! Has a call fail that was not made (ptrace(2)).
//!
//! A call that is skipped has its answer before the tracer lets it go on, and nothing else of the thread is changed: if the
//! tracer dies, the thread has what it would have had. What is skipped has no number any more, and seccomp(2) looks at the
//! number after the tracer has. So of a thread with a filter the number stays, and the call is made on no file instead: one
//! argument is [`NOWHERE`] until the exit. If the tracer dies in between, which is some ten microseconds, the thread hears
//! EBADF, or EFAULT of an open, and keeps that value in the register of the argument. C libraries and Go make calls in
//! functions, after which no caller counts on that register; only code that makes a call itself, inline, may.

use std::fs;

use nix::errno::Errno;
use nix::libc;

/// No file has this descriptor, and no text is at this address.
const NOWHERE: u64 = u64::MAX;

/// A call that will not be made.
pub(super) enum Diverted {
    /// Its answer is there.
    Skipped,
    /// [`answer`](Diverted::answer) has to follow at its exit, with what the argument was.
    OnNoFile {
        /// Which argument.
        argument: usize,
        /// What it was.
        was: u64,
    },
}

impl Diverted {
    /// Has the call at whose entry a thread stands do nothing, and be answered with an error. `argument` says what it is
    /// about. Nothing where the thread is gone.
    pub(super) fn new(thread: i32, argument: usize, errno: i32) -> Option<Self> {
        if is_filtered(thread) {
            let mut was = 0;
            change(thread, |registers| {
                was = std::mem::replace(machine::argument(registers, argument), NOWHERE);
            })?;
            return Some(Self::OnNoFile { argument, was });
        }
        machine::skip(thread, errno)?;
        Some(Self::Skipped)
    }

    /// Sees to it at the exit of the call that the error is the answer; whether it is. System calls leave all registers as
    /// they were but that of the result.
    pub(super) fn answer(self, thread: i32, errno: i32) -> bool {
        match self {
            Self::Skipped => true,
            Self::OnNoFile { argument, was } => change(thread, |registers| {
                *machine::argument(registers, argument) = was;
                *machine::result(registers) = negative(errno);
            })
            .is_some(),
        }
    }
}

/// Whether a thread may have a filter on its calls (proc_pid_status(5)). It can be given one, and never loses one.
fn is_filtered(thread: i32) -> bool {
    let status = fs::read_to_string(format!("/proc/{thread}/status")).unwrap_or_default();
    status.lines().find_map(|line| line.strip_prefix("Seccomp:")).is_none_or(|mode| mode.trim() != "0")
}

/// How a call answers with an error.
fn negative(errno: i32) -> u64 {
    i64::from(-errno).cast_unsigned()
}

fn change(thread: i32, change: impl FnOnce(&mut libc::user_regs_struct)) -> Option<()> {
    let mut registers = std::mem::MaybeUninit::<libc::user_regs_struct>::zeroed();
    regset(libc::PTRACE_GETREGSET.into(), thread, NT_PRSTATUS, registers.as_mut_ptr()).ok()?;
    // SAFETY: all of it are integers, which the kernel has written, and which were zero before.
    let mut registers = unsafe { registers.assume_init() };
    change(&mut registers);
    regset(libc::PTRACE_SETREGSET.into(), thread, NT_PRSTATUS, &raw mut registers).ok()
}

/// The general registers, among a thread's sets of registers (elf.h).
const NT_PRSTATUS: usize = 1;

fn regset<T>(request: i64, thread: i32, set: usize, registers: *mut T) -> nix::Result<()> {
    let mut place = libc::iovec { iov_base: registers.cast(), iov_len: size_of::<T>() };
    // SAFETY: the kernel reads or writes at most as many bytes as `place` says, which are those of `registers`.
    Errno::result(unsafe { libc::syscall(libc::SYS_ptrace, request, thread, set, &raw mut place) }).map(drop)
}

#[cfg(target_arch = "x86_64")]
mod machine {
    use nix::libc::user_regs_struct;

    /// A call without a number is not made, and leaves the register of the result as it is (entry_64.S, `do_syscall_64`).
    pub(super) fn skip(thread: i32, errno: i32) -> Option<()> {
        super::change(thread, |registers| {
            registers.orig_rax = u64::MAX;
            *result(registers) = super::negative(errno);
        })
    }

    /// Calls are about one of their first three arguments.
    pub(super) fn argument(registers: &mut user_regs_struct, number: usize) -> &mut u64 {
        match number {
            0 => &mut registers.rdi,
            1 => &mut registers.rsi,
            _ => &mut registers.rdx,
        }
    }

    pub(super) fn result(registers: &mut user_regs_struct) -> &mut u64 {
        &mut registers.rax
    }
}

#[cfg(target_arch = "aarch64")]
mod machine {
    use nix::libc::{PTRACE_SETREGSET, user_regs_struct};

    /// The number of the call at whose entry a thread stands (linux/elf.h).
    const NT_ARM_SYSTEM_CALL: usize = 0x404;

    /// A call without a number is not made, and leaves the register of the result as it is (arch/arm64/kernel/syscall.c).
    /// That register is also the first argument's, so the order matters if the tracer dies in between: a call on a
    /// descriptor that is none.
    pub(super) fn skip(thread: i32, errno: i32) -> Option<()> {
        super::change(thread, |registers| *result(registers) = super::negative(errno))?;
        let mut none = -1_i32;
        super::regset(PTRACE_SETREGSET.into(), thread, NT_ARM_SYSTEM_CALL, &raw mut none).ok()
    }

    pub(super) fn argument(registers: &mut user_regs_struct, number: usize) -> &mut u64 {
        &mut registers.regs[number]
    }

    /// It is the first argument's as well, so the result has to be set last.
    pub(super) fn result(registers: &mut user_regs_struct) -> &mut u64 {
        &mut registers.regs[0]
    }
}
