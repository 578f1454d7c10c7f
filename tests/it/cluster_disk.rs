//! Faults on the disks of members in a cluster, on real volumes of a CSI driver.

use crate::cluster_fixture::Cluster;
use crate::cluster_run_fixture::{LEADER_CUT, Scene};
use crate::e2e_experiments::ends_of_failed_syncs;
use crate::e2e_fixture::text_of;
use crate::e2e_recorded::{claim, report_in};

const FAILED_FSYNC: &str = "experiments/etcd/failed-fsync.yaml";
const CUT: &str = "{networkPartition: {isolate: {role: leader}}}";

/// Each fault, and what its proof says.
const FAULTS: [(&str, &str, &str); 8] = [
    ("stall", "{diskStall: {members: {role: leader}}}", "another freeze is answered EBUSY"),
    (
        "pulses",
        "{writeStall: {members: {role: follower, count: 1}, frozen: 200ms, gap: 300ms}}",
        "spent frozen of",
    ),
    ("full", "{diskFill: {members: {role: follower, count: 1}, to: {percent: 95}}}", "bytes left (statvfs)"),
    (
        "files",
        "{diskFill: {members: {role: follower, count: 1}, to: {freeInodes: 0}}}",
        "inodes left (statvfs)",
    ),
    (
        "read-only",
        "{diskReadOnly: {members: {role: follower, count: 1}, killWriters: true}}",
        "a new file is refused (EROFS)",
    ),
    (
        "neighbour",
        "{ioStress: {members: {role: follower, count: 1}, size: 8Mi, rate: 100}}",
        "bytes/s to and from disks (/proc/PID/io)",
    ),
    (
        "slow",
        "{diskLatency: {members: {role: follower, count: 1}, delay: {fixed: 20ms}}}",
        "asked for 20.00 ms in the mean",
    ),
    ("throttle", "{diskThrottle: {members: {role: follower, count: 1}, writeIops: 20}}", "limited to 20/s"),
];

#[test]
fn disks_of_members_stall_fill_and_slow_down_and_are_as_before() {
    let cluster = Cluster::installed();
    let scene = Scene::of(&cluster, "disks", LEADER_CUT);
    for (name, fault, proof) in FAULTS {
        // Kubernetes waits longer each time before it starts a container again that ended on a read-only volume.
        let changes = [(CUT, fault), ("recoverWithin: 30s", "recoverWithin: 3m")];
        scene.run(name, LEADER_CUT, &changes).exits(0);
        let journal = text_of(&scene.path(name).join("journal.jsonl"));
        assert!(journal.contains(proof), "{name}: `{proof}` was not observed");
        scene.nothing_is_left();
    }
}

/// As etcd does, which is gone before anybody looks at it.
#[test]
fn a_member_that_ends_of_its_first_failed_sync_is_followed_and_proof_of_the_error() {
    let cluster = Cluster::installed();
    let scene = Scene::of(&cluster, "broken", FAILED_FSYNC);
    scene.run("broken", FAILED_FSYNC, &[]).exits(0);
    ends_of_failed_syncs(&scene.path("broken"));
    scene.nothing_is_left();
}

/// Both claims about volumes, before the others.
const CLAIMS: (&str, &str) = (
    "  hypothesis:\n",
    "  hypothesis:
    - name: nobody runs out of room
      sli: {diskUsage: {}}
    - name: volumes go on working
      sli: {volumeIops: {claims: [data]}}
      before: {min: 1}
      during: {min: 5, longestOutage: 6s}
",
);

/// Each fault, its exit code, and what the two claims come to.
const MEASURED: [(&str, &str, i32, [&str; 2]); 3] = [
    (
        "slow-io",
        "{diskLatency: {members: {role: follower, count: 1}, delay: {fixed: 5ms}}}",
        0,
        ["Pass", "Pass"],
    ),
    ("full-io", "{diskFill: {members: {role: follower, count: 1}, to: {percent: 95}}}", 10, ["Fail", "Pass"]),
    ("still-io", "{diskStall: {members: {role: follower, count: 1}}}", 10, ["Pass", "Fail"]),
];

#[test]
fn volumes_of_members_are_measured_and_red_when_they_are_full_or_stand_still() {
    let cluster = Cluster::installed();
    let scene = Scene::of(&cluster, "measured", LEADER_CUT);
    for (name, fault, code, verdicts) in MEASURED {
        scene.run(name, LEADER_CUT, &[(CUT, fault), CLAIMS]).exits(code);
        let report = report_in(&scene.path(name));
        let found = ["diskUsage", "volumeIops"].map(|sli| claim(&report, sli)["verdict"].clone());
        assert_eq!(found, verdicts, "{name}: {:#}", report["claims"]);
        // No Injection is left, of those that only measured either.
        scene.nothing_is_left();
    }
}
