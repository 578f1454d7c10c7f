//! Each fault on a hand-made pod: it takes effect, is proven, changes, and leaves nothing behind.

use std::time::Duration;

use seatrial::api::{Desired, HostFault, InjectionSpec, InjectionState};

use crate::node_fixture::{Folder, Grouping, Node, Pod, cut, eventually, guardians, injection};

const LONG: Duration = Duration::from_secs(60);

fn reverted(spec: &InjectionSpec) -> InjectionSpec {
    InjectionSpec { desired: Desired::Reverted, ..spec.clone() }
}

fn nothing_is_left(folder: &Folder) {
    assert_eq!(folder.records(), Vec::<std::path::PathBuf>::new(), "no record");
    eventually("no guardian", Duration::from_secs(2), || guardians(folder).is_empty().then_some(()));
}

#[test]
fn a_pause_freezes_the_cgroup_until_it_is_reverted() {
    let (folder, pod) = (Folder::new(), Pod::new(Grouping::OwnCgroup));
    folder.show(0, &pod.located);
    let mut node = Node::start(&folder);
    let spec = injection("pause", &pod, HostFault::Pause {}, LONG);
    node.put(&spec);
    let status = folder.await_state("pause", InjectionState::Injected);
    assert!(status.proof.as_ref().is_some_and(|proof| proof.holds), "{status:?}");
    assert!(pod.is_frozen());
    assert_eq!(folder.records().len(), 1);
    assert_eq!(guardians(&folder).len(), 1);
    eventually("a renewed proof", Duration::from_secs(4), || {
        folder.status("pause").filter(|status| status.effective_for >= Duration::from_millis(1900))
    });
    node.put(&reverted(&spec));
    let status = folder.await_state("pause", InjectionState::Reverted);
    assert!(!pod.is_frozen());
    assert_eq!(status.error, None);
    nothing_is_left(&folder);
    node.end();
}

#[test]
fn a_pause_without_a_cgroup_stops_every_process_of_the_tree() {
    let (folder, pod) = (Folder::new(), Pod::new(Grouping::None));
    folder.show(0, &pod.located);
    let mut node = Node::start(&folder);
    let spec = injection("stop", &pod, HostFault::Pause {}, LONG);
    node.put(&spec);
    folder.await_state("stop", InjectionState::Injected);
    assert!(pod.is_stopped());
    node.put(&reverted(&spec));
    folder.await_state("stop", InjectionState::Reverted);
    assert!(!pod.is_stopped());
    nothing_is_left(&folder);
    node.end();
}

#[test]
fn a_partition_cuts_both_families_and_leaves_no_table() {
    let (folder, pod, peer) = (Folder::new(), Pod::new(Grouping::None), Pod::new(Grouping::None));
    pod.connect(&peer);
    folder.show(0, &pod.located);
    let mut node = Node::start(&folder);
    let spec = injection("cut", &pod, cut(&["10.99.0.2", "fd99::2"]), LONG);
    node.put(&spec);
    let status = folder.await_state("cut", InjectionState::Injected);
    let observed = status.proof.expect("proven").observed;
    assert!(observed.contains("2 probes refused"), "{observed}");
    assert!(!pod.reaches("10.99.0.2"));
    assert!(!pod.reaches("fd99::2"));
    assert!(!peer.reaches("10.99.0.1"));
    assert_eq!(pod.tables().len(), 1);
    let dropped = eventually("counted packets", Duration::from_secs(3), || {
        let observed = folder.status("cut")?.proof?.observed;
        (!observed.contains(" 0 packets of others")).then_some(observed)
    });
    assert!(dropped.contains("4 addresses"), "{dropped}");
    node.put(&reverted(&spec));
    folder.await_state("cut", InjectionState::Reverted);
    assert_eq!(pod.tables(), Vec::<String>::new());
    assert!(pod.reaches("10.99.0.2"));
    nothing_is_left(&folder);
    node.end();
}
