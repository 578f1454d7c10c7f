//! A power cut on a real filesystem, with the test as the platform that mounts again; and the latencies of the others.

use std::fs::{self, File};
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use seatrial::api::{HostFault, InjectionState};
use seatrial::host::loop_device::is_attached;
use seatrial::host::mount;
use seatrial::node::{LocatedVolume, bench_rounds};

use crate::node_fixture::{FileLocate, Folder, Node, cut, eventually, injection, options};
use crate::node_pod::{Grouping, Pod};

/// How long others may have the mounts of a disk.
const RELEASE: Duration = Duration::from_mins(1);
/// Longer than they have, and than all that comes after.
const LONG: Duration = Duration::from_mins(5);

fn must(program: &str, arguments: &[&str]) {
    let status = Command::new(program).args(arguments).status().expect("installed");
    assert!(status.success(), "{program} {arguments:?}");
}

/// An ext4 or xfs image, mounted through a loop device.
pub struct Disk {
    pub image: PathBuf,
    pub mount: PathBuf,
}

impl Disk {
    pub fn new(folder: &Path) -> Self {
        Self::of(folder, 32 << 20)
    }

    /// One of so many bytes.
    pub fn of(folder: &Path, size: u64) -> Self {
        Self::made(folder, size, &[])
    }

    /// An ext4 that is made with these options.
    pub fn made(folder: &Path, size: u64, options: &[&str]) -> Self {
        Self::by("mkfs.ext4", folder, size, &[options, &["-q", "-F"]].concat())
    }

    /// An xfs of the smallest size that its programs make.
    pub fn xfs(folder: &Path) -> Self {
        Self::by("mkfs.xfs", folder, 300 << 20, &["-q", "-f"])
    }

    fn by(program: &str, folder: &Path, size: u64, options: &[&str]) -> Self {
        let disk = Self { image: folder.join("disk.img"), mount: folder.join("disk") };
        File::create(&disk.image).expect("writable").set_len(size).expect("writable");
        fs::create_dir(&disk.mount).expect("writable");
        must(program, &[options, &[disk.image.to_str().expect("text")]].concat());
        disk.mount();
        disk
    }

    pub fn mount(&self) {
        must(
            "mount",
            &["-o", "loop", self.image.to_str().expect("text"), self.mount.to_str().expect("text")],
        );
    }

    /// Until nobody has it any more. Whoever looks at it uses it for a moment, and so does a child that another test has just
    /// started, which has all descriptors of this process until it executes its program. What begins beside this with a copy of
    /// all mounts has it for longer, and whoever mounts it meanwhile gets the same filesystem again, which has lost its power.
    pub fn unmount(&self) {
        eventually("nobody uses it", RELEASE, || mount::unmount(&self.mount).ok());
        eventually("nobody has it mounted", RELEASE, || {
            (!is_attached(&self.image).expect("readable")).then_some(())
        });
    }

    pub fn volume(&self) -> LocatedVolume {
        LocatedVolume { claim: "data".to_owned(), path: self.mount.clone(), device: Some(self.image.clone()) }
    }
}

/// Processes of ours beside the guardians that have something on a disk open: they work for a fault, or are just ending.
pub fn workers(disk: &Disk) -> Vec<i32> {
    let mut found = Vec::new();
    for entry in fs::read_dir("/proc").expect("readable").flatten() {
        let Some(pid) = entry.file_name().to_str().and_then(|name| name.parse::<i32>().ok()) else {
            continue;
        };
        let words = fs::read(entry.path().join("cmdline")).unwrap_or_default();
        let words = String::from_utf8_lossy(&words).into_owned();
        // Of one that ends its words are gone before its files are.
        let is_ending =
            || fs::read_to_string(entry.path().join("comm")).is_ok_and(|name| name == "seatrial\n");
        let is_ours = if words.is_empty() {
            is_ending()
        } else {
            ["\0__hoard\0", "\0__load\0"].iter().any(|word| words.contains(word))
        };
        let files = fs::read_dir(entry.path().join("fd")).into_iter().flatten().flatten();
        let mut links = files.filter_map(|file| fs::read_link(file.path()).ok());
        if is_ours && links.any(|link| link.starts_with(&disk.mount)) {
            found.push(pid);
        }
    }
    found
}

/// Waits until nobody does: a record may go a moment before whoever worked for it has ended.
pub fn nobody_works_on(disk: &Disk) {
    eventually("nobody works on it", Duration::from_secs(20), || workers(disk).is_empty().then_some(()));
}

impl Drop for Disk {
    fn drop(&mut self) {
        // Of a test that failed, a guardian may hold it still.
        let _ = Command::new("umount").arg("-l").arg(&self.mount).output();
    }
}

#[test]
fn a_power_loss_forgets_what_was_not_synced_and_is_proven_by_markers() {
    let folder = Folder::new();
    forgets_what_was_not_synced(&folder, &Disk::new(folder.path()));
}

