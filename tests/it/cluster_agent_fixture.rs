//! Agents in a real cluster, as deploy/base has them, for one namespace each, so that tests do not meet; and what they are
//! asked to do. What is left on a node is looked for from outside, through /proc of the machine.

use std::fs;
use std::path::PathBuf;
use std::sync::Once;
use std::time::{Duration, Instant};

use jiff::Timestamp;
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use seatrial::api::{
    Deadline, Desired, HostFault, InjectionSpec, InjectionState, InjectionStatus, Peer, PodRef,
};
use seatrial::host::process::ProcessId;
use seatrial::resource::{Injection, RUN_LABEL};
use serde_json::{Value, json};

use crate::cluster_fixture::{Held, Namespace, PATIENCE, patience};
use crate::cluster_installation::{IMAGE, load_image};
use crate::cluster_rig::{Person, SYSTEM, allow, install};
use crate::cluster_rights::runner;
use crate::cluster_traces::{self as traces, guardians, with_words};
use crate::node_fixture::eventually;

const AGENT: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/deploy/base/agent.yaml");
/// The run that asks for everything here.
const RUN: &str = "run";
/// The label of a scene's agents, which live among those of other scenes.
const SCENE: &str = "seatrial.dev/scene";

/// A namespace that agreed to be broken, with a run in it that may make Injections.
pub struct Scene<'a> {
    pub cluster: &'a Held,
    pub namespace: Namespace<'a>,
    runner: Person<'a>,
}

impl<'a> Scene<'a> {
    pub fn new(cluster: &'a Held, purpose: &str) -> Self {
        static PREPARED: Once = Once::new();
        PREPARED.call_once(|| {
            load_image(cluster);
            install(cluster);
        });
        let namespace = cluster.namespace(purpose);
        allow(&namespace, cluster);
        let runner = runner(cluster, &namespace, RUN);
        Self { cluster, namespace, runner }
    }

    /// With an etcd of three members, all Ready.
    pub fn with_etcd(cluster: &'a Held, purpose: &str) -> Self {
        let scene = Self::new(cluster, purpose);
        let file = concat!(env!("CARGO_MANIFEST_DIR"), "/experiments/etcd/leader-cut.yaml");
        let text = fs::read_to_string(file).expect("it is shipped");
        let (_, manifest) = text.split_once("\n---\n").expect("the experiment comes first");
        scene.namespace.apply(manifest);
        scene.namespace.wait_ready("etcd");
        scene
    }

    pub fn name(&self) -> &str {
        self.namespace.name()
    }

    /// The shipped DaemonSet, for this namespace, from the image under test.
    fn daemon_set(&self) -> Value {
        let text = fs::read_to_string(AGENT).expect("it is shipped");
        let mut set: Value = serde_yaml::from_str(&text).expect("valid YAML");
        set["metadata"]["name"] = format!("agent-{}", self.name()).into();
        set["spec"]["selector"]["matchLabels"][SCENE] = self.name().into();
        let template = &mut set["spec"]["template"];
        template["metadata"]["labels"][SCENE] = self.name().into();
        let container = &mut template["spec"]["containers"][0];
        container["image"] = IMAGE.into();
        container["args"] = json!(["agent", "--namespace", self.name()]);
        set
    }

    /// Agents on all nodes.
    pub fn start_agents(&self) {
        let set = self.daemon_set();
        self.cluster.apply(SYSTEM, &set.to_string());
        let name = format!("daemonset/agent-{}", self.name());
        self.cluster.kubectl(["rollout", "status", &name, "--namespace", SYSTEM, &patience()]);
    }

    /// One agent that is never started again, and which dies at a named point where one is given.
    pub fn start_agent(&self, name: &str, node: &str, kill_at: Option<&str>) {
        let mut template = self.daemon_set()["spec"]["template"].clone();
        let container = &mut template["spec"]["containers"][0];
        for probe in ["livenessProbe", "readinessProbe"] {
            container.as_object_mut().expect("a container").remove(probe);
        }
        if let Some(point) = kill_at {
            container["env"]
                .as_array_mut()
                .expect("the agent has variables")
                .push(json!({ "name": "SEATRIAL_KILL_AT", "value": point }));
        }
        template["spec"]["nodeName"] = node.into();
        template["spec"]["restartPolicy"] = "Never".into();
        let metadata = json!({ "name": self.agent(name), "labels": { SCENE: self.name() } });
        let pod =
            json!({ "apiVersion": "v1", "kind": "Pod", "metadata": metadata, "spec": template["spec"] });
        self.cluster.apply(SYSTEM, &pod.to_string());
        // Deadlines of what it is asked for then are none for the node that starts it.
        eventually("the agent was started", PATIENCE, || (self.agent_phase(name) != "Pending").then_some(()));
    }

