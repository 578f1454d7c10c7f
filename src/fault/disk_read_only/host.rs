//! Makes volumes read-only on a host.
//!
//! Guarantees: a filesystem that is read-only already, that others use or that is the node's own is refused, and so is one that
//! somebody writes to who is not to be killed, before anybody is; a revert makes writable exactly the filesystems that the record
//! names, wherever they are mounted by then, and may be repeated. One that is mounted nowhere any more has nothing left of it.

use std::collections::BTreeSet;
use std::fs::File;
use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::fs::MetadataExt;
use std::time::{Duration, Instant, SystemTime};

use nix::sys::statvfs::fstatvfs;
use serde::{Deserialize, Serialize};

use crate::api::{HostFault, InjectionSpec, ReadOnlyDisk};
use crate::fault::host;
use crate::fault::host::volumes::{Volume, VolumeError, find, kernel};
use crate::fault::host::{ContainerError, Effect, HostError, Look, Own, Prepared, Running, Undo};
use crate::fault::pod_kill;
use crate::host::freeze::flush;
use crate::host::mount::Access;
use crate::host::mount::superblock::{access, refuses_to_write, set};
use crate::host::mount::table::is_read_only;
use crate::host::process::ProcessId;
use crate::host::process::held::Held;
use crate::host::process::writers::{Writer, writers};
use crate::node::LocatedPod;

/// How long writing out what is dirty may take.
const FLUSH: Duration = Duration::from_secs(5);
/// For how long the kernel may still count files of processes that are gone.
const RELEASE: Duration = Duration::from_secs(3);
/// How often it is asked: less than it takes to start a container.
const AGAIN: Duration = Duration::from_millis(1);

/// What is made read-only.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Target {
    /// The process that lives as long as the pod: containers that end find the volume read-only again.
    pub holder: ProcessId,
    /// Each filesystem.
    pub filesystems: Vec<Filesystem>,
}

/// One filesystem, told from any other that gets its device number later.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Filesystem {
    /// The volume.
    pub volume: Volume,
    /// What tells it.
    pub mark: Mark,
}

/// What tells a filesystem from another one, by any folder of it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Mark {
    /// What the filesystem says (statvfs(3)): of ext4 it comes from its UUID, of xfs from its device number.
    pub id: u64,
    /// By which folder it was reached: with `subPath`, a container has not its top folder.
    pub inode: u64,
    /// When that folder was made, where the filesystem knows that.
    pub born: Option<SystemTime>,
}

impl Mark {
    fn of(folder: &File) -> io::Result<Self> {
        let (id, metadata) = (fstatvfs(folder)?.filesystem_id(), folder.metadata()?);
        Ok(Self { id, inode: metadata.ino(), born: metadata.created().ok() })
    }

    /// Whether both may be of the same filesystem: of different folders the times say nothing.
    fn fits(&self, other: &Self) -> bool {
        self.id == other.id && (self.inode != other.inode || self.born == other.born)
    }
}

/// Why a volume could not be made read-only, or writable.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// Nothing runs.
    #[error("the pod has ended")]
    NoPod,
    /// Not found, or the kernel refused.
    #[error(transparent)]
    Container(#[from] ContainerError),
    /// Not found, or not to be touched.
    #[error(transparent)]
    Volume(#[from] VolumeError),
    /// A writer could not be killed.
    #[error(transparent)]
    Kill(#[from] pod_kill::host::Error),
    /// It is so without us.
    #[error("volume {0} is read-only already; nothing is to be made so")]
    ReadOnlyAlready(String),
    /// Through such a mount nothing could be proven.
    #[error(
        "volume {0} is mounted read-only in its container, though its filesystem can be written to, so that nothing would change there; name other claims by `claims`, or mount it writable (`readOnly: false`)"
    )]
    MountedReadOnly(String),
    /// Too much to write out.
    #[error("volume {0} has more unwritten data than can be written in {limit} s", limit = FLUSH.as_secs())]
    SlowFlush(String),
    /// The kernel makes nothing read-only that is written to.
    #[error(
        "volume {claim} cannot be made read-only while files of it are open for writing, or are removed and open: {who}; write `killWriters: true`, which kills the containers for it, or for processes that go on `diskError: {{operations: [sync, write], error: EROFS}}`"
    )]
    Written {
        /// Which.
        claim: String,
        /// By whom.
        who: String,
    },
    /// Frozen, or in the hands of the kernel.
    #[error(
        "volume {0} cannot be made read-only, because the kernel says that it is busy, though nobody is seen who has a file of it open for writing; it may be frozen: thaw it (`fsfreeze --unfreeze`) or try again"
    )]
    Busy(String),
    /// Who writes is none of the containers that are killed.
    #[error(
        "volume {claim} would be written to after the containers were killed, so that it could not be made read-only: {who}; name no `container`, so that all of the pod are killed"
    )]
    WrittenByOthers {
        /// Which.
        claim: String,
        /// By whom.
        who: String,
    },
    /// The filesystem is still read-only.
    #[error("volume {0} is still read-only: expected it to be writable")]
    StillReadOnly(String),
    /// Nobody holds the volumes.
    #[error("the volumes are held no longer")]
    Gone,
    /// The descriptors.
    #[error("cannot hold the volumes: {0}")]
    Hold(#[source] io::Error),
}

