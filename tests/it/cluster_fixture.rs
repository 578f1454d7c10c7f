//! A real Kubernetes cluster for tests: the project's own (tests/cluster), or whichever one a kubeconfig names.
//!
//! `make test-cluster` starts the project's own cluster and says where it is by the environment. With nothing but
//! `SEATRIAL_TEST_KUBECONFIG` (kind, a cluster of yours) the same tests run there; those that touch the machines below fail
//! and say so. Without it all of them fail: no test returns early, because one that proves nothing is worse than none.
//!
//! Tests that change what all tests share (the API server, a node's power, its link) take the cluster for themselves with
//! [`Cluster::exclusive`]; all others share it with [`Cluster::shared`]. Tests of a run as people have it, with controller
//! and agents in the cluster, ask for [`Cluster::installed`] or [`Cluster::installed_alone`].

use std::cell::RefCell;
use std::ffi::OsStr;
use std::io::Write;
use std::ops::Deref;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::sync::LazyLock;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use crate::cluster_installation;
use crate::cluster_turn::{Need, Turn};
use crate::node_fixture::eventually_each;

/// How long a cluster may take for what takes it seconds.
pub const PATIENCE: Duration = Duration::from_mins(2);

static CLUSTER: LazyLock<Cluster> = LazyLock::new(Cluster::from_environment);

/// Waits for something in a cluster. Each look is a program of its own, so there are few of them.
pub fn eventually<T>(what: &str, limit: Duration, condition: impl FnMut() -> Option<T>) -> T {
    eventually_each(Duration::from_millis(200), what, limit, condition)
}

/// [`PATIENCE`], for kubectl.
pub fn patience() -> String {
    format!("--timeout={}s", PATIENCE.as_secs())
}

/// A cluster that somebody has started.
pub struct Cluster {
    kubeconfig: PathBuf,
    kubectl: PathBuf,
    machine: Option<Machine>,
}

/// The program and the folder of the project's own cluster, by which its nodes can be powered off.
struct Machine {
    program: PathBuf,
    dir: PathBuf,
}

impl Cluster {
    fn from_environment() -> Self {
        let kubeconfig =
            std::env::var_os("SEATRIAL_TEST_KUBECONFIG").filter(|named| !named.is_empty()).expect(
                "cluster tests need a cluster: `make test-cluster` starts one, `make cluster` keeps one, and \
             SEATRIAL_TEST_KUBECONFIG names any",
            );
        let machine = std::env::var_os("SEATRIAL_TEST_CLUSTER_PROGRAM")
            .zip(std::env::var_os("SEATRIAL_TEST_CLUSTER"))
            .map(|(program, dir)| Machine { program: program.into(), dir: dir.into() });
        let kubectl = match &machine {
            Some(machine) => machine.program.with_file_name("kubectl"),
            None => "kubectl".into(),
        };
        Self { kubeconfig: kubeconfig.into(), kubectl, machine }
    }

    /// Another one of the project's own, for one test, started with these arguments. [`Cluster::down`] ends it.
    pub fn another(dir: &Path, arguments: &[&str]) -> Self {
        let program = std::env::var_os("SEATRIAL_TEST_CLUSTER_PROGRAM")
            .expect("this test starts a cluster of its own: `make test-cluster` says with which program");
        let machine = Machine { program: program.into(), dir: dir.to_owned() };
        let cluster = Self {
            kubeconfig: dir.join("kubeconfig"),
            kubectl: machine.program.with_file_name("kubectl"),
            machine: Some(machine),
        };
        cluster.run(["up"].iter().chain(arguments).copied());
        cluster
    }

    /// Makes nodes and pods with nothing behind them.
    pub fn scale(&self, nodes: usize, pods: usize) {
        self.run(["scale", "--nodes", &nodes.to_string(), "--pods", &pods.to_string()]);
    }

    /// Ends a cluster that [`Cluster::another`] started.
    pub fn down(&self) {
        self.run(["down"]);
    }

    /// The cluster, beside other tests of pieces.
    pub fn shared() -> Held {
        Self::held(Need { alone: false, installed: false })
    }

