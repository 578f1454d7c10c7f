//! Each fault on a hand-made pod: it takes effect, is proven, changes, and leaves nothing behind.

use std::fs;
use std::time::Duration;

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use seatrial::api::{Desired, HostFault, InjectionSpec, InjectionState, Peer};
use seatrial::fault::host::Target;
use seatrial::host::nftables::{self, Grip};
use seatrial::undo::{Outcome, Scope, Store, replay};

use crate::node_fixture::{BRIEF, Folder, Node, cut, eventually, guardians, injection};
use crate::node_pod::{Grouping, Pod};

const LONG: Duration = Duration::from_mins(1);

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

#[test]
fn a_one_way_cut_drops_in_its_direction_only() {
    let (folder, pod, peer) = (Folder::new(), Pod::new(Grouping::None), Pod::new(Grouping::None));
    pod.connect(&peer);
    folder.show(0, &pod.located);
    let mut node = Node::start(&folder);
    for (name, drop_from, drop_to) in [("deaf", true, false), ("mute", false, true)] {
        let fault = HostFault::Partition {
            peers: vec![Peer {
                ordinal: 1,
                addresses: vec!["10.99.0.2".parse().expect("an address")],
                drop_from,
                drop_to,
            }],
            ports: Vec::new(),
            clients: false,
        };
        let spec = injection(name, &pod, fault, LONG);
        node.put(&spec);
        folder.await_state(name, InjectionState::Injected);
        let (at_pod, at_peer) = (pod.pings_heard(), peer.pings_heard());
        assert!(!pod.reaches("10.99.0.2"));
        assert!(!peer.reaches("10.99.0.1"));
        assert_eq!(peer.pings_heard() > at_peer, !drop_to, "what {name} sends");
        assert_eq!(pod.pings_heard() > at_pod, !drop_from, "what {name} hears");
        node.put(&reverted(&spec));
        folder.await_state(name, InjectionState::Reverted);
        assert!(pod.reaches("10.99.0.2"));
    }
    node.end();
}

#[test]
fn a_cut_by_port_and_a_cut_from_clients_spare_the_others() {
    let (folder, pod, peer) = (Folder::new(), Pod::new(Grouping::None), Pod::new(Grouping::None));
    pod.connect(&peer);
    folder.show(0, &pod.located);
    let mut node = Node::start(&folder);
    let HostFault::Partition { peers, .. } = cut(&["10.99.0.2"]) else { unreachable!("a partition") };
    let by_port = injection(
        "port",
        &pod,
        HostFault::Partition { peers: peers.clone(), ports: vec![7001], clients: false },
        LONG,
    );
    node.put(&by_port);
    let status = folder.await_state("port", InjectionState::Injected);
    assert!(status.proof.expect("proven").observed.contains("1 probe refused"));
    assert!(pod.reaches("10.99.0.2"), "a ping has no port");
    node.put(&reverted(&by_port));
    folder.await_state("port", InjectionState::Reverted);

    let strangers = HostFault::Partition { peers: Vec::new(), ports: Vec::new(), clients: true };
    let strangers = injection("strangers", &pod, strangers, LONG);
    node.put(&strangers);
    folder.await_state("strangers", InjectionState::Injected);
    assert!(!pod.reaches("10.99.0.2"));
    assert!(!peer.reaches("fd99::1"));
    assert!(pod.reaches("127.0.0.1"));
    node.put(&reverted(&strangers));
    folder.await_state("strangers", InjectionState::Reverted);

    let spared = peers.into_iter().map(|peer| Peer { drop_from: false, drop_to: false, ..peer }).collect();
    let spared = HostFault::Partition { peers: spared, ports: Vec::new(), clients: true };
    let spared = injection("spared", &pod, spared, LONG);
    node.put(&spared);
    folder.await_state("spared", InjectionState::Injected);
    assert!(pod.reaches("10.99.0.2"), "a member that is not cut is no client");
    assert!(!pod.reaches("fd99::2"));
    node.put(&reverted(&spared));
    folder.await_state("spared", InjectionState::Reverted);
    nothing_is_left(&folder);
    node.end();
}