    fn agent(&self, name: &str) -> String {
        format!("{}-{name}", self.name())
    }

    /// Where a single agent's pod is in its life.
    pub fn agent_phase(&self, name: &str) -> String {
        let name = self.agent(name);
        self.cluster.kubectl([
            "get",
            "pod",
            &name,
            "--namespace",
            SYSTEM,
            "--output=jsonpath={.status.phase}",
        ])
    }

    /// Tells a single agent to end, and waits until it has.
    pub fn end_agent(&self, name: &str) {
        self.cluster.kubectl(["delete", "pod", &self.agent(name), "--namespace", SYSTEM]);
    }

    pub fn pod(&self, name: &str) -> Value {
        let text = self.namespace.kubectl(["get", "pod", name, "--output=json"]);
        serde_json::from_str(&text).expect("JSON")
    }

    /// An Injection on a pod that is there now, written to the API server.
    pub fn inject(&self, name: &str, pod: &str, fault: HostFault, lasts: Duration) -> InjectionSpec {
        let spec = self.spec(name, pod, fault, lasts);
        self.put(&spec);
        spec
    }

    pub fn spec(&self, name: &str, pod: &str, fault: HostFault, lasts: Duration) -> InjectionSpec {
        let found = self.pod(pod);
        let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
        InjectionSpec {
            name: name.to_owned(),
            run: RUN.to_owned(),
            step: "step".to_owned(),
            occurrence: 0,
            pod: PodRef {
                name: pod.to_owned(),
                ordinal: pod
                    .rsplit_once('-')
                    .and_then(|(_, ordinal)| ordinal.parse().ok())
                    .unwrap_or_default(),
                uid: text(&found["metadata"]["uid"]),
                node: text(&found["spec"]["nodeName"]),
            },
            container: None,
            fault,
            desired: Desired::Injected,
            deadline: Deadline { at: Timestamp::now() + lasts, within: lasts },
            follow: false,
        }
    }

    /// Creates or changes it, as its run.
    pub fn put(&self, spec: &InjectionSpec) {
        let object = json!({ "apiVersion": "seatrial.dev/v1alpha1", "kind": "Injection",
            "metadata": { "name": spec.name, "labels": { RUN_LABEL: RUN } }, "spec": spec });
        let folder = tempfile::tempdir().expect("a temporary folder can be made");
        let path = folder.path().join("injection.json");
        fs::write(&path, object.to_string()).expect("it can be written");
        let path = path.display().to_string();
        let apply = ["apply", "--server-side", "--namespace", self.name(), "--filename", &path];
        self.runner.kubectl(&apply).expect("the run may");
    }

    pub fn revert(&self, spec: &InjectionSpec) {
        self.put(&InjectionSpec { desired: Desired::Reverted, ..spec.clone() });
    }

    pub fn delete(&self, spec: &InjectionSpec) {
        self.namespace.kubectl(["delete", "injection", &spec.name]);
    }

    pub fn status(&self, name: &str) -> Option<InjectionStatus> {
        let text = self.namespace.kubectl(["get", "injection", name, "--output=json"]);
        serde_json::from_str::<Injection>(&text).expect("an Injection").status
    }

    pub fn await_state(&self, name: &str, state: InjectionState) -> InjectionStatus {
        let until = Instant::now() + PATIENCE;
        loop {
            let status = self.status(name);
            if let Some(status) = status.clone().filter(|status| status.state == state) {
                return status;
            }
            assert!(Instant::now() < until, "{name} is not {state:?}: {status:?}\n{}", self.logs());
            std::thread::sleep(Duration::from_millis(50));
        }
    }