    /// The project's own cluster, for this test alone. What the test stops or powers off is put right at its end.
    pub fn exclusive() -> Held {
        Self::held(Need { alone: true, installed: false })
    }

    /// With controller and agents in it as `seatrial install` has them, beside other tests of runs.
    pub fn installed() -> Held {
        Self::held(Need { alone: false, installed: true })
    }

    /// [`Cluster::installed`], for this test alone.
    pub fn installed_alone() -> Held {
        Self::held(Need { alone: true, installed: true })
    }

    fn held(need: Need) -> Held {
        assert!(
            CLUSTER.machine.is_some() || !need.alone,
            "this test stops machines, which only the project's own cluster lets it: `make test-cluster` starts one"
        );
        let turn = Turn::take(need, |comes| {
            if comes {
                cluster_installation::begin(&CLUSTER);
            } else {
                cluster_installation::rest(&CLUSTER);
            }
        });
        Held { cluster: &CLUSTER, undo: RefCell::default(), turn }
    }

    /// For whatever is not kubectl.
    pub fn kubeconfig(&self) -> &Path {
        &self.kubeconfig
    }

    /// What kubectl says, or a panic with what it complains about.
    pub fn kubectl<S: AsRef<OsStr>>(&self, arguments: impl IntoIterator<Item = S>) -> String {
        self.try_kubectl(arguments).unwrap_or_else(|complaint| complain(&complaint))
    }

    /// What kubectl says, or what it complains about.
    pub fn try_kubectl<S: AsRef<OsStr>>(
        &self,
        arguments: impl IntoIterator<Item = S>,
    ) -> Result<String, String> {
        let output = self.kubectl_command(arguments).output().expect("kubectl can be started");
        spoken(&output)
    }

    /// Creates or changes what the documents describe, as the administrator.
    pub fn apply(&self, namespace: &str, documents: &str) {
        let mut child = self
            .kubectl_command(["apply", "--server-side", "--namespace", namespace, "--filename", "-"])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .expect("kubectl can be started");
        child.stdin.take().expect("it is piped").write_all(documents.as_bytes()).expect("kubectl reads it");
        let output = child.wait_with_output().expect("kubectl ends");
        spoken(&output).unwrap_or_else(|complaint| complain(&complaint));
    }

    fn kubectl_command<S: AsRef<OsStr>>(&self, arguments: impl IntoIterator<Item = S>) -> Command {
        let mut command = Command::new(&self.kubectl);
        command.env("KUBECONFIG", &self.kubeconfig).args(arguments);
        command
    }

    /// A namespace for one test, deleted at its end with all that is in it.
    pub fn namespace(&self, purpose: &str) -> Namespace<'_> {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        let count = COUNT.fetch_add(1, Ordering::Relaxed);
        let name = format!("{purpose}-{}-{count}", std::process::id());
        self.kubectl(["create", "namespace", &name]);
        // Pods need the account, which comes a moment later.
        eventually("the namespace's service account", PATIENCE, || {
            self.try_kubectl(["get", "serviceaccount", "default", "--namespace", &name]).ok()
        });
        Namespace { cluster: self, name }
    }

    /// Makes an image of files of this machine, each `FILE` or `FILE:DESTINATION`, and gives it to every node. Another
    /// cluster than the project's own has to have the image.
    pub fn load_image(&self, name: &str, entrypoint: &str, files: &[&str]) {
        if self.machine.is_some() {
            self.run([&["image", name, "--entrypoint", entrypoint], files].concat());
        }
    }

    /// A program that is built together with the project's own cluster.
    pub fn program(&self, name: &str) -> Option<PathBuf> {
        self.machine.as_ref().map(|machine| machine.program.with_file_name(name))
    }

    fn run<'a>(&self, arguments: impl IntoIterator<Item = &'a str>) {
        let machine = self.machine.as_ref().expect("only held exclusively, where there is one");
        let mut command = Command::new(&machine.program);
        let output = command
            .args(arguments)
            .arg("--dir")
            .arg(&machine.dir)
            .output()
            .expect("the program can be started");
        spoken(&output).unwrap_or_else(|complaint| complain(&complaint));
    }
}

