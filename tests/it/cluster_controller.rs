//! The controller as a process, with the token of its service account and the rights of its roles, against a real
//! cluster. Runners are pods that hang: what a real one does is tested elsewhere.

use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::sync::{Mutex, MutexGuard, PoisonError};

use serde_json::{Value, json};

use crate::cluster_fixture::{Cluster, Held, Namespace, PATIENCE, eventually};
use crate::cluster_rig::{Person, SYSTEM, allow, experiment, injection, install};

const IMAGE: &str = "seatrial.dev/hangs:test";

/// There is one Lease of the leader, so there is one controller at a time.
static ONE_AT_A_TIME: Mutex<()> = Mutex::new(());

const SET: &str = r#"{
  "apiVersion": "apps/v1", "kind": "StatefulSet", "metadata": {"name": "db"},
  "spec": {
    "serviceName": "db", "replicas": 2, "selector": {"matchLabels": {"app": "db"}},
    "template": {
      "metadata": {"labels": {"app": "db"}},
      "spec": {
        "terminationGracePeriodSeconds": 0,
        "containers": [{"name": "db", "image": "docker.io/library/busybox:1", "command": ["sleep", "100000"]}]
      }
    }
  }
}"#;

/// A namespace with a StatefulSet, looked after by a controller of its own.
struct Scene<'a> {
    cluster: &'a Held,
    namespace: Namespace<'a>,
    person: Person<'a>,
    controller: Option<Child>,
    _turn: MutexGuard<'static, ()>,
}

impl<'a> Scene<'a> {
    fn new(cluster: &'a Held, purpose: &str) -> Self {
        let turn = ONE_AT_A_TIME.lock().unwrap_or_else(PoisonError::into_inner);
        install(cluster);
        load(cluster);
        let namespace = cluster.namespace(purpose);
        allow(&namespace, cluster);
        namespace.apply(SET);
        namespace.wait_ready("db");
        let person = Person::account(cluster, SYSTEM, "seatrial-controller", None);
        let mut scene = Self { cluster, namespace, person, controller: None, _turn: turn };
        scene.start();
        scene
    }

    fn start(&mut self) {
        let child = Command::new(env!("CARGO_BIN_EXE_seatrial"))
            .args(["controller", "--namespace", SYSTEM, "--identity", self.namespace.name()])
            .args(["--watch-namespace", self.namespace.name(), "--image", IMAGE, "--listen", "127.0.0.1:0"])
            .env("KUBECONFIG", self.person.kubeconfig())
            .env("RUST_LOG", "info")
            .stdout(Stdio::null())
            .spawn()
            .expect("the controller starts");
        self.controller = Some(child);
    }

    /// SIGKILL.
    fn kill(&mut self) {
        let mut child = self.controller.take().expect("it runs");
        child.kill().expect("it can be killed");
        child.wait().expect("it ends");
    }

    fn create(&self, name: &str) {
        self.namespace.apply(&experiment(name).to_string());
    }

    fn status(&self, name: &str) -> Value {
        let text = self.namespace.kubectl(["get", "experiment", name, "--output=json"]);
        serde_json::from_str::<Value>(&text).expect("kubectl prints JSON")["status"].take()
    }

    fn wait(&self, name: &str, phase: &str) -> Value {
        eventually(&format!("{name} is {phase}"), PATIENCE, || {
            Some(self.status(name)).filter(|status| status["phase"] == phase)
        })
    }

    /// Until nothing more will happen.
    fn wait_complete(&self, name: &str) -> Value {
        eventually(&format!("{name} is complete"), PATIENCE, || {
            Some(self.status(name)).filter(|status| {
                let conditions = status["conditions"].as_array();
                conditions.is_some_and(|all| {
                    all.iter().any(|one| one["type"] == "Complete" && one["status"] == "True")
                })
            })
        })
    }

