//! Slow disks: a real process that writes and syncs on a real filesystem, slowed down while it runs.

use std::time::Duration;

use seatrial::api::{Delay, DiskOperation, HostFault, InjectionState, LatencyDriver, SlowDisk};
use seatrial::host::tracer::{Rules, Then, Tracer, tracer_of};
use seatrial::node::LocatedVolume;

use crate::node_fixture::{Folder, Node, eventually, guardians, injection, options};
use crate::node_pod::{Grouping, Pod};
use crate::node_power::Disk;
use crate::node_writer::Writer;
use crate::tracer_caller::Caller;

const LONG: Duration = Duration::from_mins(1);

pub fn slow(delay: Delay) -> HostFault {
    let operations = vec![DiskOperation::Sync];
    HostFault::DiskLatency(Box::new(SlowDisk {
        claims: Vec::new(),
        paths: Vec::new(),
        operations,
        delay,
        percent: 100,
        seed: 7,
        driver: LatencyDriver::Syscall,
    }))
}

#[test]
fn syncs_take_as_much_longer_as_asked_and_go_on_at_once_afterwards() {
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
    let mut node = Node::takes_over(&folder);
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
    // Two folders of one disk, each with a mount of its own, as a local provisioner makes them.
    let data = writer.disk.volume();
    pod.located.volumes = vec![data.clone(), LocatedVolume { claim: "wal".to_owned(), ..data.clone() }];
    folder.show(0, &pod.located);
    let of_one = |paths: &[&str]| {
        let HostFault::DiskLatency(slow) = slow(Delay::Fixed(Duration::from_millis(5))) else {
            unreachable!()
        };
        let paths = paths.iter().map(|&path| path.to_owned()).collect();
        HostFault::DiskLatency(Box::new(SlowDisk { claims: vec!["data".to_owned()], paths, ..*slow }))
    };
    node.put(&injection("together", &pod, of_one(&[]), LONG));
    let why = folder.await_state("together", InjectionState::Failed).error.expect("why");
    assert!(why.contains("volumes data and wal are on the same filesystem"), "{why}");
    // What is no folder, or answers nobody, is not asked.
    let file =
        LocatedVolume { claim: "file".to_owned(), path: folder.path().join("pod-0.json"), ..data.clone() };
    pod.located.volumes = vec![data.clone(), file];
    folder.show(0, &pod.located);
    node.put(&injection("beside-a-file", &pod, of_one(&[]), LONG));
    folder.await_state("beside-a-file", InjectionState::Injected);
    node.gone("beside-a-file");
    eventually("no record", Duration::from_secs(5), || folder.records().is_empty().then_some(()));
    pod.located.volumes = vec![data.clone(), LocatedVolume { claim: "wal".to_owned(), ..data }];
    folder.show(0, &pod.located);
    node.put(&injection("told-apart", &pod, of_one(&["**"]), LONG));
    folder.await_state("told-apart", InjectionState::Injected);
    node.gone("told-apart");
    eventually("no record", Duration::from_secs(5), || folder.records().is_empty().then_some(()));
    node.end();
}

#[test]
fn who_does_what_no_tracer_sees_or_has_one_already_is_refused_and_noticed_when_it_begins_later() {
    let (folder, mut pod) = (Folder::new(), Pod::new(Grouping::None));
    let disk = Disk::new(folder.path());
    pod.located.volumes = vec![disk.volume()];
    let mut node = Node::start(&folder);
    let mut put = |name: &str, caller: &Caller, pod: &mut Pod| {
        caller.be_in(pod);
        folder.show(0, &pod.located);
        node.put(&injection(name, pod, slow(Delay::Fixed(Duration::from_millis(5))), LONG));
    };
    let why = |name: &str| folder.await_state(name, InjectionState::Failed).error.expect("why");
    let mut has_rings = false;
    for by in ["libaio", "io_uring"] {
        let mut caller = Caller::start();
        // A kernel may forbid it (kernel.io_uring_disabled), which then nobody has open.
        has_rings = caller.errno(by) == 0;
        if has_rings {
            put(by, &caller, &mut pod);
            let why = why(by);
            assert!(why.contains(&format!("uses {by}, whose calls a tracer does not see")), "{why}");
        }
    }
    let mut caller = Caller::start();
    let rules = Rules {
        operations: Vec::new(),
        devices: Vec::new(),
        paths: None,
        then: Then::Wait(seatrial::host::tracer::Delay::Fixed(Duration::ZERO)),
        percent: 100,
        seed: 7,
    };
    let launch = options(folder.undo_dir()).guardian;
    let mut other = Tracer::start(&rules, |words| launch.companion(words).map_err(std::io::Error::other))
        .expect("it starts");
    other.attach(vec![caller.process()]).expect("it attaches");
    put("traced", &caller, &mut pod);
    let told = why("traced");
    assert!(told.contains(&format!("is traced already, by process {}", other.process().pid)), "{told}");
    drop(other);
    put("later", &caller, &mut pod);
    eventually("it is traced", Duration::from_secs(5), || tracer_of(caller.process().pid).expect("readable"));
    caller.must(&format!("keep file wc {}", disk.mount.join("file").display()));
    caller.must("sync file");
    folder.await_state("later", InjectionState::Injected);
    if has_rings {
        caller.must("io_uring");
        let status = folder.await_state("later", InjectionState::Lost);
        assert!(format!("{status:?}").contains("uses io_uring"), "{status:?}");
    }
    node.gone("later");
    eventually("no record", Duration::from_secs(5), || folder.records().is_empty().then_some(()));
    node.end();
}
