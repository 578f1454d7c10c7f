//! The node on which the agent runs, as it is seen from inside a pod with the node's pids.

use std::fs::{self, DirBuilder};
use std::io;
use std::os::unix::fs::{DirBuilderExt, MetadataExt};
use std::path::{Path, PathBuf};

use crate::host::cgroup::hierarchies::{Hierarchies, MACHINE};
use crate::host::process::apart::see_cgroups_of_the_machine;

/// What the agent needs of its node.
#[derive(Debug, Clone)]
pub(super) struct Machine {
    /// Its cgroups.
    pub hierarchies: Hierarchies,
    /// Its folder of undo records, by a path that means the same in every mount namespace.
    pub undo_dir: PathBuf,
}

/// Why the agent cannot work here.
#[derive(Debug, thiserror::Error)]
pub enum MachineError {
    /// It sees its own container only.
    #[error(
        "the agent does not see the node's processes, because it is process 1 itself; set `hostPID: true` in its pod"
    )]
    OwnPids,
    /// It has not enough rights.
    #[error(
        "cannot enter the cgroup namespace of process 1: {0}; the agent needs CAP_SYS_ADMIN and CAP_SYS_PTRACE, and no AppArmor profile in its way"
    )]
    Namespace(#[source] io::Error),
    /// The mounts are unknown.
    #[error("cannot read which cgroups process 1 has mounted: {0}")]
    Hierarchies(#[source] io::Error),
    /// Records cannot be written.
    #[error("cannot use {0} of the node for undo records: {1}")]
    UndoDir(PathBuf, #[source] io::Error),
    /// Records would be lost with the pod.
    #[error(
        "{0} is not the node's own folder; mount the node's {0} there with a hostPath volume, or name a folder without symbolic links in its path with --undo-dir"
    )]
    OtherUndoDir(PathBuf),
}

impl Machine {
    /// Looks around, and makes the calling process name cgroups as the node does. It must have one thread only.
    pub(super) fn enter(undo_dir: &Path) -> Result<Self, MachineError> {
        if std::process::id() == 1 {
            return Err(MachineError::OwnPids);
        }
        see_cgroups_of_the_machine().map_err(MachineError::Namespace)?;
        let hierarchies = Hierarchies::of_the_machine().map_err(MachineError::Hierarchies)?;
        Ok(Self { hierarchies, undo_dir: folder_on_the_machine(undo_dir)? })
    }
}

/// The node's folder as everybody with the node's pids reaches it. It must be the one that the pod has mounted, if any.
fn folder_on_the_machine(folder: &Path) -> Result<PathBuf, MachineError> {
    let failed = |error| MachineError::UndoDir(folder.to_owned(), error);
    let path = Path::new(MACHINE).join(folder.strip_prefix("/").unwrap_or(folder));
    DirBuilder::new().recursive(true).mode(0o700).create(&path).map_err(failed)?;
    let found = fs::metadata(&path).map_err(failed)?;
    match fs::metadata(folder) {
        Ok(own) if (own.dev(), own.ino()) == (found.dev(), found.ino()) => Ok(path),
        Ok(_) => Err(MachineError::OtherUndoDir(folder.to_owned())),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(path),
        Err(error) => Err(failed(error)),
    }
}