    fn wait_running(&self, run: &str) {
        eventually(&format!("pod {run} runs"), PATIENCE, || {
            let phase = [
                "get",
                "pod",
                run,
                "--namespace",
                self.namespace.name(),
                "--output=jsonpath={.status.phase}",
            ];
            self.cluster.try_kubectl(phase).ok().filter(|phase| phase == "Running")
        });
    }

    /// The runner's own words: it has begun.
    fn begin(&self, name: &str, run: &str) -> Person<'a> {
        self.wait_running(run);
        let runner = Person::account(self.cluster, self.namespace.name(), "seatrial-runner", Some(run));
        let status =
            json!({ "status": { "phase": "Faulting", "startedAt": "2026-01-01T00:00:00Z" } }).to_string();
        runner
            .kubectl(&[
                "patch",
                "experiment",
                name,
                "--namespace",
                self.namespace.name(),
                "--subresource=status",
                "--type=merge",
                "--patch",
                &status,
            ])
            .expect("a runner writes the status of its Experiment");
        runner
    }

    fn names(&self, kind: &str) -> String {
        self.namespace.kubectl(["get", kind, "--output=jsonpath={.items[*].metadata.name}"])
    }
}

impl Drop for Scene<'_> {
    fn drop(&mut self) {
        if let Some(mut child) = self.controller.take() {
            let _ = child.kill();
            let _ = child.wait();
        }
        // The next controller need not wait for the end of this one's Lease.
        let _ = self.cluster.try_kubectl(["delete", "lease", "seatrial-controller", "--namespace", SYSTEM]);
    }
}

/// An image whose only program does nothing until it is told to end.
fn load(cluster: &Held) {
    let script = std::env::temp_dir().join(format!("seatrial-hangs-{}", std::process::id()));
    std::fs::write(&script, "#!/busybox sh\ntrap 'exit 0' TERM\n/busybox sleep 100000 &\nwait\n")
        .expect("it can be written");
    let mode = std::os::unix::fs::PermissionsExt::from_mode(0o755);
    std::fs::set_permissions(&script, mode).expect("it is ours");
    let busybox =
        ["/bin/busybox", "/usr/bin/busybox"].map(PathBuf::from).into_iter().find(|path| path.exists());
    let busybox = format!("{}:/busybox", busybox.expect("busybox is installed").display());
    cluster.load_image(IMAGE, "/hangs", &[&busybox, &format!("{}:/hangs", script.display())]);
    let _ = std::fs::remove_file(script);
}

#[test]
fn one_experiment_per_target_and_the_next_one_waits_for_it_by_name() {
    let cluster = Cluster::shared();
    let scene = Scene::new(&cluster, "waits");
    scene.create("first");
    let first = scene.wait("first", "Starting");
    scene.create("second");
    let second = scene.wait("second", "Waiting");
    let message = second["message"].as_str().unwrap_or_default();
    assert!(message.contains("Experiment first"), "{message}");
    assert_eq!(scene.names("leases"), "seatrial-target-db");

    let run = first["run"].as_str().expect("a run has a name");
    let pod: Value =
        serde_json::from_str(&scene.namespace.kubectl(["get", "pod", run, "--output=json"])).expect("JSON");
    assert_eq!(pod["metadata"]["ownerReferences"][0]["name"], "first");
    scene.namespace.kubectl(["delete", "experiment", "first"]);
    scene.wait("second", "Starting");
    let events =
        scene.namespace.kubectl(["get", "events", "--output=jsonpath={.items[*].involvedObject.kind}"]);
    assert!(events.contains("Experiment") && events.contains("StatefulSet"), "{events}");
}

#[test]
fn what_cannot_be_given_its_rights_says_so_and_keeps_nobody_from_the_target() {
    let cluster = Cluster::shared();
    let scene = Scene::new(&cluster, "rights-quota");
    let quota = json!({
        "apiVersion": "v1", "kind": "ResourceQuota", "metadata": {"name": "none"},
        "spec": {"hard": {"count/rolebindings.rbac.authorization.k8s.io": "0"}},
    });
    scene.namespace.apply(&quota.to_string());
    scene.create("first");
    let message = scene.wait("first", "Waiting")["message"].as_str().unwrap_or_default().to_owned();
    assert!(message.contains("cannot start: ") && message.contains("bind the runner's rights"), "{message}");
    assert!(message.contains("quota"), "{message}");
    assert_eq!(scene.names("leases"), "");
    scene.namespace.kubectl(["delete", "resourcequota", "none"]);
    scene.wait("first", "Starting");
}

