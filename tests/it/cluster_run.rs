//! Runs in a real cluster, from the Experiment to the kept journal.

use std::thread::sleep;
use std::time::Duration;

use nix::sys::signal::{Signal, kill};
use serde_json::Value;

use crate::cluster_fixture::Cluster;
use crate::cluster_run_fixture::{ROLLING_KILL, Scene};
use crate::e2e_fixture::{Desk, Seat, shipped, text_of};

/// Without SIGKILL, which needs an agent on the nodes.
const THROUGH_THE_API: (&str, &str) = ("mode: sigkill", "mode: force");

fn outcomes(status: &Value) -> Vec<&str> {
    let outcomes = status["outcomes"].as_array().expect("outcomes");
    outcomes.iter().filter_map(|outcome| outcome["verdict"].as_str()).collect()
}

#[test]
fn a_run_passes_and_its_kept_journal_says_the_same() {
    let cluster = Cluster::shared();
    let scene = Scene::of(&cluster, "run-pass", ROLLING_KILL);
    scene.create("rolling", ROLLING_KILL, &[THROUGH_THE_API]);
    scene.runner("rolling").ends_well();
    let status = scene.status("rolling");
    assert_eq!((&status["phase"], &status["verdict"]), (&"Judged".into(), &"Pass".into()), "{status}");
    assert_eq!(outcomes(&status), ["Pass"; 4]);
    assert!(status["startedAt"].is_string() && status["finishedAt"].is_string() && status["seed"].is_u64());
    let journal = text_of(&scene.journal());
    assert_eq!(text_of(&scene.desk.path("log")), journal, "the log carries the journal's lines");
    assert_eq!(status["journal"]["bytes"], journal.len());
    let judged = scene.seatrial(&["judge", "rolling", "--on", "kubernetes"]).exits(0).says("PASS  rolling");
    assert!(judged.out.contains("Kubernetes v"), "{}", judged.out);
    let out = scene.desk.path("report");
    let report = ["report", "rolling", "--on", "kubernetes", "--out"];
    scene.seatrial(&[&report[..], &[out.to_str().expect("a plain path")]].concat()).exits(0);
    assert_eq!(text_of(&out.join("journal.jsonl")), journal);
    scene.seatrial(&["status"]).exits(0).says("rolling  etcd    Judged  Pass");
    scene.seatrial(&["status", "rolling"]).exits(0).says("a majority keeps one leader");
    scene.seatrial(&["abort", "rolling"]).exits(0).says("is over already: Pass");
    scene.nothing_is_left();
}

#[test]
fn a_node_without_an_agent_is_named_before_anything_is_broken() {
    // Alone, so that the agents of other tests are gone; what they said of their nodes stays behind.
    let cluster = Cluster::exclusive();
    let scene = Scene::of(&cluster, "run-agentless", ROLLING_KILL);
    scene.cluster.kubectl(["delete", "nodeagents", "--all"]);
    scene.create("agentless", ROLLING_KILL, &[]);
    scene.runner("agentless").ends_well();
    let status = scene.status("agentless");
    assert_eq!(status["verdict"], "Inconclusive");
    let message = status["message"].as_str().expect("a message");
    assert!(message.starts_with("nothing was broken: node n"), "{message}");
    assert!(message.contains("has no agent"), "{message}");
    scene.seatrial(&["judge", "agentless", "--on", "kubernetes"]).exits(22);
}

#[test]
fn an_experiment_that_does_not_fit_its_target_breaks_nothing() {
    let cluster = Cluster::shared();
    let scene = Scene::of(&cluster, "run-unfit", ROLLING_KILL);
    scene.create("unfit", ROLLING_KILL, &[THROUGH_THE_API, ("ordinals: [2]", "ordinals: [7]")]);
    scene.runner("unfit").ends_well();
    let status = scene.status("unfit");
    let message = status["message"].as_str().expect("a message");
    assert!(message.contains("ordinal 7 does not exist: `etcd` has 0 to 2"), "{message}");
    scene.create("absent", ROLLING_KILL, &[THROUGH_THE_API, ("statefulSet: etcd", "statefulSet: etce")]);
    std::fs::remove_file(scene.journal()).expect("a run was recorded");
    scene.runner("absent").ends_well();
    let status = scene.status("absent");
    let message = status["message"].as_str().expect("a message");
    assert!(message.contains("has no StatefulSet `etce`"), "{message}");
}