#[test]
fn new_addresses_of_peers_are_cut_and_old_ones_freed() {
    let (folder, pod, peer) = (Folder::new(), Pod::new(Grouping::None), Pod::new(Grouping::None));
    pod.connect(&peer);
    folder.show(0, &pod.located);
    let mut node = Node::start(&folder);
    let spec = injection("moves", &pod, cut(&["10.99.0.2"]), LONG);
    node.put(&spec);
    folder.await_state("moves", InjectionState::Injected);
    assert!(pod.reaches("fd99::2"));
    node.put(&InjectionSpec { fault: cut(&["fd99::2"]), ..spec.clone() });
    eventually("the new address is cut", Duration::from_secs(2), || (!pod.reaches("fd99::2")).then_some(()));
    assert!(pod.reaches("10.99.0.2"));
    let status = folder.status("moves").expect("told");
    assert_eq!((status.state, status.error), (InjectionState::Injected, None));
    node.end();
    assert_eq!(pod.tables(), Vec::<String>::new(), "a node that ends takes everything back");
    nothing_is_left(&folder);
}

#[test]
fn the_kernel_ends_a_cut_when_node_and_guardian_are_stopped() {
    let (folder, pod, peer) = (Folder::new(), Pod::new(Grouping::None), Pod::new(Grouping::None));
    pod.connect(&peer);
    folder.show(0, &pod.located);
    let mut node = Node::start(&folder);
    node.put(&injection("expires", &pod, cut(&["10.99.0.2", "fd99::2"]), BRIEF));
    folder.await_state("expires", InjectionState::Injected);
    node.stop_between_looks(&folder);
    let guardian = Pid::from_raw(guardians(&folder)[0]);
    kill(guardian, Signal::SIGSTOP).expect("there");
    assert!(!pod.reaches("10.99.0.2"));
    eventually("the kernel ends it", 3 * BRIEF, || pod.reaches("10.99.0.2").then_some(()));
    kill(guardian, Signal::SIGCONT).expect("there");
    eventually("its guardian takes it back", Duration::from_secs(5), || {
        folder.records().is_empty().then_some(())
    });
    node.go_on();
    folder.await_state("expires", InjectionState::Reverted);
    let lost = folder.statuses().into_iter().find(|(_, status)| status.state == InjectionState::Lost);
    assert!(lost.is_none(), "it ended when it was to end: {lost:?}");
    nothing_is_left(&folder);
    node.end();
}

#[test]
fn a_thaw_behind_its_back_is_told_as_lost_with_the_time() {
    let (folder, pod) = (Folder::new(), Pod::new(Grouping::OwnCgroup));
    folder.show(0, &pod.located);
    let mut node = Node::start(&folder);
    let spec = injection("thawed", &pod, HostFault::Pause {}, LONG);
    node.put(&spec);
    folder.await_state("thawed", InjectionState::Injected);
    fs::write(pod.cgroup().join("cgroup.freeze"), "0").expect("writable");
    let status = folder.await_state("thawed", InjectionState::Lost);
    let error = status.error.expect("a reason");
    assert!(error.starts_with("lost between ") && error.contains("expected `frozen 1`"), "{error}");
    assert!(!status.proof.expect("a look").holds);
    node.put(&reverted(&spec));
    folder.await_state("thawed", InjectionState::Reverted);
    nothing_is_left(&folder);
    node.end();
}

#[test]
fn a_table_removed_behind_its_back_is_told_as_lost() {
    let (folder, pod, peer) = (Folder::new(), Pod::new(Grouping::None), Pod::new(Grouping::None));
    pod.connect(&peer);
    folder.show(0, &pod.located);
    let mut node = Node::start(&folder);
    node.put(&injection("torn", &pod, cut(&["10.99.0.2"]), LONG));
    folder.await_state("torn", InjectionState::Injected);
    assert!(!pod.run(&["nft", "flush", "ruleset"]).status.success() || !pod.reaches("10.99.0.2"));
    assert_eq!(pod.tables().len(), 1, "a foreign flush skips an owned table");
    // Only the owner can remove it: with the guardian's own socket.
    let record = Store::read(&folder.records()[0]).expect("a record");
    let grip = Grip::from_held(record.guardian.expect("guarded").held()).expect("it holds the table");
    let Target::Partition(target) = record.target else { unreachable!("a partition") };
    nftables::remove(&grip.owner, &target.table).expect("owned");
    let status = folder.await_state("torn", InjectionState::Lost);
    assert!(status.error.is_some_and(|error| error.contains("is gone")));
    node.end();
    nothing_is_left(&folder);
}

