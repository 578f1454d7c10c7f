//! A tenth of `seatrial soak --on kubernetes`, and what it says where it cannot kill.

use std::process::{Command, Stdio};

use crate::cluster_fixture::{Cluster, Held};
use crate::e2e_fixture::Done;

fn seatrial(cluster: &Held, arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_seatrial"));
    command.args(arguments).env("KUBECONFIG", cluster.kubeconfig()).stdin(Stdio::null());
    command
}

fn done(mut command: Command) -> Done {
    Done::of(command.output().expect("the program starts"))
}

#[test]
fn agents_and_controllers_that_are_killed_at_random_moments_leave_nothing() {
    let cluster = Cluster::installed_alone();
    let soak =
        ["soak", "--on", "kubernetes", "--rounds", "10", "--controller-rounds", "3", "--seed", "1", "--yes"];
    done(seatrial(&cluster, &soak))
        .exits(0)
        .says("10 of 10 injections whose agent was killed left nothing behind")
        .says("3 of 3 runs whose controller was killed left nothing behind")
        .says("nothing is left:");
    let left = cluster.kubectl(["get", "namespaces", "--output=name"]);
    assert!(!left.contains("seatrial-soak-"), "{left}");
}

#[test]
fn soak_kills_nothing_without_consent_and_says_where_it_cannot() {
    let cluster = Cluster::installed();
    done(seatrial(&cluster, &["soak", "--on", "kubernetes"]))
        .exits(2)
        .says("nothing was done: this kills the agents and controllers of this installation with SIGKILL");
    // Among processes of its own it sees none of a node's.
    let mut apart = Command::new("unshare");
    apart.args(["--pid", "--mount", "--fork", "--mount-proc", env!("CARGO_BIN_EXE_seatrial")]);
    apart.args(["soak", "--on", "kubernetes", "--rounds", "1", "--controller-rounds", "0", "--yes"]);
    apart.env("KUBECONFIG", cluster.kubeconfig()).stdin(Stdio::null());
    done(apart).exits(22).says("this machine does not show the processes of pod seatrial-agent-");
}

#[test]
fn bench_measures_an_installation() {
    let cluster = Cluster::installed_alone();
    let bench = ["bench", "cluster", "--rounds", "2", "--injections", "2", "--experiments", "2", "--yes"];
    let mut measured = done(seatrial(&cluster, &bench)).exits(0);
    for line in [
        "networkPartition, inject → verified",
        "processPause, revert → verified",
        "agent, idle",
        "agent, with 2 injections in force",
        "each of 2 guardians",
        "controller that leads, with 2 experiments",
        "runner, largest of 2",
    ] {
        measured = measured.says(line);
    }
    assert!(!measured.out.contains("not measurable"), "{}", measured.out);
}
