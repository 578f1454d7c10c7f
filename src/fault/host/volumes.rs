//! The volumes of a pod that a fault means, one incarnation of each, and whether it may have them.

mod own;

use std::fs;
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use serde::{Deserialize, Serialize};

use self::own::{Own, cgroups, is_ending};
use super::Running;
use crate::host::block_device::Device;
use crate::host::mount::table::{Namespace, of_device, open_below};
use crate::host::{shutdown, volume};
use crate::node::LocatedPod;

/// Folders of a node whose filesystems no fault may touch: its own, kubelet's, and those of container runtimes.
const OF_THE_NODE: &[&str] = &[
    "",
    "etc",
    "tmp",
    "var/log",
    "var/lib/kubelet",
    "var/lib/containerd",
    "run/containerd",
    "var/lib/containers",
    "var/lib/docker",
    "var/lib/rancher",
    "var/lib/k0s",
    "var/snap",
];

/// For how long somebody else may use a volume before that counts: one who is just being started has for a moment whatever is
/// open where it was started, and a container whatever is mounted there.
const PASSING: Duration = Duration::from_secs(2);
/// From one look at who uses a volume to the next.
const PAUSE: Duration = Duration::from_millis(100);

/// A volume that is a filesystem of its own.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Volume {
    /// The claim template's name.
    pub claim: String,
    /// Where it was reached when it was found.
    pub path: PathBuf,
    /// The device number of its filesystem (`st_dev`), so that never another one is hit.
    pub device: u64,
}

/// Why a volume may not be touched.
#[derive(Debug, thiserror::Error)]
pub enum VolumeError {
    /// Nothing to touch.
    #[error("the pod has no volume from a claim; this fault needs one")]
    NoVolume,
    /// No such claim.
    #[error("the pod has no volume from a claim template {0}")]
    UnknownClaim(String),
    /// Of the node, or of a folder of it.
    #[error(
        "volume {claim} is on the filesystem of the node's own {folder}, not on one of its own; in a sandbox, run as root, so that volumes are ext4 images"
    )]
    OfTheNode {
        /// Which.
        claim: String,
        /// Which folder is there too.
        folder: String,
    },
    /// A part of what others may use as well.
    #[error(
        "volume {0} is one folder of a filesystem that belongs to the node or to others, as a local volume on a data disk is; only a whole filesystem can be hit, or have its device measured"
    )]
    Part(String),
    /// Two of the same.
    #[error("volumes {0} and {1} are on the same filesystem; name one of them by `claims`")]
    Same(String, String),
    /// Neither ext4 nor xfs.
    #[error("the filesystem of volume {0} is neither ext4 nor xfs, for which alone this is known to be safe")]
    UnknownFilesystem(String),
    /// Others would suffer.
    #[error("volume {claim} is used outside of the pod as well: {user}")]
    UsedByOthers {
        /// Which.
        claim: String,
        /// By whom.
        user: String,
    },
    /// The kernel refused.
    #[error("cannot {what} volume {claim}: {source}")]
    Kernel {
        /// What was tried.
        what: &'static str,
        /// Which.
        claim: String,
        /// The answer.
        source: io::Error,
    },
}

/// What the kernel's answer was about.
pub(in crate::fault) fn kernel<'a>(
    what: &'static str,
    claim: &'a str,
) -> impl FnOnce(io::Error) -> VolumeError + use<'a> {
    move |source| VolumeError::Kernel { what, claim: claim.to_owned(), source }
}

