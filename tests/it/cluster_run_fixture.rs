//! Runs in a cluster as processes of this machine: the runner with the administrator's kubeconfig, because pods can be
//! reached from here, and the command line as a person uses it.

use std::path::{Path, PathBuf};
use std::process::{Child, Stdio};
use std::sync::Once;

use serde_json::Value;

use crate::cluster_fixture::{Cluster, Namespace, PATIENCE};
use crate::e2e_fixture::{Desk, Done, shipped, text_of};
use crate::node_fixture::eventually;

/// The shipped experiment that kills one member after the other, by its StatefulSet and its Service.
pub const ROLLING_KILL: &str = "experiments/etcd/rolling-kill.yaml";

/// A namespace with etcd in it, and an experiment against that.
pub struct Scene<'a> {
    pub cluster: &'a Cluster,
    pub namespace: Namespace<'a>,
    pub desk: Desk,
}

impl<'a> Scene<'a> {
    /// Applies the StatefulSet of a shipped experiment as it is and waits until it is Ready.
    pub fn of(cluster: &'a Cluster, purpose: &str, file: &str) -> Self {
        static DEFINED: Once = Once::new();
        DEFINED.call_once(|| {
            let definitions: Vec<String> = seatrial::resource::definitions()
                .iter()
                .map(|definition| serde_json::to_string(definition).expect("a definition is JSON"))
                .collect();
            cluster.apply("default", &definitions.join("\n---\n"));
        });
        let namespace = cluster.namespace(purpose);
        let text = text_of(&shipped(file));
        let (_, manifests) = text.split_once("\n---\n").expect("the experiment is the first document");
        namespace.apply(manifests);
        namespace.wait_ready("etcd");
        Self { cluster, namespace, desk: Desk::new() }
    }

    /// Creates the Experiment of a file, with some of its text replaced, under `name`.
    pub fn create(&self, name: &str, file: &str, changes: &[(&str, &str)]) {
        let text = text_of(&shipped(file));
        let (experiment, _) = text.split_once("\n---\n").expect("the experiment is the first document");
        let mut experiment = experiment.to_owned();
        let shipped_name = format!("name: etcd-{}", Path::new(file).file_stem().expect("a name").display());
        for (from, to) in changes.iter().chain(&[(shipped_name.as_str(), format!("name: {name}").as_str())]) {
            assert!(experiment.contains(from), "{file} has no `{from}`");
            experiment = experiment.replace(from, to);
        }
        // Definitions take a moment to be served.
        eventually("Experiments are known", PATIENCE, || {
            self.cluster.try_kubectl(["get", "experiments", "--namespace", self.namespace.name()]).ok()
        });
        self.namespace.apply(&experiment);
    }

    /// The runner of the Experiment `name`; its journal and its output are files of the desk.
    pub fn runner(&self, name: &str) -> Runner {
        let out = std::fs::File::options()
            .create(true)
            .append(true)
            .open(self.desk.path("log"))
            .expect("a temporary folder can be written");
        let arguments = [
            "runner",
            "--namespace",
            self.namespace.name(),
            "--experiment",
            name,
            "--run",
            name,
            "--journal",
        ];
        let mut command = self.desk.command(&arguments);
        command.arg(self.journal()).env("KUBECONFIG", self.cluster.kubeconfig());
        Runner(command.stdout(out).stderr(Stdio::piped()).spawn().expect("the program starts"))
    }

    pub fn journal(&self) -> PathBuf {
        self.desk.path("journal.jsonl")
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

    /// Waits until the status of the Experiment `name` has this phase.
    pub fn wait_for_phase(&self, name: &str, phase: &str) {
        eventually(phase, PATIENCE, || (self.status(name)["phase"] == phase).then_some(()));
    }

    /// Nothing of ours is left but the Experiment and its record.
    pub fn nothing_is_left(&self) {
        let left = self.namespace.kubectl(["get", "injections", "--output", "name"]);
        assert_eq!(left, "", "Injections are left");
    }
}

/// A runner's process; killed when the test fails before it ends.
pub struct Runner(Child);

impl Runner {
    pub fn pid(&self) -> nix::unistd::Pid {
        nix::unistd::Pid::from_raw(i32::try_from(self.0.id()).expect("a pid"))
    }

    /// SIGKILL.
    pub fn kill(mut self) {
        self.0.kill().expect("it is ours");
        self.0.wait().expect("it is ours");
    }

    pub fn ends_well(mut self) {
        let status = self.0.wait().expect("it is ours");
        assert!(status.success(), "the runner: {status}");
    }
}

impl Drop for Runner {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}