fn spoken(output: &Output) -> Result<String, String> {
    if output.status.success() {
        Ok(String::from_utf8_lossy(&output.stdout).into_owned())
    } else {
        Err(String::from_utf8_lossy(&output.stderr).into_owned())
    }
}

#[expect(clippy::panic, reason = "a test ends here, and the complaint says why")]
fn complain(complaint: &str) -> ! {
    panic!("{complaint}")
}

/// The cluster while a test uses it.
pub struct Held {
    cluster: &'static Cluster,
    undo: RefCell<Vec<(&'static str, String)>>,
    turn: Turn,
}

impl Deref for Held {
    type Target = Cluster;

    fn deref(&self) -> &Cluster {
        self.cluster
    }
}

impl Held {
    /// Ends the API server, another process of the control plane or a node, until [`Held::start`].
    pub fn stop(&self, what: &str) {
        self.change("stop", "start", what);
    }

    /// Starts again what was stopped; the API server answers when this returns.
    pub fn start(&self, what: &str) {
        self.change_back("start", what);
    }

    /// Ends all of a node's processes at once, until [`Held::power_on`].
    pub fn power_off(&self, node: &str) {
        self.change("power-off", "power-on", node);
    }

    /// Starts a node that was powered off.
    pub fn power_on(&self, node: &str) {
        self.change_back("power-on", node);
    }

    fn change(&self, how: &str, back: &'static str, what: &str) {
        assert!(self.turn.is_alone(), "`{how}` disturbs other tests: hold the cluster alone");
        self.undo.borrow_mut().push((back, what.into()));
        self.run([how, what]);
    }

    fn change_back(&self, how: &'static str, what: &str) {
        self.run([how, what]);
        self.undo.borrow_mut().retain(|(back, changed)| (*back, changed.as_str()) != (how, what));
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        for (back, what) in self.undo.take().into_iter().rev() {
            let machine = self.cluster.machine.as_ref().expect("only what is held exclusively was changed");
            let undone =
                Command::new(&machine.program).args([back, &what, "--dir"]).arg(&machine.dir).status();
            if !undone.is_ok_and(|status| status.success()) {
                eprintln!("`{back} {what}` failed: tests that follow may fail as well");
            }
        }
    }
}

/// Deletes the namespace when the test ends, and shows what was in it when the test failed.
pub struct Namespace<'a> {
    cluster: &'a Cluster,
    name: String,
}

impl Namespace<'_> {
    pub fn name(&self) -> &str {
        &self.name
    }

    /// [`Cluster::kubectl`] in this namespace.
    pub fn kubectl<'b>(&'b self, arguments: impl IntoIterator<Item = &'b str>) -> String {
        self.cluster.kubectl(["--namespace", &self.name].into_iter().chain(arguments))
    }

    /// [`Cluster::apply`] in this namespace.
    pub fn apply(&self, documents: &str) {
        self.cluster.apply(&self.name, documents);
    }

    /// Waits until every pod of a StatefulSet is Ready.
    pub fn wait_ready(&self, set: &str) {
        self.kubectl(["rollout", "status", &format!("statefulset/{set}"), &patience()]);
    }

    /// Waits until a pod is Ready.
    pub fn wait_pod_ready(&self, pod: &str) {
        self.kubectl(["wait", "--for=condition=Ready", &format!("pod/{pod}"), &patience()]);
    }
}

impl Drop for Namespace<'_> {
    fn drop(&mut self) {
        if std::thread::panicking() {
            for what in ["pods", "persistentvolumeclaims", "events"] {
                let shown =
                    self.cluster.try_kubectl(["get", what, "--output=wide", "--namespace", &self.name]);
                eprintln!("{}", shown.unwrap_or_else(|complaint| complaint));
            }
        }
        let deleted = self.cluster.try_kubectl(["delete", "namespace", &self.name, "--wait=false"]);
        if let Err(complaint) = deleted {
            eprintln!("namespace {} stays: {complaint}", self.name);
        }
    }
}
