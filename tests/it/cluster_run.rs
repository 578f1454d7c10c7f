//! Runs in a cluster in which Seatrial is installed: controller, runner and agents together, from the command to the kept
//! journal.

use serde_json::Value;

use crate::cluster_fixture::Cluster;
use crate::cluster_run_fixture::{LEADER_CUT, ROLLING_KILL, Scene};
use crate::e2e_fixture::{Desk, Done, Seat, shipped, text_of};

/// For runs that are ended under their fault, which has to be seen and ended before it is over.
const LONGER: (&str, &str) = ("for: 15s", "for: 60s");

fn outcomes(status: &Value) -> Vec<&str> {
    let outcomes = status["outcomes"].as_array().expect("outcomes");
    outcomes.iter().filter_map(|outcome| outcome["verdict"].as_str()).collect()
}

#[test]
fn an_applied_experiment_passes_and_its_kept_journal_says_the_same() {
    let cluster = Cluster::installed();
    let scene = Scene::of(&cluster, "run-pass", ROLLING_KILL);
    scene.create("rolling", ROLLING_KILL, &[]);
    let status = scene.wait_over("rolling");
    assert_eq!((&status["phase"], &status["verdict"]), (&"Judged".into(), &"Pass".into()), "{status}");
    assert_eq!(outcomes(&status), ["Pass"; 4]);
    assert!(status["startedAt"].is_string() && status["finishedAt"].is_string() && status["seed"].is_u64());
    let log = scene.namespace.kubectl(["logs", status["run"].as_str().expect("a run")]);
    let lines: String = log.split_inclusive('\n').filter(|line| line.starts_with('{')).collect();
    let journal = scene.journal("rolling");
    assert_eq!(lines, journal, "the log carries the journal's lines");
    assert_eq!(status["journal"]["bytes"], journal.len());
    let judged = scene.seatrial(&["judge", "rolling", "--on", "kubernetes"]).exits(0).says("PASS  rolling");
    assert!(judged.out.contains("Kubernetes v"), "{}", judged.out);
    scene.seatrial(&["status"]).exits(0).says("rolling  etcd    Judged  Pass");
    scene.seatrial(&["status", "rolling"]).exits(0).says("a majority keeps one leader");
    scene.seatrial(&["abort", "rolling"]).exits(0).says("is over already: Pass");
    let table = scene.namespace.kubectl(["get", "experiments"]);
    assert!(table.contains("TARGET") && table.contains("Judged") && table.contains("Pass"), "{table}");
    scene.nothing_is_left();
}

#[test]
fn an_experiment_that_does_not_fit_its_target_breaks_nothing() {
    let cluster = Cluster::installed();
    let scene = Scene::of(&cluster, "run-unfit", ROLLING_KILL);
    scene
        .run("unfit", ROLLING_KILL, &[("ordinals: [2]", "ordinals: [7]")])
        .exits(20)
        .says("ordinal 7 does not exist: `etcd` has 0 to 2");
    scene
        .run("absent", ROLLING_KILL, &[("statefulSet: etcd", "statefulSet: etce")])
        .exits(22)
        .says("has no StatefulSet `etce`");
    scene.nothing_is_left();
    init_writes_what_fits(&scene);
}

/// `seatrial init` for a StatefulSet that runs, and what it wrote held against that.
fn init_writes_what_fits(scene: &Scene<'_>) {
    scene.seatrial(&["init", "etce", "--on", "kubernetes"]).exits(2).says("has no StatefulSet `etce`");
    let written = scene.seatrial(&["init", "etcd", "--on", "kubernetes"]).exits(0).out;
    assert!(written.contains("statefulSet: etcd\n") && written.contains("{etcd: {"), "{written}");
    scene.desk.write("first.yaml", written);
    scene.desk.run(&["validate", "--strict", "first.yaml"]).exits(0);
    scene.seatrial(&["preflight", "first.yaml"]).exits(0);
    // What kubectl prints of it is a manifest for a sandbox.
    let printed = scene.namespace.kubectl(["get", "statefulset,service,configmap", "-o", "yaml"]);
    scene.desk.write("live.yaml", printed);
    scene.desk.run(&["validate", "first.yaml", "live.yaml"]).exits(0);
    scene.desk.run(&["init", "live.yaml", "-o", "second.yaml"]).exits(0);
}

