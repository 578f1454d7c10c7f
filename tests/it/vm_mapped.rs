//! Disks that are slow or fail by device mapper: a real process on a real filesystem whose device is mapped otherwise under
//! it. Only the virtual machine is sure to have device mapper.

use std::fs::{self, File};
use std::path::PathBuf;
use std::process::{Command, Output};
use std::time::{Duration, Instant};

use nix::libc;
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use seatrial::api::{
    Delay, Desired, DiskErrno, DiskOperation, ErrorDriver, FailingDisk, HostFault, InjectionSpec,
    InjectionState, LatencyDriver, SlowDisk,
};
use seatrial::undo::{POINTS, TABLE_POINTS};
use tempfile::NamedTempFile;

use crate::node_fixture::{Folder, Node, eventually, guardians, injection};
use crate::node_pod::{Grouping, Pod};
use crate::node_power::Disk;
use crate::node_writer::Writer;
use crate::vm::inside;

mod beside;

const LONG: Duration = Duration::from_mins(2);
const SOON: Duration = Duration::from_secs(5);
/// Long enough to be told from what an emulated machine takes by itself.
pub const MILLIS: u64 = 400;

pub fn shell(line: &str) -> Output {
    Command::new("sh").args(["-c", line]).output().expect("there is a shell")
}

