//! Slow disks: a real process that writes and syncs on a real filesystem, slowed down while it runs.

use std::time::Duration;

use seatrial::api::{Delay, DiskOperation, HostFault, InjectionState, LatencyDriver, SlowDisk};
use seatrial::host::tracer::tracer_of;

use crate::node_fixture::{Folder, Node, eventually, guardians, injection};
use crate::node_pod::{Grouping, Pod};
use crate::node_writer::Writer;

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
