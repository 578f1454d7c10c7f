//! The programs that a holder has started, and what has become of them.

use std::collections::BTreeMap;
use std::ffi::{CString, OsString};
use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::ffi::OsStringExt;

use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sched::CloneFlags;
use nix::sys::memfd::{MFdFlags, memfd_create};
use nix::sys::signal::{Signal, kill, killpg};
use nix::sys::wait::{WaitPidFlag, WaitStatus, waitpid};
use nix::unistd::Pid;
use serde::Serialize;

use super::{Ended, Event};
use crate::host::namespace::{Spawn, spawn};
use crate::platform::sandbox::container::{ContainerPlan, ExecPlan, PLAN_DESCRIPTOR, REPORT_DESCRIPTOR};

/// As much of an executed program's output as a kubelet keeps.
const OUTPUT_LIMIT: u64 = 10 * 1024;

/// By the number under which init knows them.
pub struct Children {
    program: OsString,
    running: BTreeMap<u64, Child>,
}

struct Child {
    pid: Pid,
    kind: ChildKind,
    /// Closed by a successful exec; says why there was none otherwise.
    report: Option<OwnedFd>,
    has_failed: bool,
    ended: Option<i32>,
}

enum ChildKind {
    Container,
    Executed { output: File },
}

impl Children {
    /// None yet; `program` is started for each.
    pub fn new(program: OsString) -> Self {
        Self { program, running: BTreeMap::new() }
    }

    /// Starts a container in pid and mount namespaces of its own.
    pub fn start(&mut self, id: u64, plan: &ContainerPlan) -> io::Result<()> {
        let own = CloneFlags::CLONE_NEWPID | CloneFlags::CLONE_NEWNS;
        self.launch(id, c"__sandbox-container", own, plan, ChildKind::Container)
    }

    /// Starts a program in the container `container`.
    pub fn exec(&mut self, id: u64, container: u64, mut plan: ExecPlan) -> io::Result<()> {
        let target = self
            .running
            .get(&container)
            .filter(|child| child.report.is_none() && child.ended.is_none())
            .ok_or_else(|| io::Error::new(io::ErrorKind::NotFound, "the container does not run"))?;
        plan.container = target.pid.as_raw();
        let output = File::from(memfd_create("output", MFdFlags::MFD_CLOEXEC)?);
        self.launch(id, c"__sandbox-exec", CloneFlags::empty(), &plan, ChildKind::Executed { output })
    }

    fn launch(
        &mut self,
        id: u64,
        command: &std::ffi::CStr,
        namespaces: CloneFlags,
        plan: &impl Serialize,
        kind: ChildKind,
    ) -> io::Result<()> {
        let mut memory = File::from(memfd_create("plan", MFdFlags::MFD_CLOEXEC)?);
        memory.write_all(&serde_json::to_vec(plan)?)?;
        memory.seek(SeekFrom::Start(0))?;
        let (report, report_end) = io::pipe()?;
        let argv = [CString::new(self.program.clone().into_vec())?, command.to_owned()];
        let mut descriptors =
            vec![(memory.as_fd(), PLAN_DESCRIPTOR), (report_end.as_fd(), REPORT_DESCRIPTOR)];
        if let ChildKind::Executed { output } = &kind {
            descriptors.extend([(output.as_fd(), 1), (output.as_fd(), 2)]);
        }
        let leads_group = matches!(kind, ChildKind::Executed { .. });
        let pid = spawn(&Spawn {
            argv: &argv,
            namespaces,
            identity: None,
            descriptors: &descriptors,
            leads_group,
        })?;
        let child = Child { pid, kind, report: Some(report.into()), has_failed: false, ended: None };
        self.running.insert(id, child);
        Ok(())
    }

    /// Sends a signal to a child that was not reaped yet, so that no reused pid is ever hit.
    pub fn signal(&self, id: u64, signal: i32) {
        let Ok(signal) = Signal::try_from(signal) else {
            return;
        };
        if let Some(child) = self.running.get(&id).filter(|child| child.ended.is_none()) {
            // It can only fail for a process that is ending by itself.
            let _ = match child.kind {
                ChildKind::Container => kill(child.pid, signal),
                ChildKind::Executed { .. } => killpg(child.pid, signal),
            };
        }
    }

    /// What must be watched for a start's success or failure.
    pub fn reports(&self) -> impl Iterator<Item = &OwnedFd> {
        self.running.values().filter_map(|child| child.report.as_ref())
    }

    /// Reaps whoever has ended, orphans as well, and says what is new.
    pub fn advance(&mut self) -> Vec<Event> {
        while let Ok(status) = waitpid(None, Some(WaitPidFlag::WNOHANG)) {
            let (pid, exit_code) = match status {
                WaitStatus::Exited(pid, code) => (pid, code),
                WaitStatus::Signaled(pid, signal, _) => (pid, 128 + signal as i32),
                _ => break,
            };
            if let Some(child) = self.running.values_mut().find(|child| child.pid == pid) {
                child.ended = Some(exit_code);
            }
        }
        let mut events = Vec::new();
        for (&id, child) in &mut self.running {
            events.extend(child.settle_start(id));
            if let Some(exit_code) = child.ended.filter(|_| child.report.is_none() && !child.has_failed) {
                events.push(Event::Ended(id, Ended { exit_code, output: child.output() }));
            }
        }
        self.running.retain(|_, child| child.ended.is_none() || child.report.is_some());
        events
    }
}

impl Child {
    /// Says how the start went once that is known.
    fn settle_start(&mut self, id: u64) -> Option<Event> {
        let report = self.report.as_ref()?;
        let mut watched = [PollFd::new(report.as_fd(), PollFlags::POLLIN)];
        if poll(&mut watched, PollTimeout::ZERO).unwrap_or(0) == 0 {
            return None;
        }
        // Whoever fails writes one short text and ends; whoever succeeds closes it.
        let mut said = String::new();
        let _ = File::from(self.report.take()?).read_to_string(&mut said);
        if said.is_empty() {
            return Some(Event::Started(id, self.pid.as_raw()));
        }
        self.has_failed = true;
        Some(Event::NotStarted(id, said))
    }

    fn output(&mut self) -> String {
        match &mut self.kind {
            ChildKind::Container => String::new(),
            ChildKind::Executed { output } => {
                let mut bytes = Vec::new();
                let _ = output.seek(SeekFrom::Start(0));
                let _ = output.take(OUTPUT_LIMIT).read_to_end(&mut bytes);
                String::from_utf8_lossy(&bytes).into_owned()
            }
        }
    }
}
