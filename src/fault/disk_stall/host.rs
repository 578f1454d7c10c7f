//! Freezes and thaws volumes on a host.
//!
//! Guarantees: every volume is opened before it is frozen, and that descriptor is held by the node and by two guardians until it
//! is thawed; only what was frozen here is thawed; what is frozen already, what others use and what is the node's own is
//! refused. A revert may be repeated. Where everybody died who held it, the volume is looked for wherever it is mounted.

mod pulse;

use std::fs::File;
use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::Path;
use std::time::{Duration, Instant};

use nix::sys::signal::Signal;
use nix::unistd::gettid;
use serde::{Deserialize, Serialize};

use self::pulse::Pulser;
use crate::api::{HostFault, InjectionSpec, Pulses, StalledDisk, counted};
use crate::fault::host;
use crate::fault::host::volumes::{Volume, VolumeError, find, kernel};
use crate::fault::host::{ContainerError, Effect, HostError, Look, Prepared, Running, Undo};
use crate::host::freeze::ledger::{Ledger, Stage};
use crate::host::freeze::{Freeze, Thaw, flush, freeze, panics_when_somebody_waits, thaw};
use crate::host::process::held::Held;
use crate::host::process::threads::{is_being_ended, waiting_for_thaw};
use crate::host::process::{ProcessId, descendants};
use crate::node::LocatedPod;

/// How long writing out what is dirty may take: what is frozen later is frozen for less than was asked.
const FLUSH: Duration = Duration::from_secs(5);

/// What is frozen.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Target {
    /// Each chosen container.
    pub containers: Vec<Running>,
    /// Each volume.
    pub volumes: Vec<Volume>,
    /// The process that makes pulses, where there are any: they end with it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pulser: Option<ProcessId>,
}

/// Why a volume could not be frozen or thawed.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// Not found, or the kernel refused.
    #[error(transparent)]
    Container(#[from] ContainerError),
    /// Not found, or not to be touched.
    #[error(transparent)]
    Volume(#[from] VolumeError),
    /// A writer that waits would bring the node down.
    #[error(
        "this node panics when a process waits for long (kernel.hung_task_panic), as writers on a frozen volume do; set it to 0 first"
    )]
    PanicsOnWait,
    /// Somebody else froze it.
    #[error("volume {0} is frozen already, by somebody else or by an overlapping step; thaw it first")]
    AlreadyFrozen(String),
    /// Too much to write out.
    #[error("volume {0} has more unwritten data than can be written in {limit} s; freezing it would take as long", limit = FLUSH.as_secs())]
    SlowFlush(String),
    /// The freeze took longer than the fault was to last.
    #[error("freezing volume {0} took until after the deadline")]
    Late(String),
    /// The thread that asked for the freeze is still in the kernel.
    #[error("volume {0} is just being frozen; it can be thawed when that is done")]
    StillFreezing(String),
    /// Nobody holds it and it is mounted nowhere.
    #[error(
        "volume {claim} is attached (device {device:#x}) but mounted nowhere, so that it cannot be told whether it is still frozen; mount it anywhere on this node"
    )]
    OutOfReach {
        /// Which.
        claim: String,
        /// Its device number.
        device: u64,
    },
    /// Only the process that made pulses can go on with them.
    #[error("the pulses ended with the process that made them")]
    Gone,
    /// What is needed to tell who froze what.
    #[error("cannot note what is frozen: {0}")]
    Ledger(#[source] io::Error),
}

/// What is held for a freeze: what was done so far, and the volumes.
#[derive(Debug)]
pub(super) struct Grip {
    ledger: Ledger,
    roots: Vec<File>,
}

