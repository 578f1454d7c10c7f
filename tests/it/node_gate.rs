//! Disks that are slow or fail by fanotify: a real process that opens its files after the filesystem is marked.

use std::fs::File;
use std::io::{Read, Seek, SeekFrom, Write};
use std::path::Path;
use std::process::{Child, Stdio};
use std::time::{Duration, Instant};

use nix::libc;
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use seatrial::api::{
    Delay, DiskErrno, DiskOperation, ErrorDriver, FailingDisk, HostFault, InjectionState, LatencyDriver,
    SlowDisk,
};
use seatrial::host::gate::SUBCOMMAND;

use crate::again::again;
use crate::node_fixture::{Folder, Node, eventually, guardians, injection};
use crate::node_pod::{Grouping, Pod};
use crate::node_power::Disk;

const LONG: Duration = Duration::from_mins(1);
const SOON: Duration = Duration::from_secs(3);
/// Tells the program that it is a visitor, and where.
const VISITOR: &str = "SEATRIAL_TEST_VISITOR";

/// Opens, writes, reads and closes a file again and again, on two threads; how long each write and each read took, or its
/// error, is a line of a file beside the volume.
fn be_the_visitor(folder: &Path) -> ! {
    let visit = |name: &str| {
        let mut told = File::create(folder.with_extension(name)).expect("writable");
        loop {
            let mut file = File::options()
                .read(true)
                .write(true)
                .create(true)
                .truncate(false)
                .open(folder.join(name))
                .expect("it can be opened");
            let mut times = [const { String::new() }; 2];
            for (number, time) in times.iter_mut().enumerate() {
                let since = Instant::now();
                let done = match number {
                    0 => file.write_all(b"a line\n"),
                    _ => file.read_exact(&mut [0; 7]),
                };
                *time = match done {
                    Ok(()) => since.elapsed().as_micros().to_string(),
                    Err(error) => format!("error{}", error.raw_os_error().unwrap_or_default()),
                };
                file.seek(SeekFrom::Start(0)).expect("a file");
            }
            writeln!(told, "{} {}", times[0], times[1]).expect("writable");
            std::thread::sleep(Duration::from_millis(5));
        }
    };
    std::thread::scope(|threads| {
        threads.spawn(|| visit("one"));
        visit("two")
    })
}

struct Visitor {
    child: Child,
    disk: Disk,
}

impl Visitor {
    fn start(folder: &Folder, pod: &mut Pod) -> Self {
        let disk = Disk::new(folder.path());
        let child =
            again("node_gate::reads_and_writes_take_as_much_longer_as_asked_and_go_on_at_once_afterwards")
                .env(VISITOR, &disk.mount)
                .stdin(Stdio::null())
                .stdout(Stdio::null())
                .spawn()
                .expect("this test binary can be started");
        pod.holds(&child, disk.volume());
        folder.show(0, &pod.located);
        let visitor = Self { child, disk };
        visitor.next(5);
        visitor
    }

    fn lines(&self, thread: &str) -> Vec<[String; 2]> {
        let text = std::fs::read_to_string(self.disk.mount.with_extension(thread)).unwrap_or_default();
        let whole = text.rfind('\n').map_or("", |end| &text[..end]);
        let of = |line: &str| {
            let (write, read) = line.split_once(' ').expect("two words");
            [write.to_owned(), read.to_owned()]
        };
        whole.lines().map(of).collect()
    }

    /// The next so many visits of both threads: what the write and the read came to.
    fn next(&self, count: usize) -> Vec<[String; 2]> {
        self.next_of_each(count).concat()
    }

    /// The same for each thread.
    fn next_of_each(&self, count: usize) -> [Vec<[String; 2]>; 2] {
        let next = |thread: &str| {
            let before = self.lines(thread).len();
            // The one that was under way may have begun before.
            eventually("more visits", Duration::from_secs(30), || {
                let all = self.lines(thread);
                (all.len() > before + count).then(|| all[before + 1..].to_vec())
            })
        };
        ["one", "two"].map(next)
    }

