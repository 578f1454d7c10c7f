//! What a fault does on a host: the stages that it goes through there, and the list of those that do.
//!
//! A fault on a host is found ([`prepare`]), named in an undo record ([`Prepared::target`]), brought about
//! ([`Prepared::inject`]), looked at ([`Effect::look`]) and taken back ([`Undo::revert`]). Each is one `fault/NAME/host.rs` with
//! a `Target` that implements [`Prepared`] (or makes one that does) and [`Undo`]; it is one line in the list below and one in
//! [`prepare`].

use std::os::fd::BorrowedFd;
use std::path::Path;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::{
    disk_driver, disk_fill, disk_latency, disk_read_only, disk_stall, disk_throttle, gated_disk, io_stress,
    kubelet_stop, mapped_disk, network_partition, network_shaping, pod_kill, power_loss, process_pause,
    volume_detach_stuck,
};
use crate::api::{HostFault, InjectionSpec};
use crate::host::process::ProcessId;
use crate::host::process::held::Held;
use crate::node::LocatedPod;
use crate::undo::guardian::Launch;

mod running;
mod unseen;
pub(in crate::fault) mod volumes;

pub use running::{ContainerError, Running};
pub(super) use running::{io_cgroup, kernel};
pub use unseen::Unseen;
pub use volumes::{Volume, VolumeError, is_of_its_own};

/// A fault whose preconditions hold; nothing is changed yet.
pub trait Prepared: Send {
    /// What the undo record must name.
    fn target(&self) -> Target;

    /// What a guardian must inherit.
    fn descriptors(&self) -> Vec<BorrowedFd<'_>> {
        Vec::new()
    }

    /// Brings the fault about, with this much time left until its deadline.
    fn inject(self: Box<Self>, spec: &InjectionSpec, left: Duration) -> Result<Box<dyn Effect>, HostError>;
}

/// A fault in force.
pub trait Effect: Send {
    /// Looks whether it is still in force. `pod` is the one that is there now, where it was looked for.
    fn look(&mut self, pod: Option<&LocatedPod>) -> Look;

    /// Whether looking at it needs the pod that is there now.
    fn needs_pod(&self) -> bool {
        false
    }

    /// Makes it what `wanted`, a fault of the same kind, says now, without a gap.
    fn change(&mut self, wanted: &HostFault, left: Duration) -> Result<(), HostError> {
        let _ = (wanted, left);
        Ok(())
    }

    /// What it had done to its target by the time that ended, where the target may have ended of it. The effect then lasts for
    /// as long as the target is not started again: nobody is there who would not be hit.
    fn ended_of_it(&mut self) -> Option<String> {
        None
    }

    /// Whether it has to be done again to whoever comes after those whom it hit in the same pod.
    fn strikes_again(&self) -> bool {
        false
    }

    /// The same for those who came after, if anybody did.
    fn next(&self, pod: &LocatedPod, container: Option<&str>) -> Option<Box<dyn Prepared>> {
        let _ = (pod, container);
        None
    }

    /// What a guardian that is started later must inherit.
    fn descriptors(&self) -> Vec<BorrowedFd<'_>> {
        Vec::new()
    }

    /// What is needed to take it back, kept when the rest is dropped.
    fn into_held(self: Box<Self>) -> Held {
        Held::default()
    }
}

/// What a look at a fault shows.
#[derive(Debug)]
pub enum Look {
    /// The effect is there.
    Holds(String),
    /// It is not.
    Fails(String),
    /// It cannot be known yet.
    NotYet,
}

impl From<(bool, String)> for Look {
    fn from((holds, observed): (bool, String)) -> Self {
        if holds { Self::Holds(observed) } else { Self::Fails(observed) }
    }
}

/// What was done to whom, as far as it must be known to take it back.
pub trait Undo {
    /// The processes with whose end the fault ends; none where it outlives them, or where their end is what is wanted.
    fn anchors(&self) -> Vec<ProcessId>;

    /// How many processes must be there to end it at its deadline, because it stays until somebody takes it back: at most
    /// two, where it outlives everybody who could.
    fn guardians(&self) -> usize {
        1
    }

    /// The processes of ours, beside guardians, that do it for as long as it is in force.
    fn helpers(&self) -> Vec<ProcessId> {
        Vec::new()
    }

    /// Whether there is nothing left that it could do: every process that it lived in is gone, and with them whatever was
    /// done to them.
    fn is_gone(&self) -> bool {
        let anchors = self.anchors();
        !anchors.is_empty() && anchors.iter().all(|process| matches!(process.is_alive(), Ok(false)))
    }

    /// Takes the fault back and reads back that it is. May be repeated. `held` is what was held for it, or nothing.
    fn revert(&self, held: &Held) -> Result<(), HostError>;

    /// Whether that goes by steps that leave something of their own where whoever does it dies in between.
    fn is_gradual(&self) -> bool {
        false
    }

