//! Read-only disks: a real filesystem that can be written to no longer, and is writable again whoever dies and wherever it is
//! mounted by then.

use std::fs::{self, File};
use std::os::fd::AsRawFd;
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::os::unix::process::ExitStatusExt;
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::mpsc::channel;
use std::time::Duration;

use nix::libc;
use nix::mount::MsFlags;
use nix::sched::CloneFlags;
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use seatrial::api::{HostFault, InjectionState, ReadOnlyDisk};
use seatrial::host::mount::Access;
use seatrial::host::mount::superblock::access;
use seatrial::host::process::writers::writers;
use seatrial::host::shutdown::shut_down;
use seatrial::node::LocatedContainer;

use crate::node_fixture::{Folder, Node, eventually, guardians, injection};
use crate::node_pod::{Grouping, Pod};
use crate::node_power::Disk;
use crate::node_writer::Writer;

const LONG: Duration = Duration::from_mins(1);
const SOON: Duration = Duration::from_secs(5);

pub fn read_only(kill_writers: bool) -> HostFault {
    HostFault::DiskReadOnly(ReadOnlyDisk { claims: Vec::new(), kill_writers })
}

pub fn is_read_only(disk: &Disk) -> bool {
    is_read_only_at(&disk.mount)
}

fn is_read_only_at(mount: &Path) -> bool {
    access(&File::open(mount).expect("there")).expect("readable") == Access::ReadOnly
}

/// A pod that has nothing open on its volume.
fn at_rest(folder: &Folder) -> (Pod, Disk) {
    let mut pod = Pod::new(Grouping::None);
    let disk = Disk::new(folder.path());
    pod.located.volumes = vec![disk.volume()];
    folder.show(0, &pod.located);
    (pod, disk)
}

/// Whether it is unmounted now, which it is not while anybody has something of it open.
fn unmount(mount: &Path) -> bool {
    Command::new("umount").arg(mount).stderr(Stdio::null()).status().expect("installed").success()
}

fn mount(arguments: &[&str]) {
    assert!(Command::new("mount").args(arguments).status().expect("installed").success(), "{arguments:?}");
}

#[test]
fn a_volume_that_nobody_writes_to_is_read_only_at_once_and_writable_afterwards() {
    let folder = Folder::new();
    let (mut pod, disk) = at_rest(&folder);
    fs::write(disk.mount.join("old"), "kept").expect("writable");
    let mut node = Node::start(&folder);
    node.put(&injection("ro", &pod, read_only(false), LONG));
    let observed = folder.await_state("ro", InjectionState::Injected).proof.expect("proven").observed;
    assert_eq!(observed, "volume data is read-only (statvfs), a new file is refused (EROFS)");
    let refused = File::options().append(true).open(disk.mount.join("old")).expect_err("it is read-only");
    assert_eq!(refused.raw_os_error(), Some(libc::EROFS));
    assert_eq!(fs::read_to_string(disk.mount.join("old")).expect("readable"), "kept");
    assert!(pod.container_is_alive(), "nobody was in the way");
    // A container that ends because of it finds it so again.
    pod.kill_container();
    pod.start_container();
    folder.show(0, &pod.located);
    std::thread::sleep(Duration::from_millis(1500));
    assert!(is_read_only(&disk));
    assert_eq!(folder.status("ro").map(|status| status.state), Some(InjectionState::Injected));
    node.gone("ro");
    eventually("it is writable", SOON, || (!is_read_only(&disk)).then_some(()));
    eventually("no record", SOON, || folder.records().is_empty().then_some(()));
    fs::write(disk.mount.join("old"), "changed").expect("writable");
    node.end();
    assert!(guardians(&folder).is_empty());
}

#[test]
fn a_volume_that_is_written_to_is_refused_with_who_does_it_and_what_to_write() {
    let (folder, mut pod) = (Folder::new(), Pod::new(Grouping::None));
    let writer = Writer::start(&folder, &mut pod);
    let mut node = Node::start(&folder);
    node.put(&injection("live", &pod, read_only(false), LONG));
    let error = folder.await_state("live", InjectionState::Failed).error.expect("why");
    for words in [&format!("process {} (", writer.pid()), "killWriters: true", "error: EROFS"] {
        assert!(error.contains(words), "{error}");
    }
    assert!(!is_read_only(&writer.disk) && folder.records().is_empty());
    writer.goes_on_within(SOON);
    node.end();
}

