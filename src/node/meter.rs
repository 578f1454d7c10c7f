//! Reads how full a pod's volumes are and what their block devices have done. Changes nothing, and keeps nothing open: a
//! volume that is held cannot be unmounted.
//!
//! Everything here blocks; the node calls it on threads meant for that.

use std::collections::BTreeMap;
use std::fs::File;
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::PathBuf;

use super::{LocatedPod, LocatedVolume};
use crate::api::{MeasuredVolume, VolumeInodes, VolumeIo, VolumeRoom};
use crate::fault::host::{Volume, is_of_its_own};
use crate::host::block_device::Device;
use crate::host::inodes::Inodes;
use crate::host::process::ProcessId;
use crate::host::room::Room;
use crate::host::volume;

/// The volumes of one incarnation of a pod.
pub(super) struct Meter {
    pod: LocatedPod,
    /// The process that lives as long as the pod.
    holder: ProcessId,
    /// The processes that lead to volumes, by their pids: another one that gets such a pid leads elsewhere.
    ways: BTreeMap<i32, ProcessId>,
    undo_dir: PathBuf,
    /// What was found out about each claim's device: its number, and why it is not the volume's own, if so.
    devices: BTreeMap<String, (u64, Option<String>)>,
}

impl Meter {
    /// For a pod; none where it has just ended. What was found out by an earlier one for the same pod is not looked for again.
    pub(super) fn of(pod: LocatedPod, undo_dir: PathBuf, earlier: Option<Self>) -> io::Result<Option<Self>> {
        let Some(holder) = ProcessId::of(pod.holder)? else { return Ok(None) };
        let mut ways = BTreeMap::new();
        for pid in pod.volumes.iter().filter_map(|volume| volume::process(&volume.path)) {
            ways.extend(ProcessId::of(pid)?.map(|process| (pid, process)));
        }
        let earlier = earlier.filter(|earlier| earlier.pod.uid == pod.uid);
        let mut devices = earlier.map(|earlier| earlier.devices).unwrap_or_default();
        devices.retain(|_, (_, why)| why.is_none());
        Ok(Some(Self { pod, holder, ways, undo_dir, devices }))
    }

    /// The pod's UID.
    pub(super) fn pod(&self) -> &str {
        &self.pod.uid
    }

    /// One look; nothing where the pod is not there any more, so that its paths may lead to something else.
    pub(super) fn look(&mut self) -> Option<Vec<MeasuredVolume>> {
        let volumes = self.pod.volumes.clone();
        let mut seen: Vec<MeasuredVolume> = volumes.iter().map(|volume| self.read(volume)).collect();
        seen.extend(self.pod.unreached.iter().map(|volume| MeasuredVolume {
            why: volume.why.clone(),
            ..MeasuredVolume::at_rest(volume.claim.clone())
        }));
        matches!(self.holder.is_alive(), Ok(true)).then_some(seen)
    }

    /// Whether every volume was where it was believed to be; those of a container that was started again are not.
    pub(super) fn is_complete(&self, seen: &[MeasuredVolume]) -> bool {
        let is_hopeless = |seen: &MeasuredVolume| {
            self.pod.unreached.iter().any(|volume| volume.claim == seen.claim && volume.why.is_some())
        };
        !seen.is_empty() && seen.iter().all(|volume| volume.room.is_some() || is_hopeless(volume))
    }

    fn read(&mut self, located: &LocatedVolume) -> MeasuredVolume {
        let measured = self.follow(located);
        // Only now is it known whose volume that was.
        let is_there = volume::process(&located.path).is_none_or(|pid| {
            self.ways.get(&pid).is_some_and(|process| matches!(process.is_alive(), Ok(true)))
        });
        if is_there { measured } else { MeasuredVolume::at_rest(located.claim.clone()) }
    }

    fn follow(&mut self, located: &LocatedVolume) -> MeasuredVolume {
        let claim = located.claim.clone();
        let found = volume::open(&located.path)
            .and_then(|root| Ok((room(&root)?, root.metadata()?.dev())))
            .map_err(|error| format!("volume {claim} cannot be looked at: {error}"));
        let (room, device) = match found {
            Ok(found) => found,
            Err(why) => return MeasuredVolume { claim, room: None, io: None, why: Some(why) },
        };
        let io = self.io(located, device);
        MeasuredVolume { room: Some(room), why: io.as_ref().err().cloned(), io: io.ok(), claim }
    }

    fn io(&mut self, located: &LocatedVolume, device: u64) -> Result<VolumeIo, String> {
        let claim = &located.claim;
        let operations = Device::of(device).operations().map_err(|error| match error.kind() {
            io::ErrorKind::NotFound => {
                format!("the filesystem of volume {claim} is on no block device, as NFS or tmpfs is")
            }
            _ => format!("the statistics of the device of volume {claim} cannot be read: {error}"),
        })?;
        if self.devices.get(claim).is_none_or(|(known, _)| *known != device) {
            let volume = Volume { claim: claim.clone(), path: located.path.clone(), device };
            let why = is_of_its_own(&self.pod, &volume, &self.undo_dir).err().map(|why| why.to_string());
            self.devices.insert(claim.clone(), (device, why));
        }
        match self.devices.get(claim) {
            Some((_, Some(why))) => Err(why.clone()),
            Some((_, None)) | None => Ok(VolumeIo { device: Device::of(device).to_string(), operations }),
        }
    }
}

/// How full the filesystem of an open folder is.
fn room(root: &File) -> io::Result<VolumeRoom> {
    let (bytes, inodes) = (Room::at(root)?, Inodes::at(root)?);
    Ok(VolumeRoom {
        taken: bytes.taken,
        available: bytes.available,
        inodes: inodes.map(|Inodes { all, free }| VolumeInodes { taken: all.saturating_sub(free), free }),
    })
}

#[cfg(test)]
mod tests {
    use std::path::Path;
    use std::process::Command;

    use super::*;
    use crate::node::UnreachedVolume;

    #[test]
    fn a_volume_is_at_rest_when_the_process_that_led_to_it_has_ended() {
        let mut process = Command::new("sleep").arg("600").spawn().expect("installed");
        let folder = tempfile::tempdir().expect("a folder");
        let path = Path::new("/proc").join(process.id().to_string()).join("root");
        let path = path.join(folder.path().strip_prefix("/").expect("absolute"));
        let pod = LocatedPod {
            uid: "uid".into(),
            holder: std::process::id().cast_signed(),
            containers: Vec::new(),
            unnamed: Vec::new(),
            volumes: vec![LocatedVolume { claim: "data".into(), path, device: None }],
            unreached: vec![UnreachedVolume {
                claim: "raw".into(),
                why: Some("it is a block device".into()),
            }],
        };
        let meter = Meter::of(pod, folder.path().into(), None).expect("readable");
        let mut meter = meter.expect("it lives");
        let seen = meter.look().expect("the pod is there");
        assert!(seen[0].room.is_some(), "{seen:?}");
        assert_eq!(seen[1].why.as_deref(), Some("it is a block device"));
        assert!(meter.is_complete(&seen));
        process.kill().expect("it lives");
        process.wait().expect("ours");
        let seen = meter.look().expect("the pod is there");
        assert!(seen[0].is_at_rest() && !seen[1].is_at_rest(), "{seen:?}");
        assert!(!meter.is_complete(&seen), "its container may start again");
    }
}