#[test]
fn a_runner_that_was_killed_takes_back_and_is_aborted_when_it_starts_again() {
    let cluster = Cluster::shared();
    let scene = Scene::of(&cluster, "run-killed", ROLLING_KILL);
    scene.create("killed", ROLLING_KILL, &[THROUGH_THE_API]);
    let runner = scene.runner("killed");
    scene.wait_for_phase("killed", "Faulting");
    runner.kill();
    let before = text_of(&scene.journal());
    scene.runner("killed").ends_well();
    let status = scene.status("killed");
    assert_eq!(status["verdict"], "Aborted", "{status}");
    let message = "the run was aborted: the runner was restarted in the middle of the run";
    assert_eq!(status["message"], message);
    assert!(text_of(&scene.journal()).len() > before.len() - 200, "the journal goes on");
    scene.seatrial(&["judge", "killed", "--on", "kubernetes"]).exits(12).says(message);
    scene.nothing_is_left();
}

#[test]
fn who_may_stop_a_run_is_heard() {
    let cluster = Cluster::shared();
    let scene = Scene::of(&cluster, "run-stops", ROLLING_KILL);
    scene.create("annotated", ROLLING_KILL, &[THROUGH_THE_API]);
    let runner = scene.runner("annotated");
    scene.wait_for_phase("annotated", "Faulting");
    let asked = scene.seatrial(&["abort", "annotated", "--reason", "on call"]).exits(0);
    assert!(asked.out.contains("Aborted, the run was aborted"), "{}", asked.out);
    runner.ends_well();
    let message = scene.status("annotated")["message"].to_string();
    assert!(message.contains("asks for it: on call"), "{message}");

    std::fs::remove_file(scene.journal()).expect("a run was recorded");
    scene.create("terminated", ROLLING_KILL, &[THROUGH_THE_API]);
    let runner = scene.runner("terminated");
    scene.wait_for_phase("terminated", "Faulting");
    kill(runner.pid(), Signal::SIGTERM).expect("it is ours");
    runner.ends_well();
    let status = scene.status("terminated");
    assert_eq!(status["verdict"], "Aborted");
    assert!(status["message"].to_string().contains("SIGTERM"), "{status}");

    std::fs::remove_file(scene.journal()).expect("a run was recorded");
    scene.create("deleted", ROLLING_KILL, &[THROUGH_THE_API]);
    let runner = scene.runner("deleted");
    scene.wait_for_phase("deleted", "Faulting");
    scene.namespace.kubectl(["delete", "experiment", "deleted"]);
    runner.ends_well();
    let journal = text_of(&scene.journal());
    assert!(journal.contains("the Experiment was deleted") && journal.contains("\"finish\""));
    scene.nothing_is_left();
}

#[test]
fn half_a_minute_without_an_api_server_leaves_a_verdict_and_nothing_else() {
    let cluster = Cluster::exclusive();
    let scene = Scene::of(&cluster, "run-outage", ROLLING_KILL);
    scene.create("outage", ROLLING_KILL, &[THROUGH_THE_API]);
    let runner = scene.runner("outage");
    scene.wait_for_phase("outage", "Faulting");
    cluster.stop("apiserver");
    sleep(Duration::from_secs(30));
    cluster.start("apiserver");
    runner.ends_well();
    let status = scene.status("outage");
    // A pod that could not be deleted is not proven, and a run whose faults are not proven never passes.
    assert_eq!(
        (&status["phase"], &status["verdict"]),
        (&"Judged".into(), &"Inconclusive".into()),
        "{status}"
    );
    assert!(status["journal"]["bytes"].as_u64() > Some(0), "{status}");
    scene.nothing_is_left();
}

#[test]
fn a_halt_stops_what_runs() {
    let cluster = Cluster::exclusive();
    let scene = Scene::of(&cluster, "run-halt", ROLLING_KILL);
    scene.create("halted", ROLLING_KILL, &[THROUGH_THE_API]);
    let runner = scene.runner("halted");
    scene.wait_for_phase("halted", "Faulting");
    cluster.apply(
        "default",
        "{apiVersion: seatrial.dev/v1alpha1, kind: Halt, metadata: {name: test}, spec: {reason: maintenance}}",
    );
    runner.ends_well();
    cluster.kubectl(["delete", "halt", "test"]);
    let status = scene.status("halted");
    assert_eq!(status["message"], "the run was aborted: Halt `test` exists: maintenance");
}

