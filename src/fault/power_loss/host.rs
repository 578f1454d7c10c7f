//! A power cut on a host.
//!
//! In order: a synced marker file is written to each volume; the processes go on for a moment, because a sync of one
//! file commits everybody's metadata, and what a store leaves unsynced must be at risk; they stop, so that nobody sees
//! a half-dead disk; an unsynced marker follows; each filesystem is shut down without flushing its log; everything of
//! the pod gets SIGKILL. The platform mounts and starts again. Proven when the pod is back with the synced marker there
//! and the unsynced one gone; then the markers are removed. Where writes are torn, some of the unsynced marker may be
//! there, but not all of it.
//!
//! There is nothing to undo once the processes are dead. An interruption before that is resolved by whoever finds the
//! record: where no filesystem is shut down yet, the processes go on; where one is, the power cut is finished, because
//! only a new mount brings the volume back. A cut that is complete is never repeated: whoever finds its record waits
//! for the pod and looks for the markers.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::{self, Write};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use nix::sys::signal::Signal;
use serde::{Deserialize, Serialize};

use crate::api::{HostFault, InjectionSpec};
use crate::fault::host;
use crate::fault::host::{Effect, HostError, Look, Prepared, Undo};
use crate::fault::{pod_kill, process_pause};
use crate::host::forgetful::{self, Cut, Left};
use crate::host::process::ProcessId;
use crate::host::process::held::Held;
use crate::host::shutdown;
use crate::node::{LocatedPod, LocatedVolume};
use crate::undo::stop_here;

/// For how long the pod's holder may take to end after SIGKILL.
const PATIENCE: Duration = Duration::from_secs(5);
/// For how long the volumes of a cut that had to be finished may take to be back, so that nothing is left on them.
const RETURN: Duration = Duration::from_secs(20);
/// How long the store works on between our own sync and the cut.
const AT_RISK: Duration = Duration::from_millis(200);

/// Whom and what a power cut hits.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Target {
    /// The process that keeps the pod's namespaces.
    pub holder: ProcessId,
    /// How its processes are stopped first.
    pub stop: process_pause::host::Target,
    /// Its processes.
    pub kill: pod_kill::host::Target,
    /// The volumes.
    pub volumes: Vec<Volume>,
    /// Where writes are torn: decides what of them is on the disk nevertheless.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub torn: Option<u32>,
    /// In the names of the marker files.
    pub mark: String,
}

/// A volume that loses what was not synced.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Volume {
    /// The claim template's name.
    pub claim: String,
    /// Where it is mounted, in the node's mount namespace.
    pub path: PathBuf,
    /// The device number of its filesystem (`st_dev`), so that never another one is hit.
    pub device: u64,
    /// Whether it is a sandbox's own filesystem, which can tear writes.
    #[serde(default)]
    pub is_forgetful: bool,
}