/// A power loss of a disk, whichever its filesystem is.
pub fn forgets_what_was_not_synced(folder: &Folder, disk: &Disk) {
    let mut pod = Pod::new(Grouping::OwnCgroup);
    pod.located.volumes = vec![disk.volume()];
    folder.show(0, &pod.located);
    let mut synced = File::create(disk.mount.join("synced")).expect("writable");
    synced.write_all(b"kept").expect("writable");
    synced.sync_all().expect("writable");
    File::open(&disk.mount).and_then(|root| root.sync_all()).expect("writable");
    let mut node = Node::start(folder);
    fs::write(disk.mount.join("unsynced"), "lost").expect("writable");
    node.put(&injection("power", &pod, HostFault::PowerLoss { claims: Vec::new(), torn: None }, LONG));
    eventually("the container is dead", Duration::from_secs(10), || {
        (!pod.container_is_alive()).then_some(())
    });
    drop(synced);
    // What a platform does: mount again, start again.
    pod.remove();
    disk.unmount();
    disk.mount();
    let mut next = Pod::new(Grouping::OwnCgroup);
    next.located.volumes = vec![disk.volume()];
    folder.show(0, &next.located);
    let status = folder.await_state("power", InjectionState::Injected);
    let observed = status.proof.expect("proven").observed;
    assert!(observed.contains("synced marker there, unsynced gone"), "{observed}");
    assert_eq!(fs::read_to_string(disk.mount.join("synced")).expect("kept"), "kept");
    // Its name may have got to the disk with somebody else's sync; what was written to it did not.
    assert_ne!(fs::read_to_string(disk.mount.join("unsynced")).unwrap_or_default(), "lost");
    node.gone("power");
    eventually("no record", Duration::from_secs(10), || folder.records().is_empty().then_some(()));
    assert_eq!(markers(disk), Vec::<String>::new());
    node.end();
}

/// Markers of power cuts that are on a volume now.
fn markers(disk: &Disk) -> Vec<String> {
    let entries = fs::read_dir(&disk.mount).expect("readable").flatten();
    let names = entries.map(|entry| entry.file_name().to_string_lossy().into_owned());
    names.filter(|name| name.starts_with(".seatrial")).collect()
}

#[test]
fn a_power_loss_that_was_interrupted_is_finished_and_leaves_no_markers() {
    let folder = Folder::new();
    let disk = Disk::new(folder.path());
    let mut pod = Pod::new(Grouping::OwnCgroup);
    pod.located.volumes = vec![disk.volume()];
    folder.show(0, &pod.located);
    let mut node = Node::dies_at(&folder, "shut-down");
    let fault = HostFault::PowerLoss { claims: Vec::new(), torn: None };
    node.put(&injection("begun", &pod, fault, LONG));
    eventually("the node dies", Duration::from_secs(5), || node.child.try_wait().expect("ours"));
    assert!(pod.container_is_alive(), "it stands still on a dead filesystem");
    let next = Node::start(&folder);
    eventually("the container is dead", Duration::from_secs(5), || (!pod.container_is_alive()).then_some(()));
    pod.remove();
    disk.unmount();
    disk.mount();
    eventually("no record", Duration::from_secs(6), || folder.records().is_empty().then_some(()));
    assert_eq!(markers(&disk), Vec::<String>::new());
    next.end();
}

#[test]
fn a_power_loss_is_not_repeated_by_a_node_that_died_after_it() {
    let folder = Folder::new();
    let disk = Disk::new(folder.path());
    let mut pod = Pod::new(Grouping::OwnCgroup);
    pod.located.volumes = vec![disk.volume()];
    folder.show(0, &pod.located);
    let mut node = Node::dies_at(&folder, "acted");
    let spec = injection("once", &pod, HostFault::PowerLoss { claims: Vec::new(), torn: None }, LONG);
    node.put(&spec);
    eventually("the node dies", Duration::from_secs(5), || node.child.try_wait().expect("ours"));
    assert!(!pod.container_is_alive());
    // A kubelet keeps the pod and its UID, and starts it again.
    let uid = pod.located.uid.clone();
    pod.remove();
    disk.unmount();
    disk.mount();
    assert_eq!(markers(&disk).len(), 1, "the synced marker waits for whoever proves the cut");
    let mut next = Pod::new(Grouping::OwnCgroup);
    next.located.volumes = vec![disk.volume()];
    next.located.uid = uid;
    folder.show(0, &next.located);
    let mut node = Node::takes_over(&folder);
    node.put(&spec);
    let status = folder.await_state("once", InjectionState::Injected);
    assert!(status.proof.expect("proven").observed.contains("unsynced gone"));
    assert!(next.container_is_alive(), "the power is cut once");
    node.gone("once");
    folder.await_state("once", InjectionState::Reverted);
    assert_eq!(markers(&disk), Vec::<String>::new());
    assert_eq!(folder.records(), Vec::<PathBuf>::new());
    node.end();
}

#[test]
fn rounds_are_measured_and_leave_nothing() {
    let rounds = std::env::var("SEATRIAL_BENCH_ROUNDS").ok().and_then(|text| text.parse().ok()).unwrap_or(3);
    for (name, grouping, fault) in [
        ("pause", Grouping::OwnCgroup, HostFault::Pause {}),
        ("partition", Grouping::None, cut(&["10.99.0.2", "fd99::2"])),
    ] {
        let (folder, pod, peer) = (Folder::new(), Pod::new(grouping), Pod::new(Grouping::None));
        pod.connect(&peer);
        folder.show(0, &pod.located);
        let spec = injection(name, &pod, fault, Duration::from_mins(1));
        let locate = FileLocate(folder.path().to_owned());
        let runtime = tokio::runtime::Runtime::new().expect("a runtime");
        let measured =
            runtime.block_on(bench_rounds(locate, options(folder.undo_dir()), &spec, rounds)).expect("done");
        assert_eq!((measured.inject.len(), measured.revert.len()), (rounds, rounds));
        for (what, mut times) in [("inject", measured.inject), ("revert", measured.revert)] {
            times.sort();
            println!("{name} {what}: p50 {:?}, p99 {:?}", times[rounds / 2], times[rounds * 99 / 100]);
        }
        assert!(folder.records().is_empty());
    }
}