impl Grip {
    fn descriptors(&self) -> Vec<BorrowedFd<'_>> {
        std::iter::once(self.ledger.as_fd()).chain(self.roots.iter().map(AsFd::as_fd)).collect()
    }

    fn from_held(held: Held) -> Option<Self> {
        let mut descriptors = held.into_iter();
        let ledger = descriptors.next()?.into();
        Some(Self { ledger, roots: descriptors.map(File::from).collect() })
    }

    fn into_held(self) -> Held {
        let roots = self.roots.into_iter().map(OwnedFd::from);
        std::iter::once(self.ledger.into()).chain(roots).collect()
    }

    pub(super) fn try_clone(&self) -> io::Result<Self> {
        let roots = self.roots.iter().map(File::try_clone).collect::<io::Result<_>>()?;
        Ok(Self { ledger: self.ledger.try_clone()?, roots })
    }

    /// Freezes every volume; what was frozen before one that fails stays so, and is noted.
    pub(super) fn freeze(&self, volumes: &[Volume]) -> Result<(), Error> {
        let thread = ProcessId::of(gettid().as_raw()).map_err(Error::Ledger)?.ok_or(Error::Gone)?;
        for (number, (root, volume)) in self.roots.iter().zip(volumes).enumerate() {
            self.ledger.note(number, Stage::Asked(thread)).map_err(Error::Ledger)?;
            if self.ledger.is_closed().map_err(Error::Ledger)? {
                self.ledger.note(number, Stage::Over).map_err(Error::Ledger)?;
                return Err(Error::Late(volume.claim.clone()));
            }
            let answer = freeze(root);
            let is_still_wanted = self.ledger.read(number).map_err(Error::Ledger)? == Stage::Asked(thread);
            let stage = if matches!(answer, Ok(Freeze::Done)) && is_still_wanted {
                Stage::Frozen
            } else {
                Stage::Over
            };
            self.ledger.note(number, stage).map_err(Error::Ledger)?;
            match answer {
                Ok(Freeze::Done) if is_still_wanted => {}
                // Whoever took it back has thawed it, which the kernel does only after the freeze.
                Ok(Freeze::Done) => return Err(Error::Late(volume.claim.clone())),
                Ok(Freeze::Already) => return Err(Error::AlreadyFrozen(volume.claim.clone())),
                Err(error) => return Err(kernel("freeze", &volume.claim)(error).into()),
            }
        }
        Ok(())
    }

    /// Thaws what was frozen here. The kernel's answer is all that can be read back: asking again would be a freeze.
    pub(super) fn thaw(&self, volumes: &[Volume]) -> Result<(), Error> {
        for (number, (root, volume)) in self.roots.iter().zip(volumes).enumerate() {
            let stage = self.ledger.read(number).map_err(Error::Ledger)?;
            let asked = match stage {
                Stage::Untouched | Stage::Over => continue,
                Stage::Frozen => None,
                Stage::Asked(thread) => Some(thread),
            };
            match (thaw(root).map_err(kernel("thaw", &volume.claim))?, asked) {
                // Somebody else was quicker, or the freeze was never made.
                (Thaw::Done, _) | (Thaw::NotFrozen, None) => {}
                (Thaw::NotFrozen, Some(thread)) => {
                    // A thread that was killed in the kernel still finishes its freeze.
                    if thread.is_alive().map_err(Error::Ledger)? {
                        return Err(Error::StillFreezing(volume.claim.clone()));
                    }
                    thaw(root).map_err(kernel("thaw", &volume.claim))?;
                }
            }
            self.ledger.note(number, Stage::Over).map_err(Error::Ledger)?;
        }
        Ok(())
    }

    /// Whether every volume is frozen now, by this freeze; else what contradicts it.
    fn contradiction(&self, volumes: &[Volume]) -> Result<Option<String>, Error> {
        for (number, (root, volume)) in self.roots.iter().zip(volumes).enumerate() {
            if self.ledger.read(number).map_err(Error::Ledger)? != Stage::Frozen {
                return Ok(Some(format!("volume {} was thawed", volume.claim)));
            }
            // The ledger says frozen until the freeze that this question may turn out to be is taken back.
            match freeze(root).map_err(kernel("look at", &volume.claim))? {
                Freeze::Already => {}
                Freeze::Done => {
                    thaw(root).map_err(kernel("thaw", &volume.claim))?;
                    return Ok(Some(format!("volume {} was not frozen any more", volume.claim)));
                }
            }
        }
        Ok(None)
    }
}

