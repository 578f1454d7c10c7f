//! Takes room or inodes on volumes on a host.
//!
//! Guarantees: one file without a name per volume, held by the node and its guardian; what others write is never touched; a
//! revert gives everything back and may be repeated; where nobody holds the file any more, the kernel has given it back.
//! Inodes are held by a process of their own: see [`inodes`].

use std::fs::File;
use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::api::{Fill, FullDisk, HostFault, InjectionSpec};
use crate::fault::host;
use crate::fault::host::volumes::{Volume, VolumeError, find, kernel};
use crate::fault::host::{Effect, HostError, Look, Own, Prepared, Undo};
use crate::host::process::ProcessId;
use crate::host::process::held::Held;
use crate::host::process::tied;
use crate::host::room::{Room, block, give_back, take, taken, unnamed};
use crate::node::LocatedPod;
use crate::undo::guardian::LaunchError;

mod inodes;

/// How much more than asked may be left.
const SLACK: u64 = 1 << 20;
/// What is taken at least, where as much as there is cannot be taken at once.
const SMALLEST: u64 = 64 << 10;
/// For how long the kernel may take to end a process that holds inodes, besides the time to free them.
const PATIENCE: Duration = Duration::from_secs(30);
/// How many inodes the kernel frees in a second at least: a good part of what was measured.
const FREED_PER_SECOND: u64 = 20_000;

/// What is filled.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Target {
    /// The process that lives as long as the pod: a container that ends because its disk is full finds it full again.
    pub holder: ProcessId,
    /// Each volume.
    pub volumes: Vec<Volume>,
    /// Who holds inodes, where it is inodes that are taken.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub hoard: Option<ProcessId>,
    /// How many those are.
    #[serde(default)]
    pub inodes: u64,
}

