//! Stops, continues and kills whole process trees that have no cgroup of their own.
//!
//! A tree changes while it is walked. A process that is stopped forks no more, so that stopping in passes, until a pass
//! finds nobody new, ends with the whole tree stopped; the same holds for killing what was stopped first.

use std::collections::HashSet;
use std::io;
use std::time::{Duration, Instant};

use nix::sys::signal::Signal;
use serde::{Deserialize, Serialize};

use super::threads::have_stopped;
use super::{ProcessId, descendants};

/// Some processes and everything below them.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Tree {
    /// Where it begins.
    pub roots: Vec<ProcessId>,
    /// One process that is not part of it, though its children are: the holder of a pod, which adopts orphans.
    pub spared: Option<ProcessId>,
    /// What the roots have started is not part of it.
    #[serde(default)]
    pub roots_only: bool,
}

impl Tree {
    /// A process and everything below it.
    pub fn below(root: ProcessId) -> Self {
        Self { roots: vec![root], spared: None, roots_only: false }
    }

    /// Who lives in it now, parents before their children.
    pub fn members(&self) -> io::Result<Vec<ProcessId>> {
        let roots: Vec<ProcessId> = self.roots.iter().chain(&self.spared).copied().collect();
        if self.roots_only {
            return alive(roots);
        }
        let mut members = descendants(&roots)?;
        members.retain(|process| Some(*process) != self.spared);
        Ok(members)
    }

    /// SIGSTOP to everybody; whether all have stopped within `limit`.
    pub fn stop(&self, limit: Duration) -> io::Result<bool> {
        let until = Instant::now() + limit;
        let mut asked = HashSet::new();
        loop {
            let members = self.members()?;
            let mut settled = true;
            for process in &members {
                if asked.insert(*process) {
                    settled = false;
                    signal(process, Signal::SIGSTOP)?;
                } else {
                    settled &= process.stat()?.is_none_or(|stat| stat.is_stopped() || stat.has_ended());
                    settled &= have_stopped(process.pid);
                }
            }
            if settled {
                return Ok(true);
            }
            if Instant::now() >= until {
                return Ok(false);
            }
            std::thread::sleep(Duration::from_millis(1));
        }
    }

    /// SIGCONT to everybody; whether nobody is stopped within `limit`.
    ///
    /// Also to whom is not stopped: a shell that waits for a child which it has just made (vfork(2)) stops only when that
    /// child goes on, unless SIGCONT takes its pending SIGSTOP away (signal(7)).
    pub fn go_on(&self, limit: Duration) -> io::Result<bool> {
        let until = Instant::now() + limit;
        for process in self.members()? {
            signal(&process, Signal::SIGCONT)?;
        }
        loop {
            let stopped = self.stopped()?;
            if stopped.is_empty() {
                return Ok(true);
            }
            if Instant::now() >= until {
                return Ok(false);
            }
            for process in &stopped {
                signal(process, Signal::SIGCONT)?;
            }
            std::thread::sleep(Duration::from_millis(1));
        }
    }

    /// Who of it is stopped now.
    pub fn stopped(&self) -> io::Result<Vec<ProcessId>> {
        let mut stopped = Vec::new();
        for process in self.members()? {
            if process.stat()?.is_some_and(|stat| stat.is_stopped()) {
                stopped.push(process);
            }
        }
        Ok(stopped)
    }

    /// Stops everybody, so that nobody gets away, and kills them; whether all are gone within `limit`.
    pub fn kill(&self, limit: Duration) -> io::Result<bool> {
        let until = Instant::now() + limit;
        // A process in an uninterruptible sleep does not stop in time; it is killed all the same.
        self.stop(limit / 2)?;
        loop {
            let members = self.members()?;
            if members.is_empty() {
                return Ok(true);
            }
            for process in &members {
                signal(process, Signal::SIGKILL)?;
            }
            if Instant::now() >= until {
                return Ok(false);
            }
            std::thread::sleep(Duration::from_millis(1));
        }
    }
}

fn alive(processes: Vec<ProcessId>) -> io::Result<Vec<ProcessId>> {
    let mut alive = Vec::new();
    for process in processes {
        if process.is_alive()? {
            alive.push(process);
        }
    }
    Ok(alive)
}

fn signal(process: &ProcessId, signal: Signal) -> io::Result<()> {
    match process.open()? {
        Some(handle) => handle.signal(signal),
        None => Ok(()),
    }
}