/// Volumes that may be frozen and are not yet.
pub struct Ready {
    target: Target,
    grip: Grip,
    pulses: Option<Pulses>,
}

/// Finds and opens the volumes, and checks that they may be frozen.
pub(in crate::fault) fn prepare(
    stall: &StalledDisk,
    pod: &LocatedPod,
    container: Option<&str>,
    undo_dir: &Path,
) -> Result<Ready, HostError> {
    if panics_when_somebody_waits() {
        return Err(Error::PanicsOnWait.into());
    }
    let containers = Running::find(pod, container).map_err(Error::from)?;
    let found = find(pod, &stall.claims, undo_dir).map_err(Error::from)?;
    let (volumes, roots): (Vec<Volume>, Vec<File>) = found.into_iter().unzip();
    let pulser = match stall.pulses {
        Some(_) => ProcessId::of(std::process::id().cast_signed()).map_err(Error::Ledger)?,
        None => None,
    };
    let ledger = Ledger::new(volumes.len()).map_err(Error::Ledger)?;
    let target = Target { containers, volumes, pulser };
    Ok(Ready { target, grip: Grip { ledger, roots }, pulses: stall.pulses })
}

impl Prepared for Ready {
    fn target(&self) -> host::Target {
        host::Target::DiskStall(self.target.clone())
    }

    fn descriptors(&self) -> Vec<BorrowedFd<'_>> {
        self.grip.descriptors()
    }

    fn inject(self: Box<Self>, _: &InjectionSpec, left: Duration) -> Result<Box<dyn Effect>, HostError> {
        let Self { target, grip, pulses } = *self;
        let began = Instant::now();
        for (root, volume) in grip.roots.iter().zip(&target.volumes) {
            let claim = &volume.claim;
            if !flush(root, FLUSH).map_err(kernel("flush", claim)).map_err(Error::from)? {
                return Err(Error::SlowFlush(claim.clone()).into());
            }
            if began.elapsed() >= left {
                return Err(Error::Late(claim.clone()).into());
            }
        }
        if let Some(pulses) = pulses {
            let pulser = Pulser::start(&grip, &target, pulses)?;
            return Ok(Box::new(Pulsing { pulser, grip, seen: 0 }));
        }
        grip.freeze(&target.volumes)?;
        Ok(Box::new(Stall { target, grip, since: Instant::now(), most: 0 }))
    }
}

impl Target {
    /// How many threads of the containers wait for a thaw now.
    pub(super) fn waiting(&self) -> usize {
        let processes =
            self.containers.iter().flat_map(|container| container.processes().unwrap_or_default());
        processes.map(|process| waiting_for_thaw(process.pid)).sum()
    }

    /// Whether a container has ended or is about to, which it cannot while it waits for a thaw: its first process is asked to
    /// end, or one that this has started is being killed. What others have started in it, such as a probe that takes too
    /// long, is killed without that, and a store asks its own workers to end.
    fn is_ending(&self) -> bool {
        self.containers.iter().any(|container| {
            let started = descendants(&[container.first]).unwrap_or_default();
            matches!(container.first.is_alive(), Ok(false))
                || is_being_ended(container.first.pid, &[Signal::SIGKILL, Signal::SIGTERM])
                || started.iter().any(|process| is_being_ended(process.pid, &[Signal::SIGKILL]))
        })
    }

    /// Thaws where nobody is left who knew what was frozen: the record says that it was to be.
    fn thaw_wherever_it_is(&self) -> Result<(), Error> {
        for volume in &self.volumes {
            match volume.reopen().map_err(kernel("look for", &volume.claim))? {
                Some(root) => {
                    thaw(&root).map_err(kernel("thaw", &volume.claim))?;
                }
                None if volume.is_attached() => {
                    return Err(Error::OutOfReach { claim: volume.claim.clone(), device: volume.device });
                }
                None => {}
            }
        }
        Ok(())
    }
}

