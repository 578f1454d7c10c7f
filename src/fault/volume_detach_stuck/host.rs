//! Holds the mounts by which kubelet stages volumes.
//!
//! Guarantees: nothing is written, mounted or unmounted; each mount is held by one descriptor, which the node and its
//! guardian have; a revert closes it, and where nobody is left the kernel has done so. It lives as long as it is wanted,
//! whether the pod is still there or not.

use std::fs::File;
use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::{Path, PathBuf};
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::api::{HeldVolume, HostFault, InjectionSpec};
use crate::fault::host;
use crate::fault::host::volumes::{Volume, VolumeError, find, kernel};
use crate::fault::host::{Effect, HostError, Look, Prepared, Undo};
use crate::host::mount::table::is_mounted;
use crate::host::process::ProcessId;
use crate::host::process::held::Held;
use crate::node::LocatedPod;

/// What is held.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Target {
    /// Each volume, with the place where it is staged on the node.
    pub staged: Vec<Staged>,
}

/// A staged volume.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Staged {
    /// The volume.
    pub volume: Volume,
    /// The mount point, as the node names it.
    pub point: PathBuf,
}

/// Why a volume cannot be held.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// Not found, or not to be touched.
    #[error(transparent)]
    Volume(#[from] VolumeError),
    /// There is no mount that outlives the pod.
    #[error(
        "volume {0} is staged nowhere on this node: its driver mounts it straight into the pod, which could not end if that were held"
    )]
    NotStaged(String),
    /// Whoever held it is gone.
    #[error("the volumes are held no longer")]
    Gone,
    /// The descriptors.
    #[error("cannot hold the mounts: {0}")]
    Hold(#[source] io::Error),
}

/// Mounts that are opened, which is all that there is to do.
pub struct Ready(Kept);

/// Finds where the volumes are staged, and opens that.
pub(in crate::fault) fn prepare(
    held: &HeldVolume,
    pod: &LocatedPod,
    undo_dir: &Path,
) -> Result<Ready, HostError> {
    let mut kept = Kept { target: Target { staged: Vec::new() }, mounts: Vec::new() };
    for (volume, _) in find(pod, &held.claims, undo_dir).map_err(Error::from)? {
        let claim = &volume.claim;
        let staged = volume.staged().map_err(kernel("look for", claim)).map_err(Error::from)?;
        let (point, mount) = staged.ok_or_else(|| Error::NotStaged(claim.clone()))?;
        kept.target.staged.push(Staged { volume, point });
        kept.mounts.push(mount);
    }
    Ok(Ready(kept))
}

impl Prepared for Ready {
    fn target(&self) -> host::Target {
        host::Target::HoldVolume(self.0.target.clone())
    }

    fn descriptors(&self) -> Vec<BorrowedFd<'_>> {
        self.0.descriptors()
    }

    fn inject(self: Box<Self>, _: &InjectionSpec, _: Duration) -> Result<Box<dyn Effect>, HostError> {
        Ok(Box::new(self.0))
    }
}

impl Undo for Target {
    /// The mount belongs to the node, and stays when the pod is gone: that is what it is for.
    fn anchors(&self) -> Vec<ProcessId> {
        Vec::new()
    }

    /// Whoever holds it lets go right afterwards.
    fn revert(&self, _: &Held) -> Result<(), HostError> {
        Ok(())
    }

    fn adopt(&self, _: &HostFault, held: Held) -> Result<Box<dyn Effect>, HostError> {
        let mounts: Vec<File> = held.into_iter().map(File::from).collect();
        if mounts.len() != self.staged.len() {
            return Err(Error::Gone.into());
        }
        Ok(Box::new(Kept { target: self.clone(), mounts }))
    }
}

/// Mounts that are held.
struct Kept {
    target: Target,
    mounts: Vec<File>,
}

impl Effect for Kept {
    fn look(&mut self, _: Option<&LocatedPod>) -> Look {
        let mut seen = Vec::new();
        for (mount, Staged { volume, point }) in self.mounts.iter().zip(&self.target.staged) {
            let claim = &volume.claim;
            match is_mounted(mount.as_fd()) {
                Ok(true) => seen.push(format!("volume {claim} is held at {}", point.display())),
                Ok(false) => {
                    return Look::Fails(format!("volume {claim} was unmounted from {}", point.display()));
                }
                Err(error) => return Look::Fails(format!("cannot look at volume {claim}: {error}")),
            }
        }
        Look::Holds(format!("{} (umount is answered EBUSY)", seen.join(", ")))
    }

    fn descriptors(&self) -> Vec<BorrowedFd<'_>> {
        self.mounts.iter().map(AsFd::as_fd).collect()
    }

    fn into_held(self: Box<Self>) -> Held {
        self.mounts.into_iter().map(OwnedFd::from).collect()
    }
}