/// Opens the volumes that are meant, all where no claim is named. Nothing is changed. `undo_dir` is the node's own.
pub(in crate::fault) fn find(
    pod: &LocatedPod,
    claims: &[String],
    undo_dir: &Path,
) -> Result<Vec<(Volume, fs::File)>, VolumeError> {
    if let Some(unknown) = claims.iter().find(|claim| pod.volumes.iter().all(|known| known.claim != **claim))
    {
        return Err(VolumeError::UnknownClaim(unknown.clone()));
    }
    let containers = Running::find(pod, None).unwrap_or_default();
    let mut found: Vec<(Volume, fs::File)> = Vec::new();
    for located in pod.volumes.iter().filter(|known| claims.is_empty() || claims.contains(&known.claim)) {
        let claim = &located.claim;
        let root = volume::open(&located.path).map_err(kernel("open", claim))?;
        let device = root.metadata().map_err(kernel("look at", claim))?.dev();
        if let Some(folder) = folder_of_the_node(device, undo_dir) {
            return Err(VolumeError::OfTheNode { claim: claim.clone(), folder });
        }
        if let Some((other, _)) = found.iter().find(|(other, _)| other.device == device) {
            return Err(VolumeError::Same(other.claim.clone(), claim.clone()));
        }
        if !shutdown::is_supported(&root).map_err(kernel("look at", claim))? {
            return Err(VolumeError::UnknownFilesystem(claim.clone()));
        }
        let volume = Volume { claim: claim.clone(), path: located.path.clone(), device };
        let user = lasting(PASSING, || volume.user(pod, &containers, undo_dir));
        match user.map_err(kernel("look for users of", claim))? {
            User::Pod => {}
            User::Others(user) => return Err(VolumeError::UsedByOthers { claim: claim.clone(), user }),
            User::Unknown => return Err(VolumeError::Part(claim.clone())),
        }
        found.push((volume, root));
    }
    if found.is_empty() { Err(VolumeError::NoVolume) } else { Ok(found) }
}

/// Whether a volume of a pod is a filesystem of its own, so that what is counted for its device is the volume's.
pub fn is_of_its_own(pod: &LocatedPod, volume: &Volume, undo_dir: &Path) -> Result<(), VolumeError> {
    let claim = &volume.claim;
    if let Some(folder) = folder_of_the_node(volume.device, undo_dir) {
        return Err(VolumeError::OfTheNode { claim: claim.clone(), folder });
    }
    let containers = Running::find(pod, None).unwrap_or_default();
    match volume.user(pod, &containers, undo_dir).map_err(kernel("look for users of", claim))? {
        // Whoever else uses it does so by the same device.
        User::Pod | User::Others(_) => Ok(()),
        User::Unknown => Err(VolumeError::Part(claim.clone())),
    }
}

/// A folder of the node, or the node's undo records, on the filesystem with this device number.
pub(in crate::fault) fn folder_of_the_node(device: u64, undo_dir: &Path) -> Option<String> {
    folder_where(undo_dir, |path| volume::open_on(path, device).is_ok_and(|found| found.is_some()))
}

/// The same, on any filesystem of a whole disk.
pub(in crate::fault) fn folder_on_disk(disk: Device, undo_dir: &Path) -> Option<String> {
    folder_where(undo_dir, |path| {
        let device = volume::open(path).and_then(|folder| Ok(folder.metadata()?.dev()));
        device.and_then(Device::disk_of).is_ok_and(|found| found == disk)
    })
}

fn folder_where(undo_dir: &Path, is_there: impl Fn(&Path) -> bool) -> Option<String> {
    let of_the_node = OF_THE_NODE.iter().find(|folder| is_there(&Path::new("/proc/1/root").join(folder)));
    let named = of_the_node.map(|folder| format!("/{folder}"));
    // Where process 1 may not be looked at, the node's own root stands for it.
    let own = || is_there(Path::new("/")).then(|| "/".to_owned());
    named.or_else(own).or_else(|| is_there(undo_dir).then(|| undo_dir.display().to_string()))
}

