//! One fault on one pod, whichever fault it is: prepare, inject, verify, change.

use std::os::fd::BorrowedFd;
use std::time::Duration;

use super::LocatedPod;
use crate::api::{HostFault, InjectionSpec};
use crate::fault::host::HostError;
use crate::fault::network_partition::host::{Links, Partition};
use crate::fault::process_pause::host::Pause;
use crate::fault::{kubelet_stop, network_partition, pod_kill, power_loss, process_pause};
use crate::host::nftables::{Grip, Sockets};
use crate::undo::Target;

/// How much longer than the fault the kernel keeps a cut, so that a node on time is never late for its last proof.
const KERNEL_MARGIN: Duration = Duration::from_millis(500);

/// Why a fault could not be brought about.
#[derive(Debug, thiserror::Error)]
pub enum EffectError {
    /// The fault itself.
    #[error(transparent)]
    Fault(HostError),
    /// It is not a node's to do.
    #[error("this is done through the API server and not on a node")]
    NotOnAHost,
    /// The desired fault is of another kind than the one in force.
    #[error("an injection cannot turn into another fault; revert it and make a new one")]
    AnotherFault,
}

impl<E: Into<HostError>> From<E> for EffectError {
    fn from(error: E) -> Self {
        Self::Fault(error.into())
    }
}

/// A fault whose preconditions hold; nothing is changed yet.
pub(super) enum Prepared {
    Kill(pod_kill::host::Target),
    Pause(process_pause::host::Target),
    Partition(network_partition::host::Target, Sockets),
    PowerLoss(power_loss::host::Target),
}

fn links(fault: &HostFault) -> Result<Links<'_>, EffectError> {
    match fault {
        HostFault::Partition { peers, ports, clients } => Ok(Links { peers, ports, clients: *clients }),
        HostFault::Kill {}
        | HostFault::Pause {}
        | HostFault::StopKubelet {}
        | HostFault::PowerLoss { .. }
        | HostFault::Api(_) => Err(EffectError::AnotherFault),
    }
}

impl Prepared {
    /// Finds the target and checks that the fault is possible. `mark` is unique to this attempt.
    pub(super) fn new(spec: &InjectionSpec, pod: &LocatedPod, mark: &str) -> Result<Self, EffectError> {
        let container = spec.container.as_deref();
        Ok(match &spec.fault {
            HostFault::Kill {} => Self::Kill(pod_kill::host::Target::find(pod, container)?),
            HostFault::Pause {} => Self::Pause(process_pause::host::Target::find(pod, container)?),
            HostFault::StopKubelet {} => Self::Pause(kubelet_stop::host::kubelet()?),
            fault @ HostFault::Partition { .. } => {
                let table = format!("seatrial-{mark}");
                let (target, sockets) = network_partition::host::Target::find(pod, table, links(fault)?)?;
                Self::Partition(target, sockets)
            }
            HostFault::PowerLoss { claims } => {
                Self::PowerLoss(power_loss::host::Target::find(pod, claims, mark.to_owned())?)
            }
            HostFault::Api(_) => return Err(EffectError::NotOnAHost),
        })
    }

    /// What the undo record must name.
    pub(super) fn target(&self) -> Target {
        match self {
            Self::Kill(target) => Target::Kill(target.clone()),
            Self::Pause(target) => Target::Pause(target.clone()),
            Self::Partition(target, _) => Target::Partition(target.clone()),
            Self::PowerLoss(target) => Target::PowerLoss(target.clone()),
        }
    }

    /// What a guardian must inherit.
    pub(super) fn descriptors(&self) -> Vec<BorrowedFd<'_>> {
        match self {
            Self::Partition(_, sockets) => sockets.grip.descriptors().to_vec(),
            Self::Kill(_) | Self::Pause(_) | Self::PowerLoss(_) => Vec::new(),
        }
    }

    /// Brings the fault about.
    pub(super) fn inject(self, spec: &InjectionSpec, left: Duration) -> Result<Effect, EffectError> {
        Ok(match self {
            Self::Kill(target) => {
                target.kill()?;
                Effect::Kill(target)
            }
            Self::Pause(target) => Effect::Pause(Pause::inject(&target)?),
            Self::Partition(target, sockets) => Effect::Partition(Box::new(Partition::inject(
                &target,
                sockets,
                links(&spec.fault)?,
                left + KERNEL_MARGIN,
            )?)),
            Self::PowerLoss(target) => {
                target.cut()?;
                Effect::PowerLoss { target, seen: None }
            }
        })
    }
}