impl Undo for Target {
    fn anchors(&self) -> Vec<ProcessId> {
        self.containers.iter().map(|container| container.first).chain(self.pulser).collect()
    }

    /// Two: a frozen filesystem stays frozen when everybody dies.
    fn guardians(&self) -> usize {
        2
    }

    /// When a container is being ended, which waits for the thaw; pulses also when nobody makes them any more.
    fn is_gone(&self) -> bool {
        self.pulser.is_some_and(|pulser| matches!(pulser.is_alive(), Ok(false))) || self.is_ending()
    }

    fn helpers(&self) -> Vec<ProcessId> {
        self.pulser.into_iter().collect()
    }

    fn revert(&self, held: &Held) -> Result<(), HostError> {
        let held = held.try_clone().map_err(Error::Ledger)?;
        match Grip::from_held(held) {
            Some(grip) => {
                grip.ledger.close().map_err(Error::Ledger)?;
                grip.thaw(&self.volumes)?;
            }
            None => self.thaw_wherever_it_is()?,
        }
        Ok(())
    }

    fn adopt(&self, _: &HostFault, held: Held) -> Result<Box<dyn Effect>, HostError> {
        if self.pulser.is_some() {
            return Err(Error::Gone.into());
        }
        let grip = Grip::from_held(held).ok_or(Error::Gone)?;
        Ok(Box::new(Stall { target: self.clone(), grip, since: Instant::now(), most: 0 }))
    }
}

/// Volumes that are frozen.
struct Stall {
    target: Target,
    grip: Grip,
    /// Since when this process knows it.
    since: Instant,
    /// The most threads that were seen waiting at once.
    most: usize,
}

impl Effect for Stall {
    fn look(&mut self, _: Option<&LocatedPod>) -> Look {
        let waiting = self.target.waiting();
        self.most = self.most.max(waiting);
        match self.grip.contradiction(&self.target.volumes) {
            Ok(None) => Look::Holds(format!(
                "{} frozen for {:.3} s (another freeze is answered EBUSY), {} for the thaw, {} at most",
                counted(self.target.volumes.len(), "volume"),
                self.since.elapsed().as_secs_f64(),
                if waiting == 1 { "1 thread waits".to_owned() } else { format!("{waiting} threads wait") },
                self.most
            )),
            Ok(Some(contradiction)) => Look::Fails(contradiction),
            Err(error) => Look::Fails(error.to_string()),
        }
    }

    fn descriptors(&self) -> Vec<BorrowedFd<'_>> {
        self.grip.descriptors()
    }

    fn into_held(self: Box<Self>) -> Held {
        self.grip.into_held()
    }
}

/// Volumes that are frozen again and again.
struct Pulsing {
    pulser: Pulser,
    grip: Grip,
    /// Pulses at the last look.
    seen: u64,
}

impl Effect for Pulsing {
    fn look(&mut self, _: Option<&LocatedPod>) -> Look {
        let tally = match self.pulser.tally() {
            Ok(tally) => tally,
            Err(why) => return Look::Fails(why),
        };
        if tally.pulses == 0 {
            return Look::NotYet;
        }
        let new = tally.pulses - std::mem::replace(&mut self.seen, tally.pulses);
        Look::Holds(format!(
            "{}, {new} since the last look, {:.3} s spent frozen of {:.3} s, {} seen waiting at most",
            counted(tally.pulses, "pulse"),
            tally.frozen.as_secs_f64(),
            tally.all.as_secs_f64(),
            counted(tally.most, "thread")
        ))
    }

    fn descriptors(&self) -> Vec<BorrowedFd<'_>> {
        self.grip.descriptors()
    }

    /// Ends the pulses first.
    fn into_held(self: Box<Self>) -> Held {
        drop(self.pulser);
        self.grip.into_held()
    }
}
