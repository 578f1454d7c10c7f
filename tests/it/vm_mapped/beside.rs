//! A table that several take back at the same time, one of whom dies in the middle of it.

use std::fs;
use std::os::unix::process::ExitStatusExt;
use std::time::Duration;

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use seatrial::api::{Desired, InjectionSpec, InjectionState};
use seatrial::undo::{Claiming, Store};

use super::{LONG, SOON, Scene, must, slow_syncs};
use crate::node_fixture::{Node, eventually, guardians, injection};
use crate::vm::inside;

/// Waits until a node stops at its point.
fn stops(node: &Node, when: &str) {
    let stat = format!("/proc/{}/stat", node.child.id());
    eventually(&format!("the node stops {when}"), Duration::from_secs(10), || {
        let stat = fs::read_to_string(&stat).expect("it is there");
        stat.rsplit(") ").next().is_some_and(|rest| rest.starts_with('T')).then_some(())
    });
}

fn goes_on(node: &Node) {
    kill(Pid::from_raw(node.child.id().cast_signed()), Signal::SIGCONT).expect("ours");
}

/// A node has no claim to the record while its guardian acts upon that: it loads what the guardian has just brought into force.
#[test]
fn a_node_that_dies_beside_the_guardian_that_takes_back_leaves_no_table_loaded() {
    inside(
        "vm_mapped::beside::a_node_that_dies_beside_the_guardian_that_takes_back_leaves_no_table_loaded",
        || {
            let scene = Scene::new("beside");
            let Scene { writer, pod, folder, mapping } = &scene;
            let before = mapping.table();
            let points =
                [("SEATRIAL_STOP_AT", "former-table-wanted"), ("SEATRIAL_KILL_AT", "former-table-loaded")];
            let mut node = Node::start_with(folder, &points);
            let spec = injection("beside", pod, slow_syncs(), LONG);
            node.put(&spec);
            folder.await_state("beside", InjectionState::Injected);
            let record = folder.records().remove(0);
            // In place of the guardian, until the node has begun. While the node looks, it has the claim itself.
            let claim = eventually("nobody else has the claim", SOON, || match Store::claim(&record) {
                Ok(Claiming::Ours(claim)) => Some(claim),
                _ => None,
            });
            node.put(&InjectionSpec { desired: Desired::Reverted, ..spec });
            stops(&node, "before it loads the table that was there");
            drop(claim);
            kill(Pid::from_raw(guardians(folder)[0]), Signal::SIGTERM).expect("there");
            eventually("its table", SOON, || (mapping.table() == before).then_some(()));
            goes_on(&node);
            let status = node.child.wait().expect("ours");
            assert_eq!(status.signal(), Some(Signal::SIGKILL as i32), "it has loaded it: {status}");
            eventually("nothing is left", Duration::from_mins(1), || {
                let is_clean = folder.records().is_empty() && guardians(folder).is_empty();
                (is_clean && mapping.table() == before && mapping.is_at_rest()).then_some(())
            });
            writer.goes_on_within(SOON);
        },
    );
}

/// Two who take back at the same time may do that to each other.
#[test]
fn a_table_is_put_back_though_somebody_clears_it_before_it_is_in_force() {
    inside("vm_mapped::beside::a_table_is_put_back_though_somebody_clears_it_before_it_is_in_force", || {
        let scene = Scene::new("cleared");
        let Scene { writer, pod, folder, mapping } = &scene;
        let before = mapping.table();
        let mut node = Node::start_with(folder, &[("SEATRIAL_STOP_AT", "former-table-loaded")]);
        node.put(&injection("cleared", pod, slow_syncs(), LONG));
        folder.await_state("cleared", InjectionState::Injected);
        node.gone("cleared");
        for time in 1..=2 {
            stops(&node, &format!("when it has loaded the table that was there, time {time}"));
            must(&format!("dmsetup clear {}", mapping.name));
            goes_on(&node);
        }
        eventually("its table", SOON, || {
            goes_on(&node);
            (mapping.table() == before).then_some(())
        });
        eventually("no record", SOON, || folder.records().is_empty().then_some(()));
        assert!(mapping.is_at_rest());
        writer.goes_on_within(SOON);
        node.end();
    });
}