#[test]
fn what_cannot_run_is_refused_with_every_reason_and_nothing_is_made() {
    let cluster = Cluster::shared();
    let scene = Scene::new(&cluster, "refuses");
    let mut typos = experiment("typos");
    typos["spec"]["target"]["stor"] = json!({});
    typos["spec"]["hypothesis"][0]["sli"] = json!({ "podAvailability": { "x": 1 } });
    scene.namespace.apply(&typos.to_string());
    let status = scene.wait_complete("typos");
    let message = status["message"].as_str().unwrap_or_default().to_owned();
    assert_eq!(status["phase"], "Refused");
    assert!(message.contains("2 problems") && message.contains("stor"), "{message}");

    let mut container = experiment("container");
    container["spec"]["target"]["container"] = json!("dbb");
    scene.namespace.apply(&container.to_string());
    let status = scene.wait_complete("container");
    assert!(
        status["message"].as_str().is_some_and(|message| message.contains("has no container `dbb`")),
        "{status}"
    );
    assert_eq!(scene.names("leases"), "");
    assert_eq!(scene.names("serviceaccounts"), "default");
}

#[test]
fn a_killed_controller_goes_on_where_it_was() {
    let cluster = Cluster::shared();
    let mut scene = Scene::new(&cluster, "killed");
    for round in 0..3 {
        let name = format!("round-{round}");
        scene.create(&name);
        // Killed at whatever it is at: before the Lease, the status, the pod, or after.
        std::thread::sleep(std::time::Duration::from_millis(40 * round));
        scene.kill();
        scene.start();
        let run = scene.wait(&name, "Starting")["run"].as_str().expect("a run has a name").to_owned();
        scene.wait_running(&run);
        scene.kill();
        scene.namespace.kubectl(["delete", "experiment", &name]);
        scene.start();
        eventually("the target is free again", PATIENCE * 2, || {
            Some(scene.names("leases")).filter(String::is_empty)
        });
    }
}

#[test]
fn a_runner_that_is_gone_is_swept_up_and_the_verdict_is_aborted() {
    let cluster = Cluster::shared();
    let scene = Scene::new(&cluster, "sweeps");
    scene.create("lost");
    let run = scene.wait("lost", "Starting")["run"].as_str().expect("a run has a name").to_owned();
    let runner = scene.begin("lost", &run);
    let uid = scene.namespace.kubectl(["get", "pod", "db-0", "--output=jsonpath={.metadata.uid}"]);
    let node = scene.namespace.kubectl(["get", "pod", "db-0", "--output=jsonpath={.spec.nodeName}"]);
    let made = runner.create(scene.namespace.name(), &injection(&run, &node, &uid));
    made.expect("a runner makes Injections of its run");

    scene.namespace.kubectl(["delete", "pod", &run, "--grace-period=0", "--force"]);
    let status = scene.wait("lost", "Reverting");
    assert!(
        status["message"].as_str().is_some_and(|message| message.contains("its pod is gone")),
        "{status}"
    );
    let name = format!("{run}.cut.0.0");
    let desired = scene.namespace.kubectl(["get", "injection", &name, "--output=jsonpath={.spec.desired}"]);
    assert_eq!(desired, "Reverted");
    // No agent runs here: the fault ends with its pod, and nothing waits for an answer that cannot come.
    scene.namespace.kubectl(["delete", "pod", "db-0"]);
    let status = scene.wait_complete("lost");
    assert_eq!((&status["phase"], &status["verdict"]), (&json!("Judged"), &json!("Aborted")));
    assert_eq!((scene.names("injections"), scene.names("leases")), (String::new(), String::new()));
}

