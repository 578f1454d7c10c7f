//! Faults of nodes where version 2 of cgroups is all that there is.

#[test]
fn faults_of_nodes_work_where_cgroups_are_of_version_2_alone() {
    crate::vm::modules(&["node_faults", "node_room", "node_partition", "node_stall"]);
}
