//! Exchanges the tables of volumes' devices on a host.
//!
//! Guarantees: only devices with a linear table, which nobody else uses, are touched, and none that is suspended or has
//! another table loaded already; the record names the table that was there and the one that takes its place, and a revert
//! exchanges that one for the other and no third one for anything; a device with another name or UUID by now is another one.
//! Exchanging is one call into the kernel, and where that fails, the device is told to go on. A revert tells one to that is
//! suspended with nothing loaded, as a failed exchange leaves it; whoever suspends one to work on it loads something. A table
//! that was loaded and is not in force is cleared. Between the last look at the live table and the exchange is a moment in which somebody else could exchange it,
//! too: nothing in the kernel keeps two apart there.

mod evidence;
mod tables;

use std::io;
use std::os::fd::{AsFd, BorrowedFd};
use std::time::{Duration, Instant};

use serde::{Deserialize, Serialize};

use self::evidence::Evidence;
use self::tables::{Meets, is_same};
use crate::api::{FailingDisk, HostFault, InjectionSpec, SlowDisk};
use crate::fault::host;
use crate::fault::host::volumes::{Volume, VolumeError, find};
use crate::fault::host::{ContainerError, Effect, HostError, Look, Own, Prepared, Running, Undo};
use crate::host::block_device::{Completed, Device};
use crate::host::device_mapper::{Control, Segment, State, Which};
use crate::host::process::ProcessId;
use crate::host::process::held::Held;
use crate::node::LocatedPod;
use crate::undo::stop_here;

/// For how long somebody else may have a device open before that counts as use: udev looks at each one that has changed.
const PASSING: Duration = Duration::from_secs(2);
/// How long somebody else is waited for before the next look at what they do.
const PAUSE: Duration = Duration::from_millis(20);
/// How often it is tried to put a table back that others are putting back, too.
const ATTEMPTS: u32 = 5;

/// What is mapped otherwise.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Target {
    /// The process that lives as long as the pod: containers that end, as of an error, find the device so again.
    pub holder: ProcessId,
    /// Each volume's device.
    pub disks: Vec<Mapped>,
}

/// A mapped device and its two tables.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Mapped {
    /// The volume on it.
    pub volume: Volume,
    /// Which device.
    pub device: Device,
    /// Its name.
    pub name: String,
    /// What its maker calls it.
    pub uuid: String,
    /// What is there otherwise.
    pub before: Vec<Segment>,
    /// What is there while the fault is.
    pub during: Vec<Segment>,
}

/// Why a table could not be exchanged.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// Nothing runs.
    #[error("the pod has ended")]
    NoPod,
    /// The kernel refused.
    #[error("cannot look at the pod: {0}")]
    Pod(#[source] io::Error),
    /// Not found, or the kernel refused.
    #[error(transparent)]
    Container(#[from] ContainerError),
    /// Not found, or not to be touched.
    #[error(transparent)]
    Volume(#[from] VolumeError),
    /// A disk, a partition, a loop device.
    #[error("volume {claim} is on device {device}, which is none of device mapper's (LVM makes such)")]
    NotMapped {
        /// Which.
        claim: String,
        /// Its device.
        device: Device,
    },
    /// No device mapper, or no right.
    #[error("device mapper cannot be asked: {0}; this needs /dev/mapper/control and CAP_SYS_ADMIN")]
    Control(#[source] io::Error),
    /// The kernel cannot do it.
    #[error("this node's kernel has no target {0} of device mapper; its module is dm-{0}")]
    NoTarget(&'static str),
    /// Too old for it.
    #[error(
        "this node's kernel can have reads alone fail no device: its dm-flakey knows no error_reads, which Linux 6.5 and later have; write operations: [read, write, sync], or driver: syscall"
    )]
    NoErrorReads,
    /// A thin volume, an encrypted one, a mirror.
    #[error("volume {claim} is mapped as `{mapping}`; only linear mappings are understood")]
    NotLinear {
        /// Which.
        claim: String,
        /// What is there.
        mapping: String,
    },
    /// Not as it has to be.
    #[error("the device of volume {claim} {why}")]
    Unfit {
        /// Which.
        claim: String,
        /// How it is.
        why: String,
    },
    /// Somebody else has exchanged it.
    #[error(
        "the table of volume {claim} has been changed by somebody else, to `{actual}`; it stays as it is"
    )]
    Changed {
        /// Which.
        claim: String,
        /// What is there.
        actual: String,
    },
    /// The kernel refused.
    #[error("cannot {what} of volume {claim}: {source}")]
    Kernel {
        /// What was tried.
        what: &'static str,
        /// Which.
        claim: String,
        /// The answer.
        source: io::Error,
    },
}

/// Devices whose tables may be exchanged and are not yet.
pub struct Ready {
    target: Target,
    control: Control,
    meets: Meets,
}

