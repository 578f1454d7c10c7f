//! Answers the kernel's questions about reads and writes late, on a host.
//!
//! Guarantees: only filesystems of the pod's own volumes are marked, and only processes of the chosen containers are held up;
//! nobody is any more once the process that answers is gone, which is what a revert sees to and reads back.

use std::io;
use std::time::Duration;

use nix::sys::signal::Signal;
use serde::{Deserialize, Serialize};

use crate::api::{DiskOperation, FailingDisk, HostFault, InjectionSpec, SlowDisk};
use crate::fault::disk_latency::host::errno;
use crate::fault::host;
use crate::fault::host::volumes::{VolumeError, find};
use crate::fault::host::{ContainerError, Effect, HostError, Look, Own, Prepared, Running, Undo, Unseen};
use crate::host::gate::{Gate, Rules, Unasked, Whose, is_possible_on, is_told_of};
use crate::host::process::ProcessId;
use crate::host::process::held::Held;
use crate::host::tally::Tally;
use crate::host::tracer::{Operation, Then};
use crate::node::LocatedPod;

/// For how long the process that answers may take to end after SIGKILL.
const PATIENCE: Duration = Duration::from_secs(5);

/// Who is held up by whom.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Target {
    /// The process that answers.
    pub gate: ProcessId,
    /// Each chosen container.
    pub containers: Vec<Running>,
}