#[test]
fn a_pause_follows_a_container_that_is_started_again() {
    let (folder, mut pod) = (Folder::new(), Pod::new(Grouping::OwnCgroup));
    folder.show(0, &pod.located);
    let mut node = Node::start(&folder);
    let spec = InjectionSpec { follow: true, ..injection("follows", &pod, HostFault::Pause {}, LONG) };
    node.put(&spec);
    folder.await_state("follows", InjectionState::Injected);
    pod.kill_container();
    folder.await_state("follows", InjectionState::Lost);
    eventually("the cgroup of the dead is thawed", Duration::from_secs(2), || {
        (!pod.is_frozen()).then_some(())
    });
    pod.start_container();
    folder.show(0, &pod.located);
    eventually("the new one is paused", Duration::from_secs(3), || pod.is_frozen().then_some(()));
    folder.await_state("follows", InjectionState::Injected);
    assert_eq!(folder.records().len(), 1);
    node.end();
    assert!(!pod.is_frozen());
    nothing_is_left(&folder);
}

#[test]
fn why_a_fault_that_follows_cannot_be_made_yet_is_told_while_it_is_tried_and_in_the_end() {
    let (folder, pod) = (Folder::new(), Pod::new(Grouping::OwnCgroup));
    folder.show(0, &pod.located);
    let mut node = Node::start(&folder);
    let freeze = |state: &str| fs::write(pod.cgroup().join("cgroup.freeze"), state).expect("writable");
    freeze("1");
    let follows = |name: &str, lasts| InjectionSpec {
        follow: true,
        ..injection(name, &pod, HostFault::Pause {}, lasts)
    };
    node.put(&follows("later", LONG));
    eventually("it says why", Duration::from_secs(5), || {
        let status = folder.status("later")?;
        assert_eq!(status.state, InjectionState::Pending);
        status.error.filter(|why| why.contains("is frozen already"))
    });
    node.put(&follows("never", Duration::from_secs(5)));
    let why = folder.await_state("never", InjectionState::Failed).error.expect("why");
    assert!(why.contains("is frozen already") && why.ends_with("the deadline has passed already"), "{why}");
    freeze("0");
    folder.await_state("later", InjectionState::Injected);
    node.end();
    nothing_is_left(&folder);
}

/// On a busy machine the guardian sees the end of the container first, takes the pause back and ends itself.
#[test]
fn a_pause_follows_a_container_whose_end_its_guardian_saw_first() {
    let (folder, mut pod) = (Folder::new(), Pod::new(Grouping::OwnCgroup));
    folder.show(0, &pod.located);
    let mut node = Node::start(&folder);
    let spec = InjectionSpec { follow: true, ..injection("late", &pod, HostFault::Pause {}, LONG) };
    node.put(&spec);
    folder.await_state("late", InjectionState::Injected);
    // Which of several events the node handles first is chance.
    for _ in 0..5 {
        node.stop_between_looks(&folder);
        pod.kill_container();
        eventually("no guardian", Duration::from_secs(10), || guardians(&folder).is_empty().then_some(()));
        assert!(folder.records().is_empty(), "it has taken the pause back");
        pod.start_container();
        folder.show(0, &pod.located);
        node.go_on();
        eventually("the new one is paused", Duration::from_secs(10), || pod.is_frozen().then_some(()));
        folder.await_state("late", InjectionState::Injected);
    }
    node.end();
    nothing_is_left(&folder);
}

#[test]
fn a_pause_whose_target_ends_is_lost_for_that_also_where_its_guardian_saw_it_first() {
    let (folder, mut pod) = (Folder::new(), Pod::new(Grouping::OwnCgroup));
    folder.show(0, &pod.located);
    let mut node = Node::start(&folder);
    node.put(&injection("ended", &pod, HostFault::Pause {}, LONG));
    folder.await_state("ended", InjectionState::Injected);
    node.stop_between_looks(&folder);
    pod.kill_container();
    eventually("no guardian", Duration::from_secs(10), || guardians(&folder).is_empty().then_some(()));
    node.go_on();
    let why = folder.await_state("ended", InjectionState::Lost).error.expect("why");
    assert!(why.contains("the processes that it held ended") && !why.contains("somebody else"), "{why}");
    node.end();
    nothing_is_left(&folder);
}

#[test]
fn a_target_that_ends_is_lost_without_follow_and_reverted_when_asked() {
    let (folder, mut pod) = (Folder::new(), Pod::new(Grouping::OwnCgroup));
    folder.show(0, &pod.located);
    let mut node = Node::start(&folder);
    let spec = injection("ends", &pod, HostFault::Pause {}, LONG);
    node.put(&spec);
    folder.await_state("ends", InjectionState::Injected);
    pod.kill_container();
    folder.await_state("ends", InjectionState::Lost);
    // It is told first and taken back then.
    eventually("no record", Duration::from_secs(2), || folder.records().is_empty().then_some(()));
    nothing_is_left(&folder);
    node.put(&reverted(&spec));
    folder.await_state("ends", InjectionState::Reverted);
    node.end();
}