/// Why a power cut could not be done.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// Nothing to cut the power of.
    #[error("the pod has no volume from a claim; a power loss needs one")]
    NoVolume,
    /// No such claim.
    #[error("the pod has no volume from a claim template {0}")]
    UnknownClaim(String),
    /// A folder of another filesystem.
    #[error(
        "the volume {0} is not a filesystem of its own, so that its power cannot be cut alone; in a sandbox, run as root, so that volumes are ext4 images"
    )]
    NoDevice(String),
    /// Neither ext4 nor xfs.
    #[error("the filesystem of volume {0} is neither ext4 nor xfs and cannot be shut down")]
    UnknownFilesystem(String),
    /// Neither.
    #[error(
        "volume {0} cannot tear writes: only one can that a sandbox makes for an experiment with `unsynced: torn`"
    )]
    Whole(String),
    /// The pod is gone.
    #[error("the pod is gone")]
    Gone,
    /// Somebody died in the middle of it.
    #[error("an earlier power cut of this pod was interrupted")]
    Interrupted,
    /// See there.
    #[error("cannot stop the pod first: {0}")]
    Stop(#[source] process_pause::host::Error),
    /// See there.
    #[error(transparent)]
    Kill(#[from] pod_kill::host::Error),
    /// The volume refused.
    #[error("cannot {what} volume {claim}: {source}")]
    Volume {
        /// What was tried.
        what: &'static str,
        /// Which.
        claim: String,
        /// The answer.
        source: io::Error,
    },
    /// The holder could not be ended.
    #[error("cannot end the pod's {holder}: {source}")]
    Holder {
        /// Who.
        holder: ProcessId,
        /// The answer.
        source: io::Error,
    },
}

fn volume<'a>(what: &'static str, claim: &'a str) -> impl FnOnce(io::Error) -> Error + use<'a> {
    move |source| Error::Volume { what, claim: claim.to_owned(), source }
}

impl Target {
    /// Finds whom and what a power cut hits, and whether it can. Nothing is changed.
    pub fn find(pod: &LocatedPod, claims: &[String], torn: Option<u32>, mark: String) -> Result<Self, Error> {
        if let Some(unknown) =
            claims.iter().find(|claim| pod.volumes.iter().all(|known| known.claim != **claim))
        {
            return Err(Error::UnknownClaim(unknown.clone()));
        }
        let volumes: Vec<Volume> = pod
            .volumes
            .iter()
            .filter(|candidate| claims.is_empty() || claims.contains(&candidate.claim))
            .map(Volume::check)
            .collect::<Result<_, _>>()?;
        if volumes.is_empty() {
            return Err(Error::NoVolume);
        }
        if torn.is_some()
            && let Some(whole) = volumes.iter().find(|volume| !volume.is_forgetful)
        {
            return Err(Error::Whole(whole.claim.clone()));
        }
        let holder = ProcessId::of(pod.holder).map_err(|_| Error::Gone)?.ok_or(Error::Gone)?;
        let stop = process_pause::host::Target::find(pod, None).map_err(Error::Stop)?;
        let kill = pod_kill::host::Target::find(pod, None)?;
        Ok(Self { holder, stop, kill, volumes, torn, mark })
    }

    /// Cuts the power. Says what has become of what was not synced, for each volume that tells.
    pub fn cut(&self) -> Result<BTreeMap<String, Left>, Error> {
        for volume in &self.volumes {
            volume.mark_synced(&self.mark)?;
        }
        std::thread::sleep(AT_RISK);
        process_pause::host::Pause::inject(&self.stop).map_err(Error::Stop)?;
        for volume in &self.volumes {
            volume.mark_unsynced(&self.mark)?;
        }
        let mut left = BTreeMap::new();
        let how = self.torn.map_or(Cut::Lose, |seed| Cut::Tear { seed });
        for chosen in &self.volumes {
            let done = if chosen.is_forgetful {
                forgetful::cut(&chosen.path, chosen.device, how).map(|told| {
                    left.insert(chosen.claim.clone(), told);
                })
            } else {
                shutdown::shut_down(&chosen.path, chosen.device)
            };
            done.map_err(volume("shut down", &chosen.claim))?;
        }
        stop_here("shut-down");
        self.kill_everything()?;
        Ok(left)
    }

    fn kill_everything(&self) -> Result<(), Error> {
        let failed = |source| Error::Holder { holder: self.holder, source };
        // The holder first: its death ends every process of the pod at once (pid_namespaces(7)), so that the platform
        // never starts a container again on the dead filesystem.
        if let Some(holder) = self.holder.open().map_err(failed)? {
            holder.signal(Signal::SIGKILL).map_err(failed)?;
            if !holder.wait(PATIENCE).map_err(failed)? {
                return Err(failed(io::ErrorKind::TimedOut.into()));
            }
        }
        Ok(self.kill.kill()?)
    }

    /// Takes up a cut that an earlier process began: finishes it where it has gone too far to be taken back. Whether it
    /// is complete now; nothing is changed where it is not.
    pub fn resume(&self) -> Result<bool, Error> {
        if !self.holder.is_alive().map_err(|_| Error::Gone)? {
            self.kill.kill()?;
            return Ok(true);
        }
        let is_begun = self.volumes.iter().any(|volume| volume.is_shut_down(&self.mark));
        if is_begun {
            self.kill_everything()?;
        }
        Ok(is_begun)
    }

    /// Brings an interrupted power cut to an end, forwards or backwards, and removes the markers.
    pub fn settle(&self) -> Result<(), Error> {
        let is_before = self.holder.is_alive().map_err(|_| Error::Gone)?;
        let is_complete = self.resume()?;
        if !is_complete {
            self.stop.go_on().map_err(Error::Stop)?;
        } else if is_before {
            self.await_volumes();
        }
        self.volumes.iter().try_for_each(|volume| volume.remove_markers(&self.mark))
    }

    /// Waits until the platform has mounted the volumes again. Where it does not, a marker stays out of reach.
    fn await_volumes(&self) {
        let until = Instant::now() + RETURN;
        // A filesystem that was shut down may still know what it had in memory.
        let is_back = |volume: &Volume| {
            exists(&marker(&volume.path, &self.mark, SYNCED)).is_ok_and(|is_there| is_there)
                && !volume.is_shut_down(&self.mark)
        };
        let mut away: Vec<_> = self.volumes.iter().collect();
        while Instant::now() < until {
            away.retain(|volume| !is_back(volume));
            if away.is_empty() {
                break;
            }
            std::thread::sleep(Duration::from_millis(20));
        }
    }

    /// Whether the pod is back and what its volumes remember; `None` while it is not. `left` is what they told of the cut.
    pub fn verify(
        &self,
        pod: &LocatedPod,
        left: &BTreeMap<String, Left>,
    ) -> Result<Option<(bool, String)>, Error> {
        let Some(holder) = ProcessId::of(pod.holder).map_err(|_| Error::Gone)? else {
            return Ok(None);
        };
        if holder == self.holder {
            return Ok(None);
        }
        let mut seen = Vec::new();
        for lost in &self.volumes {
            let Some(mounted) = pod.volumes.iter().find(|volume| volume.claim == lost.claim) else {
                return Ok(None);
            };
            let claim = &lost.claim;
            let there = |kind| marker(&mounted.path, &self.mark, kind);
            let look = |kind| exists(&there(kind)).map_err(volume("look into", claim));
            if !look(SYNCED)? {
                return Ok(None);
            }
            let unsynced = survived(&there(UNSYNCED)).map_err(volume("look into", claim))?;
            let (holds, observed) = match unsynced {
                None => (true, "unsynced gone".to_owned()),
                Some(sectors) if self.torn.is_some() => {
                    let observed = format!("{sectors} of {SECTORS} sectors of the unsynced one survived");
                    (sectors < SECTORS, observed)
                }
                Some(_) => (false, "the unsynced one survived".to_owned()),
            };
            let observed = format!("volume {claim}: synced marker there, {observed}");
            if !holds {
                return Ok(Some((false, observed)));
            }
            let told = left.get(claim).map(|left| told(*left, unsynced));
            seen.extend([observed].into_iter().chain(told));
        }
        for lost in &self.volumes {
            let mounted = pod.volumes.iter().find(|volume| volume.claim == lost.claim);
            let path = mounted.map_or(&lost.path, |mounted| &mounted.path);
            for kind in [SYNCED, UNSYNCED] {
                remove(&marker(path, &self.mark, kind))
                    .map_err(volume("remove the markers from", &lost.claim))?;
            }
        }
        Ok(Some((true, format!("{}; the pod's new holder is {holder}", seen.join("; ")))))
    }
}

impl Prepared for Target {
    fn target(&self) -> host::Target {
        host::Target::PowerLoss(self.clone())
    }

    fn inject(self: Box<Self>, _: &InjectionSpec, _: Duration) -> Result<Box<dyn Effect>, HostError> {
        let left = self.cut()?;
        Ok(Box::new(Outage { target: *self, left, seen: None }))
    }
}

impl Undo for Target {
    /// None: a power cut that is complete still has its proof ahead, and its markers on the volumes.
    fn anchors(&self) -> Vec<ProcessId> {
        Vec::new()
    }

    fn revert(&self, _: &Held) -> Result<(), HostError> {
        Ok(self.settle()?)
    }

    fn adopt(&self, _: &HostFault, _: Held) -> Result<Box<dyn Effect>, HostError> {
        if self.resume()? {
            Ok(Box::new(Outage { target: self.clone(), left: BTreeMap::new(), seen: None }))
        } else {
            Err(Error::Interrupted.into())
        }
    }
}

/// A power cut that is done, until its pod is back and after.
struct Outage {
    target: Target,
    /// What the volumes told of it.
    left: BTreeMap<String, Left>,
    /// What the volumes showed when the pod was back.
    seen: Option<(bool, String)>,
}

impl Effect for Outage {
    fn look(&mut self, pod: Option<&LocatedPod>) -> Look {
        if let Some(seen) = &self.seen {
            return seen.clone().into();
        }
        match pod.map(|pod| self.target.verify(pod, &self.left)) {
            Some(Ok(Some(proof))) => self.seen.insert(proof).clone().into(),
            Some(Ok(None) | Err(_)) | None => Look::NotYet,
        }
    }

    fn needs_pod(&self) -> bool {
        self.seen.is_none()
    }
}

const SYNCED: &str = "synced";
const UNSYNCED: &str = "unsynced";
/// A file that is made to see whether one can be.
const CHECK: &str = "check";

/// What a disk writes as a whole.
const SECTOR: usize = 512;
/// As much is written to the unsynced marker, each sector by itself: that all of them survive a tear does not happen.
const SECTORS: u64 = 64;
const WRITTEN: [u8; SECTOR] = [0x5E; SECTOR];

/// How many sectors of an unsynced marker are there, if there is any of it.
fn survived(path: &Path) -> io::Result<Option<u64>> {
    match fs::read(path) {
        Ok(bytes) => Ok(Some(bytes.chunks(SECTOR).filter(|sector| **sector == WRITTEN).count() as u64)),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error),
    }
}

