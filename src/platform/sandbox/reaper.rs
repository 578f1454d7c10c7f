//! Init's children: as process 1 of its pid namespace it also gets everybody's orphans (pid_namespaces(7)).
//!
//! One place waits for all of them, so that nobody's status is stolen: a child that was adopted here has its status
//! delivered, every other one is an orphan and only reaped. Adopting happens on the runtime's only thread right after
//! the start, before this task can run.

use std::collections::HashMap;
use std::io;
use std::process::Command;
use std::sync::{Arc, Mutex, PoisonError};

use nix::errno::Errno;
use nix::sys::signal::{Signal, kill};
use nix::sys::wait::{WaitPidFlag, WaitStatus, waitpid};
use nix::unistd::Pid;
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::oneshot;

/// Delivers the statuses of adopted children.
#[derive(Clone, Default)]
pub struct Reaper {
    children: Arc<Mutex<HashMap<Pid, oneshot::Sender<WaitStatus>>>>,
}

impl Reaper {
    /// Starts reaping, for as long as the runtime lives.
    pub fn start() -> io::Result<Self> {
        let reaper = Self::default();
        let mut ended = signal(SignalKind::child())?;
        let reaping = reaper.clone();
        tokio::spawn(async move {
            while ended.recv().await.is_some() {
                reaping.reap();
            }
        });
        Ok(reaper)
    }

    /// Takes over a child that was just started; the result has its status when it has ended.
    pub fn adopt(&self, child: Pid) -> oneshot::Receiver<WaitStatus> {
        let (sender, receiver) = oneshot::channel();
        self.children.lock().unwrap_or_else(PoisonError::into_inner).insert(child, sender);
        receiver
    }

    /// Runs a program to its end; whether it succeeded.
    pub async fn run(&self, command: &mut Command) -> io::Result<bool> {
        let child = command.spawn()?;
        let ended = self.adopt(Pid::from_raw(child.id().cast_signed()));
        Ok(matches!(ended.await, Ok(WaitStatus::Exited(_, 0))))
    }

    /// Sends a signal to an adopted child that was not reaped yet, so that no reused pid is ever hit.
    pub fn signal(&self, child: Pid, wanted: Signal) {
        let children = self.children.lock().unwrap_or_else(PoisonError::into_inner);
        if children.contains_key(&child) {
            // It can only fail for a process that is ending by itself.
            let _ = kill(child, wanted);
        }
    }

    fn reap(&self) {
        loop {
            match waitpid(None, Some(WaitPidFlag::WNOHANG)) {
                Ok(WaitStatus::StillAlive) | Err(Errno::ECHILD) => return,
                Ok(status) => {
                    let mut children = self.children.lock().unwrap_or_else(PoisonError::into_inner);
                    if let Some(waiting) = status.pid().and_then(|pid| children.remove(&pid)) {
                        let _ = waiting.send(status);
                    }
                }
                Err(Errno::EINTR) => {}
                Err(errno) => {
                    tracing::warn!(%errno, "cannot wait for children");
                    return;
                }
            }
        }
    }
}
