//! Frozen disks: a real process that writes to a real filesystem, which is frozen and thawed under it.

use std::fs::File;
use std::os::fd::AsFd;
use std::time::{Duration, Instant};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use seatrial::api::{HostFault, InjectionState, Pulses, StalledDisk};

use crate::node_fixture::{Folder, Node, eventually, guardians, injection, options};
use crate::node_frozen::{freeze, is_frozen};
use crate::node_pod::{Grouping, Pod};
use crate::node_writer::Writer;

const LONG: Duration = Duration::from_mins(1);
/// How long taking back may take on a machine that is busy.
const SOON: Duration = Duration::from_secs(3);

pub fn stall(pulses: Option<Pulses>) -> HostFault {
    HostFault::DiskStall(StalledDisk { claims: Vec::new(), pulses })
}

#[test]
fn a_frozen_volume_holds_its_writers_up_until_it_is_thawed() {
    let (folder, mut pod) = (Folder::new(), Pod::new(Grouping::None));
    let writer = Writer::start(&folder, &mut pod);
    let mut node = Node::start(&folder);
    node.put(&injection("stall", &pod, stall(None), LONG));
    folder.await_state("stall", InjectionState::Injected);
    let before = writer.syncs();
    let status = eventually("both threads wait", Duration::from_secs(10), || {
        let status = folder.status("stall")?;
        status.proof.as_ref().is_some_and(|proof| proof.observed.contains("2 threads wait")).then_some(status)
    });
    assert!(status.proof.expect("proven").observed.contains("EBUSY"));
    let waiting = writer.syncs();
    assert!(waiting <= before + 2, "each thread may have been past its last write: {before} to {waiting}");
    std::thread::sleep(Duration::from_millis(500));
    assert_eq!(writer.syncs(), waiting, "nothing is written meanwhile");
    assert_eq!(guardians(&folder).len(), 2);
    node.gone("stall");
    writer.goes_on_within(SOON);
    eventually("no record", SOON, || folder.records().is_empty().then_some(()));
    assert!(!is_frozen(&writer.disk.mount));
    node.end();
    assert!(guardians(&folder).is_empty());
}

#[test]
fn a_guardian_that_is_left_alone_thaws_before_the_deadline() {
    let (folder, mut pod) = (Folder::new(), Pod::new(Grouping::None));
    let writer = Writer::start(&folder, &mut pod);
    let mut node = Node::start(&folder);
    node.put(&injection("alone", &pod, stall(None), LONG));
    folder.await_state("alone", InjectionState::Injected);
    let both = guardians(&folder);
    node.kill();
    assert!(is_frozen(&writer.disk.mount), "two of them wait for the deadline");
    kill(Pid::from_raw(both[0]), Signal::SIGKILL).expect("there");
    writer.goes_on_within(Duration::from_secs(10));
    eventually("no record", SOON, || folder.records().is_empty().then_some(()));
    eventually("no guardian", SOON, || guardians(&folder).is_empty().then_some(()));
}

#[test]
fn pulses_end_when_a_guardian_takes_them_back() {
    let (folder, mut pod) = (Folder::new(), Pod::new(Grouping::None));
    let writer = Writer::start(&folder, &mut pod);
    let mut node = Node::start(&folder);
    let pulses = Pulses { frozen: Duration::from_millis(20), gap: Duration::from_millis(20) };
    node.put(&injection("pulses", &pod, stall(Some(pulses)), LONG));
    folder.await_state("pulses", InjectionState::Injected);
    kill(Pid::from_raw(guardians(&folder)[0]), Signal::SIGTERM).expect("there");
    eventually("no record", SOON, || folder.records().is_empty().then_some(()));
    for _ in 0..100 {
        assert!(!is_frozen(&writer.disk.mount), "nobody would be left to thaw it");
        std::thread::sleep(Duration::from_millis(3));
    }
    folder.await_state("pulses", InjectionState::Lost);
    node.end();
}

#[test]
fn a_guardian_that_dies_beside_a_living_node_is_replaced() {
    let (folder, mut pod) = (Folder::new(), Pod::new(Grouping::None));
    let writer = Writer::start(&folder, &mut pod);
    let mut node = Node::start(&folder);
    let mut is_replaced = |name: &str| {
        node.put(&injection(name, &pod, stall(None), LONG));
        folder.await_state(name, InjectionState::Injected);
        let both = guardians(&folder);
        kill(Pid::from_raw(both[1]), Signal::SIGKILL).expect("there");
        let are_two = || {
            let now = guardians(&folder);
            now.len() == 2 && now.contains(&both[0]) && !now.contains(&both[1])
        };
        let is_lost = || folder.status(name).is_some_and(|status| status.state == InjectionState::Lost);
        eventually("two again", SOON, || (are_two() || is_lost()).then_some(()));
        // Longer than one that is alone would wait.
        std::thread::sleep(Duration::from_secs(4));
        let is_replaced = is_frozen(&writer.disk.mount) && are_two();
        node.gone(name);
        writer.goes_on_within(SOON);
        eventually("nothing is left", SOON, || {
            (folder.records().is_empty() && guardians(&folder).is_empty()).then_some(())
        });
        is_replaced
    };
    // A node whose disk is busy may take longer to write down the new one than the other one waits, which then thaws.
    assert!((0..5).any(|attempt| is_replaced(&format!("replaced-{attempt}"))));
    node.end();
}