    /// Takes up what an earlier process of this node began, with what its guardian holds.
    fn adopt(&self, fault: &HostFault, held: Held) -> Result<Box<dyn Effect>, HostError>;
}

/// Makes the record's enum and the errors' from one list.
macro_rules! on_hosts {
    ($($(#[$documentation:meta])* $name:ident = $module:ident),* $(,)?) => {
        /// What was done to whom, whichever fault it is.
        #[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
        #[serde(rename_all = "camelCase")]
        pub enum Target {
            $($(#[$documentation])* $name($module::host::Target),)*
        }

        impl Target {
            /// How to take it back.
            pub fn undo(&self) -> &dyn Undo {
                match self { $(Self::$name(target) => target),* }
            }
        }

        /// Why a fault could not be made, changed or taken back, whichever it is.
        #[derive(Debug, thiserror::Error)]
        pub enum HostError {
            $($(#[$documentation])* #[error(transparent)] $name(#[from] $module::host::Error),)*
            /// A kubelet could not be found; it is held as a pause is.
            #[error(transparent)]
            Kubelet(#[from] kubelet_stop::host::Error),
            /// No way to do it to a disk; each way is a fault of its own.
            #[error(transparent)]
            Driver(#[from] disk_driver::Error),
            /// It is not a node's to do.
            #[error("this is no fault on a node")]
            NotOnAHost,
            /// The desired fault is of another kind than the one in force.
            #[error("an injection cannot turn into another fault; revert it and make a new one")]
            AnotherFault,
        }
    };
}

on_hosts! {
    /// Killed: nothing to take back.
    Kill = pod_kill,
    /// Paused.
    Pause = process_pause,
    /// Cut off.
    Partition = network_partition,
    /// Delayed, lost or slowed down.
    Shape = network_shaping,
    /// Without power: nothing to take back once it is done.
    PowerLoss = power_loss,
    /// Slowed down or failing, by a tracer.
    DiskLatency = disk_latency,
    /// Slowed down or failing, by device mapper.
    MappedDisk = mapped_disk,
    /// Slowed down or failing, by fanotify.
    GatedDisk = gated_disk,
    /// Frozen.
    DiskStall = disk_stall,
    /// Limited.
    DiskThrottle = disk_throttle,
    /// Filled.
    DiskFill = disk_fill,
    /// Made read-only.
    DiskReadOnly = disk_read_only,
    /// Loaded.
    IoStress = io_stress,
    /// Kept on its node.
    HoldVolume = volume_detach_stuck,
}

impl Target {
    /// See [`Undo::is_gone`].
    pub fn is_gone(&self) -> bool {
        self.undo().is_gone()
    }
}

/// What is the node's own.
#[derive(Debug, Clone, Copy)]
pub struct Own<'a> {
    /// The folder of undo records.
    pub undo_dir: &'a Path,
    /// How processes are started that live beside the node's guardians.
    pub launch: &'a Launch,
}

/// Finds the target of a fault and checks that the fault is possible. Nothing is changed. `mark` is unique to this attempt.
pub fn prepare(
    spec: &InjectionSpec,
    pod: &LocatedPod,
    mark: &str,
    own: Own<'_>,
) -> Result<Box<dyn Prepared>, HostError> {
    let container = spec.container.as_deref();
    Ok(match &spec.fault {
        HostFault::Kill {} => Box::new(pod_kill::host::Target::find(pod, container)?),
        HostFault::Pause {} => Box::new(process_pause::host::Target::find(pod, container)?),
        HostFault::StopKubelet {} => Box::new(kubelet_stop::host::kubelet()?),
        fault @ HostFault::Partition { .. } => Box::new(network_partition::host::prepare(fault, pod, mark)?),
        HostFault::Shape(shaped) => Box::new(network_shaping::host::prepare(shaped, pod, mark)?),
        HostFault::PowerLoss { claims, torn } => {
            Box::new(power_loss::host::Target::find(pod, claims, *torn, mark.to_owned())?)
        }
        HostFault::DiskLatency(slow) => disk_driver::slow(slow, pod, container, own)?,
        HostFault::DiskError(failing) => disk_driver::failing(failing, pod, container, own)?,
        HostFault::DiskStall(stall) => {
            Box::new(disk_stall::host::prepare(stall, pod, container, own.undo_dir)?)
        }
        HostFault::DiskThrottle(throttled) => {
            Box::new(disk_throttle::host::prepare(throttled, pod, container, own.undo_dir)?)
        }
        HostFault::DiskFill(full) => disk_fill::host::prepare(full, pod, own)?,
        HostFault::DiskReadOnly(wanted) => {
            Box::new(disk_read_only::host::prepare(wanted, pod, container, own)?)
        }
        HostFault::IoStress(stressed) => Box::new(io_stress::host::prepare(stressed, pod, container, own)?),
        HostFault::HoldVolume(held) => Box::new(volume_detach_stuck::host::prepare(held, pod, own.undo_dir)?),
        HostFault::Measure {} | HostFault::Api(_) => return Err(HostError::NotOnAHost),
    })
}
