//! SIGKILL of the node at every point between the first step of an injection and the last of its revert, and of the
//! guardian too: nothing is left after the deadline, or after the next start.

use std::os::unix::process::ExitStatusExt;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use seatrial::api::{Delay, Desired, DiskErrno, Fill, HostFault, InjectionSpec, InjectionState};
use seatrial::host::freeze::ledger::Ledger;
use seatrial::host::process::threads::have_stopped;
use seatrial::host::tracer::tracer_of;
use seatrial::undo::{POINTS, Store};

use crate::node_error::failing;
use crate::node_fixture::{Folder, Node, cut, eventually, guardians, injection};
use crate::node_frozen::is_frozen;
use crate::node_latency::slow;
use crate::node_load::load;
use crate::node_pod::{Grouping, Pod};
use crate::node_power::{Disk, workers};
use crate::node_read_only::{is_read_only, read_only};
use crate::node_room::{fill, is_full, is_out_of_inodes};
use crate::node_shaping::{crowd, is_shaped, narrow};
use crate::node_stall::stall;
use crate::node_throttle::{Limited, hierarchy, writes};
use crate::node_writer::Writer;
use crate::vm::patient;

const SHORT: Duration = Duration::from_millis(1500);
/// What the promise allows after the deadline.
const ONE_SECOND: Duration = Duration::from_secs(1);
/// How long anything may take that nothing else waits for.
const PATIENCE: Duration = Duration::from_secs(30);

#[derive(Clone, Copy, PartialEq)]
enum Kind {
    Freeze,
    Stop,
    Partition,
    Shape,
    Stall,
    Fill,
    Inodes,
    ReadOnly,
    Throttle,
    Load,
    Slow,
    Fail,
}

struct Scene {
    kind: Kind,
    pod: Pod,
    /// Unmounted before its folder goes.
    disk: Option<Disk>,
    limited: Option<Limited>,
    writer: Option<Writer>,
    folder: Folder,
    /// At the other end of the cable.
    _peer: Option<Pod>,
}

impl Scene {
    fn new(kind: Kind) -> Self {
        let mut pod = Pod::new(if kind == Kind::Freeze { Grouping::OwnCgroup } else { Grouping::None });
        let peer = matches!(kind, Kind::Partition | Kind::Shape).then(|| Pod::new(Grouping::None));
        if let Some(peer) = &peer {
            pod.connect(peer);
        }
        let folder = Folder::new();
        let disk = matches!(kind, Kind::Stall | Kind::Fill | Kind::Inodes | Kind::ReadOnly)
            .then(|| Disk::new(folder.path()));
        pod.located.volumes = disk.iter().map(Disk::volume).collect();
        folder.show(0, &pod.located);
        let is_limited = matches!(kind, Kind::Throttle | Kind::Load);
        let limited = is_limited.then(|| Limited::start(&folder, &mut pod).expect("checked by the test"));
        let is_traced = matches!(kind, Kind::Slow | Kind::Fail);
        let writer = is_traced.then(|| Writer::start(&folder, &mut pod));
        Self { kind, pod, disk, limited, writer, folder, _peer: peer }
    }

    fn spec(&self, name: &str, lasts: Duration) -> InjectionSpec {
        let fault = match self.kind {
            Kind::Freeze | Kind::Stop => HostFault::Pause {},
            Kind::Partition => cut(&["10.99.0.2", "fd99::2"]),
            Kind::Shape => narrow(&["10.99.0.2", "fd99::2"]),
            Kind::Stall => stall(None),
            Kind::Fill => fill(Fill::Free(0)),
            Kind::Inodes => fill(Fill::FreeInodes(0)),
            Kind::ReadOnly => read_only(false),
            Kind::Throttle => writes(10),
            Kind::Load => load(),
            Kind::Slow => slow(Delay::Fixed(Duration::from_millis(20))),
            Kind::Fail => failing(DiskErrno::Eio, 100),
        };
        injection(name, &self.pod, fault, lasts)
    }

