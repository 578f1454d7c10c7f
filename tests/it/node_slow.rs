//! A node whose own disk does not answer while it writes down what it is going to do.

use std::fs;
use std::process::Command;
use std::time::Duration;

use seatrial::api::{HostFault, InjectionState};

use crate::node_fixture::{Folder, Node, eventually, injection};
use crate::node_frozen::freeze;
use crate::node_pod::{Grouping, Pod};
use crate::node_power::Disk;

/// A disk with the node's undo records.
struct Records {
    disk: Disk,
    folder: Folder,
}

impl Records {
    fn new() -> Self {
        let folder = Folder::new();
        let disk = Disk::new(folder.path());
        fs::create_dir(folder.undo_dir()).expect("writable");
        let mounted = Command::new("mount").arg("--bind").args([&disk.mount, &folder.undo_dir()]).status();
        assert!(mounted.expect("installed").success());
        Self { disk, folder }
    }
}

impl Drop for Records {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg("-l").arg(self.folder.undo_dir()).status();
    }
}

#[test]
fn an_injection_that_waits_for_the_disk_of_its_node_says_so_and_begins_no_earlier() {
    let records = Records::new();
    let folder = &records.folder;
    let pod = Pod::new(Grouping::OwnCgroup);
    folder.show(0, &pod.located);
    let mut node = Node::start(folder);
    let frozen = freeze(&records.disk.mount).expect("not frozen yet");
    node.put(&injection("pause", &pod, HostFault::Pause {}, Duration::from_mins(1)));
    let words = "the node is still writing its undo record to the node's disk after 3 s";
    eventually("it says what it waits for", Duration::from_secs(10), || {
        let status = folder.status("pause")?;
        assert_eq!(status.state, InjectionState::Pending);
        status.error.is_some_and(|error| error.contains(words)).then_some(())
    });
    drop(frozen);
    let status = folder.await_state("pause", InjectionState::Injected);
    assert_eq!(status.error, None, "it takes long no more");
    node.gone("pause");
    eventually("no record", Duration::from_secs(5), || {
        folder.records().iter().all(|record| record.ends_with("lost+found")).then_some(())
    });
    node.end();
}
