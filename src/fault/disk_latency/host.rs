//! Holds calls on a host.
//!
//! Guarantees: only threads of the chosen containers and what they start are traced; only calls on files of the pod's own
//! volumes are held; nobody is held any more once the tracer is gone, which is what a revert sees to and reads back.

use std::fs::File;
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::time::Duration;

use nix::errno::Errno;
use nix::sys::signal::Signal;
use serde::{Deserialize, Serialize};

use crate::api::{Delay, DiskErrno, DiskOperation, FailingDisk, HostFault, InjectionSpec, SlowDisk, counted};
use crate::fault::host;
use crate::fault::host::volumes::folder_of_the_node;
use crate::fault::host::{
    ContainerError, Effect, HostError, Look, Own, Prepared, Running, Undo, Unseen, kernel,
};
use crate::host::mount::place;
use crate::host::mount::table::{of_device, volume_of_kubelet};
use crate::host::process::ProcessId;
use crate::host::process::held::Held;
use crate::host::tally::Tally;
use crate::host::tracer::{self, Operation, Paths, Patterns, Rules, Then, Traced, Tracer, tracer_of};
use crate::host::volume;
use crate::node::{LocatedPod, LocatedVolume};

/// For how long a tracer may take to end after SIGKILL.
const PATIENCE: Duration = Duration::from_secs(5);

/// Who is traced by whom.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Target {
    /// The tracer.
    pub tracer: ProcessId,
    /// Each chosen container.
    pub containers: Vec<Running>,
}

/// Why calls could not be held.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// Not found, or the kernel refused.
    #[error(transparent)]
    Container(#[from] ContainerError),
    /// Nothing to hold or fail.
    #[error("the pod has no volume from a claim, so there are no calls that could be held or fail")]
    NoVolume,
    /// No such claim.
    #[error("the pod has no volume from a claim template {0}")]
    UnknownClaim(String),
    /// A volume could not be looked at.
    #[error("cannot look at volume {claim}: {source}")]
    Volume {
        /// Which.
        claim: String,
        /// The answer.
        source: io::Error,
    },
    /// A folder of the node's own filesystem.
    #[error("volume {0} is no filesystem of its own, so that its files cannot be told from others")]
    SharedFilesystem(String),
    /// Files of one of two volumes are meant, and cannot be told from those of the other.
    #[error(
        "volumes {0} and {1} are on the same filesystem, so that only paths tell the files of one from those of the other: write for example paths: [\"**\"], or leave claims out"
    )]
    Together(String, String),
    /// Which files are meant cannot be said so.
    #[error("paths: {0}")]
    NoPattern(String),
    /// Somebody else traces it.
    #[error("process {pid} of container {container} is traced already, by process {tracer}: end that first")]
    Traced {
        /// Who.
        pid: i32,
        /// Of which container.
        container: String,
        /// By whom.
        tracer: i32,
    },
    /// A tracer would see nothing.
    #[error("{0}, whose calls a tracer does not see")]
    Unseen(Unseen),
    /// The tracer.
    #[error("cannot trace the processes: {source}{}", hint(source))]
    Trace {
        /// The answer.
        source: io::Error,
    },
    /// It did not end.
    #[error("cannot end the tracer, {0}: {1}")]
    End(ProcessId, #[source] io::Error),
    /// Only the process that started a tracer can ask it.
    #[error("the tracer ended with the process that had started it")]
    Gone,
}

fn hint(source: &io::Error) -> &'static str {
    match source.kind() {
        io::ErrorKind::PermissionDenied => {
            "; this needs CAP_SYS_PTRACE and kernel.yama.ptrace_scope below 3 (ptrace(2))"
        }
        _ => "",
    }
}

/// What a tracer is to do, and to which calls.
pub struct Meant<'a> {
    claims: &'a [String],
    paths: &'a [String],
    operations: &'a [DiskOperation],
    then: Then,
    percent: u8,
    seed: u32,
}

impl<'a> From<&'a SlowDisk> for Meant<'a> {
    fn from(slow: &'a SlowDisk) -> Self {
        let SlowDisk { claims, paths, operations, delay, percent, seed, driver: _ } = slow;
        Self { claims, paths, operations, then: Then::Wait(delay.into()), percent: *percent, seed: *seed }
    }
}

impl<'a> From<&'a FailingDisk> for Meant<'a> {
    fn from(failing: &'a FailingDisk) -> Self {
        let FailingDisk { claims, paths, operations, error, percent, seed, driver: _ } = failing;
        let then = Then::Fail(errno(*error) as i32);
        Self { claims, paths, operations, then, percent: *percent, seed: *seed }
    }
}

/// As the kernel says it.
pub(in crate::fault) fn errno(error: DiskErrno) -> Errno {
    match error {
        DiskErrno::Eio => Errno::EIO,
        DiskErrno::Enospc => Errno::ENOSPC,
        DiskErrno::Erofs => Errno::EROFS,
    }
}