    /// Waits until it is in force, which a narrow network is when something has to wait.
    fn comes_into_force(&self, name: &str) {
        if self.kind == Kind::Shape {
            crowd(&self.pod, "10.99.0.2", 9);
        }
        self.folder.await_state(name, InjectionState::Injected);
    }

    fn is_in_force(&self) -> bool {
        match self.kind {
            Kind::Freeze => self.pod.is_frozen(),
            Kind::Stop => self.pod.is_stopped(),
            Kind::Partition => !self.pod.tables().is_empty(),
            Kind::Shape => is_shaped(&self.pod) || !self.pod.tables().is_empty(),
            Kind::Stall => self.disk.as_ref().is_some_and(|disk| is_frozen(&disk.mount)),
            Kind::Fill => self.disk.as_ref().is_some_and(is_full),
            Kind::Inodes => self.disk.as_ref().is_some_and(is_out_of_inodes),
            Kind::ReadOnly => self.disk.as_ref().is_some_and(is_read_only),
            Kind::Throttle => self.limited.as_ref().is_some_and(|limited| limited.limit().is_some()),
            Kind::Load => self.workers().next().is_some(),
            Kind::Slow | Kind::Fail => self
                .writer
                .as_ref()
                .is_some_and(|writer| tracer_of(writer.pid()).expect("readable").is_some()),
        }
    }

    /// Processes of ours that work on its disk.
    fn workers(&self) -> impl Iterator<Item = i32> {
        let limited = self.limited.iter().map(|limited| &limited.writer.disk);
        self.disk.iter().chain(limited).flat_map(workers)
    }

    fn leftovers(&self) -> Vec<String> {
        let mut found: Vec<String> =
            self.folder.records().iter().map(|path| path.display().to_string()).collect();
        found.extend(guardians(&self.folder).iter().map(|pid| format!("guardian {pid}")));
        found.extend(self.workers().map(|pid| format!("worker {pid}")));
        if self.is_in_force() {
            found.push("the fault".to_owned());
        }
        found
    }

    /// Waits until nothing is left; when nothing was.
    fn is_clean(&self, when: &str) -> Instant {
        let until = Instant::now() + patient(PATIENCE);
        let clean = loop {
            let left = self.leftovers();
            let now = Instant::now();
            if left.is_empty() {
                break now;
            }
            assert!(now < until, "left {when}: {left:?}");
            std::thread::sleep(Duration::from_millis(10));
        };
        if matches!(self.kind, Kind::Partition | Kind::Shape) {
            assert!(self.pod.reaches("10.99.0.2"), "packets flow again {when}");
        }
        if let Some(writer) = &self.writer {
            writer.goes_on_within(PATIENCE);
        }
        clean
    }

    /// A node that dies at `point`, without a successor. How long after the deadline nothing was left, where something was until
    /// then.
    fn dies_at(&self, point: &str) -> Option<Duration> {
        // An emulated machine takes longer than that to start a node, and a disk that is busy to keep its record.
        let mut lasts = SHORT;
        loop {
            let mut node = Node::dies_at(&self.folder, point);
            let spec = self.spec(&format!("dies-at-{point}-within-{lasts:?}"), lasts);
            let deadline = Instant::now() + patient(lasts);
            let is_in_time = self.lets_die(&mut node, &spec, point);
            let clean = self.is_clean(&format!("by a node killed at {point}"));
            if is_in_time {
                return clean.checked_duration_since(deadline);
            }
            lasts *= 4;
        }
    }

