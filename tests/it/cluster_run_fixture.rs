//! A store in a cluster in which Seatrial is installed, and people who break it.

use std::path::{Path, PathBuf};

use serde_json::Value;

use crate::cluster_fixture::{Held, Namespace, PATIENCE, eventually};
use crate::cluster_rig::allow;
use crate::cluster_traces as traces;
use crate::e2e_fixture::{Desk, Done, shipped, text_of};

/// The shipped experiment that kills one member after the other, by its StatefulSet and its Service.
pub const ROLLING_KILL: &str = "experiments/etcd/rolling-kill.yaml";
/// The one that cuts the leader off from its peers.
pub const LEADER_CUT: &str = "experiments/etcd/leader-cut.yaml";

/// A namespace that agreed to be broken, with a StatefulSet in it, and a person with a terminal.
pub struct Scene<'a> {
    pub cluster: &'a Held,
    set: String,
    pub namespace: Namespace<'a>,
    pub desk: Desk,
}

/// The name of a shipped experiment: its store and what happens to it.
pub fn shipped_name(file: &str) -> String {
    let path = Path::new(file);
    let folder = path.parent().and_then(Path::file_name).expect("a folder of one store").display();
    format!("{folder}-{}", path.file_stem().expect("a name").display())
}

impl<'a> Scene<'a> {
    /// Applies the StatefulSet of a shipped experiment as it is and waits until it is Ready.
    pub fn of(cluster: &'a Held, purpose: &str, file: &str) -> Self {
        let namespace = cluster.namespace(purpose);
        allow(&namespace, cluster);
        let text = text_of(&shipped(file));
        let (experiment, manifests) =
            text.split_once("\n---\n").expect("the experiment is the first document");
        let set = experiment.lines().find_map(|line| line.trim().strip_prefix("statefulSet: "));
        let set = set.expect("its target is a StatefulSet").to_owned();
        namespace.apply(manifests);
        namespace.wait_ready(&set);
        Self { cluster, set, namespace, desk: Desk::new() }
    }

    /// The Experiment of a file, with some of its text replaced, under `name`.
    pub fn experiment(name: &str, file: &str, changes: &[(&str, &str)]) -> String {
        let text = text_of(&shipped(file));
        let (experiment, _) = text.split_once("\n---\n").expect("the experiment is the first document");
        let mut experiment = experiment.to_owned();
        let shipped_name = format!("name: {}", shipped_name(file));
        for (from, to) in changes.iter().chain(&[(shipped_name.as_str(), format!("name: {name}").as_str())]) {
            assert!(experiment.contains(from), "{file} has no `{from}`");
            experiment = experiment.replace(from, to);
        }
        experiment
    }

    /// Creates the Experiment of a file, as `kubectl apply` does it.
    pub fn create(&self, name: &str, file: &str, changes: &[(&str, &str)]) {
        self.namespace.apply(&Self::experiment(name, file, changes));
    }

    /// `seatrial run --on kubernetes` of the Experiment of a file; reports go to the desk's folder `name`.
    pub fn run(&self, name: &str, file: &str, changes: &[(&str, &str)]) -> Done {
        let written = format!("{name}.yaml");
        self.desk.write(&written, Self::experiment(name, file, changes));
        self.seatrial(&["run", &written, "--on", "kubernetes", "--yes", "--out", name])
    }

    /// A command of a person against the namespace.
    pub fn seatrial(&self, arguments: &[&str]) -> Done {
        let mut command = self.desk.command(arguments);
        command.args(["--namespace", self.namespace.name()]).env("KUBECONFIG", self.cluster.kubeconfig());
        Done::of(command.output().expect("the program starts"))
    }

    /// The status of the Experiment `name`.
    pub fn status(&self, name: &str) -> Value {
        let text = self.namespace.kubectl(["get", "experiment", name, "--output", "json"]);
        let object: Value = serde_json::from_str(&text).expect("kubectl writes JSON");
        object["status"].clone()
    }

    /// Waits until a step of the Experiment `name` is in force, as `kubectl get` shows it.
    pub fn wait_for_fault(&self, name: &str) {
        eventually("a fault is in force", PATIENCE, || {
            let path = "--output=jsonpath={.items[*].status.state}";
            let found = self.namespace.kubectl(["get", "injections", path]);
            let status = self.status(name);
            assert!(!is_over(&status), "the run ended before its fault was seen: {status}");
            (found.contains("Injected") && status["phase"] == "Faulting").then_some(())
        });
    }

    /// Waits for the last word on the Experiment `name`.
    pub fn wait_over(&self, name: &str) -> Value {
        eventually("the run is over", PATIENCE * 2, || Some(self.status(name)).filter(is_over))
    }

    /// The kept journal of the Experiment `name`.
    pub fn journal(&self, name: &str) -> String {
        text_of(&self.report(name).join("journal.jsonl"))
    }

    /// What the kept journal of the Experiment `name` is judged to be.
    pub fn judgement(&self, name: &str) -> Value {
        serde_json::from_str(&text_of(&self.report(name).join("report.json"))).expect("the report is JSON")
    }

    /// The folder with the kept journal of the Experiment `name` and the reports on it.
    pub fn report(&self, name: &str) -> PathBuf {
        let out = self.desk.path(&format!("kept-{name}"));
        let folder = out.to_str().expect("a plain path");
        self.seatrial(&["report", name, "--on", "kubernetes", "--quiet", "--out", folder]);
        out
    }

    /// SIGKILL to every process of the runner of the Experiment `name`; its container is started again.
    pub fn kill_runner(&self, name: &str) {
        let run = self.status(name)["run"].as_str().expect("a run has a name").to_owned();
        let uid = self.namespace.kubectl(["get", "pod", &run, "--output=jsonpath={.metadata.uid}"]);
        traces::kill_all(&uid, "runner");
    }

    /// Nothing of ours is left but the Experiment and its record: no Injection, no Lease, no mark on an object, and
    /// nothing in the target's pods and on their nodes.
    pub fn nothing_is_left(&self) {
        eventually("nothing is left", PATIENCE, || self.left().is_empty().then_some(()));
    }

    fn left(&self) -> Vec<String> {
        let objects = self.namespace.kubectl(["get", "injections,leases", "--output", "name"]);
        let mut left: Vec<String> = objects.lines().map(str::to_owned).collect();
        let sets = self.namespace.kubectl(["get", "statefulsets,pods", "--output", "json"]);
        left.extend(sets.contains("seatrial.dev/undo").then(|| "an undo annotation".to_owned()));
        let pods = "--output=jsonpath={range .items[*]}{.metadata.name} {.metadata.uid}{'\\n'}{end}";
        let selector = format!("--selector=app={}", self.set);
        for line in self.namespace.kubectl(["get", "pods", &selector, pods]).lines() {
            let (name, uid) = line.split_once(' ').expect("a name and a UID");
            let processes = traces::processes(uid);
            left.extend(traces::left_in(name, &processes));
            if !processes.is_empty() {
                let records = traces::records(&processes, self.namespace.name());
                left.extend(records.iter().map(|record| record.display().to_string()));
            }
        }
        left.extend(traces::guardians(self.namespace.name()).iter().map(|pid| format!("guardian {pid}")));
        left
    }

    /// A file or folder of the desk.
    pub fn path(&self, name: &str) -> PathBuf {
        self.desk.path(name)
    }
}

/// Whether a status is the last one.
fn is_over(status: &Value) -> bool {
    let conditions = status["conditions"].as_array().into_iter().flatten();
    conditions.into_iter().any(|one| one["type"] == "Complete" && one["status"] == "True")
}