/// Finds the devices for a delay.
pub(in crate::fault) fn slow(
    slow: &SlowDisk,
    pod: &LocatedPod,
    container: Option<&str>,
    own: Own<'_>,
) -> Result<Ready, HostError> {
    Ok(prepare(slow.into(), &slow.claims, pod, container, own)?)
}

/// Finds the devices for errors.
pub(in crate::fault) fn failing(
    failing: &FailingDisk,
    pod: &LocatedPod,
    container: Option<&str>,
    own: Own<'_>,
) -> Result<Ready, HostError> {
    Ok(prepare(failing.into(), &failing.claims, pod, container, own)?)
}

/// Why this node cannot exchange tables for that kind of target, if so; `module` is that of the target without its `dm-`.
pub fn obstacle(module: &'static str) -> Option<String> {
    let asked = Control::open().and_then(|control| control.version_of(module)).map_err(Error::Control);
    match asked {
        Ok(Some(_)) => None,
        Ok(None) => Some(Error::NoTarget(module).to_string()),
        Err(error) => Some(error.to_string()),
    }
}

fn prepare(
    meets: Meets,
    claims: &[String],
    pod: &LocatedPod,
    container: Option<&str>,
    own: Own<'_>,
) -> Result<Ready, Error> {
    let holder = ProcessId::of(pod.holder).map_err(Error::Pod)?.ok_or(Error::NoPod)?;
    // A container that is named has to be there, though its end ends nothing.
    Running::find(pod, container)?;
    let mut volumes = Vec::new();
    for (volume, _) in find(pod, claims, own.undo_dir)? {
        let device = Device::of(volume.device);
        if !is_mapped(device) {
            return Err(Error::NotMapped { claim: volume.claim, device });
        }
        volumes.push((volume, device));
    }
    let control = Control::open().map_err(Error::Control)?;
    if control.version_of(meets.kind()).map_err(Error::Control)?.is_none() {
        return Err(Error::NoTarget(meets.kind()));
    }
    let disks = volumes.into_iter().map(|(volume, device)| Mapped::find(volume, device, meets, &control));
    let disks = disks.collect::<Result<_, _>>()?;
    Ok(Ready { target: Target { holder, disks }, control, meets })
}

fn is_mapped(device: Device) -> bool {
    device.read("dm/name").is_ok()
}

impl Mapped {
    fn find(volume: Volume, device: Device, meets: Meets, control: &Control) -> Result<Self, Error> {
        let mut found = Self {
            volume,
            device,
            name: String::new(),
            uuid: String::new(),
            before: Vec::new(),
            during: Vec::new(),
        };
        let state = found.settled(control)?;
        found.before = found.table(control, Which::Live)?;
        let during = meets.over(&found.before);
        found.during =
            during.map_err(|other| Error::NotLinear { claim: found.claim(), mapping: other.to_string() })?;
        if let Some(why) = found.obstacle(meets, &state)? {
            return Err(found.unfit(why));
        }
        if meets.fails_reads() {
            // By which it is proven.
            device.open().map_err(found.failed("read the device"))?;
        }
        (found.name, found.uuid) = (state.name, state.uuid);
        Ok(found)
    }

    /// What the device is doing when nobody looks at it in passing.
    fn settled(&self, control: &Control) -> Result<State, Error> {
        let until = Instant::now() + PASSING;
        loop {
            let state = control.state(self.device).map_err(self.failed("look at the device"))?;
            let state = state.ok_or_else(|| self.unfit("is gone".to_owned()))?;
            if state.open <= 1 || Instant::now() >= until {
                return Ok(state);
            }
            std::thread::sleep(PAUSE);
        }
    }

    /// Why its table cannot be exchanged, if so.
    fn obstacle(&self, meets: Meets, state: &State) -> Result<Option<String>, Error> {
        if let Some(why) = in_the_way(state) {
            return Ok(Some(why.to_owned()));
        }
        if state.is_read_only {
            return Ok(Some("is read-only".to_owned()));
        }
        if state.open != 1 {
            return Ok(Some(format!("is open {} times, so not by its filesystem alone", state.open)));
        }
        // Its filesystem has read from it, when it was mounted.
        if self.device.completed().map_err(self.failed("read the statistics"))? == Completed::default() {
            let why = "counts nothing, so that no effect could be seen: write 1 to its queue/iostats, below /sys/block";
            return Ok(Some(why.to_owned()));
        }
        let is_only_flushes =
            matches!(meets, Meets::Delay { read, write, .. } if read.is_zero() && write.is_zero());
        let cache = self.device.read("queue/write_cache").map_err(self.failed("look at the device"))?;
        Ok((is_only_flushes && cache.trim() == "write through").then(|| {
            "has no cache that a sync would flush, so that no sync could be told from a write: write operations: [sync, write], or driver: syscall".to_owned()
        }))
    }