    /// Checks of the next visits of each thread that every write and every read takes 40 ms where it is slow, and most do not
    /// where it is not: on a busy machine some wait for something else.
    fn are_slow(&self, is_slow: [bool; 2], when: &str) {
        for visits in self.next_of_each(5) {
            for (place, is_slow) in is_slow.into_iter().enumerate() {
                let mut took: Vec<u64> = visits.iter().map(|visit| micros(&visit[place])).collect();
                took.sort_unstable();
                let telling = if is_slow { took[0] } else { took[took.len() / 2] };
                assert_eq!(telling >= 40_000, is_slow, "{when}: {visits:?}");
            }
        }
    }
}

impl Drop for Visitor {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn micros(told: &str) -> u64 {
    told.parse().map_err(|_| told).expect("a time")
}

pub fn slow(operations: &[DiskOperation], millis: u64) -> HostFault {
    HostFault::DiskLatency(Box::new(SlowDisk {
        claims: Vec::new(),
        paths: Vec::new(),
        operations: operations.to_vec(),
        delay: Delay::Fixed(Duration::from_millis(millis)),
        percent: 100,
        seed: 7,
        driver: LatencyDriver::Fanotify,
    }))
}

pub fn failing(operation: DiskOperation, error: DiskErrno) -> HostFault {
    HostFault::DiskError(FailingDisk {
        claims: Vec::new(),
        paths: Vec::new(),
        operations: vec![operation],
        error,
        percent: 100,
        seed: 7,
        driver: ErrorDriver::Fanotify,
    })
}

/// The processes that answer for a pod's reads and writes.
fn gates(folder: &Folder) -> Vec<i32> {
    let path = folder.path().to_string_lossy().into_owned();
    let pids = std::fs::read_dir("/proc").expect("readable").flatten();
    let pids = pids.filter_map(|entry| entry.file_name().to_str()?.parse::<i32>().ok());
    pids.filter(|pid| {
        let words = std::fs::read(format!("/proc/{pid}/cmdline")).unwrap_or_default();
        let words = String::from_utf8_lossy(&words).into_owned();
        words.split('\0').nth(1) == Some(SUBCOMMAND) && words.contains(&path)
    })
    .collect()
}

#[test]
fn reads_and_writes_take_as_much_longer_as_asked_and_go_on_at_once_afterwards() {
    if let Some(folder) = std::env::var_os(VISITOR) {
        be_the_visitor(Path::new(&folder));
    }
    let [read, write] = [DiskOperation::Read, DiskOperation::Write];
    let (folder, mut pod) = (Folder::new(), Pod::new(Grouping::OwnCgroup));
    let visitor = Visitor::start(&folder, &mut pod);
    let pid = visitor.child.id();
    std::fs::write(pod.cgroup().join("cgroup.procs"), pid.to_string()).expect("writable for root");
    let mut node = Node::start(&folder);
    for (name, operations, is_slow, cgroup) in [
        ("grouped", vec![read, write], [true, true], Some(pod.cgroup().to_owned())),
        ("both", vec![read, write], [true, true], None),
        ("write", vec![write], [true, false], None),
        ("read", vec![read], [false, true], None),
    ] {
        pod.located.containers[0].cgroup = cgroup;
        folder.show(0, &pod.located);
        node.put(&injection(name, &pod, slow(&operations, 40), LONG));
        let status = folder.await_state(name, InjectionState::Injected);
        let observed = status.proof.expect("proven").observed;
        assert!(observed.starts_with("fanotify: ") && observed.contains("asked for 40.00 ms"), "{observed}");
        visitor.are_slow(is_slow, name);
        node.gone(name);
        eventually("no record", SOON, || folder.records().is_empty().then_some(()));
        assert!(gates(&folder).is_empty());
        visitor.are_slow([false, false], &format!("after {name}"));
    }
    node.end();
    assert!(guardians(&folder).is_empty());
}

#[test]
fn reads_and_writes_are_answered_with_the_error_and_no_other() {
    let (folder, mut pod) = (Folder::new(), Pod::new(Grouping::None));
    let visitor = Visitor::start(&folder, &mut pod);
    let mut node = Node::start(&folder);
    for (name, operation, error, errno, place) in [
        ("full", DiskOperation::Write, DiskErrno::Enospc, libc::ENOSPC, 0),
        ("unreadable", DiskOperation::Read, DiskErrno::Eio, libc::EIO, 1),
    ] {
        node.put(&injection(name, &pod, failing(operation, error), LONG));
        folder.await_state(name, InjectionState::Injected);
        for visit in visitor.next(5) {
            assert_eq!(visit[place], format!("error{errno}"), "{name}");
            micros(&visit[1 - place]);
        }
        node.gone(name);
        eventually("no record", SOON, || folder.records().is_empty().then_some(()));
        for visit in visitor.next(5) {
            visit.iter().map(|told| micros(told)).for_each(drop);
        }
    }
    node.end();
}

#[test]
fn everybody_goes_on_when_the_one_who_answers_or_the_node_is_killed_and_waiters_stay_killable() {
    let (folder, mut pod) = (Folder::new(), Pod::new(Grouping::None));
    let mut visitor = Visitor::start(&folder, &mut pod);
    let mut node = Node::start(&folder);
    let long = slow(&[DiskOperation::Read, DiskOperation::Write], 20_000);
    let in_the_middle = |name: &str, node: &mut Node| {
        node.put(&injection(name, &pod, long.clone(), LONG));
        eventually("the kernel asks", SOON, || folder.is_made(name).then_some(()));
        eventually("both wait for an answer", Duration::from_secs(30), || {
            let visits = || ["one", "two"].map(|thread| visitor.lines(thread).len());
            let before = visits();
            std::thread::sleep(Duration::from_millis(200));
            (before == visits()).then_some(())
        });
    };
    in_the_middle("listener", &mut node);
    let since = Instant::now();
    std::fs::read(visitor.disk.mount.join("one")).expect("readable");
    assert!(since.elapsed() < Duration::from_secs(10), "others are not held up");
    kill(Pid::from_raw(gates(&folder)[0]), Signal::SIGKILL).expect("ours");
    visitor.next(3);
    folder.await_state("listener", InjectionState::Lost);
    node.gone("listener");
    eventually("no record", SOON, || folder.records().is_empty().then_some(()));
    in_the_middle("node", &mut node);
    node.kill();
    visitor.next(3);
    let mut node = Node::start(&folder);
    eventually("no record", Duration::from_secs(5), || folder.records().is_empty().then_some(()));
    in_the_middle("waiter", &mut node);
    visitor.child.kill().expect("ours");
    eventually("it dies", SOON, || visitor.child.try_wait().expect("ours"));
    eventually("no record", SOON, || folder.records().is_empty().then_some(()));
    assert!(gates(&folder).is_empty());
    node.end();
}

#[test]
fn what_was_open_before_is_not_held_and_proves_nothing() {
    let (folder, mut pod) = (Folder::new(), Pod::new(Grouping::None));
    let writer = crate::node_writer::Writer::start(&folder, &mut pod);
    let mut node = Node::start(&folder);
    // Whoever was held would come to one of them in the time that is waited for twenty.
    node.put(&injection("early", &pod, slow(&[DiskOperation::Write, DiskOperation::Read], 20_000), LONG));
    eventually("the kernel asks", SOON, || folder.is_made("early").then_some(()));
    let before = writer.syncs();
    eventually("its files were open", SOON, || (writer.syncs() > before + 20).then_some(()));
    // For longer than from one look to the next.
    std::thread::sleep(Duration::from_secs(2));
    let proofs = folder.statuses().into_iter().filter(|(_, status)| status.proof.is_some());
    assert_eq!(proofs.count(), 0);
    node.gone("early");
    eventually("no record", SOON, || folder.records().is_empty().then_some(()));
    node.end();
}