#[test]
fn who_may_stop_a_run_is_heard() {
    let cluster = Cluster::installed();
    let scene = Scene::of(&cluster, "run-stops", LEADER_CUT);
    scene.create("annotated", LEADER_CUT, &[LONGER]);
    scene.wait_for_fault("annotated");
    let asked = scene.seatrial(&["abort", "annotated", "--reason", "on call"]).exits(0);
    assert!(asked.out.contains("Aborted, the run was aborted"), "{}", asked.out);
    let message = scene.status("annotated")["message"].to_string();
    assert!(message.contains("asks for it: on call"), "{message}");
    scene.nothing_is_left();

    scene.create("terminated", LEADER_CUT, &[LONGER]);
    scene.wait_for_fault("terminated");
    let run = scene.status("terminated")["run"].as_str().expect("a run").to_owned();
    scene.namespace.kubectl(["delete", "pod", &run]);
    let status = scene.wait_over("terminated");
    assert_eq!(status["verdict"], "Aborted");
    assert!(status["message"].to_string().contains("SIGTERM"), "{status}");
    scene.nothing_is_left();
}

#[test]
fn a_halt_stops_what_runs() {
    let cluster = Cluster::installed_alone();
    let scene = Scene::of(&cluster, "run-halt", LEADER_CUT);
    scene.create("halted", LEADER_CUT, &[LONGER]);
    scene.wait_for_fault("halted");
    cluster.apply(
        "default",
        "{apiVersion: seatrial.dev/v1alpha1, kind: Halt, metadata: {name: test}, spec: {reason: maintenance}}",
    );
    let status = scene.wait_over("halted");
    scene.nothing_is_left();
    cluster.kubectl(["delete", "halt", "test"]);
    assert_eq!(status["message"], "the run was aborted: Halt `test` exists: maintenance");
}

/// What every command says where there is no cluster, and before it breaks one.
#[test]
fn mistakes_are_told_before_anything_is_broken() {
    let cluster = Cluster::installed();
    let desk = Desk::new();
    let run = |kubeconfig: &std::path::Path, arguments: &[&str]| {
        let mut command = desk.command(&["run"]);
        command.arg(shipped(ROLLING_KILL)).args(["--on", "kubernetes"]).args(arguments);
        Done::of(command.env("KUBECONFIG", kubeconfig).output().expect("the program starts"))
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
    say_the_same(&[LEADER_CUT]);
}

/// What takes longer than continuous integration has: `make test-cluster`.
mod long {
    use super::*;

    #[test]
    fn a_lost_majority_is_refused_and_where_it_is_allowed_seen_and_survived() {
        let cluster = Cluster::installed();
        let scene = Scene::of(&cluster, "run-quorum", LEADER_CUT);
        let majority = ("isolate: {role: leader}", "isolate: {count: majority}");
        scene.run("refused", LEADER_CUT, &[majority]).exits(21).says("allowQuorumLoss");
        let allowed = ("  guards:\n", "  guards:\n    allowQuorumLoss: true\n");
        let lost = scene.run("allowed", LEADER_CUT, &[majority, allowed]).exits(10);
        assert!(lost.out.contains("Fail          a majority keeps one leader"), "{}", lost.out);
        assert!(lost.out.contains("Pass          no acknowledged write is lost"), "{}", lost.out);
        assert!(lost.out.contains("good again"), "{}", lost.out);
        scene.nothing_is_left();
    }

    #[test]
    fn a_pause_and_a_rolling_kill_say_the_same_in_the_sandbox_and_in_the_cluster() {
        say_the_same(&["experiments/etcd/follower-pause.yaml", ROLLING_KILL]);
    }
}

fn say_the_same(files: &[&str]) {
    let cluster = Cluster::installed();
    for &file in files {
        let scene = Scene::of(&cluster, "run-same", file);
        let whole = shipped(file).display().to_string();
        std::thread::scope(|both| {
            both.spawn(|| {
                let _seat = Seat::take();
                let here = scene.desk.run(&["run", &whole, "--out", "here"]).exits(0);
                assert!(here.out.starts_with("PASS"), "{}", here.out);
            });
            let there = scene.run("there", file, &[]).exits(0);
            assert!(there.out.starts_with("PASS"), "{}", there.out);
        });
        // Whether a single operation fails is chance.
        let chance = ["operation fail", "operation info", "unmet", "answer"];
        let told = |folder: &str| {
            let kinds = shape(&text_of(&scene.path(folder).join("journal.jsonl")));
            kinds.into_iter().filter(|kind| !chance.contains(&kind.as_str())).collect::<Vec<_>>()
        };
        assert_eq!(told("there"), told("here"), "{file}");
        for report in ["report.html", "report.json", "junit.xml"] {
            assert!(scene.path("there").join(report).exists(), "{file} has no {report}");
        }
        scene.nothing_is_left();
    }
}
