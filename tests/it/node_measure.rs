//! Volumes that are measured: what a node reads is what the kernel says, and nothing is changed or left.

use std::fs::{self, File};
use std::io::Write;
use std::time::Duration;

use seatrial::api::{HostFault, InjectionState, MeasuredVolume, Seen};
use seatrial::host::inodes::Inodes;
use seatrial::host::room::Room;
use seatrial::node::LocatedVolume;

use crate::node_fixture::{Folder, Node, eventually, guardians, injection};
use crate::node_pod::{Grouping, Pod};
use crate::node_power::Disk;

const LONG: Duration = Duration::from_mins(1);
const SOON: Duration = Duration::from_secs(10);
const NAME: &str = "measured";

/// The newest look at the pod's volumes.
fn volumes(folder: &Folder) -> Option<(u64, Vec<MeasuredVolume>)> {
    let measured = folder.status(NAME)?.measured?;
    measured.pod.is_some().then_some((measured.at, measured.volumes))
}

/// The same, of a look that began after now.
fn next_look(folder: &Folder) -> Vec<MeasuredVolume> {
    let before = volumes(folder).map(|(at, _)| at);
    let looked = |after: Option<u64>| {
        eventually("another look", SOON, || {
            volumes(folder).filter(|(at, _)| after.is_none_or(|then| *at > then))
        })
    };
    let (at, first) = looked(before);
    // The first one may have been under way.
    if before.is_none() { first } else { looked(Some(at)).1 }
}

fn operations(volume: &MeasuredVolume) -> u64 {
    volume.io.as_ref().expect("it has a device of its own").operations
}

#[test]
fn a_node_reads_how_full_a_volume_is_and_what_its_device_does_and_leaves_nothing() {
    let folder = Folder::new();
    let mut pod = Pod::new(Grouping::None);
    let disk = Disk::new(folder.path());
    let shared = folder.path().join("shared");
    fs::create_dir(&shared).expect("writable");
    let folder_of_the_node = LocatedVolume { claim: "log".into(), path: shared, device: None };
    pod.located.volumes = vec![disk.volume(), folder_of_the_node];
    folder.show(0, &pod.located);
    let mut node = Node::start(&folder);
    node.put(&injection(NAME, &pod, HostFault::Measure {}, LONG));

    let first = next_look(&folder);
    let room = Room::at(&File::open(&disk.mount).expect("there")).expect("readable");
    let read = first[0].room.expect("it can be looked at");
    assert_eq!((first[0].claim.as_str(), read.taken, read.available), ("data", room.taken, room.available));
    let counted = read.inodes.expect("ext4 counts them");
    let inodes = Inodes::at(&File::open(&disk.mount).expect("there")).expect("readable").expect("counted");
    assert_eq!((counted.taken + counted.free, counted.free), (inodes.all, inodes.free));
    assert!(first[1].room.is_some() && first[1].io.is_none(), "{first:?}");
    let why = first[1].why.as_deref().unwrap_or_default();
    assert!(why.contains("on the filesystem of the node's own"), "{why}");

    let mut file = File::create(disk.mount.join("file")).expect("writable");
    for _ in 0..20 {
        file.write_all(&vec![7; 64 << 10]).expect("there is room");
        file.sync_all().expect("writable");
    }
    let second = next_look(&folder);
    assert!(operations(&second[0]) >= operations(&first[0]) + 20, "{first:?} {second:?}");
    assert!(second[0].room.expect("there").taken >= read.taken + (1 << 20), "{first:?} {second:?}");
    let third = next_look(&folder);
    assert!(
        operations(&third[0]) < operations(&second[0]) + 20,
        "nobody writes any more: {second:?} {third:?}"
    );

    assert_eq!((folder.records().len(), guardians(&folder).len()), (0, 0), "there is nothing to take back");
    pod.remove();
    eventually("the pod is gone", SOON, || {
        let measured = folder.status(NAME)?.measured?;
        (measured.seen() == Seen::NoPod).then_some(())
    });
    // Nobody else holds the volume.
    drop(file);
    disk.unmount();
    node.gone(NAME);
    node.end();
    assert_eq!((folder.records().len(), guardians(&folder).len()), (0, 0));
}

#[test]
fn measuring_ends_with_its_deadline_or_when_it_is_not_wanted_any_more() {
    let folder = Folder::new();
    let mut pod = Pod::new(Grouping::None);
    let disk = Disk::new(folder.path());
    pod.located.volumes = vec![disk.volume()];
    folder.show(0, &pod.located);
    let mut node = Node::start(&folder);
    node.put(&injection(NAME, &pod, HostFault::Measure {}, SOON));
    folder.await_state(NAME, InjectionState::Injected);
    eventually("its deadline", 2 * SOON, || {
        folder.status(NAME).filter(|status| status.state == InjectionState::Reverted)
    });
    let mut other = injection("other", &pod, HostFault::Measure {}, LONG);
    node.put(&other);
    folder.await_state("other", InjectionState::Injected);
    other.desired = seatrial::api::Desired::Reverted;
    node.put(&other);
    folder.await_state("other", InjectionState::Reverted);
    // One that dies leaves nothing either, and another one goes on where it was.
    let third = injection("third", &pod, HostFault::Measure {}, LONG);
    node.put(&third);
    folder.await_state("third", InjectionState::Injected);
    node.kill();
    assert_eq!((folder.records().len(), guardians(&folder).len()), (0, 0));
    let looked = |folder: &Folder| folder.status("third")?.measured.map(|measured| measured.at);
    let before = looked(&folder);
    let mut node = Node::start(&folder);
    node.put(&third);
    eventually("a look of the next node", SOON, || looked(&folder).filter(|at| Some(*at) > before));
    node.end();
}
