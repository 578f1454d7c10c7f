//! The virtual machine as a place to test in: what fails there fails here, and it ends with its tests.

use std::fs;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::time::Duration;

use crate::again::again;
use crate::node_fixture::eventually;
use crate::vm;

/// Set where a test shall do nothing but start the machine.
const BOOT: &str = "SEATRIAL_TEST_BOOT";

#[test]
fn what_fails_there_fails_here() {
    assert!(!vm::is_here(), "on purpose");
    for test in ["vm_machine::what_fails_there_fails_here", "vm_machine::a_test_that_is_not_there"] {
        let outcome = catch_unwind(AssertUnwindSafe(|| vm::inside(test, || {})));
        assert!(outcome.is_err(), "{test} has not passed there");
    }
}

#[test]
fn the_machine_ends_with_a_test_that_is_killed() {
    if std::env::var_os(BOOT).is_some() {
        return vm::inside("vm_machine::a_test_that_is_not_there", || {});
    }
    let mut test =
        again("vm_machine::the_machine_ends_with_a_test_that_is_killed").env(BOOT, "").spawn().expect("ours");
    // It packs what the machine boots before.
    let qemu = eventually("it starts a machine", Duration::from_mins(5), || {
        let children = fs::read_dir(format!("/proc/{}/task", test.id())).ok()?.flatten();
        let children = children.filter_map(|task| fs::read_to_string(task.path().join("children")).ok());
        let mut children =
            children.flat_map(|pids| pids.split_ascii_whitespace().map(str::to_owned).collect::<Vec<_>>());
        children.find(|pid| {
            fs::read_link(format!("/proc/{pid}/exe")).is_ok_and(|exe| exe.to_string_lossy().contains("qemu"))
        })
    });
    test.kill().expect("ours");
    test.wait().expect("ours");
    // Whoever inherits it may wait for it later.
    eventually("the machine has ended", Duration::from_secs(10), || {
        fs::read_link(format!("/proc/{qemu}/exe")).is_err().then_some(())
    });
}
