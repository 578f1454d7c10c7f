//! `/proc/PID/stat` and the tree that it spans.

use std::collections::{HashMap, HashSet};
use std::fs;
use std::io;
use std::time::Duration;

use super::{ProcessId, is_gone};

/// What `/proc/PID/stat` says, as far as it is needed (proc_pid_stat(5)).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Stat {
    /// The parent.
    pub parent: i32,
    /// One letter: R, S, D, T, t, Z, X, …
    pub state: u8,
    /// It has begun to end: nothing of its own runs any more, and what it has open is about to be closed.
    pub is_ending: bool,
    /// Start time in clock ticks since boot.
    pub start: u64,
    /// User and system time of all its threads, in clock ticks.
    pub cpu_ticks: u64,
}

/// The flag of a process that ends, among those that the kernel tells (PF_EXITING of linux/sched.h).
const EXITING: u64 = 1 << 2;

impl Stat {
    /// Whether nothing of it runs any more, though its parent has not reaped it yet.
    pub fn has_ended(&self) -> bool {
        matches!(self.state, b'Z' | b'X')
    }

    /// Whether a stop signal holds it.
    pub fn is_stopped(&self) -> bool {
        self.state == b'T'
    }
}

/// Reads the status of `pid`; `None` where there is no such process.
pub fn read(pid: i32) -> io::Result<Option<Stat>> {
    match fs::read_to_string(format!("/proc/{pid}/stat")) {
        Ok(text) => parse(&text).map(Some),
        Err(error) if is_gone(&error) => Ok(None),
        Err(error) => Err(error),
    }
}

fn parse(text: &str) -> io::Result<Stat> {
    let malformed =
        || io::Error::new(io::ErrorKind::InvalidData, format!("unreadable /proc/PID/stat: {text}"));
    // The second field is the program's name in parentheses and may itself contain spaces and parentheses.
    let rest = text.rsplit_once(") ").ok_or_else(malformed)?.1;
    let fields: Vec<&str> = rest.split_ascii_whitespace().collect();
    let number =
        |index: usize| fields.get(index).and_then(|field| field.parse::<u64>().ok()).ok_or_else(malformed);
    Ok(Stat {
        state: fields.first().and_then(|field| field.bytes().next()).ok_or_else(malformed)?,
        parent: number(1)? as i32,
        is_ending: number(6)? & EXITING != 0,
        cpu_ticks: number(11)? + number(12)?,
        start: number(19)?,
    })
}

/// Every process that this pid namespace shows.
pub fn all() -> io::Result<HashMap<i32, Stat>> {
    let mut found = HashMap::new();
    for entry in fs::read_dir("/proc")? {
        let name = entry?.file_name();
        let Some(pid) = name.to_str().and_then(|name| name.parse().ok()) else {
            continue;
        };
        if let Some(stat) = read(pid)? {
            found.insert(pid, stat);
        }
    }
    Ok(found)
}

/// The living processes among `roots` and everything below them, parents before their children.
pub fn descendants(roots: &[ProcessId]) -> io::Result<Vec<ProcessId>> {
    let processes = all()?;
    let mut children: HashMap<i32, Vec<i32>> = HashMap::new();
    for (pid, stat) in &processes {
        children.entry(stat.parent).or_default().push(*pid);
    }
    let mut seen = HashSet::new();
    let mut found = Vec::new();
    let mut next: Vec<i32> = roots
        .iter()
        .filter(|root| processes.get(&root.pid).is_some_and(|stat| stat.start == root.start))
        .map(|root| root.pid)
        .collect();
    while let Some(pid) = next.pop() {
        if !seen.insert(pid) {
            continue;
        }
        next.extend(children.get(&pid).into_iter().flatten());
        let stat = processes[&pid];
        if !stat.has_ended() {
            found.push(ProcessId { pid, start: stat.start });
        }
    }
    Ok(found)
}

/// The CPU time that these processes have used so far, in the kernel's ticks.
pub fn cpu_time(processes: &[ProcessId]) -> io::Result<Duration> {
    let mut ticks = 0;
    for process in processes {
        ticks += process.stat()?.map_or(0, |stat| stat.cpu_ticks);
    }
    let per_second = nix::unistd::sysconf(nix::unistd::SysconfVar::CLK_TCK)?.unwrap_or(100).max(1) as u64;
    Ok(Duration::from_millis(ticks * 1000 / per_second))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_past_a_program_name_with_spaces_and_parentheses() {
        let text = "7 (a ) b) S 3 7 7 0 -1 4194560 1 0 0 0 5 6 0 0 20 0 1 0 4242 1 1";
        let stat = parse(text).expect("well formed");
        assert_eq!(stat, Stat { parent: 3, state: b'S', is_ending: false, start: 4242, cpu_ticks: 11 });
    }

    #[test]
    fn a_process_that_ends_is_told_from_others_before_it_has_ended() {
        let text = "7 (a) R 3 7 7 0 -1 4194564 1 0 0 0 5 6 0 0 20 0 1 0 4242 1 1";
        let stat = parse(text).expect("well formed");
        assert!(stat.is_ending && !stat.has_ended());
    }

    #[test]
    fn refuses_a_truncated_line() {
        assert!(parse("7 (a) S 3").is_err());
    }
}
