//! Full disks: what is left on a real filesystem, of bytes or of inodes, is taken, and given back whoever dies.

use std::ffi::CString;
use std::fs::{self, File};
use std::io::ErrorKind;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use nix::errno::Errno;
use nix::libc;
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use seatrial::api::{Fill, FullDisk, HostFault, InjectionState};
use seatrial::host::inodes::Inodes;
use seatrial::host::room::Room;

use crate::node_fixture::{Folder, Node, eventually, guardians, injection};
use crate::node_pod::{Grouping, Pod};
use crate::node_power::{Disk, nobody_works_on, workers};
use crate::node_throttle::{Limited, writes};

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

fn inodes(disk: &Disk) -> Inodes {
    Inodes::at(&File::open(&disk.mount).expect("there")).expect("readable").expect("ext4 counts them")
}

/// Whether no inode is left on a volume.
pub fn is_out_of_inodes(disk: &Disk) -> bool {
    inodes(disk).free == 0
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

/// Gives whatever is made in a folder from now on an access list that is more than a mode (acl(5); the layout is that of
/// posix_acl_xattr.h of Linux).
fn give_access_list(folder: &Path) {
    const NOBODY: u32 = u32::MAX;
    // The owner, user 1000, the group, the mask, and everybody else.
    let entries: [(u16, u16, u32); 5] =
        [(0x01, 7, NOBODY), (0x02, 7, 1000), (0x04, 7, NOBODY), (0x10, 7, NOBODY), (0x20, 0, NOBODY)];
    let mut list = 2_u32.to_le_bytes().to_vec();
    for (tag, permissions, who) in entries {
        list.extend([tag.to_le_bytes(), permissions.to_le_bytes()].concat());
        list.extend(who.to_le_bytes());
    }
    let path = CString::new(folder.as_os_str().as_bytes()).expect("a path");
    let name = c"system.posix_acl_default";
    // SAFETY: the kernel copies the path, the name and the list, which live until the call returns.
    let done = unsafe { libc::setxattr(path.as_ptr(), name.as_ptr(), list.as_ptr().cast(), list.len(), 0) };
    Errno::result(done).expect("ext4 keeps access lists");
}

#[test]
fn the_room_comes_back_of_a_file_that_has_an_access_list_of_its_folder() {
    let folder = Folder::new();
    let mut pod = Pod::new(Grouping::None);
    // There is no place for it in inodes as small as these.
    let disk = Disk::made(folder.path(), 32 * MIB, &["-I", "128"]);
    give_access_list(&disk.mount);
    pod.located.volumes = vec![disk.volume()];
    folder.show(0, &pod.located);
    let before = room(&disk);
    let mut node = Node::start(&folder);
    node.put(&injection("listed", &pod, fill(Fill::Free(0)), LONG));
    folder.await_state("listed", InjectionState::Injected);
    node.gone("listed");
    folder.await_state("listed", InjectionState::Reverted);
    eventually("no record", SOON, || folder.records().is_empty().then_some(()));
    eventually("the room is back", SOON, || (room(&disk).free == before.free).then_some(()));
    let told = folder.statuses().into_iter().find(|(_, status)| status.state == InjectionState::RevertFailed);
    assert!(told.is_none(), "{told:?}");
    node.end();
}

/// Guardians and helpers of a fault have the volume open, as others would who use it.
#[test]
fn a_volume_without_inodes_can_be_limited_as_well() {
    let (folder, mut pod) = (Folder::new(), Pod::new(Grouping::None));
    let Some(limited) = Limited::start(&folder, &mut pod) else { return };
    let mut node = Node::start(&folder);
    // In the same moment, so that neither finds a record of the other.
    node.put(&injection("full", &pod, fill(Fill::FreeInodes(0)), LONG));
    node.put(&injection("slow", &pod, writes(10), LONG));
    folder.await_state("full", InjectionState::Injected);
    folder.await_state("slow", InjectionState::Injected);
    assert!(is_out_of_inodes(&limited.writer.disk) && limited.limit() == Some(10));
    node.end();
    assert!(!is_out_of_inodes(&limited.writer.disk) && limited.limit().is_none());
}

/// A pod with a volume that has some thousand inodes.
fn with_few_inodes(folder: &Folder) -> (Pod, Disk) {
    let mut pod = Pod::new(Grouping::None);
    let disk = Disk::new(folder.path());
    pod.located.volumes = vec![disk.volume()];
    folder.show(0, &pod.located);
    (pod, disk)
}

#[test]
fn a_volume_without_inodes_has_room_and_takes_no_new_file_until_they_are_back() {
    let folder = Folder::new();
    let (mut pod, disk) = with_few_inodes(&folder);
    fs::write(disk.mount.join("old"), "there").expect("writable");
    let before = inodes(&disk).free;
    let mut node = Node::start(&folder);
    node.put(&injection("inodes", &pod, fill(Fill::FreeInodes(0)), LONG));
    let observed = folder.await_state("inodes", InjectionState::Injected).proof.expect("proven").observed;
    assert!(
        observed.contains("has 0 of ") && observed.contains("another file is refused (ENOSPC)"),
        "{observed}"
    );
    let refused = File::create(disk.mount.join("new")).expect_err("there is no inode");
    assert_eq!(refused.kind(), ErrorKind::StorageFull);
    fs::write(disk.mount.join("old"), vec![1; 2 << 20]).expect("there is room");
    // A container that ends because of it finds none again.
    pod.kill_container();
    pod.start_container();
    folder.show(0, &pod.located);
    // What the pod frees is taken, too.
    fs::remove_file(disk.mount.join("old")).expect("ours");
    eventually("it is taken again", SOON, || is_out_of_inodes(&disk).then_some(()));
    let holder = eventually("one alone holds them", SOON, || {
        let workers = workers(&disk);
        (workers.len() == 1).then_some(workers)
    });
    // The kernel's memory that it holds makes it no larger.
    let first_to_go = fs::read_to_string(format!("/proc/{}/oom_score_adj", holder[0])).expect("readable");
    assert_eq!(first_to_go.trim(), "1000");
    assert_eq!(folder.status("inodes").map(|status| status.state), Some(InjectionState::Injected));
    node.gone("inodes");
    eventually("they are back", SOON, || (inodes(&disk).free > before).then_some(()));
    eventually("no record", SOON, || folder.records().is_empty().then_some(()));
    File::create(disk.mount.join("new")).expect("there are inodes");
    node.end();
    nobody_works_on(&disk);
    assert!(guardians(&folder).is_empty());
}

#[test]
fn so_many_inodes_are_taken_as_was_asked_and_no_more() {
    let folder = Folder::new();
    let (pod, disk) = with_few_inodes(&folder);
    let all = inodes(&disk).all;
    let mut node = Node::start(&folder);
    for (name, to, left) in [
        ("free", Fill::FreeInodes(100), 100..=100),
        ("percent", Fill::InodesPercent(75), all / 4 - 100..=all / 4),
    ] {
        node.put(&injection(name, &pod, fill(to), LONG));
        folder.await_state(name, InjectionState::Injected);
        assert!(left.contains(&inodes(&disk).free), "{name}: {:?}", inodes(&disk));
        node.gone(name);
        // Its guardian has the volume open until then.
        folder.await_state(name, InjectionState::Reverted);
    }
    node.put(&injection("few", &pod, fill(Fill::FreeInodes(all)), LONG));
    let error = folder.await_state("few", InjectionState::Failed).error.expect("why");
    assert!(error.contains("inodes left already, no more than it shall have"), "{error}");
    node.end();
}

#[test]
fn more_inodes_than_a_process_may_have_descriptors_are_taken_all_the_same() {
    let folder = Folder::new();
    let (pod, disk) = with_few_inodes(&folder);
    let before = inodes(&disk).free;
    assert!(before > 4 * 1000, "{before}");
    let mut node = Node::start(&folder);
    let process = node.child.id().to_string();
    // Whatever it starts has the same limit.
    let limited = Command::new("prlimit").args(["--pid", &process, "--nofile=1000:1000"]).status();
    assert!(limited.expect("part of util-linux").success());
    node.put(&injection("tables", &pod, fill(Fill::FreeInodes(0)), LONG));
    folder.await_state("tables", InjectionState::Injected);
    assert!(is_out_of_inodes(&disk));
    node.gone("tables");
    eventually("they are back", SOON, || (inodes(&disk).free == before).then_some(()));
    eventually("no record", SOON, || folder.records().is_empty().then_some(()));
    node.end();
}

#[test]
fn more_inodes_than_can_be_held_are_refused_with_their_number() {
    let folder = Folder::new();
    let mut pod = Pod::new(Grouping::None);
    // For so many no machine has the memory; the image takes a few megabytes.
    let disk = Disk::made(folder.path(), 256 << 30, &["-N", "60000000", "-O", "^has_journal"]);
    let free = inodes(&disk).free;
    pod.located.volumes = vec![disk.volume()];
    folder.show(0, &pod.located);
    let mut node = Node::start(&folder);
    node.put(&injection("many", &pod, fill(Fill::FreeInodes(0)), LONG));
    let error = folder.await_state("many", InjectionState::Failed).error.expect("why");
    assert!(error.contains(&format!("{free} inodes would have to be taken, and ")), "{error}");
    assert!(error.contains(" can be held here at most, for want of "), "{error}");
    assert_eq!(inodes(&disk).free, free);
    nobody_works_on(&disk);
    assert!(folder.records().is_empty());
    node.end();
}

#[test]
fn inodes_come_back_by_themselves_when_everybody_dies_or_who_holds_them_does() {
    let folder = Folder::new();
    let (pod, disk) = with_few_inodes(&folder);
    let mut node = Node::start(&folder);
    node.put(&injection("held", &pod, fill(Fill::FreeInodes(0)), LONG));
    folder.await_state("held", InjectionState::Injected);
    kill(Pid::from_raw(workers(&disk)[0]), Signal::SIGKILL).expect("there");
    eventually("they are back", SOON, || (!is_out_of_inodes(&disk)).then_some(()));
    let why = folder.await_state("held", InjectionState::Lost).error.expect("why");
    assert!(why.contains("what filled the volumes is gone with those who held it"), "{why}");
    node.gone("held");
    folder.await_state("held", InjectionState::Reverted);
    node.put(&injection("orphan", &pod, fill(Fill::FreeInodes(0)), LONG));
    folder.await_state("orphan", InjectionState::Injected);
    node.kill();
    assert!(is_out_of_inodes(&disk), "its guardian holds the line");
    for guardian in guardians(&folder) {
        kill(Pid::from_raw(guardian), Signal::SIGKILL).expect("there");
    }
    eventually("they are back", SOON, || (!is_out_of_inodes(&disk)).then_some(()));
    nobody_works_on(&disk);
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
