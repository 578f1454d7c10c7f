//! Pauses and kills by a cgroup of version 1, as nodes of that age have them.

use std::fs;
use std::time::Duration;

use nix::unistd::Pid;
use seatrial::api::{Desired, HostFault, InjectionSpec, InjectionState};

use crate::node_fixture::{BRIEF, Folder, Node, eventually, guardians, injection};
use crate::node_pod::{Grouping, Pod, old_freezers};

const LONG: Duration = Duration::from_mins(1);

#[test]
fn a_pause_by_a_version_1_freezer_is_proven_and_taken_back() {
    if old_freezers().is_none() {
        return;
    }
    let (folder, pod) = (Folder::new(), Pod::new(Grouping::OldCgroup));
    folder.show(0, &pod.located);
    let mut node = Node::start(&folder);
    let spec = injection("old", &pod, HostFault::Pause {}, LONG);
    node.put(&spec);
    folder.await_state("old", InjectionState::Injected);
    assert!(pod.is_frozen());
    eventually("a renewed proof", Duration::from_secs(4), || {
        folder.status("old").filter(|status| status.effective_for >= Duration::from_millis(900))
    });
    node.put(&InjectionSpec { desired: Desired::Reverted, ..spec.clone() });
    folder.await_state("old", InjectionState::Reverted);
    assert!(!pod.is_frozen());

    let again = InjectionSpec { name: "again".to_owned(), ..spec };
    node.put(&again);
    folder.await_state("again", InjectionState::Injected);
    fs::write(pod.cgroup().join("freezer.state"), "THAWED").expect("writable");
    let error = folder.await_state("again", InjectionState::Lost).error.expect("a reason");
    assert!(error.contains("expected `FROZEN` in freezer.state"), "{error}");
    node.end();
    eventually("no guardian", Duration::from_secs(2), || guardians(&folder).is_empty().then_some(()));
}

#[test]
fn a_guardian_thaws_a_version_1_freezer_when_the_node_is_dead() {
    if old_freezers().is_none() {
        return;
    }
    let (folder, pod) = (Folder::new(), Pod::new(Grouping::OldCgroup));
    folder.show(0, &pod.located);
    let mut node = Node::start(&folder);
    node.put(&injection("guarded", &pod, HostFault::Pause {}, BRIEF));
    folder.await_state("guarded", InjectionState::Injected);
    node.kill();
    assert!(pod.is_frozen());
    eventually("it is thawed", 3 * BRIEF, || (!pod.is_frozen()).then_some(()));
    eventually("nothing is left", BRIEF, || {
        (folder.records().is_empty() && guardians(&folder).is_empty()).then_some(())
    });
}

#[test]
fn a_kill_by_a_version_1_cgroup_reaches_every_process_in_it() {
    if old_freezers().is_none() {
        return;
    }
    let (folder, mut pod) = (Folder::new(), Pod::new(Grouping::OldCgroup));
    folder.show(0, &pod.located);
    // One that is not below the container's first process.
    let mut stray = std::process::Command::new("sleep").arg("600").spawn().expect("installed");
    let pid = Pid::from_raw(stray.id().cast_signed());
    fs::write(pod.cgroup().join("cgroup.procs"), pid.to_string()).expect("writable");
    let mut node = Node::start(&folder);
    node.put(&injection("kill", &pod, HostFault::Kill {}, LONG));
    folder.await_state("kill", InjectionState::Injected);
    assert!(!pod.container_is_alive());
    assert!(stray.try_wait().expect("ours").is_some(), "what was in the cgroup is dead");
    node.end();
}