    fn table(&self, control: &Control, which: Which) -> Result<Vec<Segment>, Error> {
        control.table(self.device, which).map_err(self.failed("read the table"))
    }

    /// Exchanges its table, where it is still the one that was found, and reads it back.
    fn exchange(&self, control: &Control, meets: Meets) -> Result<(), Error> {
        let state = control.state(self.device).map_err(self.failed("look at the device"))?;
        let state = state
            .filter(|state| self.is_same_device(state))
            .ok_or_else(|| self.unfit("is gone".to_owned()))?;
        if let Some(why) = in_the_way(&state) {
            return Err(self.unfit(why.to_owned()));
        }
        control.load(self.device, &self.during).map_err(|error| match error.kind() {
            io::ErrorKind::InvalidInput if meets.is_only_reads_that_fail() => Error::NoErrorReads,
            _ => self.failed("load another table")(error),
        })?;
        stop_here("table-loaded");
        self.swap(control, &self.before, &self.during)
    }

    /// Brings what is loaded, which is `to`, into force in place of `from`.
    fn swap(&self, control: &Control, from: &[Segment], to: &[Segment]) -> Result<(), Error> {
        let live = self.table(control, Which::Live)?;
        if !is_same(&live, from) {
            control.clear(self.device).map_err(self.failed("clear the loaded table"))?;
            return Err(self.changed(&live));
        }
        control.swap(self.device).map_err(self.failed("exchange the table"))?;
        let live = self.table(control, Which::Live)?;
        if is_same(&live, to) { Ok(()) } else { Err(self.changed(&live)) }
    }

    /// Puts the table back that was there before, where the other one is there now. Whoever does the same at the same time may
    /// bring into force or clear what was loaded here, or let the device go on first, which the kernel takes for an error: what
    /// counts is what is there at the end.
    fn take_back(&self, control: &Control) -> Result<(), Error> {
        for _ in 1..ATTEMPTS {
            if self.put_back(control).is_ok() {
                return Ok(());
            }
            std::thread::sleep(PAUSE);
        }
        self.put_back(control)
    }

    fn put_back(&self, control: &Control) -> Result<(), Error> {
        let state = control.state(self.device).map_err(self.failed("look at the device"))?;
        let Some(state) = state.filter(|state| self.is_same_device(state)) else { return Ok(()) };
        let live = self.table(control, Which::Live)?;
        let loaded = if state.has_loaded { Some(self.table(control, Which::Loaded)?) } else { None };
        // One of both was loaded by us, by somebody who was killed then.
        let is_ours = |table: &Vec<Segment>| is_same(table, &self.during) || is_same(table, &self.before);
        if !is_same(&live, &self.during) {
            // Either it never came into force, or it is somebody else's by now.
            return match loaded {
                Some(loaded) if is_ours(&loaded) => {
                    control.clear(self.device).map_err(self.failed("clear the loaded table"))
                }
                None if state.is_suspended && is_same(&live, &self.before) => {
                    control.go_on(self.device).map_err(self.failed("resume the device"))
                }
                _ => Ok(()),
            };
        }
        if loaded.is_some_and(|loaded| !is_ours(&loaded)) {
            return Err(self.unfit(
                "has had another table loaded by somebody else, which is not in force yet".to_owned(),
            ));
        }
        stop_here("former-table-wanted");
        control.load(self.device, &self.before).map_err(self.failed("load the table that was there"))?;
        stop_here("former-table-loaded");
        self.swap(control, &self.during, &self.before)
    }

    /// What contradicts that it is mapped as it shall be, if anything does.
    fn contradiction(&self, control: &Control) -> Result<Option<Error>, Error> {
        let state = control.state(self.device).map_err(self.failed("look at the device"))?;
        let Some(state) = state.filter(|state| self.is_same_device(state)) else {
            return Ok(Some(self.unfit("is gone".to_owned())));
        };
        if state.is_suspended {
            return Ok(Some(self.unfit("has been suspended by somebody else".to_owned())));
        }
        let live = self.table(control, Which::Live)?;
        Ok((!is_same(&live, &self.during)).then(|| self.changed(&live)))
    }

    fn is_same_device(&self, state: &State) -> bool {
        (&state.name, &state.uuid) == (&self.name, &self.uuid)
    }

    fn claim(&self) -> String {
        self.volume.claim.clone()
    }

    fn unfit(&self, why: String) -> Error {
        Error::Unfit { claim: self.claim(), why }
    }

    fn changed(&self, live: &[Segment]) -> Error {
        let actual = live.iter().map(ToString::to_string).collect::<Vec<_>>().join("; ");
        Error::Changed { claim: self.claim(), actual }
    }

