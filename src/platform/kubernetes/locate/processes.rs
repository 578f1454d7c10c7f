//! The processes of a pod, as the kernel tells them.

use std::fs;
use std::io;
use std::path::PathBuf;

use super::cgroup_path::Place;
use crate::host::cgroup::hierarchies::Hierarchies;
use crate::host::process::{ProcessId, all};

/// A living process of the pod.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Found {
    pub id: ProcessId,
    /// The id of its container, where its cgroup tells.
    pub container: Option<String>,
    /// Its container's path in version 2's hierarchy.
    pub unified: Option<String>,
    /// Its container's path in the hierarchy of version 1's freezer.
    pub freezer: Option<String>,
    /// Its container's path in the hierarchy of version 1's blkio.
    pub blkio: Option<String>,
}

/// Every living process of the pod with this UID.
pub(super) fn of_pod(uid: &str) -> io::Result<Vec<Found>> {
    let mut found = Vec::new();
    for (pid, stat) in all()? {
        if stat.has_ended() {
            continue;
        }
        // Whoever ends meanwhile is not there any more.
        let Ok(cgroups) = fs::read_to_string(format!("/proc/{pid}/cgroup")) else {
            continue;
        };
        found.extend(Found::new(ProcessId { pid, start: stat.start }, &cgroups, uid));
    }
    Ok(found)
}

impl Found {
    /// By the lines `NUMBER:CONTROLLERS:PATH` of `/proc/PID/cgroup` (cgroups(7)); `None` where it is not in the pod.
    pub(super) fn new(id: ProcessId, cgroups: &str, uid: &str) -> Option<Self> {
        let mut found = Self { id, container: None, unified: None, freezer: None, blkio: None };
        let mut is_in_pod = false;
        for line in cgroups.lines() {
            let mut fields = line.splitn(3, ':');
            let (Some(_), Some(controllers), Some(path)) = (fields.next(), fields.next(), fields.next())
            else {
                continue;
            };
            let Some(place) = Place::in_pod(path, uid) else {
                continue;
            };
            is_in_pod = true;
            let Some(container) = place.container else {
                continue;
            };
            found.container = Some(container.to_owned());
            let has = |controller| controllers.split(',').any(|known| known == controller);
            let path = || Some(place.path.to_owned());
            if controllers.is_empty() {
                found.unified = path();
            }
            // Controllers may share a hierarchy.
            if has("freezer") {
                found.freezer = path();
            }
            if has("blkio") {
                found.blkio = path();
            }
        }
        is_in_pod.then_some(found)
    }

    /// Where its container can be frozen: in version 2 where it has a cgroup of its own there, or else in version 1.
    pub(super) fn freezer_folder(&self, hierarchies: &Hierarchies) -> Option<PathBuf> {
        let unified = self.unified.as_ref().and_then(|path| hierarchies.unified_folder(path));
        unified.or_else(|| hierarchies.legacy_folder("freezer", self.freezer.as_ref()?))
    }

    /// Where its container's I/O can be limited.
    pub(super) fn throttle_folder(&self, hierarchies: &Hierarchies) -> Option<PathBuf> {
        hierarchies.throttle_folder(self.blkio.as_deref(), self.unified.as_deref())
    }

    /// Orders by age, the oldest first.
    pub(super) fn age(&self) -> (u64, i32) {
        (self.id.start, self.id.pid)
    }
}
