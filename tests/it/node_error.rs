//! Disks that fail: a real process whose calls on a real filesystem are answered with errors while it runs.

use std::time::Duration;

use nix::libc;
use seatrial::api::{DiskErrno, DiskOperation, FailingDisk, HostFault, InjectionState};
use seatrial::host::tracer::tracer_of;

use crate::node_fixture::{Folder, Node, eventually, injection};
use crate::node_pod::{Grouping, Pod};
use crate::node_writer::Writer;

const LONG: Duration = Duration::from_mins(1);
const SOON: Duration = Duration::from_secs(3);

fn failing(error: DiskErrno, percent: u8) -> HostFault {
    HostFault::DiskError(FailingDisk {
        claims: Vec::new(),
        operations: vec![DiskOperation::Sync],
        error,
        percent,
        seed: 7,
    })
}

/// Waits until both threads have had some errors more.
fn fails(writer: &Writer, errno: i32) {
    let before = writer.errors(errno);
    eventually("both threads hear of it", Duration::from_secs(10), || {
        let now = writer.errors(errno);
        (now[0] > before[0] + 3 && now[1] > before[1] + 3).then_some(())
    });
}

fn is_let_go(writer: &Writer) {
    eventually("nobody is traced", SOON, || {
        tracer_of(writer.pid()).expect("readable").is_none().then_some(())
    });
}

#[test]
fn syncs_are_answered_with_the_error_and_work_again_afterwards() {
    let (folder, mut pod) = (Folder::new(), Pod::new(Grouping::None));
    let writer = Writer::start(&folder, &mut pod);
    let mut node = Node::start(&folder);
    for (name, error, errno) in [
        ("io", DiskErrno::Eio, libc::EIO),
        ("full", DiskErrno::Enospc, libc::ENOSPC),
        ("read-only", DiskErrno::Erofs, libc::EROFS),
    ] {
        node.put(&injection(name, &pod, failing(error, 100), LONG));
        let status = folder.await_state(name, InjectionState::Injected);
        let observed = status.proof.expect("proven").observed;
        assert!(observed.contains("calls answered with the error"), "{observed}");
        fails(&writer, errno);
        let done = writer.syncs();
        fails(&writer, errno);
        assert_eq!(writer.syncs(), done, "every one fails");
        node.gone(name);
        is_let_go(&writer);
        // The answer of the last one may not be written down yet.
        std::thread::sleep(Duration::from_millis(50));
        let before = writer.errors(errno);
        writer.goes_on_within(SOON);
        assert_eq!(writer.errors(errno), before, "none fails any more");
        eventually("no record", SOON, || folder.records().is_empty().then_some(()));
    }
    node.end();
}

#[test]
fn some_of_a_hundred_fail_and_none_once_the_node_is_dead() {
    let (folder, mut pod) = (Folder::new(), Pod::new(Grouping::None));
    let writer = Writer::start(&folder, &mut pod);
    let mut node = Node::start(&folder);
    node.put(&injection("some", &pod, failing(DiskErrno::Eio, 50), LONG));
    folder.await_state("some", InjectionState::Injected);
    fails(&writer, libc::EIO);
    writer.goes_on_within(SOON);
    node.kill();
    is_let_go(&writer);
    std::thread::sleep(Duration::from_millis(50));
    let before = writer.errors(libc::EIO);
    writer.goes_on_within(SOON);
    assert_eq!(writer.errors(libc::EIO), before);
    let node = Node::start(&folder);
    eventually("no record", Duration::from_secs(5), || folder.records().is_empty().then_some(()));
    node.end();
}