pub fn must(line: &str) -> String {
    let output = shell(line);
    assert!(output.status.success(), "{line}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).expect("text").trim().to_owned()
}

/// A mapped device of two segments, in another order than on the disk below.
struct Mapping {
    name: &'static str,
    below: String,
    _image: NamedTempFile,
}

impl Mapping {
    fn new(name: &'static str) -> Self {
        let image = NamedTempFile::new().expect("writable");
        image.as_file().set_len(40 << 20).expect("writable");
        let below = must(&format!("losetup --find --show {}", image.path().display()));
        must(&format!(
            "printf '0 32768 linear {below} 40960\\n32768 32768 linear {below} 2048\\n' | dmsetup create {name}"
        ));
        Self { name, below, _image: image }
    }

    fn path(&self) -> PathBuf {
        PathBuf::from(format!("/dev/mapper/{}", self.name))
    }

    fn disk(&self, folder: &Folder) -> Disk {
        let disk = Disk { image: self.path(), mount: folder.path().join("disk") };
        fs::create_dir(&disk.mount).expect("writable");
        must(&format!("mkfs.ext4 -q -F {0} && mount {0} {1}", disk.image.display(), disk.mount.display()));
        disk
    }

    fn table(&self) -> String {
        must(&format!("dmsetup table {}", self.name))
    }

    /// Nothing is loaded beside the table in force, and nothing waits.
    fn is_at_rest(&self) -> bool {
        let state = must(&format!("dmsetup info {}", self.name));
        state.contains("ACTIVE") && must(&format!("dmsetup table --inactive {}", self.name)).is_empty()
    }

    /// Exchanges the table by hand.
    fn replace(&self, line: &str) {
        must(&format!("dmsetup load {0} --table '{line}' && dmsetup resume {0}", self.name));
    }
}

impl Drop for Mapping {
    fn drop(&mut self) {
        let _ = shell(&format!(
            "dmsetup resume {0}; dmsetup remove {0}; losetup --detach {1}",
            self.name, self.below
        ));
    }
}

fn slow(operations: &[DiskOperation], millis: u64, driver: LatencyDriver) -> HostFault {
    HostFault::DiskLatency(Box::new(SlowDisk {
        claims: Vec::new(),
        paths: Vec::new(),
        operations: operations.to_vec(),
        delay: Delay::Fixed(Duration::from_millis(millis)),
        percent: 100,
        seed: 7,
        driver,
    }))
}

pub fn failing(operations: &[DiskOperation]) -> HostFault {
    HostFault::DiskError(FailingDisk {
        claims: Vec::new(),
        paths: Vec::new(),
        operations: operations.to_vec(),
        error: DiskErrno::Eio,
        percent: 100,
        seed: 7,
        driver: ErrorDriver::DmError,
    })
}

/// Whether dm-flakey can have reads alone fail: since Linux 6.5.
fn knows_error_reads() -> bool {
    let release = fs::read_to_string("/proc/sys/kernel/osrelease").expect("readable");
    let mut numbers = release.split(['.', '-']).map_while(|number| number.parse::<u32>().ok());
    (numbers.next(), numbers.next()) >= (Some(6), Some(5))
}

pub fn slow_syncs() -> HostFault {
    slow(&[DiskOperation::Sync], MILLIS, LatencyDriver::DmDelay)
}

/// A writer on a mapped device; unmounted before the device goes.
struct Scene {
    writer: Writer,
    pod: Pod,
    folder: Folder,
    mapping: Mapping,
}

impl Scene {
    fn new(name: &'static str) -> Self {
        let (mapping, folder, mut pod) = (Mapping::new(name), Folder::new(), Pod::new(Grouping::None));
        let disk = mapping.disk(&folder);
        let writer = Writer::on(&folder, &mut pod, disk);
        Self { writer, pod, folder, mapping }
    }

    fn refuses(&self, node: &mut Node, name: &str, fault: HostFault, why: &str) {
        let before = self.mapping.table();
        node.put(&injection(name, &self.pod, fault, LONG));
        let status = self.folder.await_state(name, InjectionState::Failed);
        let error = status.error.expect("why");
        assert!(error.contains(why), "{name}: {error}");
        assert_eq!(self.mapping.table(), before, "{name}");
        assert!(self.folder.records().is_empty());
    }
}

#[test]
fn syncs_take_as_long_as_asked_and_what_is_held_goes_on_at_once_afterwards() {
    inside("vm_mapped::syncs_take_as_long_as_asked_and_what_is_held_goes_on_at_once_afterwards", || {
        let scene = Scene::new("syncs");
        let Scene { writer, pod, folder, mapping } = &scene;
        let before = mapping.table();
        let mut node = Node::start(folder);
        node.put(&injection("slow", pod, slow_syncs(), LONG));
        let status = folder.await_state("slow", InjectionState::Injected);
        let observed = status.proof.expect("proven").observed;
        assert!(observed.starts_with("dmDelay: volume data (device "), "{observed}");
        assert!(observed.contains(", a sync took "), "{observed}");
        println!("{observed}");
        for slow in writer.shortest() {
            assert!(slow >= MILLIS * 1000, "{slow} µs where {MILLIS} ms were asked for");
        }
        assert_eq!(mapping.table().matches(" delay ").count(), 2);
        assert_eq!(guardians(folder).len(), 2);
        node.gone("slow");
        eventually("no record", SOON, || folder.records().is_empty().then_some(()));
        assert_eq!(mapping.table(), before);
        assert!(mapping.is_at_rest());
        for after in writer.shortest() {
            assert!(after < MILLIS * 1000, "{after} µs after the revert");
        }
        // What is held when it is taken back does not wait for its time, which is longer than anything is waited for here.
        node.put(&injection(
            "long",
            pod,
            slow(&[DiskOperation::Sync], 300_000, LatencyDriver::DmDelay),
            LONG,
        ));
        eventually("its table", SOON, || mapping.table().contains("delay").then_some(()));
        std::thread::sleep(Duration::from_secs(1));
        node.gone("long");
        writer.goes_on_within(SOON);
        node.end();
        assert!(guardians(folder).is_empty());
    });
}

#[test]
fn reads_and_writes_of_the_device_take_as_long_as_asked() {
    inside("vm_mapped::reads_and_writes_of_the_device_take_as_long_as_asked", || {
        let scene = Scene::new("requests");
        let Scene { pod, folder, mapping, .. } = &scene;
        let mut node = Node::start(folder);
        let both = slow(&[DiskOperation::Read, DiskOperation::Write], MILLIS, LatencyDriver::DmDelay);
        node.put(&injection("slow", pod, both, LONG));
        let status = folder.await_state("slow", InjectionState::Injected);
        println!("{}", status.proof.expect("proven").observed);
        let since = Instant::now();
        must(&format!("dd if={} of=/dev/null bs=4k count=2 iflag=direct", mapping.path().display()));
        assert!(since.elapsed() >= 2 * Duration::from_millis(MILLIS), "two reads");
        node.gone("slow");
        eventually("no record", SOON, || folder.records().is_empty().then_some(()));
        assert!(mapping.is_at_rest() && !mapping.table().contains("delay"));
        node.end();
    });
}

#[test]
fn requests_fail_and_the_device_works_again_afterwards() {
    inside("vm_mapped::requests_fail_and_the_device_works_again_afterwards", || {
        let scene = Scene::new("errors");
        let Scene { writer, pod, folder, mapping } = &scene;
        let before = mapping.table();
        let mut node = Node::start(folder);
        // Before anything is written that fails, so that what is read is nothing that a filesystem has given up.
        let reads = failing(&[DiskOperation::Read]);
        if knows_error_reads() {
            node.put(&injection("reads", pod, reads, LONG));
            let status = folder.await_state("reads", InjectionState::Injected);
            let observed = status.proof.expect("proven").observed;
            assert!(observed.ends_with("flakey: a read was answered with EIO"), "{observed}");
            node.gone("reads");
            eventually("no record", SOON, || folder.records().is_empty().then_some(()));
        } else {
            scene.refuses(&mut node, "reads", reads, "its dm-flakey knows no error_reads");
        }
        node.put(&injection("failing", pod, failing(&[DiskOperation::Sync, DiskOperation::Write]), LONG));
        let status = folder.await_state("failing", InjectionState::Injected);
        let observed = status.proof.expect("proven").observed;
        assert!(observed.starts_with("dmError: ") && observed.contains(" answered with EIO"), "{observed}");
        println!("{observed}");
        eventually("both threads hear of it", Duration::from_secs(30), || {
            writer.errors(libc::EIO).iter().all(|&errors| errors > 0).then_some(())
        });
        // Where nothing is to be written out first.
        let path = mapping.path();
        must(&format!("dd if={} of=/dev/null bs=4k count=1 skip=8000", path.display()));
        node.gone("failing");
        eventually("no record", SOON, || folder.records().is_empty().then_some(()));
        assert_eq!(mapping.table(), before);
        assert!(mapping.is_at_rest());
        node.end();
    });
}

#[test]
fn all_requests_fail_also_those_of_a_container_that_is_started_again_until_the_pod_ends() {
    inside(
        "vm_mapped::all_requests_fail_also_those_of_a_container_that_is_started_again_until_the_pod_ends",
        || {
            // Whoever is named last goes first.
            let Scene { mapping, folder, mut pod, mut writer } = Scene::new("all");
            let before = mapping.table();
            let mut node = Node::start(&folder);
            let all = failing(&[DiskOperation::Read, DiskOperation::Write, DiskOperation::Sync]);
            node.put(&injection("all", &pod, all, LONG));
            let status = folder.await_state("all", InjectionState::Injected);
            let observed = status.proof.expect("proven").observed;
            assert!(observed.contains("a read was answered with EIO"), "{observed}");
            println!("{observed}");
            // A store that ends at its first error.
            writer.child.kill().expect("ours");
            writer.child.wait().expect("ours");
            pod.kill_container();
            pod.start_container();
            folder.show(0, &pod.located);
            eventually("both guardians live", SOON, || (guardians(&folder).len() == 2).then_some(()));
            std::thread::sleep(Duration::from_secs(2));
            for what in ["if=/dev/zero oflag=direct of", "of=/dev/null iflag=direct if"] {
                let output = shell(&format!("dd bs=4k count=1 {what}={}", mapping.path().display()));
                let said = String::from_utf8_lossy(&output.stderr);
                assert!(!output.status.success() && said.contains("Input/output error"), "{what}: {said}");
            }
            assert_eq!(folder.status("all").map(|status| status.state), Some(InjectionState::Injected));
            pod.remove();
            eventually("its table", SOON, || (mapping.table() == before).then_some(()));
            eventually("no record", SOON, || folder.records().is_empty().then_some(()));
            assert!(mapping.is_at_rest());
            node.end();
        },
    );
}

#[test]
fn the_driver_is_chosen_by_what_is_asked_and_by_what_the_volume_is_on() {
    inside("vm_mapped::the_driver_is_chosen_by_what_is_asked_and_by_what_the_volume_is_on", || {
        let scene = Scene::new("choice");
        let Scene { pod, folder, mapping, .. } = &scene;
        let mut node = Node::start(folder);
        for (name, millis, driver) in [("coarse", MILLIS, "dmDelay: "), ("fine", 50, "syscall: ")] {
            node.put(&injection(name, pod, slow(&[DiskOperation::Sync], millis, LatencyDriver::Auto), LONG));
            let status = folder.await_state(name, InjectionState::Injected);
            let observed = status.proof.expect("proven").observed;
            assert!(observed.starts_with(driver), "{observed}");
            node.gone(name);
            eventually("no record", SOON, || folder.records().is_empty().then_some(()));
        }
        let fanotify = slow(&[DiskOperation::Read], MILLIS, LatencyDriver::Fanotify);
        scene.refuses(&mut node, "old-kernel", fanotify, "it must be 6.14 or later");
        mapping.replace(&format!("0 65536 delay {} 2048 0", mapping.below));
        scene.refuses(&mut node, "named", slow_syncs(), "only linear mappings are understood");
        // Without a name, what is left does it.
        node.put(&injection("second", pod, slow(&[DiskOperation::Sync], MILLIS, LatencyDriver::Auto), LONG));
        let status = folder.await_state("second", InjectionState::Injected);
        assert!(status.proof.expect("proven").observed.starts_with("syscall: "));
        node.gone("second");
        eventually("no record", SOON, || folder.records().is_empty().then_some(()));
        node.end();
    });
}

#[test]
fn what_others_use_or_are_at_work_on_is_refused_and_stays_as_it_is() {
    inside("vm_mapped::what_others_use_or_are_at_work_on_is_refused_and_stays_as_it_is", || {
        let scene = Scene::new("others");
        let Scene { pod, folder, mapping, .. } = &scene;
        let mut node = Node::start(folder);
        let open = File::open(mapping.path()).expect("there");
        scene.refuses(&mut node, "open", slow_syncs(), "is open 2 times");
        drop(open);
        must(&format!("dmsetup load {} --table '0 65536 linear {} 2048'", mapping.name, mapping.below));
        scene.refuses(&mut node, "loaded", slow_syncs(), "somebody else is at work on it");
        must(&format!("dmsetup clear {}", mapping.name));
        must(&format!("dmsetup suspend --nolockfs {}", mapping.name));
        scene.refuses(&mut node, "suspended", slow_syncs(), "is suspended");
        assert!(
            must(&format!("dmsetup info {}", mapping.name)).contains("SUSPENDED"),
            "who suspended it resumes it"
        );
        must(&format!("dmsetup resume {}", mapping.name));
        // A table that somebody exchanges meanwhile is theirs.
        node.put(&injection("theirs", pod, slow_syncs(), LONG));
        folder.await_state("theirs", InjectionState::Injected);
        let theirs = must(&format!("dmsetup table {} | sed 's/ 400$/ 1/'", mapping.name));
        must(&format!("echo '{theirs}' | dmsetup load {0} && dmsetup resume {0}", mapping.name));
        let status = folder.await_state("theirs", InjectionState::Lost);
        let error = status.error.expect("why");
        assert!(error.contains("has been changed by somebody else"), "{error}");
        node.gone("theirs");
        eventually("no record", SOON, || folder.records().is_empty().then_some(()));
        assert_eq!(mapping.table(), theirs);
        node.end();
    });
}

#[test]
fn a_volume_that_is_not_mapped_is_refused() {
    inside("vm_mapped::a_volume_that_is_not_mapped_is_refused", || {
        let (folder, mut pod) = (Folder::new(), Pod::new(Grouping::None));
        let _writer = Writer::start(&folder, &mut pod);
        let mut node = Node::start(&folder);
        node.put(&injection("loop", &pod, slow_syncs(), LONG));
        let error = folder.await_state("loop", InjectionState::Failed).error.expect("why");
        assert!(error.contains("which is none of device mapper's"), "{error}");
        node.end();
    });
}

/// A node dies at each of these points, alone or with its guardians.
fn dies_at<'a>(points: impl Iterator<Item = &'a &'static str>, scene: &Scene, also_guardians: bool) {
    let Scene { writer, pod, folder, mapping } = scene;
    let before = mapping.table();
    let dies = |point: &str, lasts: Duration| {
        let mut node = Node::dies_at(folder, point);
        let spec = injection(&format!("{point}-{also_guardians}-{lasts:?}"), pod, slow_syncs(), lasts);
        node.put(&spec);
        let asked = Instant::now();
        eventually(&format!("it dies at {point}"), Duration::from_secs(10), || {
            if folder.was_too_late(&spec.name) {
                return Some(false);
            }
            if asked.elapsed() > Duration::from_secs(2) {
                node.put(&InjectionSpec { desired: Desired::Reverted, ..spec.clone() });
            }
            node.child.try_wait().expect("ours").map(|_| true)
        })
    };
    for point in points {
        let mut lasts = if also_guardians { LONG } else { Duration::from_secs(3) };
        while !dies(point, lasts) {
            lasts *= 4;
        }
        let mut next = None;
        if also_guardians {
            for guardian in guardians(folder) {
                let _ = kill(Pid::from_raw(guardian), Signal::SIGKILL);
            }
            next = Some(Node::start(folder));
        }
        eventually(&format!("nothing is left of {point}"), Duration::from_mins(1), || {
            let is_clean = folder.records().is_empty() && guardians(folder).is_empty();
            (is_clean && mapping.table() == before && mapping.is_at_rest()).then_some(())
        });
        writer.goes_on_within(SOON);
        if let Some(next) = next {
            next.end();
        }
    }
}