/// A writer that waits cannot die, so that a pod that is being ended would stay for as long as the fault.
#[test]
fn a_writer_that_is_killed_while_it_waits_is_let_go() {
    let (folder, mut pod) = (Folder::new(), Pod::new(Grouping::None));
    let mut writer = Writer::start(&folder, &mut pod);
    let mut node = Node::start(&folder);
    node.put(&injection("ended", &pod, stall(None), LONG));
    folder.await_state("ended", InjectionState::Injected);
    eventually("it waits", Duration::from_secs(10), || {
        let observed = folder.status("ended")?.proof?.observed;
        observed.contains("2 threads wait").then_some(())
    });
    writer.child.kill().expect("ours");
    eventually("it dies", Duration::from_secs(5), || writer.child.try_wait().expect("ours"));
    eventually("no record", SOON, || folder.records().is_empty().then_some(()));
    assert!(!is_frozen(&writer.disk.mount));
    node.end();
}

#[test]
fn what_somebody_else_froze_stays_frozen() {
    let (folder, mut pod) = (Folder::new(), Pod::new(Grouping::None));
    let writer = Writer::start(&folder, &mut pod);
    let frozen = freeze(&writer.disk.mount).expect("not frozen yet");
    let mut node = Node::start(&folder);
    node.put(&injection("second", &pod, stall(None), LONG));
    let status = folder.await_state("second", InjectionState::Failed);
    assert!(is_frozen(&writer.disk.mount), "who froze it thaws it");
    drop(frozen);
    let error = status.error.expect("why");
    assert!(error.contains("is frozen already"), "{error}");
    node.end();
}

#[test]
fn a_volume_that_others_use_and_one_of_the_node_are_refused() {
    let (folder, mut pod) = (Folder::new(), Pod::new(Grouping::None));
    let writer = Writer::start(&folder, &mut pod);
    let mut node = Node::start(&folder);
    let open = File::open(writer.disk.mount.join("one")).expect("there");
    node.put(&injection("shared", &pod, stall(None), LONG));
    let status = folder.await_state("shared", InjectionState::Failed);
    let error = status.error.expect("why");
    assert!(error.contains("is used outside of the pod as well: process"), "{error}");
    drop(open);
    let mut own = writer.disk.volume();
    own.path = folder.path().to_owned();
    pod.located.volumes = vec![own];
    folder.show(0, &pod.located);
    node.put(&injection("node", &pod, stall(None), LONG));
    let status = folder.await_state("node", InjectionState::Failed);
    let error = status.error.expect("why");
    assert!(error.contains("is on the filesystem of the node's own"), "{error}");
    node.end();
}

/// As one does that is not its node's own child, because that was killed: before its record is there, and after that is gone.
#[test]
fn a_guardian_without_a_record_does_not_use_the_volume_that_it_has_open_and_one_of_others_does() {
    let (folder, others, mut pod) = (Folder::new(), Folder::new(), Pod::new(Grouping::None));
    let writer = Writer::start(&folder, &mut pod);
    let mut node = Node::start(&folder);
    let guardian_in = |folder: &Folder| {
        let root = File::open(&writer.disk.mount).expect("there");
        let record = folder.undo_dir().join("orphan.1.undo.json");
        options(folder.undo_dir()).guardian.start(&record, &[root.as_fd()]).expect("the program is there")
    };
    let stranger = guardian_in(&others);
    node.put(&injection("shared", &pod, stall(None), LONG));
    let error = folder.await_state("shared", InjectionState::Failed).error.expect("why");
    let who = format!("process {} (seatrial) has ", stranger.identity.process.pid);
    assert!(error.contains(&who), "{error}");
    stranger.dismiss();
    let guardian = guardian_in(&folder);
    node.put(&injection("alone", &pod, stall(None), LONG));
    folder.await_state("alone", InjectionState::Injected);
    assert!(guardian.identity.process.is_alive().expect("readable"), "it waits for its record");
    node.gone("alone");
    writer.goes_on_within(SOON);
    guardian.dismiss();
    node.end();
}

#[test]
fn pulses_hold_writers_up_again_and_again_and_end_with_the_node() {
    let (folder, mut pod) = (Folder::new(), Pod::new(Grouping::None));
    let writer = Writer::start(&folder, &mut pod);
    let mut node = Node::start(&folder);
    let pulses = Pulses { frozen: Duration::from_millis(200), gap: Duration::from_millis(10) };
    node.put(&injection("pulses", &pod, stall(Some(pulses)), LONG));
    folder.await_state("pulses", InjectionState::Injected);
    let before = writer.times("one").len();
    let observed = eventually("ten pulses", Duration::from_secs(20), || {
        let observed = folder.status("pulses")?.proof?.observed;
        let pulses: u64 = observed.split(' ').next()?.parse().ok()?;
        (pulses >= 10).then_some(observed)
    });
    assert!(observed.contains("spent frozen of"), "{observed}");
    let during = writer.times("one").split_off(before);
    // A write that meets a pulse at its beginning waits for nearly all of it; the sync itself does not wait.
    assert!(during.len() < 200, "{} syncs in ten pulses", during.len());
    node.kill();
    let killed = Instant::now();
    writer.goes_on_within(SOON);
    eventually("no record", Duration::from_secs(5), || folder.records().is_empty().then_some(()));
    assert!(killed.elapsed() < LONG / 2, "not by the deadline");
    for after in writer.shortest() {
        assert!(after < 200_000, "{after} µs after the pulses");
    }
}