    /// Orders a fault and its end until the node dies at `point`: points of the revert are reached when it is asked for. False
    /// where the node says that the deadline came too early.
    fn lets_die(&self, node: &mut Node, spec: &InjectionSpec, point: &str) -> bool {
        node.put(spec);
        let asked = Instant::now();
        while node.child.try_wait().expect("ours").is_none() {
            if self.folder.was_too_late(&spec.name) {
                return false;
            }
            let is_patient = asked.elapsed() < patient(PATIENCE);
            assert!(is_patient, "the node never got to {point}: {:?}", self.folder.status(&spec.name));
            if asked.elapsed() > Duration::from_millis(300) {
                node.put(&InjectionSpec { desired: Desired::Reverted, ..spec.clone() });
            }
            std::thread::sleep(Duration::from_millis(10));
        }
        true
    }

    /// A node that dies at `point`, together with every guardian, and a successor that nobody tells anything.
    fn dies_with_its_guardian_at(&self, point: &str) {
        let mut node = Node::dies_at(&self.folder, point);
        let spec = self.spec(&format!("both-die-at-{point}"), Duration::from_mins(1));
        assert!(self.lets_die(&mut node, &spec, point), "a minute is enough");
        for guardian in guardians(&self.folder) {
            let _ = kill(Pid::from_raw(guardian), Signal::SIGKILL);
        }
        let next = Node::start(&self.folder);
        self.is_clean(&format!("after the start that follows a death of both at {point}"));
        next.end();
    }

    /// A node that has stopped just before it acts, and dies when it has acted; and when its Injection ends.
    fn stops_armed(&self) -> (Node, Instant) {
        let points = [("SEATRIAL_STOP_AT", "guardian-armed"), ("SEATRIAL_KILL_AT", "verified")];
        let mut lasts = SHORT;
        loop {
            let mut node = Node::start_with(&self.folder, &points);
            let spec = self.spec(&format!("late-within-{lasts:?}"), lasts);
            let deadline = Instant::now() + patient(lasts);
            node.put(&spec);
            let is_in_time = eventually("it stops, or says that it is too late to begin", PATIENCE, || {
                let has_stopped = have_stopped(node.child.id().cast_signed());
                (has_stopped || self.folder.was_too_late(&spec.name)).then_some(has_stopped)
            });
            if is_in_time {
                return (node, deadline);
            }
            lasts *= 4;
        }
    }

    /// Whether its guardian has taken back what was not there yet, as far as that can be seen: it has told who would freeze
    /// that nobody may any more, and ended who would do it to inodes, disks or calls.
    fn is_forestalled(&self) -> bool {
        let record = Store::read(&self.folder.records()[0]).expect("a record");
        let is_closed = || {
            let ledger = record.held().into_iter().next().expect("a guardian holds it");
            Ledger::from(ledger).is_closed().expect("readable")
        };
        let helpers = record.target.undo().helpers();
        (self.kind != Kind::Stall || is_closed())
            && !helpers.iter().any(|helper| helper.is_alive().expect("readable"))
    }
}

/// Both deaths beside each other, because they wait for deadlines most of the time.
fn at_every_point(kind: Kind) {
    std::thread::scope(|threads| {
        threads.spawn(|| {
            let scene = Scene::new(kind);
            for point in POINTS {
                scene.dies_with_its_guardian_at(point);
            }
        });
        let scene = Scene::new(kind);
        let late: Vec<Duration> = POINTS.iter().filter_map(|point| scene.dies_at(point)).collect();
        // On a busy machine a guardian may have to wait for a processor, or for a disk, but not each of them.
        let is_soon = late.iter().any(|late| *late < patient(ONE_SECOND));
        assert!(is_soon, "so long after their deadlines: {late:?}");
    });
}

#[test]
fn a_node_killed_at_any_point_leaves_nothing_of_a_freeze() {
    at_every_point(Kind::Freeze);
}

#[test]
fn a_node_killed_at_any_point_leaves_nothing_of_stopped_processes() {
    at_every_point(Kind::Stop);
}

#[test]
fn a_node_killed_at_any_point_leaves_nothing_of_a_partition() {
    at_every_point(Kind::Partition);
}

#[test]
fn a_node_killed_at_any_point_leaves_nothing_of_a_narrow_network() {
    at_every_point(Kind::Shape);
}