/// What every command says where there is no cluster, and before it breaks one.
#[test]
fn mistakes_are_told_before_anything_is_broken() {
    let cluster = Cluster::shared();
    let desk = Desk::new();
    let run = |kubeconfig: &std::path::Path, arguments: &[&str]| {
        let mut command = desk.command(&["run"]);
        command.arg(shipped(ROLLING_KILL)).args(["--on", "kubernetes"]).args(arguments);
        crate::e2e_fixture::Done::of(
            command.env("KUBECONFIG", kubeconfig).output().expect("the program starts"),
        )
    };
    let kubeconfig = text_of(cluster.kubeconfig());
    let server = kubeconfig.lines().find_map(|line| line.split("https://").nth(1)).expect("a server");
    desk.write("nowhere", kubeconfig.replace(server, "127.0.0.1:1"));
    run(&desk.path("nowhere"), &["--yes"]).exits(30).says("does not answer");
    run(&desk.path("absent"), &["--yes"]).exits(2).says("the kubeconfig cannot be used");
    run(cluster.kubeconfig(), &["--context", "prod"]).exits(2).says("prod");
    let missing = run(cluster.kubeconfig(), &["--yes", "--namespace", "kube-public"]).exits(22);
    missing.says("namespace `kube-public` has no StatefulSet `etcd`");
    let scene = Scene::of(&cluster, "run-mistakes", ROLLING_KILL);
    run(cluster.kubeconfig(), &["--namespace", scene.namespace.name()])
        .exits(2)
        .says("nobody can be asked whether to break etcd")
        .says("--yes");
    scene.seatrial(&["judge", "nothing", "--on", "kubernetes"]).exits(2).says("has no Experiment `nothing`");
    assert_eq!(scene.namespace.kubectl(["get", "experiments", "--output", "name"]), "");
}

/// The kinds of lines that a journal has, each once.
fn shape(journal: &str) -> Vec<String> {
    let mut kinds: Vec<String> = journal
        .lines()
        .map(|line| {
            let line: Value = serde_json::from_str(line).expect("a journal is JSON lines");
            let kind = |value: &Value| match value {
                Value::Object(fields) => fields.keys().next().cloned().unwrap_or_default(),
                other => other.to_string(),
            };
            match (&line["type"], &line["entry"]) {
                (Value::String(kind), _) => format!("operation {kind}"),
                (_, entry) if entry["effect"].is_object() => kind(&entry["effect"]["effect"]),
                (_, entry) if entry["input"].is_object() => kind(&entry["input"]),
                (_, entry) => kind(entry),
            }
        })
        .collect();
    kinds.sort();
    kinds.dedup();
    kinds
}

#[test]
fn the_same_experiment_says_the_same_in_the_sandbox_and_in_the_cluster() {
    let cluster = Cluster::shared();
    let scene = Scene::of(&cluster, "run-same", ROLLING_KILL);
    scene.create("same", ROLLING_KILL, &[THROUGH_THE_API]);
    let here = {
        let _seat = Seat::take();
        let (from, to) = THROUGH_THE_API;
        scene.desk.write("same.yaml", text_of(&shipped(ROLLING_KILL)).replace(from, to));
        scene.desk.run(&["run", "same.yaml", "--out", "here"]).exits(0)
    };
    assert!(here.out.starts_with("PASS"), "{}", here.out);
    scene.runner("same").ends_well();
    assert_eq!(scene.status("same")["verdict"], "Pass");
    // Whether a single operation fails is chance.
    let chance = ["operation fail", "operation info", "unmet", "answer"];
    let told = |journal: &str| {
        shape(journal).into_iter().filter(|kind| !chance.contains(&kind.as_str())).collect::<Vec<_>>()
    };
    let sandbox = told(&text_of(&scene.desk.path("here").join("journal.jsonl")));
    assert_eq!(told(&text_of(&scene.journal())), sandbox);
}