#[test]
fn a_kill_is_proven_and_hits_the_next_incarnation_only_when_it_follows() {
    for (grouping, follow) in [(Grouping::OwnCgroup, false), (Grouping::None, true)] {
        let (folder, mut pod) = (Folder::new(), Pod::new(grouping));
        folder.show(0, &pod.located);
        let mut node = Node::start(&folder);
        let spec = InjectionSpec { follow, ..injection("kill", &pod, HostFault::Kill {}, LONG) };
        node.put(&spec);
        let status = folder.await_state("kill", InjectionState::Injected);
        assert!(status.proof.expect("proven").observed.contains("is gone"));
        assert!(!pod.container_is_alive());
        pod.start_container();
        folder.show(0, &pod.located);
        if follow {
            eventually("the next one is killed", Duration::from_secs(3), || {
                (!pod.container_is_alive()).then_some(())
            });
        } else {
            std::thread::sleep(Duration::from_millis(1200));
            assert!(pod.container_is_alive());
        }
        node.put(&reverted(&spec));
        folder.await_state("kill", InjectionState::Reverted);
        nothing_is_left(&folder);
        node.end();
    }
}

#[test]
fn refuses_another_pod_a_frozen_cgroup_and_the_nodes_own_network() {
    let (folder, pod) = (Folder::new(), Pod::new(Grouping::OwnCgroup));
    folder.show(0, &pod.located);
    let mut node = Node::start(&folder);
    let mut other = injection("other", &pod, HostFault::Pause {}, LONG);
    other.pod.uid = "another".to_owned();
    node.put(&other);
    let error = folder.await_state("other", InjectionState::Failed).error.expect("a reason");
    assert!(error.contains("expected uid another"), "{error}");

    fs::write(pod.cgroup().join("cgroup.freeze"), "1").expect("writable");
    node.put(&injection("frozen", &pod, HostFault::Pause {}, LONG));
    let error = folder.await_state("frozen", InjectionState::Failed).error.expect("a reason");
    assert!(error.contains("is frozen already"), "{error}");
    assert!(pod.is_frozen(), "what somebody else froze stays frozen");
    fs::write(pod.cgroup().join("cgroup.freeze"), "0").expect("writable");

    let mut own = pod.located.clone();
    own.holder = std::process::id().cast_signed();
    folder.show(0, &own);
    node.put(&injection("own", &pod, cut(&["10.99.0.2"]), LONG));
    let error = folder.await_state("own", InjectionState::Failed).error.expect("a reason");
    assert!(error.contains("network namespace of its node"), "{error}");

    node.put(&injection("power", &pod, HostFault::PowerLoss { claims: Vec::new(), torn: None }, LONG));
    let error = folder.await_state("power", InjectionState::Failed).error.expect("a reason");
    assert!(error.contains("no volume"), "{error}");
    nothing_is_left(&folder);
    node.end();
}

#[test]
fn damaged_records_are_kept_aside_and_those_of_another_boot_removed() {
    let (folder, pod) = (Folder::new(), Pod::new(Grouping::OwnCgroup));
    folder.show(0, &pod.located);
    let mut node = Node::start(&folder);
    node.put(&injection("old", &pod, HostFault::Pause {}, LONG));
    folder.await_state("old", InjectionState::Injected);
    let mut record = Store::read(&folder.records()[0]).expect("a record");
    node.end();
    record.era.boot = "another".to_owned();
    Store::write(&folder.undo_dir().join("old.1.undo.json"), &record).expect("writable");
    fs::write(folder.undo_dir().join("junk.1.undo.json"), "{\"schema\": 1, ").expect("writable");
    let outcomes = replay(&folder.undo_dir(), Scope::Leftover).expect("a readable folder");
    assert!(matches!(&outcomes[..], [Outcome::SetAside(..), Outcome::AnotherBoot(_)]), "{outcomes:?}");
    let left = folder.records();
    assert_eq!(left, [folder.undo_dir().join("junk.1.undo.unreadable")]);
    assert!(replay(&folder.undo_dir(), Scope::Everything).expect("a readable folder").is_empty());
}