#[test]
fn a_runner_that_never_began_is_made_again() {
    let cluster = Cluster::shared();
    let scene = Scene::new(&cluster, "again");
    scene.create("again");
    let run = scene.wait("again", "Starting")["run"].as_str().expect("a run has a name").to_owned();
    scene.wait_running(&run);
    let uid = || {
        scene.cluster.try_kubectl([
            "get",
            "pod",
            &run,
            "--namespace",
            scene.namespace.name(),
            "--output=jsonpath={.metadata.uid}",
        ])
    };
    let first = uid().expect("the pod is there");
    scene.namespace.kubectl(["delete", "pod", &run, "--grace-period=0", "--force"]);
    eventually("another runner", PATIENCE, || uid().ok().filter(|now| *now != first));
}

#[test]
fn a_halt_keeps_runs_from_starting_and_asks_running_ones_to_end() {
    let cluster = Cluster::exclusive();
    let scene = Scene::new(&cluster, "halts");
    scene.create("running");
    let run = scene.wait("running", "Starting")["run"].as_str().expect("a run has a name").to_owned();
    scene.wait_running(&run);
    let halt = json!({
        "apiVersion": "seatrial.dev/v1alpha1", "kind": "Halt",
        "metadata": { "name": "stop" }, "spec": { "reason": "incident 42" },
    });
    cluster.apply("default", &halt.to_string());
    let asked = eventually("the run is asked to end", PATIENCE, || {
        let status = scene.status("running");
        let conditions = status["conditions"].as_array().cloned().unwrap_or_default();
        conditions.into_iter().find(|one| one["type"] == "AbortRequested")
    });
    scene.create("late");
    let late = scene.wait("late", "Refused");
    cluster.kubectl(["delete", "halt", "stop"]);
    for said in [&asked["message"], &late["message"]] {
        assert!(said.as_str().is_some_and(|said| said.contains("incident 42")), "{said}");
    }
}

#[test]
fn a_runner_whose_secret_is_missing_says_so_and_gets_it_when_it_is_there() {
    let cluster = Cluster::shared();
    let scene = Scene::new(&cluster, "secrets");
    let mut secure = experiment("secure");
    secure["spec"]["target"]["store"] = json!({ "etcd": { "tls": { "secret": "etcd-tls" } } });
    scene.namespace.apply(&secure.to_string());
    let run = scene.wait("secure", "Starting")["run"].as_str().expect("a run has a name").to_owned();
    let words = format!("there is no Secret etcd-tls in namespace {}", scene.namespace.name());
    eventually("the Experiment says what is missing", PATIENCE, || {
        let status = scene.status("secure");
        status["message"].as_str().filter(|message| message.contains(&words)).map(str::to_owned)
    });
    assert_eq!(scene.status("secure")["phase"], "Starting");

    scene.namespace.kubectl(["create", "secret", "generic", "etcd-tls", "--from-literal=ca.crt=it"]);
    scene.wait_running(&run);
    let seen = scene.namespace.kubectl(["exec", &run, "--", "/busybox", "cat", "/secrets/etcd-tls/ca.crt"]);
    assert_eq!(seen, "it");
    let listed = scene.namespace.kubectl(["exec", &run, "--", "/busybox", "ls", "/secrets"]);
    assert_eq!(listed.trim(), "etcd-tls");
    let write = [
        "exec",
        &run,
        "--namespace",
        scene.namespace.name(),
        "--",
        "/busybox",
        "touch",
        "/secrets/etcd-tls/x",
    ];
    let told = scene.cluster.try_kubectl(write).expect_err("a Secret can only be read");
    assert!(told.contains("Read-only"), "{told}");
    let account = format!("--as=system:serviceaccount:{}:seatrial-runner", scene.namespace.name());
    let read = ["get", "secret", "etcd-tls", "--namespace", scene.namespace.name(), &account];
    let told = scene.cluster.try_kubectl(read).expect_err("runners read no Secrets through the API");
    assert!(told.contains("cannot get resource \"secrets\""), "{told}");
}
