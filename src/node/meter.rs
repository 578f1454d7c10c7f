//! Reads how full a pod's volumes are and what their block devices have done. Changes nothing, and keeps nothing open: a
//! volume that is held cannot be unmounted.
//!
//! Everything here blocks; the node calls it on threads meant for that.

use std::collections::BTreeMap;
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::PathBuf;

use super::{LocatedPod, LocatedVolume};
use crate::api::{MeasuredVolume, VolumeIo, VolumeRoom};
use crate::fault::host::{Volume, is_of_its_own};
use crate::host::block_device::Device;
use crate::host::process::ProcessId;
use crate::host::room::Room;
use crate::host::volume;

/// The volumes of one incarnation of a pod.
pub(super) struct Meter {
    pod: LocatedPod,
    /// The process that lives as long as the pod.
    holder: ProcessId,
    undo_dir: PathBuf,
    /// What was found out about each claim's device: its number, and why it is not the volume's own, if so.
    devices: BTreeMap<String, (u64, Option<String>)>,
}

impl Meter {
    /// For a pod; none where it has just ended.
    pub(super) fn of(pod: LocatedPod, undo_dir: PathBuf) -> io::Result<Option<Self>> {
        let holder = ProcessId::of(pod.holder)?;
        Ok(holder.map(|holder| Self { pod, holder, undo_dir, devices: BTreeMap::new() }))
    }

    /// The pod's UID.
    pub(super) fn pod(&self) -> &str {
        &self.pod.uid
    }

    /// One look; nothing where the pod is not there any more, so that its paths may lead to something else.
    pub(super) fn look(&mut self) -> Option<Vec<MeasuredVolume>> {
        let volumes = self.pod.volumes.clone();
        let read = volumes.iter().map(|volume| self.read(volume)).collect();
        matches!(self.holder.is_alive(), Ok(true)).then_some(read)
    }

    fn read(&mut self, located: &LocatedVolume) -> MeasuredVolume {
        let claim = located.claim.clone();
        let found = volume::open(&located.path)
            .and_then(|root| Ok((Room::at(&root)?, root.metadata()?.dev())))
            .map_err(|error| format!("volume {claim} cannot be looked at: {error}"));
        let (room, device) = match found {
            Ok(found) => found,
            Err(why) => return MeasuredVolume { claim, room: None, io: None, why: Some(why) },
        };
        let io = self.io(located, device);
        MeasuredVolume {
            room: Some(VolumeRoom { taken: room.taken, available: room.available }),
            why: io.as_ref().err().cloned(),
            io: io.ok(),
            claim,
        }
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
