//! Faults of nodes where version 2 of cgroups is all that there is, on a kernel as distributions have it.

use crate::vm::these;

#[test]
fn faults_work_where_cgroups_are_of_version_2_alone() {
    these(&[
        "node_faults::a_kill",
        "node_faults::a_pause_follows_a_container_that",
        "node_faults::a_pause_freezes",
        "node_faults::a_thaw",
        "node_faults::refuses",
    ]);
}

#[test]
fn disks_are_loaded_where_cgroups_are_of_version_2_alone() {
    these(&["node_load::a_load_reads", "node_load::a_load_that_its_container"]);
}

/// What takes minutes in an emulated machine: `make test-long`.
mod long {
    use super::*;

    #[test]
    fn disks_are_limited_where_cgroups_are_of_version_2_alone() {
        these(&["node_throttle::"]);
    }

    #[test]
    fn a_node_killed_at_any_point_leaves_no_limit_where_cgroups_are_of_version_2_alone() {
        these(&["node_kill::a_node_killed_at_any_point_leaves_no_limit"]);
    }
}