/// A tracer that traces nobody yet.
pub struct Idle {
    target: Target,
    tracer: Tracer,
}

/// Finds the processes and volumes, and whether a tracer would see what is meant.
pub(in crate::fault) fn prepare(
    meant: &Meant<'_>,
    pod: &LocatedPod,
    container: Option<&str>,
    own: Own<'_>,
) -> Result<Idle, HostError> {
    let containers = Running::find(pod, container).map_err(Error::from)?;
    let volumes = volumes(pod, meant.claims, own.undo_dir)?;
    if meant.paths.is_empty() {
        have_no_other_files(&volumes, pod)?;
    }
    for container in &containers {
        for process in container.processes().map_err(Error::from)? {
            let look = |error| Error::from(kernel("look at", &container.name)(error));
            if let Some(tracer) = tracer_of(process.pid).map_err(look)? {
                return Err(
                    Error::Traced { pid: process.pid, container: container.name.clone(), tracer }.into()
                );
            }
        }
    }
    if let Some(unseen) = Unseen::find(&containers).map_err(Error::from)? {
        return Err(Error::Unseen(unseen).into());
    }
    let rules = Rules {
        operations: meant.operations.iter().map(|&operation| operation.into()).collect(),
        devices: volumes.iter().map(|volume| volume.device).collect(),
        paths: paths(meant.paths, &pod.uid, &volumes)?,
        then: meant.then.clone(),
        percent: meant.percent,
        seed: u64::from(meant.seed),
    };
    let tracer = Tracer::start(&rules, |words| own.launch.companion(words).map_err(io::Error::other))
        .map_err(|source| Error::Trace { source })?;
    Ok(Idle { target: Target { tracer: tracer.process(), containers }, tracer })
}

/// A volume that is meant.
struct Volume<'a> {
    located: &'a LocatedVolume,
    root: File,
    /// Its filesystem (`st_dev`).
    device: u64,
}

impl Volume<'_> {
    fn failed(&self, source: io::Error) -> Error {
        Error::Volume { claim: self.located.claim.clone(), source }
    }
}

/// The volumes that are meant, each a filesystem of its own.
fn volumes<'a>(pod: &'a LocatedPod, claims: &[String], undo_dir: &Path) -> Result<Vec<Volume<'a>>, Error> {
    if let Some(unknown) = claims.iter().find(|claim| pod.volumes.iter().all(|known| known.claim != **claim))
    {
        return Err(Error::UnknownClaim(unknown.clone()));
    }
    let chosen = pod.volumes.iter().filter(|volume| claims.is_empty() || claims.contains(&volume.claim));
    let volumes: Vec<Volume<'_>> = chosen
        .map(|located| {
            let failed = |source| Error::Volume { claim: located.claim.clone(), source };
            let device_of = |folder: &File| Ok(folder.metadata()?.dev());
            let root = volume::open(&located.path).map_err(failed)?;
            let device = device_of(&root).map_err(failed)?;
            let around = located.path.parent().map(|path| device_of(&volume::open(path)?));
            match around.transpose().map_err(failed)? {
                Some(around) if around == device => Err(Error::SharedFilesystem(located.claim.clone())),
                Some(_) | None if folder_of_the_node(device, undo_dir).is_some() => {
                    Err(Error::SharedFilesystem(located.claim.clone()))
                }
                Some(_) | None => Ok(Volume { located, root, device }),
            }
        })
        .collect::<Result<_, _>>()?;
    if volumes.is_empty() { Err(Error::NoVolume) } else { Ok(volumes) }
}