/// What became of what the store had not synced: our own marker is left out.
fn told(left: Left, marker: Option<u64>) -> String {
    let (survived, is_named) = (marker.unwrap_or(0), u64::from(marker.is_some()));
    format!(
        "unsynced writes: {}, torn: {}, sectors kept: {}, lost: {}; changes of names and lengths kept: {}, lost: {}",
        left.writes.saturating_sub(SECTORS),
        left.torn,
        left.kept.saturating_sub(survived),
        left.dropped.saturating_sub(SECTORS - survived),
        left.entries_kept.saturating_sub(is_named),
        left.entries_dropped.saturating_sub(1 - is_named),
    )
}

fn marker(root: &Path, mark: &str, kind: &str) -> PathBuf {
    root.join(format!(".seatrial-{mark}.{kind}"))
}

fn is_of_a_dead_disk(error: &io::Error) -> bool {
    matches!(error.raw_os_error(), Some(nix::libc::EIO | nix::libc::ENOTCONN))
}

fn exists(path: &Path) -> io::Result<bool> {
    match fs::symlink_metadata(path) {
        Ok(_) => Ok(true),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(false),
        Err(error) => Err(error),
    }
}

fn remove(path: &Path) -> io::Result<()> {
    match fs::remove_file(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        result => result,
    }
}