#[test]
fn a_node_killed_with_its_guardians_leaves_no_table_after_the_next_start() {
    inside("vm_mapped::a_node_killed_with_its_guardians_leaves_no_table_after_the_next_start", || {
        dies_at(["acted"].iter().chain(TABLE_POINTS), &Scene::new("all-killed"), true);
    });
}

#[test]
fn a_table_outlives_a_node_that_is_killed_and_is_taken_over_by_the_next() {
    inside("vm_mapped::a_table_outlives_a_node_that_is_killed_and_is_taken_over_by_the_next", || {
        let scene = Scene::new("taken-over");
        let Scene { pod, folder, mapping, .. } = &scene;
        let before = mapping.table();
        let mut node = Node::start(folder);
        let spec = injection("over", pod, slow_syncs(), LONG);
        node.put(&spec);
        folder.await_state("over", InjectionState::Injected);
        node.kill();
        assert!(mapping.table().contains("delay"));
        let seen = folder.statuses().len();
        let mut node = Node::takes_over(folder);
        node.put(&spec);
        eventually("it is proven anew", Duration::from_secs(20), || {
            let new = folder.statuses().split_off(seen);
            new.iter().any(|(_, status)| status.state == InjectionState::Injected).then_some(())
        });
        assert!(mapping.table().contains("delay"));
        // An exchange that fails leaves it suspended with nothing loaded: that is made to go on, too.
        node.kill();
        for guardian in guardians(folder) {
            let _ = kill(Pid::from_raw(guardian), Signal::SIGKILL);
        }
        must(&format!("echo '{before}' | dmsetup load {0} && dmsetup resume {0}", mapping.name));
        must(&format!("dmsetup suspend --nolockfs {}", mapping.name));
        let node = Node::start(folder);
        eventually("no record", SOON, || folder.records().is_empty().then_some(()));
        assert_eq!(mapping.table(), before);
        assert!(mapping.is_at_rest());
        node.end();
    });
}

