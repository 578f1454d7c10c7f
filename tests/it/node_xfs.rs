//! Volumes that are xfs filesystems: what their faults do to them, and that nothing of it is left.

use std::fs::{self, File};
use std::io::ErrorKind;
use std::time::Duration;

use seatrial::api::{Fill, InjectionState};
use seatrial::host::room::Room;

use crate::node_fixture::{Folder, Node, eventually, guardians, injection};
use crate::node_frozen::is_frozen;
use crate::node_pod::{Grouping, Pod};
use crate::node_power::{Disk, forgets_what_was_not_synced};
use crate::node_read_only::{is_read_only, read_only};
use crate::node_room::fill;
use crate::node_stall::stall;
use crate::node_writer::Writer;

const LONG: Duration = Duration::from_mins(1);
const SOON: Duration = Duration::from_secs(10);
const MIB: u64 = 1 << 20;

/// A pod with a volume that nobody has anything open on.
fn at_rest(folder: &Folder) -> (Pod, Disk) {
    let mut pod = Pod::new(Grouping::OwnCgroup);
    let disk = Disk::xfs(folder.path());
    pod.located.volumes = vec![disk.volume()];
    folder.show(0, &pod.located);
    (pod, disk)
}

fn is_over(folder: &Folder, node: Node) {
    eventually("no record", SOON, || folder.records().is_empty().then_some(()));
    node.end();
    assert!(guardians(folder).is_empty());
}

#[test]
fn a_frozen_xfs_holds_its_writers_up_until_it_is_thawed() {
    let (folder, mut pod) = (Folder::new(), Pod::new(Grouping::None));
    let disk = Disk::xfs(folder.path());
    let writer = Writer::on(&folder, &mut pod, disk);
    let mut node = Node::start(&folder);
    node.put(&injection("stall", &pod, stall(None), LONG));
    folder.await_state("stall", InjectionState::Injected);
    eventually("both threads wait", SOON, || {
        let observed = folder.status("stall")?.proof?.observed;
        (observed.contains("EBUSY") && observed.contains("2 threads wait")).then_some(())
    });
    node.gone("stall");
    writer.goes_on_within(SOON);
    assert!(!is_frozen(&writer.disk.mount));
    is_over(&folder, node);
}

#[test]
fn a_full_xfs_takes_no_more_and_has_its_room_back_afterwards() {
    let folder = Folder::new();
    let (pod, disk) = at_rest(&folder);
    let free = || Room::at(&File::open(&disk.mount).expect("there")).expect("readable").free;
    let before = free();
    let mut node = Node::start(&folder);
    node.put(&injection("full", &pod, fill(Fill::Free(0)), LONG));
    folder.await_state("full", InjectionState::Injected);
    let refused = fs::write(disk.mount.join("more"), vec![1; 8 << 20]).expect_err("it is full");
    assert_eq!(refused.kind(), ErrorKind::StorageFull);
    node.gone("full");
    // Its name may have found room.
    let _ = fs::remove_file(disk.mount.join("more"));
    eventually("the room is back", SOON, || (free() + MIB >= before).then_some(()));
    is_over(&folder, node);
}

#[test]
fn an_xfs_is_read_only_at_once_and_writable_afterwards() {
    let folder = Folder::new();
    let (pod, disk) = at_rest(&folder);
    let mut node = Node::start(&folder);
    node.put(&injection("ro", &pod, read_only(false), LONG));
    folder.await_state("ro", InjectionState::Injected);
    let refused = fs::write(disk.mount.join("new"), "refused").expect_err("it is read-only");
    assert_eq!(refused.kind(), ErrorKind::ReadOnlyFilesystem);
    node.gone("ro");
    eventually("it is writable", SOON, || (!is_read_only(&disk)).then_some(()));
    fs::write(disk.mount.join("new"), "taken").expect("it is writable");
    is_over(&folder, node);
}

#[test]
fn an_xfs_that_loses_power_forgets_what_was_not_synced() {
    let folder = Folder::new();
    forgets_what_was_not_synced(&folder, &Disk::xfs(folder.path()));
}