    /// What the agents of this namespace have said.
    pub fn logs(&self) -> String {
        let ours = format!("--selector={SCENE}={}", self.name());
        let log = self.cluster.try_kubectl(["logs", "--namespace", SYSTEM, &ours, "--prefix", "--tail=50"]);
        log.unwrap_or_else(|error| error)
    }

    /// Both directions between this pod and those.
    pub fn cut(&self, from: &[&str]) -> HostFault {
        let peers = from.iter().enumerate().map(|(ordinal, pod)| {
            let address = self.pod(pod)["status"]["podIP"].as_str().expect("it runs").parse();
            Peer {
                ordinal: ordinal as u32,
                addresses: vec![address.expect("an address")],
                drop_from: true,
                drop_to: true,
            }
        });
        HostFault::Partition { peers: peers.collect(), ports: Vec::new(), clients: false }
    }

    /// What etcd says of itself at a member, asked from inside of it.
    pub fn is_healthy(&self, pod: &str) -> bool {
        let asked = [
            "exec",
            "--namespace",
            self.name(),
            pod,
            "--",
            "etcdctl",
            "--command-timeout=2s",
            "endpoint",
            "health",
        ];
        self.cluster.try_kubectl(asked).is_ok()
    }

    /// The ordinal of the member that leads.
    pub fn leader(&self) -> String {
        eventually("etcd has a leader", PATIENCE, || {
            let asked = [
                "exec",
                "--namespace",
                self.name(),
                "etcd-0",
                "--",
                "etcdctl",
                "endpoint",
                "status",
                "--cluster",
            ];
            let told = self.cluster.try_kubectl(asked).ok()?;
            // ENDPOINT, ID, VERSION, DB SIZE, IS LEADER, …
            let line = told.lines().find(|line| line.split(", ").nth(4) == Some("true"))?.to_owned();
            let name = line.split("//").nth(1)?.split('.').next()?;
            Some(name.to_owned())
        })
    }

    /// The processes of a pod as this machine sees them, the oldest first.
    pub fn processes(&self, pod: &str) -> Vec<ProcessId> {
        traces::processes(self.pod(pod)["metadata"]["uid"].as_str().expect("it exists"))
    }

    /// What is left of faults in a pod.
    pub fn left_in(&self, pod: &str) -> Vec<String> {
        traces::left_in(pod, &self.processes(pod))
    }

    /// Records of the node on which `pod` runs. Other scenes have agents on the same node.
    pub fn records(&self, pod: &str) -> Vec<PathBuf> {
        traces::records(&self.processes(pod), self.name())
    }

    /// Waits until nothing is left in the pod and on its node; when it was looked and nothing was.
    pub fn is_clean(&self, pod: &str, within: Duration, when: &str) -> Instant {
        let until = Instant::now() + within;
        loop {
            // On a busy machine the look itself takes a while.
            let looked = Instant::now();
            let mut left = self.left_in(pod);
            left.extend(self.records(pod).iter().map(|record| record.display().to_string()));
            left.extend(guardians(self.name()).iter().map(|pid| format!("guardian {pid}")));
            if left.is_empty() {
                return looked;
            }
            assert!(looked < until, "left {when}: {left:?}\n{}", self.logs());
            std::thread::sleep(Duration::from_millis(100));
        }
    }

    /// SIGKILL to the agents of this namespace, and only to them.
    pub fn kill_agents(&self) -> usize {
        let agents = with_words(&["agent", "--namespace", self.name()]);
        for agent in &agents {
            let _ = kill(Pid::from_raw(*agent), Signal::SIGKILL);
        }
        agents.len()
    }
}

impl Drop for Scene<'_> {
    fn drop(&mut self) {
        let ours = format!("--selector={SCENE}={}", self.name());
        let set = format!("agent-{}", self.name());
        let _ = self.cluster.try_kubectl([
            "delete",
            "daemonset",
            &set,
            "--namespace",
            SYSTEM,
            "--ignore-not-found",
        ]);
        let _ = self.cluster.try_kubectl(["delete", "pods", &ours, "--namespace", SYSTEM, "--wait=false"]);
    }
}

/// When an Injection ends by itself.
pub fn end_of(spec: &InjectionSpec) -> Instant {
    let left = Duration::try_from(spec.deadline.at.duration_since(Timestamp::now())).unwrap_or_default();
    Instant::now() + left
}
