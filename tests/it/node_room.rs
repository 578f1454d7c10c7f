//! Full disks: what is left on a real filesystem is taken, and given back whoever dies.

use std::fs::{self, File};
use std::io::ErrorKind;
use std::time::Duration;

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use seatrial::api::{Fill, FullDisk, HostFault, InjectionState};
use seatrial::host::room::Room;

use crate::node_fixture::{Folder, Node, eventually, guardians, injection};
use crate::node_pod::{Grouping, Pod};
use crate::node_power::Disk;

const LONG: Duration = Duration::from_mins(1);
const SOON: Duration = Duration::from_secs(3);
const MIB: u64 = 1 << 20;

pub fn fill(to: Fill) -> HostFault {
    HostFault::DiskFill(FullDisk { claims: Vec::new(), to })
}

fn room(disk: &Disk) -> Room {
    Room::at(&File::open(&disk.mount).expect("there")).expect("readable")
}

/// Whether next to nothing is left on a volume that nobody but the fault has written to.
pub fn is_full(disk: &Disk) -> bool {
    room(disk).free < 6 * MIB
}

/// As large as that ext4 keeps more for itself than may be left.
fn with_disk(folder: &Folder) -> (Pod, Disk) {
    let mut pod = Pod::new(Grouping::None);
    let disk = Disk::of(folder.path(), 256 * MIB);
    pod.located.volumes = vec![disk.volume()];
    folder.show(0, &pod.located);
    (pod, disk)
}

#[test]
fn a_full_volume_takes_no_more_and_has_its_room_back_afterwards() {
    let folder = Folder::new();
    let (mut pod, disk) = with_disk(&folder);
    let before = room(&disk);
    let mut node = Node::start(&folder);
    node.put(&injection("full", &pod, fill(Fill::Free(0)), LONG));
    let status = folder.await_state("full", InjectionState::Injected);
    let observed = status.proof.expect("proven").observed;
    assert!(observed.contains("more is refused (ENOSPC)"), "{observed}");
    let refused = fs::write(disk.mount.join("more"), vec![1; 2 << 20]).expect_err("it is full");
    assert_eq!(refused.kind(), ErrorKind::StorageFull);
    // A container that ends because of it finds it full again.
    pod.kill_container();
    pod.start_container();
    folder.show(0, &pod.located);
    std::thread::sleep(Duration::from_millis(500));
    assert!(
        is_full(&disk)
            && folder.status("full").is_some_and(|status| status.state == InjectionState::Injected)
    );
    // What the pod frees is taken, too.
    fs::remove_file(disk.mount.join("more")).expect("ours");
    eventually("it is full again", SOON, || is_full(&disk).then_some(()));
    let names = fs::read_dir(&disk.mount).expect("readable").flatten().map(|entry| entry.file_name());
    assert_eq!(names.filter(|name| name != "lost+found").count(), 0, "the file has no name");
    node.gone("full");
    eventually("the room is back", SOON, || (room(&disk).free + MIB >= before.free).then_some(()));
    eventually("no record", SOON, || folder.records().is_empty().then_some(()));
    fs::write(disk.mount.join("more"), vec![1; 2 << 20]).expect("there is room");
    node.end();
    assert!(guardians(&folder).is_empty());
}

#[test]
fn a_volume_is_filled_to_what_was_asked_and_not_further() {
    let folder = Folder::new();
    let (pod, disk) = with_disk(&folder);
    let mut node = Node::start(&folder);
    node.put(&injection("free", &pod, fill(Fill::Free(5 * MIB)), LONG));
    folder.await_state("free", InjectionState::Injected);
    let left = room(&disk).available;
    assert!((4 * MIB..=6 * MIB).contains(&left), "{left} bytes are left");
    node.gone("free");
    // Its guardian has the file open until then.
    folder.await_state("free", InjectionState::Reverted);
    node.put(&injection("percent", &pod, fill(Fill::Percent(50)), LONG));
    folder.await_state("percent", InjectionState::Injected);
    let now = room(&disk);
    let percent = now.taken * 100 / (now.taken + now.available);
    assert!((45..=55).contains(&percent), "{percent} % are taken");
    node.gone("percent");
    // Its guardian has the file open until then.
    folder.await_state("percent", InjectionState::Reverted);
    node.put(&injection("less", &pod, fill(Fill::Free(1024 * MIB)), LONG));
    let status = folder.await_state("less", InjectionState::Failed);
    let error = status.error.expect("why");
    assert!(error.contains("nothing is to be filled"), "{error}");
    node.end();
}

#[test]
fn the_room_comes_back_by_itself_when_everybody_dies() {
    let folder = Folder::new();
    let (pod, disk) = with_disk(&folder);
    let mut node = Node::start(&folder);
    node.put(&injection("orphan", &pod, fill(Fill::Free(0)), LONG));
    folder.await_state("orphan", InjectionState::Injected);
    node.kill();
    assert!(is_full(&disk));
    for guardian in guardians(&folder) {
        kill(Pid::from_raw(guardian), Signal::SIGKILL).expect("there");
    }
    eventually("the room is back", SOON, || (!is_full(&disk)).then_some(()));
}
