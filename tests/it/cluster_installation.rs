//! Controller, agents and reaper in the cluster under test, from `seatrial install`, and the image that they and runners are.

use std::process::Command;
use std::sync::Once;

use crate::cluster_fixture::{Cluster, PATIENCE, eventually};
use crate::cluster_rig::SYSTEM;

/// The program under test as an image.
pub const IMAGE: &str = "seatrial.dev/seatrial:test";

/// Gives the image to every node of the cluster that tests share, once.
pub fn load_image(cluster: &Cluster) {
    static LOADED: Once = Once::new();
    LOADED.call_once(|| make_image(cluster, IMAGE, env!("CARGO_BIN_EXE_seatrial")));
}

/// Makes the image of a program under this name and gives it to every node.
pub fn make_image(cluster: &Cluster, name: &str, program: &str) {
    // With its debug information it is many times as large, and guardians keep a copy of it in memory.
    let folder = tempfile::tempdir().expect("a temporary folder can be made");
    let small = folder.path().join("seatrial").display().to_string();
    let strip = Command::new("strip").args(["-o", &small, program]).status();
    assert!(strip.expect("strip comes with the linker").success());
    cluster.load_image(name, "/usr/bin/seatrial", &[&format!("{small}:/usr/bin/seatrial")]);
}

/// What `seatrial install` prints for this image.
pub fn manifests(options: &[&str]) -> String {
    let install = Command::new(env!("CARGO_BIN_EXE_seatrial"))
        .args(["install", "--image", IMAGE])
        .args(options)
        .output()
        .expect("the program starts");
    String::from_utf8(install.stdout).expect("manifests are text")
}

/// Installs everything and waits until it runs.
pub fn begin(cluster: &Cluster) {
    load_image(cluster);
    // What an earlier build left would be taken for this one: its image has the same name.
    rest(cluster);
    cluster.apply(SYSTEM, &roomy(&manifests(&[])));
    for what in ["deployment/seatrial-controller", "daemonset/seatrial-agent"] {
        cluster.kubectl(["rollout", "status", what, "--namespace", SYSTEM, "--timeout=2m"]);
    }
    eventually("every node tells what its agent can do", PATIENCE, || {
        let told = cluster.kubectl(["get", "nodeagents", "--output=name"]).lines().count();
        let nodes = cluster.kubectl(["get", "nodes", "--output=name"]).lines().count();
        (told >= nodes).then_some(())
    });
}

/// The same with room for copies of a program that is not optimised and several times as large as the one that is shipped:
/// guardians of two agents that followed each other keep one each.
fn roomy(manifests: &str) -> String {
    let (is, becomes) = ("limits: {memory: 128Mi}", "limits: {memory: 512Mi}");
    let agents = manifests.find("kind: DaemonSet").expect("agents are a DaemonSet");
    let (before, agents) = manifests.split_at(agents);
    assert!(agents.contains(is), "{agents}");
    format!("{before}{}", agents.replacen(is, becomes, 1))
}

/// Ends what runs; definitions, rights and policies stay.
pub fn rest(cluster: &Cluster) {
    for what in ["deployment/seatrial-controller", "daemonset/seatrial-agent", "cronjob/seatrial-reaper"] {
        let delete = ["delete", what, "--namespace", SYSTEM, "--ignore-not-found", "--cascade=foreground"];
        cluster.kubectl(delete);
    }
    // The next controller need not wait for the end of this one's Lease.
    cluster.kubectl(["delete", "lease", "seatrial-controller", "--namespace", SYSTEM, "--ignore-not-found"]);
}