/// Why a volume could not be filled or emptied.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// Nothing runs.
    #[error("the pod has ended")]
    NoPod,
    /// Not found, or not to be touched.
    #[error(transparent)]
    Volume(#[from] VolumeError),
    /// It is as full without us.
    #[error(
        "volume {claim} has {left} bytes left already, no more than it shall have; nothing is to be filled"
    )]
    FullAlready {
        /// Which.
        claim: String,
        /// What is left.
        left: u64,
    },
    /// It has as few inodes without us.
    #[error(
        "volume {claim} has {left} inodes left already, no more than it shall have; nothing is to be taken"
    )]
    FewAlready {
        /// Which.
        claim: String,
        /// How many are left.
        left: u64,
    },
    /// It cannot run out of inodes.
    #[error(
        "volume {0} has no fixed number of inodes, as xfs makes them while there is room; only ext4 runs out of them: take its room instead, with `to: {{free: 0}}`"
    )]
    NoFixedNumber(String),
    /// More than there is anything to hold them with.
    #[error(
        "with volume {claim}, {needed} inodes would have to be taken, and {most} can be held here at most, for want of {why}; write a larger `freeInodes`, or use a smaller volume"
    )]
    TooMany {
        /// The volume by which it is too many.
        claim: String,
        /// How many would have to be held.
        needed: u64,
        /// How many can.
        most: u64,
        /// What there would have to be more of.
        why: &'static str,
    },
    /// Nobody could hold them.
    #[error(transparent)]
    Launch(#[from] LaunchError),
    /// Who holds them is still there.
    #[error("cannot end {0}, which holds inodes: {1}")]
    End(ProcessId, #[source] io::Error),
    /// The room is not back.
    #[error("the file that filled volume {claim} still takes {taken} bytes: expected a block at most")]
    StillThere {
        /// Which.
        claim: String,
        /// How much.
        taken: u64,
    },
    /// Nobody holds what filled it.
    #[error("what filled the volumes is gone with those who held it")]
    Gone,
    /// The descriptors.
    #[error("cannot hold the files that fill the volumes: {0}")]
    Hold(#[source] io::Error),
}

/// How much may be left, of bytes or of inodes.
fn wanted(to: Fill, all: u64) -> u64 {
    match to {
        Fill::Free(left) | Fill::FreeInodes(left) => left,
        Fill::Percent(percent) | Fill::InodesPercent(percent) => {
            all / 100 * u64::from(100 - percent.min(100))
        }
    }
}

/// How many bytes there are, as df(1) counts: what root keeps for itself is neither taken nor left.
fn all(room: Room) -> u64 {
    room.taken.saturating_add(room.available)
}

/// What is left for whom it is about: where nothing shall be left, not for root either.
fn left(wanted: u64, room: Room) -> u64 {
    if wanted == 0 { room.free } else { room.available }
}

/// For how long so many inodes may take to be free again.
fn patience(inodes: u64) -> Duration {
    PATIENCE + Duration::from_secs(inodes / FREED_PER_SECOND)
}

/// Takes what is more than wanted; whether the kernel refused to give that much. It keeps some room for its own notes about
/// files, which statvfs(3) shows as free.
fn fill(file: &File, wanted: u64) -> io::Result<bool> {
    let mut most = u64::MAX;
    loop {
        let more = left(wanted, Room::at(file)?).saturating_sub(wanted).min(most);
        if more < SMALLEST {
            return Ok(most < SMALLEST);
        }
        match take(file, more) {
            Ok(()) => {}
            Err(error) if error.kind() == io::ErrorKind::StorageFull => most = more / 2,
            Err(error) => return Err(error),
        }
    }
}

/// Volumes that may be filled and are not yet.
pub struct Ready {
    target: Target,
    files: Vec<File>,
    wanted: Vec<u64>,
}

/// Finds the volumes, and makes ready what shall take their room or their inodes, and takes nothing yet.
pub(in crate::fault) fn prepare(
    full: &FullDisk,
    pod: &LocatedPod,
    own: Own<'_>,
) -> Result<Box<dyn Prepared>, HostError> {
    let holder = ProcessId::of(pod.holder).map_err(Error::Hold)?.ok_or(Error::NoPod)?;
    let found = find(pod, &full.claims, own.undo_dir).map_err(Error::from)?;
    Ok(match full.to {
        Fill::Free(_) | Fill::Percent(_) => Box::new(room(full, holder, found)?),
        Fill::FreeInodes(_) | Fill::InodesPercent(_) => Box::new(inodes::prepare(full, holder, found, own)?),
    })
}

/// Makes the files that shall take room.
fn room(full: &FullDisk, holder: ProcessId, found: Vec<(Volume, File)>) -> Result<Ready, Error> {
    let target = Target { holder, volumes: Vec::new(), hoard: None, inodes: 0 };
    let mut ready = Ready { target, files: Vec::new(), wanted: Vec::new() };
    for (volume, root) in found {
        let claim = &volume.claim;
        let file = unnamed(&root).map_err(kernel("make a file on", claim))?;
        let room = Room::at(&file).map_err(kernel("look at", claim))?;
        let wanted = wanted(full.to, all(room));
        let left = left(wanted, room);
        if left < wanted.saturating_add(SMALLEST) {
            return Err(Error::FullAlready { claim: claim.clone(), left });
        }
        ready.target.volumes.push(volume);
        ready.files.push(file);
        ready.wanted.push(wanted);
    }
    Ok(ready)
}

impl Prepared for Ready {
    fn target(&self) -> host::Target {
        host::Target::DiskFill(self.target.clone())
    }

    fn descriptors(&self) -> Vec<BorrowedFd<'_>> {
        self.files.iter().map(AsFd::as_fd).collect()
    }

    fn inject(self: Box<Self>, _: &InjectionSpec, _: Duration) -> Result<Box<dyn Effect>, HostError> {
        let Self { target, files, wanted } = *self;
        let mut full = Full { target, files, wanted, refused: Vec::new() };
        full.fill()?;
        Ok(Box::new(full))
    }
}

impl Undo for Target {
    /// The room is given back with the pod, so that nobody keeps a volume mounted that is to go elsewhere.
    fn anchors(&self) -> Vec<ProcessId> {
        vec![self.holder]
    }

    fn helpers(&self) -> Vec<ProcessId> {
        self.hoard.into_iter().collect()
    }

    fn revert(&self, held: &Held) -> Result<(), HostError> {
        if let Some(hoard) = self.hoard {
            return Ok(tied::end(hoard, patience(self.inodes)).map_err(|error| Error::End(hoard, error))?);
        }
        let files = held.try_clone().map_err(Error::Hold)?.into_iter().map(File::from);
        for (file, volume) in files.zip(&self.volumes) {
            let claim = &volume.claim;
            give_back(&file).map_err(kernel("give the room back on", claim)).map_err(Error::from)?;
            let taken = taken(&file).map_err(kernel("look at", claim)).map_err(Error::from)?;
            // What it has inherited of its folder, such as an access list, may be in a block of its own for as long as it lives.
            let kept = block(&file).map_err(kernel("look at", claim)).map_err(Error::from)?;
            if taken > kept {
                return Err(Error::StillThere { claim: claim.clone(), taken }.into());
            }
        }
        Ok(())
    }

    fn adopt(&self, fault: &HostFault, held: Held) -> Result<Box<dyn Effect>, HostError> {
        let HostFault::DiskFill(full) = fault else { return Err(HostError::AnotherFault) };
        if let Some(hoard) = self.hoard {
            return Ok(Box::new(inodes::Full::adopt(full, &self.volumes, hoard, held)?));
        }
        let files: Vec<File> = held.into_iter().map(File::from).collect();
        if files.len() != self.volumes.len() {
            return Err(Error::Gone.into());
        }
        let mut each = Vec::new();
        for (file, volume) in files.iter().zip(&self.volumes) {
            let claim = &volume.claim;
            let mut room = Room::at(file).map_err(kernel("look at", claim)).map_err(Error::from)?;
            // Without what is taken here it is as full as when it was decided.
            let ours = taken(file).map_err(kernel("look at", claim)).map_err(Error::from)?;
            room.taken = room.taken.saturating_sub(ours);
            room.available = room.available.saturating_add(ours);
            each.push(wanted(full.to, all(room)));
        }
        Ok(Box::new(Full { target: self.clone(), files, wanted: each, refused: Vec::new() }))
    }
}

/// Volumes that are full.
struct Full {
    target: Target,
    files: Vec<File>,
    /// How much may be left on each.
    wanted: Vec<u64>,
    /// On which the kernel gave nothing more at the last look.
    refused: Vec<bool>,
}

impl Full {
    fn fill(&mut self) -> Result<(), Error> {
        self.refused.clear();
        for ((file, &wanted), volume) in self.files.iter().zip(&self.wanted).zip(&self.target.volumes) {
            self.refused.push(fill(file, wanted).map_err(kernel("fill", &volume.claim))?);
        }
        Ok(())
    }
}

impl Effect for Full {
    /// Takes what was freed meanwhile, too.
    fn look(&mut self, _: Option<&LocatedPod>) -> Look {
        if let Err(error) = self.fill() {
            return Look::Fails(error.to_string());
        }
        let mut seen = Vec::new();
        let volumes = self.files.iter().zip(&self.wanted).zip(&self.target.volumes).zip(&self.refused);
        for (((file, &wanted), volume), &is_refused) in volumes {
            let claim = &volume.claim;
            let (room, ours) = match Room::at(file).and_then(|room| Ok((room, taken(file)?))) {
                Ok(found) => found,
                Err(error) => return Look::Fails(format!("cannot look at volume {claim}: {error}")),
            };
            let left = left(wanted, room);
            if (left > wanted.saturating_add(SLACK) && !is_refused) || ours == 0 {
                return Look::Fails(format!(
                    "volume {claim} has {left} bytes left: expected {wanted} at most; {ours} are taken here"
                ));
            }
            let more = if is_refused { "; more is refused (ENOSPC)" } else { "" };
            seen.push(format!("volume {claim} has {left} bytes left (statvfs){more}; {ours} are taken here"));
        }
        Look::Holds(seen.join(", "))
    }

    fn descriptors(&self) -> Vec<BorrowedFd<'_>> {
        self.files.iter().map(AsFd::as_fd).collect()
    }

    fn into_held(self: Box<Self>) -> Held {
        self.files.into_iter().map(OwnedFd::from).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::{Room, all, left, wanted};
    use crate::api::Fill;

    const ROOM: Room = Room { available: 800, free: 1000, taken: 200 };

    #[test]
    fn a_percentage_is_of_what_users_can_take() {
        assert_eq!(wanted(Fill::Percent(95), all(ROOM)), 50);
        assert_eq!(wanted(Fill::Free(7), all(ROOM)), 7);
        assert_eq!(wanted(Fill::Percent(100), all(ROOM)), 0);
        assert_eq!(wanted(Fill::InodesPercent(95), 65_536), 3275);
        assert_eq!(wanted(Fill::FreeInodes(7), 65_536), 7);
    }

    #[test]
    fn nothing_left_means_nothing_for_root_either() {
        assert_eq!((left(50, ROOM), left(0, ROOM)), (800, 1000));
    }
}