/// Whether none of the pod's other volumes is on a filesystem of these, as where two claims are folders of one disk.
fn have_no_other_files(chosen: &[Volume<'_>], pod: &LocatedPod) -> Result<(), Error> {
    let is_other = |known: &&LocatedVolume| chosen.iter().all(|volume| volume.located.claim != known.claim);
    for volume in chosen {
        let mounted = of_device(volume.device).map_err(|error| volume.failed(error))?;
        // The others are not opened: one whose server is gone would answer nobody.
        let is_there = |other: &&LocatedVolume| {
            let (process, point) = volume::place(&other.path);
            mounted
                .iter()
                .any(|namespace| namespace.processes.contains(&process) && namespace.points.contains(&point))
        };
        if let Some(other) = pod.volumes.iter().filter(is_other).find(is_there) {
            return Err(Error::Together(volume.located.claim.clone(), other.claim.clone()));
        }
    }
    Ok(())
}

/// At which paths of these volumes files are meant; nothing where at all.
fn paths(patterns: &[String], pod: &str, volumes: &[Volume<'_>]) -> Result<Option<Paths>, Error> {
    if patterns.is_empty() {
        return Ok(None);
    }
    Patterns::new(patterns).map_err(Error::NoPattern)?;
    let mut roots = Vec::new();
    for volume in volumes {
        let process = volume::process(&volume.located.path).unwrap_or(std::process::id().cast_signed());
        let mounted = place::folder(&volume.root, process).map_err(|error| volume.failed(error))?;
        let whole = volume_of_kubelet(pod, volume.device, &mounted);
        roots.push((volume.device, whole.unwrap_or(mounted)));
    }
    Ok(Some(Paths { patterns: patterns.to_vec(), roots }))
}

impl From<DiskOperation> for Operation {
    fn from(operation: DiskOperation) -> Self {
        match operation {
            DiskOperation::Sync => Self::Sync,
            DiskOperation::Write => Self::Write,
            DiskOperation::Read => Self::Read,
            DiskOperation::Open => Self::Open,
        }
    }
}

impl From<&Delay> for tracer::Delay {
    fn from(delay: &Delay) -> Self {
        match delay {
            Delay::Fixed(time) => Self::Fixed(*time),
            Delay::Uniform { min, max } => Self::Uniform(*min, *max),
            Delay::Normal { mean, deviation } => Self::Normal(*mean, *deviation),
            Delay::Recorded(times) => Self::Recorded(times.iter().map(|time| time.0).collect()),
        }
    }
}

impl Prepared for Idle {
    fn target(&self) -> host::Target {
        host::Target::DiskLatency(self.target.clone())
    }

    fn inject(self: Box<Self>, _: &InjectionSpec, _: Duration) -> Result<Box<dyn Effect>, HostError> {
        let Self { target, tracer } = *self;
        let mut slow = Slow { target, tracer, seen: Tally::default() };
        slow.trace()?;
        Ok(Box::new(slow))
    }
}

impl Undo for Target {
    fn anchors(&self) -> Vec<ProcessId> {
        self.containers.iter().map(|container| container.first).collect()
    }

    fn helpers(&self) -> Vec<ProcessId> {
        vec![self.tracer]
    }

    fn revert(&self, _: &Held) -> Result<(), HostError> {
        let failed = |error| Error::End(self.tracer, error);
        let Some(tracer) = self.tracer.open().map_err(failed)? else {
            return Ok(());
        };
        tracer.signal(Signal::SIGKILL).map_err(failed)?;
        // The kernel lets its tracees go on before it says that it has ended (exit_ptrace in kernel/exit.c).
        if tracer.wait(PATIENCE).map_err(failed)? {
            Ok(())
        } else {
            Err(failed(io::ErrorKind::TimedOut.into()).into())
        }
    }

    fn adopt(&self, _: &HostFault, _: Held) -> Result<Box<dyn Effect>, HostError> {
        Err(Error::Gone.into())
    }
}

/// Calls that are held.
struct Slow {
    target: Target,
    tracer: Tracer,
    /// What the tracer had done at the last look.
    seen: Tally,
}

impl Slow {
    /// Has every process traced that is there now.
    fn trace(&mut self) -> Result<Traced, Error> {
        let mut all = Vec::new();
        for container in &self.target.containers {
            all.extend(container.processes().map_err(Error::from)?);
        }
        self.tracer.attach(all).map_err(|source| Error::Trace { source })
    }

    /// How things stand, once everybody is traced and can be.
    fn traced(&mut self) -> Result<Traced, String> {
        let traced = self.trace().map_err(|error| error.to_string())?;
        if traced.threads == 0 {
            return Err("no thread is traced".into());
        }
        match Unseen::find_again(&self.target.containers) {
            Ok(None) => Ok(traced),
            Ok(Some(unseen)) => Err(Error::Unseen(unseen).to_string()),
            Err(error) => Err(error.to_string()),
        }
    }
}

impl Effect for Slow {
    /// Before the first call there is no proof; after it there is one for as long as everybody is traced and can be.
    fn look(&mut self, _: Option<&LocatedPod>) -> Look {
        let Traced { threads, tally } = match self.traced() {
            Ok(traced) => traced,
            Err(why) if self.target.is_gone() => {
                return self.ended_of_it().map_or(Look::Fails(why), Look::Holds);
            }
            Err(why) => return Look::Fails(why),
        };
        let before = std::mem::replace(&mut self.seen, tally.clone());
        match tally.told(&before, ["call", "calls"]) {
            Some(done) => Look::Holds(format!("syscall: {} traced, {done}", counted(threads, "thread"))),
            None => Look::NotYet,
        }
    }

    fn ended_of_it(&mut self) -> Option<String> {
        let first = self.tracer.first_failure()?;
        let told = Tally { failed: first.failed.max(self.seen.failed), ..first };
        Some(format!("syscall: {}", told.told_of_the_ended("calls")?))
    }
}