impl Volume {
    /// Opens it again, wherever it is mounted now; `None` where it is mounted nowhere any more.
    pub(in crate::fault) fn reopen(&self) -> io::Result<Option<fs::File>> {
        if let Ok(Some(root)) = volume::open_on(&self.path, self.device) {
            return Ok(Some(root));
        }
        for namespace in of_device(self.device)? {
            for point in &namespace.points {
                let inside = point.strip_prefix("/").unwrap_or(point);
                for pid in &namespace.processes {
                    let path = Path::new("/proc").join(pid.to_string()).join("root").join(inside);
                    if let Ok(Some(root)) = volume::open_on(&path, self.device) {
                        return Ok(Some(root));
                    }
                }
            }
        }
        Ok(None)
    }

    /// Where kubelet stages it on the node, as the node names that place, opened there; `None` where it is mounted into its
    /// pod alone.
    pub(in crate::fault) fn staged(&self) -> io::Result<Option<(PathBuf, fs::File)>> {
        let found = of_device(self.device)?;
        // An agent in a container is not where kubelet is; a node without one need not be where process 1 is.
        for (node, root) in [("1", "/proc/1/root"), ("self", "/proc/self/root")] {
            let node = fs::read_link(format!("/proc/{node}/ns/mnt")).ok();
            let there = found.iter().filter(|found| Some(&found.name) == node.as_ref());
            for point in there.flat_map(|found| &found.whole).filter(|point| is_staged(point)) {
                let inside = Path::new(root).join(point.strip_prefix("/").unwrap_or(point));
                if let Some(mount) = volume::open_on(&inside, self.device)? {
                    return Ok(Some((point.clone(), mount)));
                }
            }
        }
        Ok(None)
    }

    /// Whether its block device has still something on it, mounted or not.
    pub(in crate::fault) fn is_attached(&self) -> bool {
        match Device::of(self.device).read("size") {
            // A loop device that was detached is there and has no size.
            Ok(size) => size.trim() != "0",
            // Where nobody can tell, it may have.
            Err(error) => error.kind() != io::ErrorKind::NotFound,
        }
    }

    /// Who uses it.
    fn user(&self, pod: &LocatedPod, containers: &[Running], undo_dir: &Path) -> io::Result<User> {
        let namespaces = of_device(self.device)?;
        // Only now: whom this node, or a container, has started meanwhile is none of others.
        let own = Own::of(pod, containers, undo_dir)?;
        let mut is_whole = false;
        for namespace in namespaces {
            if let Some(point) = namespace.points.iter().find(|point| is_of_another_pod(point, &pod.uid)) {
                return Ok(User::Others(format!("another pod has it mounted at {}", point.display())));
            }
            let is_of_pod = own.namespaces.contains(&namespace.name);
            is_whole |= namespace
                .whole
                .iter()
                .any(|point| is_of_pod || *point == self.path || is_of_kubelet(point, &pod.uid));
            for &pid in &namespace.processes {
                if own.is_own(pid, &namespace) {
                    continue;
                }
                // One that ends has no command line any more, by which a guardian is known.
                if let Some(user) = stranger(pid, &namespace, &pod.uid)
                    && !own.is_guardian(pid)
                    && !is_ending(pid)?
                {
                    return Ok(User::Others(user));
                }
            }
        }
        Ok(if is_whole { User::Pod } else { User::Unknown })
    }
}

/// Who uses a filesystem.
enum User {
    /// Nobody else.
    Pod,
    /// Somebody else, in a sentence.
    Others(String),
    /// The pod has a folder of it alone, and the rest is somebody's.
    Unknown,
}

/// Who still uses it when those have gone who do so for less than `passing`.
fn lasting(passing: Duration, mut look: impl FnMut() -> io::Result<User>) -> io::Result<User> {
    let until = Instant::now() + passing;
    loop {
        match look()? {
            User::Others(_) if Instant::now() < until => std::thread::sleep(PAUSE),
            user => return Ok(user),
        }
    }
}

