//! Reads and writes of which the kernel does not say which of both they are, where fanotify is to hold one of them alone.

use std::time::Duration;

use seatrial::api::{DiskErrno, DiskOperation, ErrorDriver, FailingDisk, HostFault, InjectionState};

use crate::node_fixture::{Folder, Node, eventually, injection};
use crate::node_gate::{failing, slow};
use crate::node_pod::{Grouping, Pod};
use crate::node_power::Disk;
use crate::tracer_caller::Caller;

const LONG: Duration = Duration::from_mins(1);
const SOON: Duration = Duration::from_secs(30);

#[test]
fn it_does_not_stand_in_for_a_tracer_where_the_kernel_tells_it_no_more() {
    let (folder, mut pod) = (Folder::new(), Pod::new(Grouping::None));
    let disk = Disk::new(folder.path());
    pod.located.volumes = vec![disk.volume()];
    let mut caller = Caller::start();
    caller.must("libaio");
    caller.be_in(&mut pod);
    folder.show(0, &pod.located);
    let mut node = Node::start(&folder);
    let HostFault::DiskError(failing) = failing(DiskOperation::Write, DiskErrno::Eio) else { unreachable!() };
    let by_any = FailingDisk { driver: ErrorDriver::Auto, ..failing };
    node.put(&injection("unseen", &pod, HostFault::DiskError(by_any), LONG));
    let why = folder.await_state("unseen", InjectionState::Failed).error.expect("why");
    assert!(why.contains("fanotify: ") && why.contains("write operations: [read, write]"), "{why}");
    node.end();
}

/// CAP_SYS_PTRACE (capabilities(7)).
const PTRACE: u8 = 19;

#[test]
fn reads_alone_are_refused_where_it_is_not_told_what_processes_call() {
    let (folder, mut pod) = (Folder::new(), Pod::new(Grouping::None));
    let disk = Disk::new(folder.path());
    pod.located.volumes = vec![disk.volume()];
    let caller = Caller::start();
    caller.be_in(&mut pod);
    folder.show(0, &pod.located);
    let mut node = Node::without(PTRACE, &folder);
    node.put(&injection("reads", &pod, slow(&[DiskOperation::Read], 5), LONG));
    let why = folder.await_state("reads", InjectionState::Failed).error.expect("why");
    let who = format!("which calls process {} of container main makes", caller.process().pid);
    assert!(why.contains(&who) && why.contains("CAP_SYS_PTRACE"), "{why}");
    node.end();
}

#[test]
fn the_proof_of_writes_alone_ends_with_a_ring_that_is_opened_later_and_that_of_both_does_not() {
    let (folder, mut pod) = (Folder::new(), Pod::new(Grouping::None));
    let disk = Disk::new(folder.path());
    pod.located.volumes = vec![disk.volume()];
    let mut node = Node::start(&folder);
    for (name, operations, ends) in [
        ("both", vec![DiskOperation::Read, DiskOperation::Write], false),
        ("writes", vec![DiskOperation::Write], true),
    ] {
        let mut caller = Caller::start();
        caller.be_in(&mut pod);
        folder.show(0, &pod.located);
        node.put(&injection(name, &pod, slow(&operations, 5), LONG));
        // Until the kernel asks about it, a file has to be opened anew.
        let file = disk.mount.join("file").display().to_string();
        eventually("it is proven", SOON, || {
            caller.must(&format!("keep file wc {file}"));
            caller.must("write file");
            caller.must("close file");
            folder.status(name).filter(|status| status.state == InjectionState::Injected)
        });
        // A kernel may forbid it (kernel.io_uring_disabled), which then nobody has open.
        if caller.errno("io_uring") == 0 {
            let proven = folder.await_state(name, InjectionState::Injected).effective_for;
            if ends {
                let status = folder.await_state(name, InjectionState::Lost);
                assert!(format!("{status:?}").contains("uses io_uring, of which the kernel"), "{status:?}");
            } else {
                eventually("the proof is renewed", SOON, || {
                    let status = folder.await_state(name, InjectionState::Injected);
                    (status.effective_for > proven + Duration::from_secs(2)).then_some(())
                });
            }
        }
        node.gone(name);
        eventually("no record", SOON, || folder.records().is_empty().then_some(()));
    }
    node.end();
}
