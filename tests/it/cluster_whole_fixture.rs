//! Everything of Seatrial at once in a real cluster, for one namespace: agents on the nodes, a controller with the rights of
//! its service account, and the runners that it starts as pods.

use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::cluster_agent_fixture::Scene;
use crate::cluster_fixture::{Held, PATIENCE, patience};
use crate::cluster_rig::{Person, SYSTEM};
use crate::cluster_traces::{self as traces, guardians, with_words};
use crate::e2e_fixture::{Desk, Done};
use crate::node_fixture::eventually;

/// The members of most tests: three web servers, Ready while they have the page that is asked for.
const SET: &str = r#"
apiVersion: v1
kind: Service
metadata: {name: db}
spec: {clusterIP: None, publishNotReadyAddresses: true, selector: {app: db}, ports: [{port: 7000}]}
---
apiVersion: apps/v1
kind: StatefulSet
metadata: {name: db}
spec:
  serviceName: db
  replicas: 3
  podManagementPolicy: Parallel
  selector: {matchLabels: {app: db}}
  template:
    metadata: {labels: {app: db}}
    spec:
      terminationGracePeriodSeconds: 1
      topologySpreadConstraints:
      - {maxSkew: 1, topologyKey: kubernetes.io/hostname, whenUnsatisfiable: ScheduleAnyway, labelSelector: {matchLabels: {app: db}}}
      containers:
      - name: db
        image: docker.io/library/busybox:1
        command: [sh, -c, "mkdir -p /tmp/www; echo ok > /tmp/www/ok; SCRIPT exec httpd -f -p 7000 -h /tmp/www"]
        readinessProbe: {httpGet: {path: /ok, port: 7000}, periodSeconds: 1, failureThreshold: 1}
"#;

/// A namespace that agreed to be broken, with all of Seatrial.
pub struct Whole<'a> {
    pub scene: Scene<'a>,
    desk: Desk,
    controller: Child,
    _account: Person<'a>,
}

impl<'a> Whole<'a> {
    pub fn new(cluster: &'a Held, purpose: &str) -> Self {
        let scene = Scene::new(cluster, purpose);
        scene.start_agents();
        // The Lease of the leader lies in the test's own namespace, so that controllers of other tests lead as well.
        let name = scene.name();
        scene.namespace.apply(&format!(
            "
apiVersion: rbac.authorization.k8s.io/v1
kind: Role
metadata: {{name: leader}}
rules:
- {{apiGroups: [coordination.k8s.io], resources: [leases], verbs: [get, create, update]}}
- {{apiGroups: [apps], resources: [daemonsets], verbs: [get, patch]}}
---
apiVersion: rbac.authorization.k8s.io/v1
kind: RoleBinding
metadata: {{name: leader}}
subjects: [{{kind: ServiceAccount, name: seatrial-controller, namespace: {SYSTEM}}}]
roleRef: {{apiGroup: rbac.authorization.k8s.io, kind: Role, name: leader}}
"
        ));
        let account = Person::account(cluster, SYSTEM, "seatrial-controller", None);
        let controller = Command::new(env!("CARGO_BIN_EXE_seatrial"))
            .args(["controller", "--namespace", name, "--identity", name, "--watch-namespace", name])
            .args(["--image", "seatrial.dev/seatrial:test", "--listen", "127.0.0.1:0"])
            .env("KUBECONFIG", account.kubeconfig())
            .env("RUST_LOG", "info")
            .stdout(Stdio::null())
            .spawn()
            .expect("the controller starts");
        Self { scene, desk: Desk::new(), controller, _account: account }
    }

    /// With three members, all Ready; each also does what `script` says.
    pub fn with_members(cluster: &'a Held, purpose: &str, script: &str) -> Self {
        let whole = Self::new(cluster, purpose);
        whole.scene.namespace.apply(&SET.replace("SCRIPT", script));
        whole.scene.namespace.wait_ready("db");
        whole
    }

    /// Three more that are alike, under a name of their own.
    pub fn add_members(&self, name: &str) {
        self.scene.namespace.apply(&SET.replace("db", name).replace("SCRIPT", ""));
        self.scene.namespace.wait_ready(name);
    }