/// A fault in force.
pub(super) enum Effect {
    Kill(pod_kill::host::Target),
    Pause(Pause),
    Partition(Box<Partition>),
    PowerLoss {
        target: power_loss::host::Target,
        /// What the volumes showed when the pod was back.
        seen: Option<(bool, String)>,
    },
}

/// What a look at a fault shows.
pub(super) enum Look {
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

impl Effect {
    /// Takes up what an earlier process of this node began.
    pub(super) fn adopt(
        target: &Target,
        spec: &InjectionSpec,
        grip: Option<Grip>,
    ) -> Result<Self, EffectError> {
        Ok(match target {
            Target::Kill(target) => {
                target.kill()?;
                Self::Kill(target.clone())
            }
            Target::Pause(target) => Self::Pause(Pause::adopt(target)?),
            Target::Partition(target) => {
                let grip = grip.ok_or(network_partition::host::Error::Gone)?;
                Self::Partition(Box::new(Partition::adopt(target, grip, links(&spec.fault)?)?))
            }
            Target::PowerLoss(target) if target.resume()? => {
                Self::PowerLoss { target: target.clone(), seen: None }
            }
            Target::PowerLoss(_) => return Err(power_loss::host::Error::Interrupted.into()),
        })
    }

    /// Whether looking at it needs the pod that is there now.
    pub(super) fn needs_pod(&self) -> bool {
        matches!(self, Self::PowerLoss { seen: None, .. })
    }

    /// Looks whether it is still in force.
    pub(super) fn look(&mut self, pod: Option<&LocatedPod>) -> Look {
        match self {
            Self::Kill(target) => target.verify().into(),
            Self::Pause(pause) => pause.verify().into(),
            Self::Partition(partition) => partition.verify().into(),
            Self::PowerLoss { seen: Some(seen), .. } => seen.clone().into(),
            Self::PowerLoss { target, seen } => match pod.map(|pod| target.verify(pod)) {
                Some(Ok(Some(proof))) => seen.insert(proof).clone().into(),
                Some(Ok(None) | Err(_)) | None => Look::NotYet,
            },
        }
    }

    /// Makes the fault what `spec` says now, without a gap.
    pub(super) fn change(&mut self, spec: &InjectionSpec, left: Duration) -> Result<(), EffectError> {
        match (self, &spec.fault) {
            (Self::Partition(partition), fault @ HostFault::Partition { .. }) => {
                Ok(partition.change(links(fault)?, left + KERNEL_MARGIN)?)
            }
            (Self::Kill(_), HostFault::Kill {})
            | (Self::Pause(_), HostFault::Pause {} | HostFault::StopKubelet {})
            | (Self::PowerLoss { .. }, HostFault::PowerLoss { .. }) => Ok(()),
            (Self::Kill(_) | Self::Pause(_) | Self::Partition(_) | Self::PowerLoss { .. }, _) => {
                Err(EffectError::AnotherFault)
            }
        }
    }

    /// The hold on what a guardian must hold too.
    pub(super) fn descriptors(&self) -> Vec<BorrowedFd<'_>> {
        match self {
            Self::Partition(partition) => partition.grip().descriptors().to_vec(),
            Self::Kill(_) | Self::Pause(_) | Self::PowerLoss { .. } => Vec::new(),
        }
    }

    /// What is needed to take it back.
    pub(super) fn into_grip(self) -> Option<Grip> {
        match self {
            Self::Partition(partition) => Some(partition.into_grip()),
            Self::Kill(_) | Self::Pause(_) | Self::PowerLoss { .. } => None,
        }
    }
}