#[test]
fn a_writer_is_killed_for_it_where_that_is_asked_for() {
    let (folder, mut pod) = (Folder::new(), Pod::new(Grouping::None));
    let mut writer = Writer::start(&folder, &mut pod);
    let mut node = Node::start(&folder);
    node.put(&injection("killed", &pod, read_only(true), LONG));
    let observed = folder.await_state("killed", InjectionState::Injected).proof.expect("proven").observed;
    assert!(observed.ends_with("a new file is refused (EROFS), killed for it: container main"), "{observed}");
    let status = writer.child.wait().expect("ours");
    assert_eq!(status.signal(), Some(Signal::SIGKILL as i32));
    assert!(is_read_only(&writer.disk));
    node.gone("killed");
    eventually("it is writable", SOON, || (!is_read_only(&writer.disk)).then_some(()));
    eventually("no record", SOON, || folder.records().is_empty().then_some(()));
    node.end();
}

#[test]
fn nobody_is_killed_in_vain() {
    let (folder, mut pod) = (Folder::new(), Pod::new(Grouping::None));
    let writer = Writer::start(&folder, &mut pod);
    let mut idle = Command::new("sleep").arg("1000").spawn().expect("installed");
    let pid = idle.id().cast_signed();
    let other = LocatedContainer { name: "idle".to_owned(), pid, cgroup: None, throttle: None };
    pod.located.containers.push(other);
    folder.show(0, &pod.located);
    let mut spec = injection("idle", &pod, read_only(true), LONG);
    spec.container = Some("idle".to_owned());
    let mut node = Node::start(&folder);
    node.put(&spec);
    let error = folder.await_state("idle", InjectionState::Failed).error.expect("why");
    assert!(error.contains("name no `container`, so that all of the pod are killed"), "{error}");
    assert!(error.contains(&format!("process {} (", writer.pid())), "{error}");
    assert!(idle.try_wait().expect("ours").is_none(), "it is alive");
    writer.goes_on_within(SOON);
    idle.kill().expect("ours");
    idle.wait().expect("ours");
    node.end();
}

#[test]
fn what_is_read_only_without_us_stays_so() {
    let folder = Folder::new();
    let (pod, disk) = at_rest(&folder);
    mount(&["-o", "remount,ro", disk.mount.to_str().expect("text")]);
    let mut node = Node::start(&folder);
    node.put(&injection("second", &pod, read_only(true), LONG));
    let error = folder.await_state("second", InjectionState::Failed).error.expect("why");
    assert!(error.contains("is read-only already"), "{error}");
    assert!(is_read_only(&disk) && folder.records().is_empty());
    // The mount of the container alone.
    mount(&["-o", "remount,rw", disk.mount.to_str().expect("text")]);
    mount(&["-o", "remount,bind,ro", disk.mount.to_str().expect("text")]);
    node.put(&injection("mount", &pod, read_only(true), LONG));
    let error = folder.await_state("mount", InjectionState::Failed).error.expect("why");
    assert!(error.contains("is mounted read-only in its container, though"), "{error}");
    node.end();
}

/// A frozen disk, which would be out of reach and frozen for ever once it is unmounted.
struct Frozen<'a>(&'a Disk);

impl<'a> Frozen<'a> {
    fn new(disk: &'a Disk) -> Self {
        assert!(Self::tell(disk, "--freeze"));
        Self(disk)
    }

    fn tell(disk: &Disk, what: &str) -> bool {
        let told = Command::new("fsfreeze").arg(what).arg(&disk.mount).status();
        told.expect("installed").success()
    }
}

impl Drop for Frozen<'_> {
    fn drop(&mut self) {
        Self::tell(self.0, "--unfreeze");
    }
}

#[test]
fn nobody_is_killed_for_a_volume_that_is_frozen() {
    let folder = Folder::new();
    let (mut pod, disk) = at_rest(&folder);
    let mut node = Node::start(&folder);
    let frozen = Frozen::new(&disk);
    node.put(&injection("frozen", &pod, read_only(true), LONG));
    let error = folder.await_state("frozen", InjectionState::Failed).error.expect("why");
    drop(frozen);
    assert!(error.contains("it may be frozen"), "{error}");
    assert!(pod.container_is_alive() && folder.records().is_empty());
    node.end();
}

