//! Faults on the disks of members in a cluster, on real volumes of a CSI driver.

use crate::cluster_fixture::Cluster;
use crate::cluster_run_fixture::{LEADER_CUT, Scene};
use crate::e2e_fixture::text_of;

const CUT: &str = "{networkPartition: {isolate: {role: leader}}}";

/// Each fault, and what its proof says.
const FAULTS: [(&str, &str, &str); 4] = [
    ("stall", "{diskStall: {members: {role: leader}}}", "another freeze is answered EBUSY"),
    (
        "pulses",
        "{writeStall: {members: {role: follower, count: 1}, frozen: 200ms, gap: 300ms}}",
        "spent frozen of",
    ),
    ("full", "{diskFill: {members: {role: follower, count: 1}, to: {percent: 95}}}", "bytes left (statvfs)"),
    (
        "slow",
        "{diskLatency: {members: {role: follower, count: 1}, delay: {fixed: 20ms}}}",
        "asked for 20.00 ms in the mean",
    ),
];

#[test]
fn disks_of_members_stall_fill_and_slow_down_and_are_as_before() {
    let cluster = Cluster::installed();
    let scene = Scene::of(&cluster, "disks", LEADER_CUT);
    for (name, fault, proof) in FAULTS {
        scene.run(name, LEADER_CUT, &[(CUT, fault)]).exits(0);
        let journal = text_of(&scene.path(name).join("journal.jsonl"));
        assert!(journal.contains(proof), "{name}: `{proof}` was not observed");
        scene.nothing_is_left();
    }
}