/// Why reads and writes could not be held up.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// Not found, or the kernel refused.
    #[error(transparent)]
    Container(#[from] ContainerError),
    /// Not found, or not to be touched.
    #[error(transparent)]
    Volume(#[from] VolumeError),
    /// An old kernel, or a filesystem that it does not ask about.
    #[error("volume {claim}: {source}")]
    Unasked {
        /// Which.
        claim: String,
        /// Why.
        source: Unasked,
    },
    /// The kernel does not say what anybody does.
    #[error(
        "the kernel does not say which calls process {pid} of container {container} makes ({source}), so that reads cannot be told from writes: this needs CAP_SYS_PTRACE and kernel.yama.ptrace_scope below 3, or operations: [read, write]"
    )]
    Untold {
        /// Who.
        pid: i32,
        /// Of which container.
        container: String,
        /// The answer.
        source: io::Error,
    },
    /// The kernel does not say what is going on.
    #[error(
        "{0}, of which the kernel does not say whether it reads or writes: write operations: [read, write]"
    )]
    Unseen(Unseen),
    /// The process that answers.
    #[error("cannot answer for reads and writes: {0}")]
    Gate(#[source] io::Error),
    /// It did not end.
    #[error("cannot end the process that answers for reads and writes, {0}: {1}")]
    End(ProcessId, #[source] io::Error),
    /// Only the process that started it can ask it.
    #[error("the process that answered ended with the one that had started it")]
    Gone,
}

/// A process that answers, and is asked nothing yet.
pub struct Idle {
    target: Target,
    gate: Gate,
    /// Whether only reads are meant, or only writes.
    is_of_one_kind: bool,
}

/// Finds what is to be slowed down.
pub(in crate::fault) fn slow(
    slow: &SlowDisk,
    pod: &LocatedPod,
    container: Option<&str>,
    own: Own<'_>,
) -> Result<Idle, HostError> {
    let SlowDisk { claims, paths: _, operations, delay, percent, seed, driver: _ } = slow;
    let rules = rules(operations, Then::Wait(delay.into()), *percent, *seed);
    Ok(prepare(rules, claims, pod, container, own)?)
}

/// Finds what is to fail.
pub(in crate::fault) fn failing(
    failing: &FailingDisk,
    pod: &LocatedPod,
    container: Option<&str>,
    own: Own<'_>,
) -> Result<Idle, HostError> {
    let FailingDisk { claims, paths: _, operations, error, percent, seed, driver: _ } = failing;
    let rules = rules(operations, Then::Fail(errno(*error) as i32), *percent, *seed);
    Ok(prepare(rules, claims, pod, container, own)?)
}

fn rules(operations: &[DiskOperation], then: Then, percent: u8, seed: u32) -> Rules {
    Rules {
        filesystems: Vec::new(),
        whose: Vec::new(),
        operations: operations.iter().map(|&operation| operation.into()).collect(),
        then,
        percent,
        seed: u64::from(seed),
    }
}

fn prepare(
    mut rules: Rules,
    claims: &[String],
    pod: &LocatedPod,
    container: Option<&str>,
    own: Own<'_>,
) -> Result<Idle, Error> {
    let containers = Running::find(pod, container)?;
    for (volume, root) in find(pod, claims, own.undo_dir)? {
        is_possible_on(&root).map_err(|source| Error::Unasked { claim: volume.claim, source })?;
        rules.filesystems.push((volume.path, volume.device));
    }
    let both = [Operation::Read, Operation::Write];
    let is_of_one_kind = !both.iter().all(|operation| rules.operations.contains(operation));
    if is_of_one_kind {
        can_be_told_apart(&containers)?;
    }
    let whose = containers.iter().map(|running| match &running.cgroup {
        Some(cgroup) => Whose::In(cgroup.clone()),
        None => Whose::Below(running.first),
    });
    rules.whose = whose.collect();
    let gate = Gate::start(&rules, |words| own.launch.companion(words).map_err(io::Error::other))
        .map_err(Error::Gate)?;
    Ok(Idle { target: Target { gate: gate.process(), containers }, gate, is_of_one_kind })
}

/// Whether it is known of every call of these containers what it does.
fn can_be_told_apart(containers: &[Running]) -> Result<(), Error> {
    for container in containers {
        for ProcessId { pid, .. } in container.processes()? {
            is_told_of(pid).map_err(|source| Error::Untold {
                pid,
                container: container.name.clone(),
                source,
            })?;
        }
    }
    Unseen::find(containers)?.map_or(Ok(()), |unseen| Err(Error::Unseen(unseen)))
}

impl Prepared for Idle {
    fn target(&self) -> host::Target {
        host::Target::GatedDisk(self.target.clone())
    }

    fn inject(self: Box<Self>, _: &InjectionSpec, _: Duration) -> Result<Box<dyn Effect>, HostError> {
        let Self { target, mut gate, is_of_one_kind } = *self;
        let seen = gate.tally().map_err(Error::Gate)?;
        let told_apart = if is_of_one_kind { target.containers } else { Vec::new() };
        Ok(Box::new(Gated { gate, seen, told_apart }))
    }
}

impl Undo for Target {
    fn anchors(&self) -> Vec<ProcessId> {
        self.containers.iter().map(|container| container.first).collect()
    }

    fn helpers(&self) -> Vec<ProcessId> {
        vec![self.gate]
    }

    fn revert(&self, _: &Held) -> Result<(), HostError> {
        let failed = |error| Error::End(self.gate, error);
        let Some(gate) = self.gate.open().map_err(failed)? else {
            return Ok(());
        };
        gate.signal(Signal::SIGKILL).map_err(failed)?;
        // The kernel answers for it when its last descriptor is closed, before it says that it has ended (fanotify_release
        // in fs/notify/fanotify/fanotify_user.c).
        if gate.wait(PATIENCE).map_err(failed)? {
            Ok(())
        } else {
            Err(failed(io::ErrorKind::TimedOut.into()).into())
        }
    }

    fn adopt(&self, _: &HostFault, _: Held) -> Result<Box<dyn Effect>, HostError> {
        Err(Error::Gone.into())
    }
}

/// Reads and writes that are held up.
struct Gated {
    gate: Gate,
    /// What had been done at the last look.
    seen: Tally,
    /// The containers of whose calls it must be known whether they read or write; none where both are meant.
    told_apart: Vec<Running>,
}

impl Effect for Gated {
    /// Before the first read or write that was asked about there is no proof; after it there is one for as long as the kernel
    /// asks, and says as much as is needed.
    fn look(&mut self, _: Option<&LocatedPod>) -> Look {
        let tally = match self.gate.tally() {
            Ok(tally) => tally,
            Err(error) => return Look::Fails(Error::Gate(error).to_string()),
        };
        let before = std::mem::replace(&mut self.seen, tally.clone());
        match Unseen::find_again(&self.told_apart) {
            Ok(None) => {}
            Ok(Some(unseen)) => return Look::Fails(Error::Unseen(unseen).to_string()),
            Err(error) => return Look::Fails(error.to_string()),
        }
        match tally.told(&before, ["read or write", "reads and writes"]) {
            Some(done) => Look::Holds(format!("fanotify: {done}")),
            None => Look::NotYet,
        }
    }

    fn ended_of_it(&mut self) -> Option<String> {
        let first = self.gate.first_failure()?;
        let told = Tally { failed: first.failed.max(self.seen.failed), ..first };
        Some(format!("fanotify: {}", told.told_of_the_ended("reads and writes")?))
    }
}
