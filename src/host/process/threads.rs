//! The threads of a process: whether all have stopped, which wait for a frozen filesystem, and which are about to die.

use std::fs;
use std::path::{Path, PathBuf};

use nix::sys::signal::Signal;

use super::Stat;

/// Whether a stop signal holds every thread of a process, or whoever it does not hold has ended.
///
/// Each thread stops by itself, when it is next about to run its program: until the last one has, the process goes on.
pub fn have_stopped(pid: i32) -> bool {
    threads(pid).iter().all(|thread| matches!(state(thread), None | Some('T' | 't' | 'Z' | 'X')))
}

/// How many threads of a process sleep in a write that a frozen filesystem holds up.
///
/// They sleep uninterruptibly, in the kernel's lock that a freeze takes (`sb_start_write` in include/linux/fs.h).
pub fn waiting_for_thaw(pid: i32) -> usize {
    threads(pid).iter().filter(|thread| is_waiting(thread)).count()
}

fn is_waiting(thread: &Path) -> bool {
    let sleeps = state(thread) == Some('D');
    // Where the kernel hides what somebody sleeps in, it says 0 (proc_pid_wchan(5)).
    let sleeps_in = || fs::read_to_string(thread.join("wchan")).unwrap_or_default();
    sleeps
        && matches!(sleeps_in().trim(), place if place == "0" || place.is_empty() || place.contains("percpu"))
}

/// Whether one of these signals has been sent to a process that has not taken it: it cannot die before it is woken.
pub fn is_being_ended(pid: i32, by: &[Signal]) -> bool {
    threads(pid)
        .iter()
        .any(|thread| fs::read_to_string(thread.join("status")).is_ok_and(|status| is_pending(&status, by)))
}

/// The thread by which what all threads of a process share is told in /proc, where `first` is what is told of its first one:
/// that, or another one where that has ended and others go on. `None` where all have ended.
pub fn living(pid: i32, first: Stat) -> Option<i32> {
    if !first.has_ended() {
        return Some(pid);
    }
    let mut others =
        threads(pid).into_iter().filter(|thread| !matches!(state(thread), None | Some('Z' | 'X')));
    others.find_map(|thread| thread.file_name()?.to_str()?.parse().ok())
}

fn is_pending(status: &str, signals: &[Signal]) -> bool {
    let wanted = signals.iter().fold(0, |all, &signal| all | 1_u64 << (signal as i32 - 1));
    let pending = status.lines().filter_map(|line| {
        let value = line.strip_prefix("SigPnd:").or_else(|| line.strip_prefix("ShdPnd:"))?;
        u64::from_str_radix(value.trim(), 16).ok()
    });
    pending.fold(0, |all, one| all | one) & wanted != 0
}

/// As proc_pid_stat(5) writes it; `None` where it has ended.
fn state(thread: &Path) -> Option<char> {
    let stat = fs::read_to_string(thread.join("stat")).ok()?;
    stat.rsplit_once(") ")?.1.chars().next()
}

fn threads(pid: i32) -> Vec<PathBuf> {
    // Whoever ends meanwhile has none.
    let entries = fs::read_dir(format!("/proc/{pid}/task")).into_iter().flatten();
    entries.flatten().map(|entry| entry.path()).collect()
}

#[cfg(test)]
mod tests {
    use nix::sys::signal::Signal::{SIGKILL, SIGTERM};

    use super::is_pending;

    #[test]
    fn a_pending_kill_or_termination_is_seen_and_nothing_else() {
        let status = |own: &str, shared: &str| format!("Name:\tx\nSigPnd:\t{own}\nShdPnd:\t{shared}\n");
        let ends = [SIGKILL, SIGTERM];
        assert!(is_pending(&status("0000000000000100", "0000000000000000"), &ends));
        assert!(is_pending(&status("0000000000000000", "0000000000004000"), &ends));
        assert!(!is_pending(&status("0000000000000000", "0000000000004000"), &[SIGKILL]));
        assert!(!is_pending(&status("0000000000000001", "0000000000010000"), &ends));
    }
}