#[test]
fn a_node_killed_at_any_point_leaves_nothing_of_a_frozen_volume() {
    at_every_point(Kind::Stall);
}

#[test]
fn a_node_killed_at_any_point_leaves_nothing_on_a_full_volume() {
    at_every_point(Kind::Fill);
}

#[test]
fn a_node_killed_at_any_point_leaves_no_inode_taken() {
    at_every_point(Kind::Inodes);
}

#[test]
fn a_node_killed_at_any_point_leaves_no_volume_read_only() {
    at_every_point(Kind::ReadOnly);
}

#[test]
fn a_node_killed_at_any_point_leaves_no_limit() {
    if hierarchy().is_some() {
        at_every_point(Kind::Throttle);
    }
}

/// Every kind of fault that this machine can have.
fn kinds<const N: usize>(kinds: [Kind; N]) -> impl Iterator<Item = Kind> {
    kinds.into_iter().filter(|kind| !matches!(kind, Kind::Throttle | Kind::Load) || hierarchy().is_some())
}

/// A node may be slow: it makes the fault after its guardian has taken back what was not there yet.
#[test]
fn a_fault_that_comes_into_force_after_its_deadline_is_taken_back_by_the_guardian_of_a_dead_node() {
    for kind in kinds([
        Kind::Freeze,
        Kind::Stop,
        Kind::Partition,
        Kind::Shape,
        Kind::Stall,
        Kind::Fill,
        Kind::Inodes,
        Kind::ReadOnly,
        Kind::Throttle,
        Kind::Load,
        Kind::Slow,
        Kind::Fail,
    ]) {
        let scene = Scene::new(kind);
        let (mut node, deadline) = scene.stops_armed();
        std::thread::sleep((deadline + ONE_SECOND).saturating_duration_since(Instant::now()));
        assert!(!scene.is_in_force(), "the node is stopped before it acts");
        assert_eq!(scene.folder.records().len(), 1, "the guardian keeps what tells how to undo it");
        eventually("its guardian has acted", PATIENCE, || scene.is_forestalled().then_some(()));
        let id = Pid::from_raw(node.child.id().cast_signed());
        kill(id, Signal::SIGCONT).expect("ours");
        let status = node.child.wait().expect("ours");
        // Of a freeze all who could make it hear that it was taken back; who takes inodes, loads disks or traces has been ended
        // by then.
        let comes_to_its_point =
            !matches!(kind, Kind::Stall | Kind::Inodes | Kind::Load | Kind::Slow | Kind::Fail);
        assert_eq!(status.signal(), comes_to_its_point.then_some(Signal::SIGKILL as i32), "{status}");
        scene.is_clean("by a node that came too late");
    }
}

#[test]
fn a_restarted_node_takes_over_what_is_still_wanted() {
    for kind in kinds([
        Kind::Freeze,
        Kind::Partition,
        Kind::Shape,
        Kind::Stall,
        Kind::Fill,
        Kind::Inodes,
        Kind::ReadOnly,
        Kind::Throttle,
        Kind::Load,
    ]) {
        let scene = Scene::new(kind);
        let mut node = Node::start(&scene.folder);
        let spec = scene.spec("kept", Duration::from_mins(1));
        node.put(&spec);
        scene.comes_into_force("kept");
        let records: Vec<PathBuf> = scene.folder.records();
        let guardian = guardians(&scene.folder);
        node.kill();
        let told = scene.folder.statuses().len();
        assert!(scene.is_in_force());
        let mut node = Node::takes_over(&scene.folder);
        node.put(&spec);
        let status = eventually("a status of the new node", Duration::from_secs(5), || {
            let news = scene.folder.statuses().into_iter().skip(told);
            news.map(|(_, status)| status).find(|status| status.state == InjectionState::Injected)
        });
        let is_taken_over = status.error.as_ref().is_some_and(|note| note.contains("taken over"));
        assert!(is_taken_over, "{:?}", scene.folder.statuses());
        assert_eq!(scene.folder.records(), records, "the same record");
        assert_eq!(guardians(&scene.folder), guardian, "the same guardian");
        assert!(scene.is_in_force());
        node.put(&InjectionSpec { desired: Desired::Reverted, ..spec });
        scene.folder.await_state("kept", InjectionState::Reverted);
        scene.is_clean("by the new node");
        node.end();
    }
}