impl Volume {
    fn check(located: &LocatedVolume) -> Result<Self, Error> {
        let claim = located.claim.clone();
        let root = File::open(&located.path).map_err(volume("look at", &claim))?;
        let is_forgetful = forgetful::is_one(&root).map_err(volume("look at", &claim))?;
        if !is_forgetful && located.device.is_none() {
            return Err(Error::NoDevice(claim));
        }
        if !is_forgetful && !shutdown::is_supported(&root).map_err(volume("look at", &claim))? {
            return Err(Error::UnknownFilesystem(claim));
        }
        let Some(device) = shutdown::device_of(&located.path).map_err(volume("look at", &claim))? else {
            return Err(Error::NoDevice(claim));
        };
        Ok(Self { claim, path: located.path.clone(), device, is_forgetful })
    }

    fn mark_synced(&self, mark: &str) -> Result<(), Error> {
        let write = || {
            let mut synced = File::create_new(marker(&self.path, mark, SYNCED))?;
            synced.write_all(mark.as_bytes())?;
            synced.sync_all()?;
            File::open(&self.path)?.sync_all()
        };
        write().map_err(volume("write a synced marker to", &self.claim))
    }

    fn mark_unsynced(&self, mark: &str) -> Result<(), Error> {
        let write = || {
            let mut unsynced = File::create_new(marker(&self.path, mark, UNSYNCED))?;
            if !self.is_forgetful {
                return unsynced.write_all(mark.as_bytes());
            }
            (0..SECTORS).try_for_each(|_| unsynced.write_all(&WRITTEN))
        };
        write().map_err(volume("write an unsynced marker to", &self.claim))
    }

    /// A filesystem that was shut down answers every attempt to create a file with EIO, one whose server is dead with
    /// ENOTCONN. One that is not mounted there any more was not.
    fn is_shut_down(&self, mark: &str) -> bool {
        if fs::metadata(&self.path).is_ok_and(|found| found.dev() != self.device) {
            return false;
        }
        let path = marker(&self.path, mark, CHECK);
        match File::create(&path) {
            Ok(_) => remove(&path).is_err(),
            Err(error) => is_of_a_dead_disk(&error),
        }
    }

    fn remove_markers(&self, mark: &str) -> Result<(), Error> {
        for kind in [SYNCED, UNSYNCED, CHECK] {
            match remove(&marker(&self.path, mark, kind)) {
                // Not mounted any more, or not mounted again yet: the markers are out of reach and hurt nobody.
                Err(error) if is_of_a_dead_disk(&error) => {}
                result => result.map_err(volume("remove the markers from", &self.claim))?,
            }
        }
        Ok(())
    }
}