    fn failed(&self, what: &'static str) -> impl FnOnce(io::Error) -> Error {
        let claim = self.claim();
        move |source| Error::Kernel { what, claim, source }
    }
}

/// What somebody else is doing with a device.
fn in_the_way(state: &State) -> Option<&'static str> {
    if state.is_suspended {
        return Some("is suspended; somebody else is at work on it");
    }
    state
        .has_loaded
        .then_some("has another table loaded that is not in force; somebody else is at work on it")
}

impl Prepared for Ready {
    fn target(&self) -> host::Target {
        host::Target::MappedDisk(self.target.clone())
    }

    fn descriptors(&self) -> Vec<BorrowedFd<'_>> {
        vec![self.control.as_fd()]
    }

    fn inject(self: Box<Self>, _: &InjectionSpec, _: Duration) -> Result<Box<dyn Effect>, HostError> {
        let Self { target, control, meets } = *self;
        for disk in &target.disks {
            disk.exchange(&control, meets)?;
        }
        Ok(Box::new(Hit::begin(target, control, meets)?))
    }
}

impl Undo for Target {
    fn anchors(&self) -> Vec<ProcessId> {
        vec![self.holder]
    }

    /// Two: a table stays when everybody dies.
    fn guardians(&self) -> usize {
        2
    }

    /// The former table is loaded before it comes into force.
    fn is_gradual(&self) -> bool {
        true
    }

    fn revert(&self, held: &Held) -> Result<(), HostError> {
        let held = held.try_clone().map_err(Error::Control)?;
        let control = match held.into_iter().next() {
            Some(control) => control.into(),
            None => match Control::open() {
                Ok(control) => control,
                Err(_) if self.disks.iter().all(|disk| is_unmapped(disk.device)) => return Ok(()),
                Err(error) => return Err(Error::Control(error).into()),
            },
        };
        // One that cannot be put back keeps no other one away.
        let all: Vec<Result<(), Error>> = self.disks.iter().map(|disk| disk.take_back(&control)).collect();
        Ok(all.into_iter().collect::<Result<(), Error>>()?)
    }

    fn adopt(&self, fault: &HostFault, held: Held) -> Result<Box<dyn Effect>, HostError> {
        let meets = match fault {
            HostFault::DiskLatency(slow) => Meets::from(&**slow),
            HostFault::DiskError(failing) => Meets::from(failing),
            _ => return Err(HostError::AnotherFault),
        };
        let control = match held.into_iter().next() {
            Some(control) => control.into(),
            None => Control::open().map_err(Error::Control)?,
        };
        Ok(Box::new(Hit::begin(self.clone(), control, meets)?))
    }
}

/// Whether it is certain that a device is none of device mapper's, or not there.
fn is_unmapped(device: Device) -> bool {
    device.read("dm/name").is_err_and(|error| error.kind() == io::ErrorKind::NotFound)
}

/// Devices whose tables are exchanged.
struct Hit {
    target: Target,
    control: Control,
    meets: Meets,
    evidence: Vec<Evidence>,
}

impl Hit {
    fn begin(target: Target, control: Control, meets: Meets) -> Result<Self, Error> {
        let begin = |disk: &Mapped| Evidence::begin(disk.device).map_err(disk.failed("read the statistics"));
        let evidence = target.disks.iter().map(begin).collect::<Result<_, _>>()?;
        Ok(Self { target, control, meets, evidence })
    }

    fn see(&mut self) -> Result<Look, Error> {
        let mut observed = Vec::new();
        for (disk, evidence) in self.target.disks.iter().zip(&mut self.evidence) {
            if let Some(contradiction) = disk.contradiction(&self.control)? {
                return Ok(Look::Fails(contradiction.to_string()));
            }
            let seen = evidence.look(self.meets, disk.device, &disk.volume);
            let seen = seen.map_err(disk.failed("look at what was done on the device"))?;
            let (claim, device) = (&disk.volume.claim, disk.device);
            observed
                .push(format!("volume {claim} (device {device}) by way of {}: {seen}", self.meets.kind()));
        }
        if self.evidence.iter().all(|evidence| evidence.is_seen) {
            Ok(Look::Holds(format!("{}: {}", self.meets.driver(), observed.join("; "))))
        } else {
            Ok(Look::NotYet)
        }
    }
}

impl Effect for Hit {
    /// Before a request was hit on each device there is no proof; after it there is one for as long as the tables are there, as
    /// of held calls.
    fn look(&mut self, _: Option<&LocatedPod>) -> Look {
        self.see().unwrap_or_else(|error| Look::Fails(error.to_string()))
    }

    fn descriptors(&self) -> Vec<BorrowedFd<'_>> {
        vec![self.control.as_fd()]
    }

    fn into_held(self: Box<Self>) -> Held {
        std::iter::once(self.control.into()).collect()
    }
}