#[test]
fn a_restarted_node_takes_back_what_nobody_wants_any_more() {
    let scene = Scene::new(Kind::Freeze);
    let mut node = Node::start(&scene.folder);
    node.put(&scene.spec("orphan", Duration::from_mins(1)));
    scene.comes_into_force("orphan");
    node.kill();
    let node = Node::start(&scene.folder);
    scene.is_clean("by a node that hears of nothing");
    node.end();
}

#[test]
fn what_a_guardian_was_asked_to_take_back_is_not_made_again_by_its_node() {
    for kind in kinds([
        Kind::Freeze,
        Kind::Stop,
        Kind::Partition,
        Kind::Shape,
        Kind::Stall,
        Kind::Fill,
        Kind::Inodes,
        Kind::ReadOnly,
        Kind::Throttle,
        Kind::Load,
        Kind::Slow,
        Kind::Fail,
    ]) {
        let scene = Scene::new(kind);
        let mut node = Node::start(&scene.folder);
        node.put(&scene.spec("asked", Duration::from_mins(1)));
        scene.comes_into_force("asked");
        kill(Pid::from_raw(guardians(&scene.folder)[0]), Signal::SIGTERM).expect("there");
        // In the middle of a look the node sees first that the effect is gone.
        eventually("it is lost to somebody else", PATIENCE, || {
            let status = scene.folder.status("asked").filter(|it| it.state == InjectionState::Lost)?;
            status.error.filter(|why| why.contains("somebody else"))
        });
        scene.is_clean("by a guardian that was asked");
        // For longer than from one look to the next.
        std::thread::sleep(Duration::from_millis(1500));
        assert_eq!(scene.leftovers(), Vec::<String>::new(), "a while later");
        node.end();
    }
}

#[test]
fn a_guardian_that_dies_is_replaced_and_the_status_says_so() {
    for kind in [Kind::Freeze, Kind::Partition, Kind::Shape] {
        let scene = Scene::new(kind);
        let mut node = Node::start(&scene.folder);
        node.put(&scene.spec("guarded", Duration::from_mins(1)));
        scene.comes_into_force("guarded");
        let first = guardians(&scene.folder);
        kill(Pid::from_raw(first[0]), Signal::SIGKILL).expect("there");
        let second = eventually("another guardian", Duration::from_secs(3), || {
            guardians(&scene.folder).first().copied().filter(|pid| !first.contains(pid))
        });
        let status = eventually("a status that says so", Duration::from_secs(3), || {
            scene.folder.status("guarded").filter(|status| status.error.is_some())
        });
        assert_eq!(status.state, InjectionState::Injected);
        assert!(status.error.is_some_and(|note| note.contains("was replaced")));
        // The new one is as good as the old one.
        node.kill();
        kill(Pid::from_raw(second), Signal::SIGTERM).expect("there");
        scene.is_clean("by a guardian that is asked to take back");
    }
}

/// Of faults that the kernel itself ends with whoever makes them: `make test-long`.
mod long {
    use super::*;

    #[test]
    fn a_node_killed_at_any_point_leaves_no_load() {
        if hierarchy().is_some() {
            at_every_point(Kind::Load);
        }
    }

    #[test]
    fn a_node_killed_at_any_point_leaves_nobody_waiting_for_a_slow_disk() {
        at_every_point(Kind::Slow);
    }

    #[test]
    fn a_node_killed_at_any_point_leaves_no_disk_that_fails() {
        at_every_point(Kind::Fail);
    }
}