#[test]
fn writers_are_looked_for_without_a_word_from_a_filesystem_that_does_not_answer() {
    let folder = tempfile::tempdir().expect("writable");
    let device = fs::metadata(folder.path()).expect("there").dev();
    let server = File::options().read(true).write(true).open("/dev/fuse").expect("tests have it");
    // Nobody ever answers for it, as nobody does for a server that is gone. The namespace ends with the thread.
    let options = format!("fd={},rootmode=40000,user_id=0,group_id=0", server.as_raw_fd());
    let point = folder.path().to_owned();
    let dead = std::thread::spawn(move || {
        nix::sched::unshare(CloneFlags::CLONE_NEWNS).expect("this is root");
        seatrial::host::mount::make_private().expect("ours");
        let flags = MsFlags::empty();
        nix::mount::mount(Some("dead"), &point, Some("fuse"), flags, Some(options.as_str()))
            .expect("mounted");
        let named = File::options().read(true).custom_flags(libc::O_PATH).open(&point);
        named.expect("nobody is asked for that")
    });
    let dead = dead.join().expect("mounted");
    let (done, answer) = channel();
    std::thread::spawn(move || done.send(writers(device)));
    let answer = answer.recv_timeout(LONG);
    // Whoever waits is told now that nobody will answer.
    drop(server);
    drop(dead);
    answer.expect("nobody waits").expect("readable");
}

#[test]
fn a_volume_that_is_unmounted_and_never_writable_again_is_let_go() {
    let folder = Folder::new();
    let (pod, disk) = at_rest(&folder);
    let mut node = Node::start(&folder);
    node.put(&injection("gone", &pod, read_only(false), LONG));
    folder.await_state("gone", InjectionState::Injected);
    // What is shut down is never writable again. Before it is, its last mount goes, and the node alone holds it.
    let root = File::open(&disk.mount).expect("there");
    let unmounted = Command::new("umount").arg("--lazy").arg(&disk.mount).status();
    assert!(unmounted.expect("installed").success());
    let held = format!("/proc/self/fd/{}", root.as_raw_fd());
    shut_down(Path::new(&held), root.metadata().expect("readable").dev()).expect("ext4 can be");
    drop(root);
    node.gone("gone");
    eventually("no record", SOON, || folder.records().is_empty().then_some(()));
    node.end();
    assert!(guardians(&folder).is_empty());
}

#[test]
fn a_volume_is_writable_again_when_its_pod_ends() {
    let folder = Folder::new();
    let (mut pod, disk) = at_rest(&folder);
    let mut node = Node::start(&folder);
    node.put(&injection("pod", &pod, read_only(false), LONG));
    folder.await_state("pod", InjectionState::Injected);
    pod.remove();
    eventually("it is writable", SOON, || (!is_read_only(&disk)).then_some(()));
    eventually("no record", SOON, || folder.records().is_empty().then_some(()));
    eventually("nobody holds it", SOON, || unmount(&disk.mount).then_some(()));
    node.end();
}

#[test]
fn it_is_made_writable_wherever_it_is_mounted_when_nobody_holds_it_any_more() {
    let folder = Folder::new();
    let (mut pod, disk) = at_rest(&folder);
    // As a container has it by `subPath`: one folder, of what kubelet has mounted whole.
    let [moved, part] = [format!("pods/{}/volumes/data", pod.located.uid), "part".to_owned()]
        .map(|name| folder.path().join(name));
    let sub = disk.mount.join("sub");
    for new in [&moved, &part, &sub] {
        fs::create_dir_all(new).expect("writable");
    }
    mount(&["--bind", disk.mount.to_str().expect("text"), moved.to_str().expect("text")]);
    mount(&["--bind", sub.to_str().expect("text"), part.to_str().expect("text")]);
    pod.located.volumes[0].path = part.clone();
    folder.show(0, &pod.located);
    let mut node = Node::start(&folder);
    node.put(&injection("moved", &pod, read_only(false), LONG));
    folder.await_state("moved", InjectionState::Injected);
    node.kill();
    for guardian in guardians(&folder) {
        kill(Pid::from_raw(guardian), Signal::SIGKILL).expect("there");
    }
    for mount in [&part, &disk.mount] {
        eventually("nobody holds it", SOON, || unmount(mount).then_some(()));
    }
    assert!(is_read_only_at(&moved));
    // It hears of nothing.
    let node = Node::start(&folder);
    eventually("it is writable", Duration::from_secs(10), || (!is_read_only_at(&moved)).then_some(()));
    eventually("no record", SOON, || folder.records().is_empty().then_some(()));
    node.end();
    eventually("nobody holds it", SOON, || unmount(&moved).then_some(()));
}
