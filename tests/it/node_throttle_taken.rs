//! A limit that two Injections ask for, where the node of the one that came second has died: its guardian takes back nothing.

use std::fs;
use std::time::Duration;

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use seatrial::api::InjectionState;

use crate::node_fixture::{Folder, Node, eventually, guardians, injection};
use crate::node_pod::{Grouping, Pod};
use crate::node_throttle::{Limited, writes};

const LONG: Duration = Duration::from_mins(5);
const SOON: Duration = Duration::from_mins(1);

#[test]
fn the_guardian_of_an_injection_that_found_its_limit_taken_leaves_it_in_force() {
    let (folder, mut pod) = (Folder::new(), Pod::new(Grouping::None));
    let Some(limited) = Limited::start(&folder, &mut pod) else { return };
    // It has looked at what there was before, and dies when its record is written.
    let points = [("SEATRIAL_STOP_AT", "guardian-started"), ("SEATRIAL_KILL_AT", "guardian-armed")];
    let mut second = Node::start_with(&folder, &points);
    second.put(&injection("second", &pod, writes(10), Duration::from_secs(10)));
    let id = second.child.id();
    eventually("the second one stops", SOON, || {
        let stat = fs::read_to_string(format!("/proc/{id}/stat")).expect("it is there");
        stat.rsplit(") ").next().is_some_and(|rest| rest.starts_with('T')).then_some(())
    });
    let mut first = Node::start(&folder);
    first.put(&injection("first", &pod, writes(10), LONG));
    folder.await_state("first", InjectionState::Injected);
    kill(Pid::from_raw(id.cast_signed()), Signal::SIGCONT).expect("ours");
    // At the deadline of the second one, whether it came so far as to die or not.
    eventually("one record and its guardian", SOON, || {
        (folder.records().len() == 1 && guardians(&folder).len() == 1).then_some(())
    });
    assert_eq!(limited.limit(), Some(10), "it is that of the first one");
    first.gone("first");
    eventually("no record", SOON, || folder.records().is_empty().then_some(()));
    assert_eq!(limited.limit(), None);
    first.end();
}
