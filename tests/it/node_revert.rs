//! Reverts that fail at first, and guardians whose records are damaged: everything is taken back all the same.

use std::fs;
use std::time::Duration;

use seatrial::api::{HostFault, InjectionState};

use crate::node_fixture::{BRIEF, Folder, Node, eventually, guardians, injection};
use crate::node_pod::{Grouping, Pod};

const LONG: Duration = Duration::from_mins(1);

#[test]
fn a_revert_that_fails_is_tried_again_when_nobody_asks_any_more() {
    let (folder, pod) = (Folder::new(), Pod::new(Grouping::OwnCgroup));
    folder.show(0, &pod.located);
    let mut node = Node::start(&folder);
    node.put(&injection("stuck", &pod, HostFault::Pause {}, LONG));
    folder.await_state("stuck", InjectionState::Injected);
    let record = folder.records().remove(0);
    fs::remove_file(&record).expect("it is there");
    // A folder cannot be removed as a record is.
    fs::create_dir(&record).expect("writable");
    node.gone("stuck");
    let status = folder.await_state("stuck", InjectionState::RevertFailed);
    assert!(status.error.is_some_and(|error| error.contains("cannot remove the undo record")));
    assert!(!pod.is_frozen(), "only its record is left");
    fs::remove_dir(&record).expect("empty");
    folder.await_state("stuck", InjectionState::Reverted);
    eventually("no guardian", Duration::from_secs(2), || guardians(&folder).is_empty().then_some(()));
    assert_eq!(folder.records(), Vec::<std::path::PathBuf>::new());
    node.end();
}

#[test]
fn a_guardian_whose_record_is_damaged_still_takes_the_fault_back() {
    let (folder, pod) = (Folder::new(), Pod::new(Grouping::OwnCgroup));
    folder.show(0, &pod.located);
    let mut node = Node::start(&folder);
    node.put(&injection("damaged", &pod, HostFault::Pause {}, BRIEF));
    folder.await_state("damaged", InjectionState::Injected);
    node.kill();
    fs::write(&folder.records()[0], "{").expect("writable");
    // Long enough for the guardian to have looked at it.
    std::thread::sleep(Duration::from_millis(700));
    assert_eq!(guardians(&folder).len(), 1, "it goes on watching");
    assert!(pod.is_frozen());
    eventually("it is thawed by the deadline", 3 * BRIEF, || (!pod.is_frozen()).then_some(()));
    eventually("nothing is left", BRIEF, || {
        (folder.records().is_empty() && guardians(&folder).is_empty()).then_some(())
    });
}