    pub fn kubectl<'b>(&'b self, arguments: impl IntoIterator<Item = &'b str>) -> String {
        self.scene.namespace.kubectl(arguments)
    }

    /// The same where it may fail.
    pub fn try_kubectl(&self, arguments: &[&str]) -> Result<String, String> {
        let namespace = ["--namespace", self.scene.name()];
        self.scene.cluster.try_kubectl(namespace.into_iter().chain(arguments.iter().copied()))
    }

    /// Creates an Experiment.
    pub fn create(&self, name: &str, target: &Value, steps: &Value, guards: &Value) {
        self.create_with(name, target, steps, guards, &json!({}));
    }

    /// Creates an Experiment with further sections.
    pub fn create_with(&self, name: &str, target: &Value, steps: &Value, guards: &Value, more: &Value) {
        let mut experiment = json!({
            "apiVersion": "seatrial.dev/v1alpha1", "kind": "Experiment", "metadata": {"name": name},
            "spec": {
                "target": target, "baseline": "1s", "recovery": "20s", "steps": steps, "guards": guards,
                "hypothesis": [{"name": "most are there in the end", "sli": {"podAvailability": {}},
                    "after": {"min": 0.3}}],
            },
        });
        for (key, value) in more.as_object().expect("sections") {
            experiment["spec"][key] = value.clone();
        }
        self.desk.write(&format!("{name}.yaml"), experiment.to_string());
        self.scene.namespace.apply(&experiment.to_string());
    }

    /// The file of an Experiment that was created.
    pub fn file(&self, name: &str) -> String {
        self.desk.path(&format!("{name}.yaml")).display().to_string()
    }

    /// A command of a person about this namespace.
    pub fn seatrial(&self, arguments: &[&str]) -> Done {
        let mut command = self.desk.command(arguments);
        command.args(["--namespace", self.scene.name()]).env("KUBECONFIG", self.scene.cluster.kubeconfig());
        Done::of(command.output().expect("the program starts"))
    }

    /// The status of an Experiment; null where it has none, or is gone.
    pub fn status(&self, name: &str) -> Value {
        let told = self.try_kubectl(&["get", "experiment", name, "--output=json"]);
        let told = told.ok().and_then(|text| serde_json::from_str::<Value>(&text).ok());
        told.map_or(Value::Null, |mut object| object["status"].take())
    }

    /// Waits for something about an Experiment's status; fails at once when it is over without.
    pub fn wait(&self, name: &str, what: &str, is_so: impl Fn(&Value) -> bool) -> Value {
        let until = Instant::now() + PATIENCE * 2;
        loop {
            let status = self.status(name);
            if is_so(&status) {
                return status;
            }
            let is_over = status["phase"] == "Judged" || status["phase"] == "Refused";
            assert!(!is_over && Instant::now() < until, "{name}: never {what}: {status:#}");
            std::thread::sleep(Duration::from_millis(100));
        }
    }

    pub fn wait_for_phase(&self, name: &str, phase: &str) -> Value {
        self.wait(name, phase, |status| status["phase"] == phase)
    }

    /// Until nothing more will happen.
    pub fn wait_complete(&self, name: &str) -> Value {
        eventually(&format!("{name} is complete"), PATIENCE * 2, || {
            let status = self.status(name);
            let conditions = status["conditions"].as_array().cloned().unwrap_or_default();
            let is_complete =
                conditions.iter().any(|one| one["type"] == "Complete" && one["status"] == "True");
            is_complete.then_some(status)
        })
    }

    /// Waits until as many Injections of an Experiment's run are in force, and says the run's name.
    pub fn wait_in_force(&self, name: &str, count: usize) -> String {
        let until = Instant::now() + PATIENCE;
        loop {
            let status = self.status(name);
            let run = status["run"].as_str().unwrap_or_default().to_owned();
            let ours = format!("--selector=seatrial.dev/run={run}");
            let asked = ["get", "injections", &ours, "--output=jsonpath={.items[*].status.state}"];
            let told = self.try_kubectl(&asked).unwrap_or_default();
            if !run.is_empty()
                && told.split_whitespace().filter(|state| *state == "Injected").count() == count
            {
                return run;
            }
            let is_over = status["phase"] == "Judged" || status["phase"] == "Refused";
            assert!(
                !is_over && Instant::now() < until,
                "{name}: never {count} in force, but {told}: {status:#}\n{}",
                self.scene.logs()
            );
            std::thread::sleep(Duration::from_millis(100));
        }
    }

    /// A member loses what its readiness is asked by.
    pub fn make_unready(&self, pod: &str) {
        self.kubectl(["exec", pod, "--", "rm", "-f", "/tmp/www/ok"]);
        self.kubectl(["wait", "--for=condition=Ready=false", &format!("pod/{pod}"), &patience()]);
    }

    /// Makes it Ready again.
    pub fn make_ready(&self, pod: &str) {
        self.kubectl(["exec", pod, "--", "sh", "-c", "echo ok > /tmp/www/ok"]);
        self.scene.namespace.wait_pod_ready(pod);
    }

    /// What is left of any run: in pods that run, on nodes, and in the API.
    pub fn left(&self) -> Vec<String> {
        let mut left = Vec::new();
        let each = "--output=jsonpath={range .items[*]}{.metadata.name} {.metadata.uid}{\"\\n\"}{end}";
        let pods = self.try_kubectl(&["get", "pods", "--selector=app", each]).unwrap_or_default();
        for (pod, uid) in pods.lines().filter_map(|line| line.split_once(' ')) {
            left.extend(traces::left_in(pod, &traces::processes(uid)));
        }
        left.extend(guardians(self.scene.name()).iter().map(|pid| format!("guardian {pid}")));
        left.extend(self.records());
        let objects = ["get", "injections,leases", "--selector=seatrial.dev/run", "--output=name"];
        left.extend(self.try_kubectl(&objects).unwrap_or_default().lines().map(str::to_owned));
        let set = self.try_kubectl(&["get", "statefulset", "db", "--output=yaml"]).unwrap_or_default();
        if set.contains("seatrial.dev/undo") {
            left.push("the mark of a change on the StatefulSet".into());
        }
        let policies = "validatingadmissionpolicies,validatingadmissionpolicybindings";
        let policies = self.scene.cluster.kubectl(["get", policies, "--output=name"]);
        left.extend(policies.lines().filter(|line| line.contains(self.scene.name())).map(str::to_owned));
        left
    }

    /// Undo records on any node, as the agents see them.
    fn records(&self) -> Vec<String> {
        let ours = format!("{}_", self.scene.name());
        let mut found = Vec::new();
        for agent in with_words(&["agent", "--namespace", self.scene.name()]) {
            let folder = format!("/proc/{agent}/root/var/lib/seatrial/undo");
            let entries = std::fs::read_dir(folder).into_iter().flatten().filter_map(Result::ok);
            let names = entries.map(|entry| entry.file_name().to_string_lossy().into_owned());
            found.extend(names.filter(|name| name.starts_with(&ours)).map(|name| format!("record {name}")));
        }
        found
    }

    /// Waits until nothing is left, and says how long that took.
    pub fn wait_clean(&self, within: Duration) -> Duration {
        let since = Instant::now();
        loop {
            let left = self.left();
            if left.is_empty() {
                return since.elapsed();
            }
            assert!(since.elapsed() < within, "left: {left:#?}\n{}", self.scene.logs());
            std::thread::sleep(Duration::from_millis(100));
        }
    }
}

impl Drop for Whole<'_> {
    fn drop(&mut self) {
        if std::thread::panicking() {
            let runners = "--selector=app.kubernetes.io/component=runner";
            for told in [
                self.try_kubectl(&["get", "experiments,injections", "--output=wide"]),
                self.try_kubectl(&["logs", runners, "--tail=15"]),
            ] {
                eprintln!("{}", told.unwrap_or_else(|complaint| complaint));
            }
        }
        // Runs that still go on end before their controller does, so that nothing has to lapse.
        let _ = self.try_kubectl(&["delete", "experiments", "--all", "--timeout=60s"]);
        let runners = "--selector=app.kubernetes.io/component=runner";
        let _ = self.try_kubectl(&["wait", "--for=delete", "pod", runners, "--timeout=60s"]);
        let _ = self.controller.kill();
        let _ = self.controller.wait();
    }
}
