//! Disks that fail: a real process whose calls on a real filesystem are answered with errors while it runs.

use std::time::Duration;

use nix::libc;
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use seatrial::api::{
    Desired, DiskErrno, DiskOperation, ErrorDriver, FailingDisk, HostFault, InjectionSpec, InjectionState,
    InjectionStatus,
};
use seatrial::host::tracer::tracer_of;

use crate::node_fixture::{Folder, Node, eventually, guardians, injection};
use crate::node_pod::{Grouping, Pod};
use crate::node_writer::Writer;

const LONG: Duration = Duration::from_mins(1);
const SOON: Duration = Duration::from_secs(3);

pub fn failing(error: DiskErrno, percent: u8) -> HostFault {
    failing_at(DiskOperation::Sync, error, percent)
}

fn failing_at(operation: DiskOperation, error: DiskErrno, percent: u8) -> HostFault {
    HostFault::DiskError(FailingDisk {
        claims: Vec::new(),
        paths: Vec::new(),
        operations: vec![operation],
        error,
        percent,
        seed: 7,
        driver: ErrorDriver::Syscall,
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
    eventually("nobody is traced", SOON, || (!writer.is_traced()).then_some(()));
}

#[test]
fn calls_are_answered_with_the_error_and_no_other_and_work_again_afterwards() {
    let (folder, mut pod) = (Folder::new(), Pod::new(Grouping::None));
    let writer = Writer::strict(&folder, &mut pod);
    let mut node = Node::start(&folder);
    for (name, operation, error, errno) in [
        ("io", DiskOperation::Sync, DiskErrno::Eio, libc::EIO),
        ("full", DiskOperation::Write, DiskErrno::Enospc, libc::ENOSPC),
        ("read-only", DiskOperation::Write, DiskErrno::Erofs, libc::EROFS),
        ("unreadable", DiskOperation::Read, DiskErrno::Eio, libc::EIO),
    ] {
        node.put(&injection(name, &pod, failing_at(operation, error, 100), LONG));
        let status = folder.await_state(name, InjectionState::Injected);
        let observed = status.proof.expect("proven").observed;
        assert!(observed.contains(" answered with the error"), "{observed}");
        fails(&writer, errno);
        let done = writer.syncs();
        fails(&writer, errno);
        assert_eq!(writer.syncs(), done, "every one fails");
        node.gone(name);
        is_let_go(&writer);
        // The answer of the last one may not be written down yet.
        writer.notes_more();
        let before = writer.errors(errno);
        writer.goes_on_within(SOON);
        assert_eq!(writer.errors(errno), before, "none fails any more");
        eventually("no record", SOON, || folder.records().is_empty().then_some(()));
    }
    assert_eq!(writer.other_errors(&[libc::EIO, libc::ENOSPC, libc::EROFS]), 0);
    node.end();
}

#[test]
fn a_tracer_that_is_killed_leaves_no_call_that_only_seems_to_be_made() {
    let (folder, mut pod) = (Folder::new(), Pod::new(Grouping::None));
    let writer = Writer::start(&folder, &mut pod);
    let mut node = Node::start(&folder);
    for round in 0..10 {
        let name = format!("killed-{round}");
        node.put(&injection(&name, &pod, failing_at(DiskOperation::Write, DiskErrno::Eio, 100), LONG));
        folder.await_state(&name, InjectionState::Injected);
        let tracer = tracer_of(writer.pid()).expect("readable").expect("it is traced");
        kill(Pid::from_raw(tracer), Signal::SIGKILL).expect("ours");
        is_let_go(&writer);
        writer.goes_on_within(SOON);
        folder.await_state(&name, InjectionState::Lost);
        node.gone(&name);
        eventually("no record", SOON, || folder.records().is_empty().then_some(()));
    }
    assert_eq!(writer.other_errors(&[libc::EIO]), 0);
    // Every write that was answered with success is there: a line each, as are the syncs that followed.
    for thread in ["one", "two"] {
        let lines = || std::fs::metadata(writer.disk.mount.join(thread)).expect("written").len() / 7;
        let syncs = writer.times(thread).len() as u64;
        assert!(lines() >= syncs, "{} lines of {syncs}", lines());
    }
    node.end();
}

#[test]
fn only_files_at_the_paths_asked_for_fail() {
    let (folder, mut pod) = (Folder::new(), Pod::new(Grouping::None));
    let writer = Writer::start(&folder, &mut pod);
    let mut node = Node::start(&folder);
    let at = |pattern: &str| {
        HostFault::DiskError(FailingDisk {
            claims: Vec::new(),
            paths: vec![pattern.to_owned()],
            operations: vec![DiskOperation::Write],
            error: DiskErrno::Enospc,
            percent: 100,
            seed: 7,
            driver: ErrorDriver::Syscall,
        })
    };
    node.put(&injection("two", &pod, at("t?o"), LONG));
    folder.await_state("two", InjectionState::Injected);
    let failed = || writer.errors(libc::ENOSPC);
    let before = failed();
    eventually("one thread hears of it", SOON, || (failed()[1] > before[1] + 3).then_some(()));
    let written = writer.times("one").len();
    eventually("the other writes", SOON, || (writer.times("one").len() > written + 3).then_some(()));
    assert_eq!(failed()[0], 0);
    node.gone("two");
    eventually("no record", SOON, || folder.records().is_empty().then_some(()));
    node.put(&injection("wrong", &pod, at("/two"), LONG));
    let status = folder.await_state("wrong", InjectionState::Failed);
    assert!(status.error.expect("why").contains("`/two` begins with a slash"));
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
    // The answer of the last one may not be written down yet.
    writer.notes_more();
    let before = writer.errors(libc::EIO);
    writer.goes_on_within(SOON);
    assert_eq!(writer.errors(libc::EIO), before);
    let node = Node::start(&folder);
    eventually("no record", Duration::from_secs(5), || folder.records().is_empty().then_some(()));
    node.end();
}

/// What the proof says of a container that has ended of the error, which one of its threads or both have heard.
const ENDED: &str = "or more calls answered with the error, and the container has ended since";

/// The container may be gone, and the tracer with it, before the node looks: what was done to it is proven all the same, until
/// it runs again and the same is done to it.
#[test]
fn a_container_that_ends_of_its_first_error_is_proof_of_it_until_it_runs_again() {
    let (folder, mut pod) = (Folder::new(), Pod::new(Grouping::None));
    let mut writer = Writer::frail(&folder, &mut pod);
    let mut node = Node::start(&folder);
    kill(Pid::from_raw(writer.pid()), Signal::SIGSTOP).expect("ours");
    let spec = InjectionSpec { follow: true, ..injection("frail", &pod, failing(DiskErrno::Eio, 100), LONG) };
    node.put(&spec);
    eventually("it is traced", Duration::from_secs(10), || folder.is_made("frail").then_some(()));
    assert!(tracer_of(writer.pid()).expect("readable").is_some());
    node.stop_between_looks(&folder);
    kill(Pid::from_raw(writer.pid()), Signal::SIGCONT).expect("ours");
    eventually("its guardian has seen its end first", Duration::from_secs(10), || {
        (guardians(&folder).is_empty() && folder.records().is_empty()).then_some(())
    });
    node.go_on();
    let proof = |after: Option<jiff::Timestamp>| {
        eventually("a proof", Duration::from_secs(10), || {
            let proof = folder.status("frail")?.proof?;
            (proof.holds && proof.observed.ends_with(ENDED) && Some(proof.at) > after).then_some(proof.at)
        })
    };
    let first = proof(None);
    let renewed = proof(Some(first));
    assert_eq!(folder.status("frail").expect("told").state, InjectionState::Injected);
    let before = folder.statuses().len();
    writer.restart(&folder, &mut pod);
    eventually("it has ended again", Duration::from_secs(10), || writer.child.try_wait().expect("ours"));
    let again = proof(Some(renewed));
    proof(Some(again));
    let lost = folder.statuses()[before..].iter().any(|(_, status)| status.state == InjectionState::Lost);
    assert!(!lost, "{:#?}", folder.statuses());
    node.put(&InjectionSpec { desired: Desired::Reverted, ..spec });
    folder.await_state("frail", InjectionState::Reverted);
    writer.restart(&folder, &mut pod);
    writer.goes_on_within(Duration::from_secs(10));
    node.end();
}

#[test]
fn a_container_that_ends_of_its_first_error_is_lost_where_nobody_follows_and_the_error_is_on_record() {
    let (folder, mut pod) = (Folder::new(), Pod::new(Grouping::None));
    let mut writer = Writer::frail(&folder, &mut pod);
    let mut node = Node::start(&folder);
    node.put(&injection("once", &pod, failing(DiskErrno::Eio, 100), LONG));
    folder.await_state("once", InjectionState::Lost);
    assert!(!writer.child.wait().expect("ours").success());
    let is_proof = |status: &InjectionStatus| {
        let proof = status.proof.as_ref().filter(|proof| proof.holds && proof.observed.contains(ENDED));
        status.state == InjectionState::Injected && proof.is_some()
    };
    assert!(folder.statuses().iter().any(|(_, status)| is_proof(status)), "{:#?}", folder.statuses());
    node.end();
}