/// Volumes that may be made read-only and are not yet.
pub struct Ready {
    target: Target,
    roots: Vec<File>,
    containers: pod_kill::host::Target,
    kills: bool,
}

/// Finds the filesystems, and who might have to be killed.
pub(in crate::fault) fn prepare(
    wanted: &ReadOnlyDisk,
    pod: &LocatedPod,
    container: Option<&str>,
    own: Own<'_>,
) -> Result<Ready, HostError> {
    let holder = ProcessId::of(pod.holder).map_err(Error::Hold)?.ok_or(Error::NoPod)?;
    let containers = pod_kill::host::Target::find(pod, container).map_err(Error::from)?;
    let (mut filesystems, mut roots) = (Vec::new(), Vec::new());
    for (volume, root) in find(pod, &wanted.claims, own.undo_dir).map_err(Error::from)? {
        let look = |error| Error::from(kernel("look at", &volume.claim)(error));
        if is_read_only(volume.device).map_err(look)? == Some(true) {
            return Err(Error::ReadOnlyAlready(volume.claim).into());
        }
        if access(&root).map_err(look)? == Access::ReadOnly {
            return Err(Error::MountedReadOnly(volume.claim).into());
        }
        filesystems.push(Filesystem { mark: Mark::of(&root).map_err(look)?, volume });
        roots.push(root);
    }
    let target = Target { holder, filesystems };
    Ok(Ready { target, roots, containers, kills: wanted.kill_writers })
}

impl Prepared for Ready {
    fn target(&self) -> host::Target {
        host::Target::DiskReadOnly(self.target.clone())
    }

    fn descriptors(&self) -> Vec<BorrowedFd<'_>> {
        self.roots.iter().map(AsFd::as_fd).collect()
    }

    fn inject(self: Box<Self>, _: &InjectionSpec, _: Duration) -> Result<Box<dyn Effect>, HostError> {
        let Self { target, roots, containers, kills } = *self;
        let mut killed = Vec::new();
        let all = || roots.iter().zip(target.filesystems.iter().map(|filesystem| &filesystem.volume));
        for (root, Volume { claim, .. }) in all() {
            // The remount does it, too, and for as long as it takes.
            if !flush(root, FLUSH).map_err(kernel("flush", claim)).map_err(Error::from)? {
                return Err(Error::SlowFlush(claim.clone()).into());
            }
        }
        for (root, volume) in all() {
            if try_to_set(root, volume)? {
                continue;
            }
            let busy = written(volume)?;
            // Whoever was in the way may have ended meanwhile.
            if matches!(busy, Error::Busy(_)) && try_to_set(root, volume)? {
                continue;
            }
            if !kills || matches!(busy, Error::Busy(_)) {
                return Err(busy.into());
            }
            if killed.is_empty() {
                // Nobody is killed in vain.
                for (_, volume) in all() {
                    spares_nobody(volume, &containers.containers)?;
                }
                containers.kill().map_err(Error::from)?;
                killed.extend(containers.containers.iter().map(|container| container.name.clone()));
            }
            let until = Instant::now() + RELEASE;
            while !try_to_set(root, volume)? {
                if Instant::now() >= until {
                    return Err(written(volume)?.into());
                }
                std::thread::sleep(AGAIN);
            }
        }
        Ok(Box::new(ReadOnly { target, roots, killed }))
    }
}

/// Makes one read-only; whether nobody was in the way.
fn try_to_set(root: &File, volume: &Volume) -> Result<bool, Error> {
    match set(root, Access::ReadOnly) {
        Ok(()) => Ok(true),
        Err(error) if error.kind() == io::ErrorKind::ResourceBusy => Ok(false),
        Err(error) => Err(kernel("make read-only", &volume.claim)(error).into()),
    }
}

/// Who keeps a volume from becoming read-only, as an error.
fn written(volume: &Volume) -> Result<Error, Error> {
    let (who, claim) = (writers(volume.device), volume.claim.clone());
    Ok(match who.map_err(kernel("look for writers of", &claim))?.as_slice() {
        [] => Error::Busy(claim),
        who => Error::Written { claim, who: names(who) },
    })
}

/// Refuses where somebody writes to a volume who is not in one of these containers.
fn spares_nobody(volume: &Volume, containers: &[Running]) -> Result<(), Error> {
    let claim = &volume.claim;
    let mut killed = BTreeSet::new();
    for container in containers {
        killed.extend(container.processes()?.iter().map(|process| process.pid));
    }
    let mut others = writers(volume.device).map_err(kernel("look for writers of", claim))?;
    others.retain(|writer| !killed.contains(&writer.pid));
    if others.is_empty() {
        return Ok(());
    }
    Err(Error::WrittenByOthers { claim: claim.clone(), who: names(&others) })
}

fn names(writers: &[Writer]) -> String {
    writers.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ")
}

