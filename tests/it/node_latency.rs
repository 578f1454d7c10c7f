//! Slow disks: a real process that writes and syncs on a real filesystem, slowed down while it runs.

use std::fs::{self, File};
use std::io::Write;
use std::path::Path;
use std::process::{Child, Stdio};
use std::time::{Duration, Instant};

use seatrial::api::{Delay, DiskOperation, HostFault, InjectionState, SlowDisk};
use seatrial::host::tracer::tracer_of;
use seatrial::node::LocatedContainer;

use crate::again::again;
use crate::node_fixture::{Folder, Node, eventually, guardians, injection};
use crate::node_pod::{Grouping, Pod};
use crate::node_power::Disk;

/// Tells the program that it is a writer, and where.
const WRITER: &str = "SEATRIAL_TEST_WRITER";
const LONG: Duration = Duration::from_mins(1);

/// Writes and syncs from two threads until it is killed; each call's time is a line of `times`.
fn be_the_writer(folder: &Path) -> ! {
    let write = |name: &str| {
        let (mut file, mut times) = (
            File::create(folder.join(name)).expect("writable"),
            File::create(folder.with_extension(name)).expect("writable"),
        );
        loop {
            file.write_all(b"a line\n").expect("writable");
            let since = Instant::now();
            file.sync_data().expect("synced");
            writeln!(times, "{}", since.elapsed().as_micros()).expect("writable");
            std::thread::sleep(Duration::from_millis(5));
        }
    };
    std::thread::scope(|threads| {
        threads.spawn(|| write("one"));
        write("two")
    })
}

struct Writer {
    child: Child,
    disk: Disk,
}

impl Writer {
    fn start(folder: &Folder, pod: &mut Pod) -> Self {
        let disk = Disk::new(folder.path());
        let child = again("node_latency::syncs_take_as_much_longer_as_asked_and_go_on_at_once_afterwards")
            .env(WRITER, &disk.mount)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .spawn()
            .expect("this test binary can be started");
        pod.located.volumes = vec![disk.volume()];
        let pid = child.id().cast_signed();
        pod.located.containers = vec![LocatedContainer { name: "main".to_owned(), pid, cgroup: None }];
        folder.show(0, &pod.located);
        let writer = Self { child, disk };
        eventually("it writes", Duration::from_secs(10), || (writer.times("two").len() > 3).then_some(()));
        writer
    }

    /// How long each sync of a thread took so far, in microseconds.
    fn times(&self, thread: &str) -> Vec<u64> {
        let text = fs::read_to_string(self.disk.mount.with_extension(thread)).unwrap_or_default();
        text.lines().filter_map(|line| line.parse().ok()).collect()
    }

    fn pid(&self) -> i32 {
        self.child.id().cast_signed()
    }

    /// The shortest of the next twenty syncs of each thread.
    fn shortest(&self) -> [u64; 2] {
        ["one", "two"].map(|thread| {
            let before = self.times(thread).len();
            // The one that was under way may have begun before.
            let new = eventually("twenty more syncs", Duration::from_secs(20), || {
                let all = self.times(thread);
                (all.len() >= before + 21).then(|| all[before + 1..].to_vec())
            });
            new.into_iter().min().expect("twenty")
        })
    }
}

impl Drop for Writer {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn slow(delay: Delay) -> HostFault {
    let operations = vec![DiskOperation::Sync];
    HostFault::DiskLatency(Box::new(SlowDisk {
        claims: Vec::new(),
        operations,
        delay,
        percent: 100,
        seed: 7,
    }))
}

#[test]
fn syncs_take_as_much_longer_as_asked_and_go_on_at_once_afterwards() {
    if let Some(folder) = std::env::var_os(WRITER) {
        be_the_writer(Path::new(&folder));
    }
    let (folder, mut pod) = (Folder::new(), Pod::new(Grouping::None));
    let writer = Writer::start(&folder, &mut pod);
    let mut node = Node::start(&folder);
    node.put(&injection("slow", &pod, slow(Delay::Fixed(Duration::from_millis(50))), LONG));
    let status = folder.await_state("slow", InjectionState::Injected);
    for slow in writer.shortest() {
        assert!(slow >= 50_000, "{slow} µs where 50 ms more were asked for");
    }
    let observed = status.proof.expect("proven").observed;
    assert!(observed.contains("asked for 50.00 ms in the mean"), "{observed}");
    node.gone("slow");
    eventually("nobody is traced", Duration::from_secs(2), || {
        tracer_of(writer.pid()).expect("readable").is_none().then_some(())
    });
    for after in writer.shortest() {
        assert!(after < 50_000, "{after} µs after the revert");
    }
    eventually("no record", Duration::from_secs(2), || folder.records().is_empty().then_some(()));
    node.end();
    assert!(guardians(&folder).is_empty());
}

#[test]
fn calls_go_on_when_the_node_dies_and_are_slow_again_when_it_is_back() {
    let (folder, mut pod) = (Folder::new(), Pod::new(Grouping::None));
    let writer = Writer::start(&folder, &mut pod);
    let mut node = Node::start(&folder);
    let spec = injection("again", &pod, slow(Delay::Fixed(Duration::from_millis(50))), LONG);
    node.put(&spec);
    folder.await_state("again", InjectionState::Injected);
    node.kill();
    eventually("nobody is traced", Duration::from_secs(2), || {
        tracer_of(writer.pid()).expect("readable").is_none().then_some(())
    });
    let mut node = Node::start(&folder);
    node.put(&spec);
    eventually("it is slow again", Duration::from_secs(10), || {
        tracer_of(writer.pid()).expect("readable").map(|_| ())
    });
    node.gone("again");
    eventually("no record", Duration::from_secs(5), || folder.records().is_empty().then_some(()));
    node.end();
    assert_eq!(tracer_of(writer.pid()).expect("readable"), None);
}

#[test]
fn what_a_tracer_would_not_see_and_what_is_no_volume_is_refused() {
    let (folder, mut pod) = (Folder::new(), Pod::new(Grouping::None));
    let writer = Writer::start(&folder, &mut pod);
    let mut node = Node::start(&folder);
    pod.located.volumes.clear();
    folder.show(0, &pod.located);
    node.put(&injection("none", &pod, slow(Delay::Fixed(Duration::from_millis(5))), LONG));
    let status = folder.await_state("none", InjectionState::Failed);
    assert!(status.error.expect("why").contains("no volume from a claim"));
    let mut elsewhere = writer.disk.volume();
    elsewhere.path = writer.disk.mount.parent().expect("a folder").to_owned();
    pod.located.volumes = vec![elsewhere];
    folder.show(0, &pod.located);
    node.put(&injection("shared", &pod, slow(Delay::Fixed(Duration::from_millis(5))), LONG));
    let status = folder.await_state("shared", InjectionState::Failed);
    assert!(status.error.expect("why").contains("no filesystem of its own"));
    node.end();
}
