//! Volumes that do not leave their node: a real mount that cannot be unmounted, with and without its pod, whoever dies.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use nix::errno::Errno;
use nix::mount::{MntFlags, umount2};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use seatrial::api::{Desired, HeldVolume, HostFault, InjectionSpec, InjectionState};

use crate::node_fixture::{BRIEF, Folder, Node, eventually, guardians, injection};
use crate::node_pod::{Grouping, Pod};
use crate::node_power::Disk;

const LONG: Duration = Duration::from_mins(1);
/// With the time until a deadline.
const SOON: Duration = Duration::from_secs(30);

fn hold() -> HostFault {
    HostFault::HoldVolume(HeldVolume { claims: Vec::new() })
}

/// Where kubelet stages a volume.
struct Staging(PathBuf);

impl Staging {
    fn of(disk: &Disk, folder: &Path) -> Self {
        let point = folder.join("plugins/kubernetes.io/csi/d/h/globalmount");
        fs::create_dir_all(&point).expect("writable");
        let bound = Command::new("mount").arg("--bind").args([&disk.mount, &point]).status();
        assert!(bound.expect("installed").success());
        Self(point)
    }

    /// What kubelet hears when it unmounts it.
    fn unmount(&self) -> Result<(), Errno> {
        umount2(&self.0, MntFlags::empty())
    }
}

impl Drop for Staging {
    fn drop(&mut self) {
        let _ = umount2(&self.0, MntFlags::MNT_DETACH);
    }
}

struct Scene {
    staging: Staging,
    pod: Pod,
    disk: Disk,
    folder: Folder,
}

impl Scene {
    fn new() -> Self {
        let (folder, mut pod) = (Folder::new(), Pod::new(Grouping::None));
        let disk = Disk::new(folder.path());
        let staging = Staging::of(&disk, folder.path());
        pod.located.volumes = vec![disk.volume()];
        folder.show(0, &pod.located);
        Self { staging, pod, disk, folder }
    }

    fn held(&self, name: &str, lasts: Duration) -> (Node, InjectionSpec) {
        let mut node = Node::start(&self.folder);
        let spec = injection(name, &self.pod, hold(), lasts);
        node.put(&spec);
        let status = self.folder.await_state(name, InjectionState::Injected);
        let observed = status.proof.expect("proven").observed;
        assert!(observed.contains("volume data is held at"), "{observed}");
        assert_eq!(self.staging.unmount(), Err(Errno::EBUSY));
        (node, spec)
    }

    fn is_let_go(&self) {
        eventually("nobody holds it", SOON, || self.staging.unmount().ok());
        eventually("no record", SOON, || self.folder.records().is_empty().then_some(()));
    }
}

#[test]
fn a_volume_stays_when_its_pod_and_its_node_are_gone_and_leaves_when_it_is_let_go() {
    let mut scene = Scene::new();
    let (node, spec) = scene.held("stuck", LONG);
    scene.pod.remove();
    // Longer than from one look to the next.
    std::thread::sleep(Duration::from_millis(1500));
    assert_eq!(scene.staging.unmount(), Err(Errno::EBUSY), "it outlives the pod");
    assert_eq!(scene.folder.status("stuck").map(|status| status.state), Some(InjectionState::Injected));
    node.kill();
    assert_eq!(scene.staging.unmount(), Err(Errno::EBUSY), "the guardian holds it");
    let mut node = Node::takes_over(&scene.folder);
    node.put(&spec);
    eventually("it is taken over", SOON, || {
        scene.folder.status("stuck")?.error.filter(|note| note.contains("taken over"))
    });
    assert_eq!(scene.staging.unmount(), Err(Errno::EBUSY));
    node.put(&InjectionSpec { desired: Desired::Reverted, ..spec });
    scene.folder.await_state("stuck", InjectionState::Reverted);
    scene.is_let_go();
    assert!(guardians(&scene.folder).is_empty());
    node.end();
    assert!(scene.disk.mount.exists());
}

#[test]
fn the_guardian_lets_go_at_the_deadline_and_the_kernel_when_everybody_dies() {
    let scene = Scene::new();
    let ends = Instant::now() + BRIEF;
    let (node, _) = scene.held("deadline", BRIEF);
    node.kill();
    scene.is_let_go();
    assert!(Instant::now() >= ends);

    let scene = Scene::new();
    let (node, _) = scene.held("nobody", LONG);
    let guardian = guardians(&scene.folder)[0];
    node.kill();
    kill(Pid::from_raw(guardian), Signal::SIGKILL).expect("there");
    eventually("nobody holds it", SOON, || scene.staging.unmount().ok());
}

#[test]
fn a_volume_that_is_staged_nowhere_is_refused() {
    let (folder, mut pod) = (Folder::new(), Pod::new(Grouping::None));
    let disk = Disk::new(folder.path());
    pod.located.volumes = vec![disk.volume()];
    folder.show(0, &pod.located);
    let mut node = Node::start(&folder);
    node.put(&injection("unstaged", &pod, hold(), LONG));
    let status = folder.await_state("unstaged", InjectionState::Failed);
    assert!(status.error.is_some_and(|why| why.contains("volume data is staged nowhere on this node")));
    assert!(folder.records().is_empty());
    node.end();
}