impl Filesystem {
    /// Opens it again, wherever it is mounted now; nothing where it is mounted nowhere, so that it is forgotten.
    fn reopen(&self) -> Result<Option<File>, Error> {
        let claim = &self.volume.claim;
        let Some(root) = self.volume.reopen().map_err(kernel("look for", claim))? else { return Ok(None) };
        let found = Mark::of(&root).map_err(kernel("look at", claim))?;
        Ok(found.fits(&self.mark).then_some(root))
    }

    /// Makes it writable, by the folder that is held or wherever it is mounted. Where it is mounted nowhere and cannot be made so,
    /// as of a disk that is gone, it is forgotten as soon as nobody holds it.
    fn take_back(&self, held: Option<File>) -> Result<(), Error> {
        let root = if held.is_some() { held } else { self.reopen()? };
        let Some(root) = root else { return Ok(()) };
        match self.make_writable(&root) {
            Err(_) if matches!(is_read_only(self.volume.device), Ok(None)) => Ok(()),
            done => done,
        }
    }

    fn make_writable(&self, root: &File) -> Result<(), Error> {
        let Volume { claim, device, .. } = &self.volume;
        // Of one that never became read-only nothing is asked: while it is frozen it would be refused.
        if is_read_only(*device).map_err(kernel("look at", claim))? == Some(false) {
            return Ok(());
        }
        set(root, Access::ReadWrite).map_err(kernel("make writable", claim))?;
        match is_read_only(*device).map_err(kernel("look at", claim))? {
            Some(true) => Err(Error::StillReadOnly(claim.clone())),
            Some(false) | None => Ok(()),
        }
    }
}

impl Undo for Target {
    /// It is made writable when the pod ends, so that nobody keeps a volume mounted that is to go elsewhere.
    fn anchors(&self) -> Vec<ProcessId> {
        vec![self.holder]
    }

    fn revert(&self, held: &Held) -> Result<(), HostError> {
        let mut held = held.try_clone().map_err(Error::Hold)?.into_iter().map(File::from);
        // One that cannot be made writable keeps no other one from it.
        let one = |filesystem: &Filesystem| filesystem.take_back(held.next());
        let all: Vec<Result<(), Error>> = self.filesystems.iter().map(one).collect();
        Ok(all.into_iter().collect::<Result<(), Error>>()?)
    }

    fn adopt(&self, _: &HostFault, held: Held) -> Result<Box<dyn Effect>, HostError> {
        let roots: Vec<File> = held.into_iter().map(File::from).collect();
        if roots.len() != self.filesystems.len() {
            return Err(Error::Gone.into());
        }
        Ok(Box::new(ReadOnly { target: self.clone(), roots, killed: Vec::new() }))
    }
}

/// Volumes that are read-only.
struct ReadOnly {
    target: Target,
    roots: Vec<File>,
    /// Which containers were killed for it, by this process.
    killed: Vec<String>,
}

impl ReadOnly {
    fn see(&self) -> Result<Look, Error> {
        let mut seen = Vec::new();
        for (root, Filesystem { volume, .. }) in self.roots.iter().zip(&self.target.filesystems) {
            let claim = &volume.claim;
            let is_said = access(root).map_err(kernel("look at", claim))? == Access::ReadOnly;
            if !is_said || !refuses_to_write(root).map_err(kernel("try to write to", claim))? {
                return Ok(Look::Fails(format!("volume {claim} can be written to")));
            }
            seen.push(format!("volume {claim} is read-only (statvfs), a new file is refused (EROFS)"));
        }
        if !self.killed.is_empty() {
            seen.push(format!("killed for it: container {}", self.killed.join(", ")));
        }
        Ok(Look::Holds(seen.join(", ")))
    }
}

impl Effect for ReadOnly {
    fn look(&mut self, _: Option<&LocatedPod>) -> Look {
        self.see().unwrap_or_else(|error| Look::Fails(error.to_string()))
    }

    fn descriptors(&self) -> Vec<BorrowedFd<'_>> {
        self.roots.iter().map(AsFd::as_fd).collect()
    }

    fn into_held(self: Box<Self>) -> Held {
        self.roots.into_iter().map(OwnedFd::from).collect()
    }
}

#[cfg(test)]
mod tests {
    use std::fs::{self, File};
    use std::time::SystemTime;

    use super::Mark;

    #[test]
    fn a_filesystem_is_known_by_any_of_its_folders_and_another_one_is_not_taken_for_it() {
        let folder = tempfile::tempdir().expect("writable");
        let sub = folder.path().join("sub");
        fs::create_dir(&sub).expect("writable");
        let [top, sub] =
            [folder.path(), &sub].map(|path| Mark::of(&File::open(path).expect("there")).expect("readable"));
        assert!(top.fits(&top) && sub.fits(&top));
        assert!(!Mark { id: top.id ^ 1, ..top.clone() }.fits(&top));
        assert!(!Mark { born: Some(SystemTime::UNIX_EPOCH), ..top.clone() }.fits(&top));
        assert!(!Mark { id: top.id ^ 1, ..sub }.fits(&top));
    }
}