/// What takes minutes in an emulated machine: `make test-long`.
mod long {
    use super::*;

    #[test]
    fn a_node_killed_elsewhere_with_its_guardians_leaves_nothing() {
        inside("vm_mapped::long::a_node_killed_elsewhere_with_its_guardians_leaves_nothing", || {
            dies_at(POINTS.iter(), &Scene::new("others-killed"), true);
        });
    }

    #[test]
    fn a_node_killed_at_any_point_leaves_no_table_and_nothing_suspended() {
        inside("vm_mapped::long::a_node_killed_at_any_point_leaves_no_table_and_nothing_suspended", || {
            // At each of the others nothing is done to the device, and guardians wait for the deadline.
            let points = ["guardian-armed", "acted", "reported"];
            dies_at(points.iter().chain(TABLE_POINTS), &Scene::new("killed"), false);
        });
    }

    /// An emulated machine keeps to no budget; what is measured there is that syncs wait, and that nothing is left.
    #[test]
    fn the_bench_holds_a_mapped_volume_beside_the_other_drivers_and_gives_it_back() {
        inside(
            "vm_mapped::long::the_bench_holds_a_mapped_volume_beside_the_other_drivers_and_gives_it_back",
            || {
                let (mapping, folder) = (Mapping::new("benched"), Folder::new());
                let disk = mapping.disk(&folder);
                let before = mapping.table();
                let bench = Command::new(env!("CARGO_BIN_EXE_seatrial"))
                    .args(["bench", "disk", "--seconds", "1", "--folder"])
                    .arg(&disk.mount)
                    .output()
                    .expect("the program starts");
                let out = String::from_utf8_lossy(&bench.stdout);
                println!("{out}{}", String::from_utf8_lossy(&bench.stderr));
                assert!(bench.status.success());
                let added =
                    |line: &str| line.split_whitespace().nth(6).and_then(|word| word.parse::<f64>().ok());
                let slowest = out
                    .lines()
                    .find(|line| line.starts_with("dmDelay, fdatasync") && line.contains("500 ms"));
                assert!(slowest.and_then(added).is_some_and(|added| added > 400.0), "{slowest:?}");
                assert!(out.contains("dmDelay: each sync 5 ms longer"), "a store on it");
                assert_eq!(mapping.table(), before);
                assert!(mapping.is_at_rest());
                drop(disk);
            },
        );
    }
}