/// How a process outside of the pod uses the filesystem, if it does: having it mounted where kubelet and its storage plugins
/// put the pod's own volumes is no use.
fn stranger(pid: i32, namespace: &Namespace, uid: &str) -> Option<String> {
    let is_in_a_pod = cgroups(pid).contains("kubepods");
    let elsewhere = namespace.points.iter().find(|point| !is_of_kubelet(point, uid));
    if let Some(point) = elsewhere.filter(|_| is_in_a_pod) {
        return Some(format!("process {pid} of another pod has it mounted at {}", point.display()));
    }
    let open = open_below(pid, &namespace.points)?;
    let name = fs::read_to_string(format!("/proc/{pid}/comm")).unwrap_or_default();
    Some(format!("process {pid} ({}) has {} open", name.trim(), open.display()))
}

/// Whether a mount point is that of another pod's volume.
fn is_of_another_pod(point: &Path, uid: &str) -> bool {
    let text = point.to_string_lossy();
    let mut parts = text.split("/pods/").skip(1);
    parts.any(|rest| {
        rest.split_once('/').is_some_and(|(owner, rest)| owner != uid && rest.starts_with("volume"))
    })
}

/// Whether a mount point is where kubelet or a storage plugin puts the volume of this pod.
fn is_of_kubelet(point: &Path, uid: &str) -> bool {
    let text = point.to_string_lossy();
    text.contains(&format!("/pods/{uid}/")) || is_staged(point)
}

/// Whether a mount point is where kubelet has a storage plugin put a volume for all pods of the node.
fn is_staged(point: &Path) -> bool {
    point.to_string_lossy().contains("/plugins/")
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::MetadataExt;
    use std::path::Path;
    use std::time::Duration;

    use super::{User, folder_of_the_node, is_of_another_pod, is_of_kubelet, lasting};

    const POINT: &str = "/var/lib/kubelet/pods/u-1/volumes/kubernetes.io~csi/pv/mount";

    #[test]
    fn refuses_what_kubelet_mounts_for_another_pod() {
        assert!(!is_of_another_pod(Path::new(POINT), "u-1"));
        assert!(is_of_another_pod(Path::new(POINT), "u-2"));
        assert!(is_of_another_pod(&Path::new("/host").join(&POINT[1..]), "u-2"));
        assert!(!is_of_another_pod(Path::new("/data"), "u-2"));
    }

    #[test]
    fn where_kubelet_stages_a_volume_is_no_use_of_it() {
        let staged = "/var/lib/kubelet/plugins/kubernetes.io/csi/d/h/globalmount";
        assert!(is_of_kubelet(Path::new(POINT), "u-1") && is_of_kubelet(Path::new(staged), "u-1"));
        assert!(!is_of_kubelet(Path::new("/data"), "u-1"));
    }

    #[test]
    fn who_uses_a_volume_in_passing_is_waited_for_and_who_stays_is_told() {
        let mut passing = 0..2;
        let found = lasting(Duration::from_mins(1), || {
            Ok(passing.next().map_or(User::Pod, |number| User::Others(format!("process {number}"))))
        });
        assert!(matches!(found, Ok(User::Pod)) && passing.is_empty());
        let stays = lasting(Duration::ZERO, || Ok(User::Others("a backup".to_owned())));
        assert!(matches!(stays, Ok(User::Others(who)) if who == "a backup"));
        let unknown = lasting(Duration::from_mins(1), || Ok(User::Unknown));
        assert!(matches!(unknown, Ok(User::Unknown)), "nobody else would change that");
    }

    #[test]
    fn refuses_the_root_of_the_node_and_its_undo_records() {
        let root = std::fs::metadata("/").expect("there").dev();
        assert!(folder_of_the_node(root, Path::new("/none")).is_some());
        let proc = std::fs::metadata("/proc/self/ns").expect("there").dev();
        assert_eq!(folder_of_the_node(proc, Path::new("/none")), None);
        assert_eq!(folder_of_the_node(proc, Path::new("/proc/self/ns")), Some("/proc/self/ns".to_owned()));
    }
}
