//! A tenth of `seatrial soak --on kubernetes`, and what it says where it cannot kill.

use std::process::{Command, Stdio};

use crate::cluster_fixture::{Cluster, Held, PATIENCE, eventually};
use crate::cluster_rig::SYSTEM;
use crate::cluster_traces as traces;
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
    restart(&cluster, "controller");
    restart(&cluster, "agent");
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

/// Lets the kubelet start every container of a component again, as it does in the life of any installation.
fn restart(cluster: &Held, component: &str) {
    let selector = format!("--selector=app.kubernetes.io/component={component}");
    let get = |path: &str| {
        cluster.kubectl([
            "get",
            "pods",
            "--namespace",
            SYSTEM,
            &selector,
            &format!("--output=jsonpath={path}"),
        ])
    };
    for uid in get("{.items[*].metadata.uid}").split(' ') {
        traces::kill_all(uid, component);
    }
    eventually("every one was restarted and is Ready", PATIENCE, || {
        let restarts = get("{.items[*].status.containerStatuses[0].restartCount}");
        let ready = get("{.items[*].status.containerStatuses[0].ready}");
        let is_back = restarts.split(' ').all(|restarts| restarts != "0") && !ready.contains("false");
        is_back.then_some(())
    });
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

/// What takes longer than continuous integration has: `make test-cluster`.
mod long {
    use super::*;

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
}
