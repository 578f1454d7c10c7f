//! Agents in a real cluster, as deploy/base has them, for one namespace each, so that tests do not meet; and what they are
//! asked to do. What is left on a node is looked for from outside, through /proc of the machine.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Once;
use std::time::{Duration, Instant};

use jiff::Timestamp;
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use seatrial::api::{
    Deadline, Desired, HostFault, InjectionSpec, InjectionState, InjectionStatus, Peer, PodRef,
};
use seatrial::host::nftables;
use seatrial::host::process::ProcessId;
use seatrial::resource::{Injection, definitions};
use serde_json::{Value, json};

use crate::cluster_fixture::{Held, Namespace, PATIENCE};
use crate::node_fixture::eventually;

const IMAGE: &str = "seatrial.dev/seatrial:test";
const DEPLOY: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/deploy/base");

/// The documents of a file in deploy/base.
fn documents(file: &str) -> Vec<Value> {
    let text = fs::read_to_string(Path::new(DEPLOY).join(file)).expect("it is shipped");
    serde_yaml::Deserializer::from_str(&text)
        .map(|document| serde::Deserialize::deserialize(document).expect("valid YAML"))
        .collect()
}

/// A namespace with an etcd of three members and the account that agents use.
pub struct Scene<'a> {
    pub cluster: &'a Held,
    pub namespace: Namespace<'a>,
}

impl<'a> Scene<'a> {
    pub fn new(cluster: &'a Held, purpose: &str) -> Self {
        static PREPARED: Once = Once::new();
        PREPARED.call_once(|| {
            let binary = format!("{}:/usr/bin/seatrial", env!("CARGO_BIN_EXE_seatrial"));
            cluster.load_image(IMAGE, "/usr/bin/seatrial", &[&binary]);
            for definition in definitions() {
                cluster.apply("default", &serde_json::to_string(&definition).expect("a definition is JSON"));
                let name = format!("crd/{}", definition.metadata.name.expect("definitions have names"));
                cluster.kubectl(["wait", "--for=condition=Established", &name, "--timeout=30s"]);
            }
        });
        let scene = Self { cluster, namespace: cluster.namespace(purpose) };
        for document in documents("agent-rbac.yaml") {
            scene.cluster.apply(scene.name(), &scene.own(document).to_string());
        }
        scene
    }

    /// With its etcd, all members Ready.
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

    /// A shipped document, moved into this namespace. What belongs to no namespace gets a name of its own.
    fn own(&self, mut document: Value) -> Value {
        let is_of_cluster = document["kind"].as_str().is_some_and(|kind| kind.starts_with("Cluster"));
        if is_of_cluster {
            document["metadata"]["name"] = format!("seatrial-agent-{}", self.name()).into();
        } else {
            document["metadata"]["namespace"] = self.name().into();
        }
        if document["kind"] == "ClusterRoleBinding" {
            document["roleRef"]["name"] = document["metadata"]["name"].clone();
            document["subjects"][0]["namespace"] = self.name().into();
        }
        document
    }

    /// The DaemonSet's pod template, as a pod can be made of it: for this namespace, from the image under test.
    fn template(&self) -> Value {
        let mut set = self.own(documents("agent.yaml").remove(0));
        let template = &mut set["spec"]["template"];
        // Only kube-system and what an administrator allows may have this class.
        template["spec"].as_object_mut().expect("a pod's spec").remove("priorityClassName");
        let container = &mut template["spec"]["containers"][0];
        container["image"] = IMAGE.into();
        container["args"] = json!(["agent", "--namespace", self.name()]);
        // A build for tests is many times larger than a release.
        container["resources"] = json!({});
        set
    }

    /// Agents on all nodes.
    pub fn start_agents(&self) {
        let set = self.template();
        self.namespace.apply(&set.to_string());
        self.namespace.kubectl(["rollout", "status", "daemonset/seatrial-agent", "--timeout=60s"]);
    }

    /// One agent that is never started again, and which dies at a named point where one is given.
    pub fn start_agent(&self, name: &str, node: &str, kill_at: Option<&str>) {
        let mut template = self.template()["spec"]["template"].clone();
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
        let pod = json!({ "apiVersion": "v1", "kind": "Pod", "metadata": { "name": name }, "spec": template["spec"] });
        self.namespace.apply(&pod.to_string());
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
            run: "run".to_owned(),
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

    pub fn put(&self, spec: &InjectionSpec) {
        let object = json!({ "apiVersion": "seatrial.dev/v1alpha1", "kind": "Injection",
            "metadata": { "name": spec.name }, "spec": spec });
        self.namespace.apply(&object.to_string());
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
        let until = Instant::now() + Duration::from_secs(30);
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
        let pods = self.namespace.kubectl(["get", "pods", "--output=name"]);
        let agents = pods.lines().filter(|pod| pod.contains("agent"));
        let said = agents.map(|pod| {
            let log = self.cluster.try_kubectl(["logs", "--namespace", self.name(), pod]);
            [pod.to_owned(), log.unwrap_or_else(|error| error)].join(": ")
        });
        said.collect::<Vec<_>>().join("\n")
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
        let uid = self.pod(pod)["metadata"]["uid"].as_str().expect("it exists").to_owned();
        let mut found: Vec<ProcessId> = pids()
            .into_iter()
            .filter(|pid| {
                fs::read_to_string(format!("/proc/{pid}/cgroup")).is_ok_and(|text| text.contains(&uid))
            })
            .filter_map(|pid| ProcessId::of(pid).ok().flatten())
            .collect();
        found.sort_by_key(|process| process.start);
        found
    }

    /// What is left of faults in a pod.
    pub fn left_in(&self, pod: &str) -> Vec<String> {
        let mut left = Vec::new();
        for process in self.processes(pod) {
            let tables = nftables::tables_of(&process).expect("readable");
            left.extend(tables.into_iter().map(|table| format!("{pod}: table {table}")));
            left.extend(frozen(process.pid).map(|state| format!("{pod}: {state}")));
        }
        left.sort();
        left.dedup();
        left
    }

    /// Records of the node on which `pod` runs.
    pub fn records(&self, pod: &str) -> Vec<PathBuf> {
        // A container's first process is a child of its shim, who lives in the node's mounts.
        let shim = self
            .processes(pod)
            .first()
            .and_then(|first| first.stat().ok().flatten())
            .expect("it runs")
            .parent;
        let folder = format!("/proc/{shim}/root/var/lib/seatrial/undo");
        let Ok(entries) = fs::read_dir(folder) else {
            return Vec::new();
        };
        entries.map(|entry| entry.expect("readable").path()).collect()
    }

    /// Waits until nothing is left in the pod and on its node.
    pub fn is_clean(&self, pod: &str, within: Duration, when: &str) {
        let until = Instant::now() + within;
        loop {
            // On a busy machine the look itself takes a while.
            let looked = Instant::now();
            let mut left = self.left_in(pod);
            left.extend(self.records(pod).iter().map(|record| record.display().to_string()));
            left.extend(guardians(self.name()).iter().map(|pid| format!("guardian {pid}")));
            if left.is_empty() {
                return;
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
        let name = format!("seatrial-agent-{}", self.name());
        for kind in ["clusterrole", "clusterrolebinding"] {
            let _ = self.cluster.try_kubectl(["delete", kind, &name, "--wait=false"]);
        }
    }
}

fn pids() -> Vec<i32> {
    let entries = fs::read_dir("/proc").expect("readable").filter_map(Result::ok);
    entries.filter_map(|entry| entry.file_name().to_str()?.parse().ok()).collect()
}

/// When an Injection ends by itself.
pub fn end_of(spec: &InjectionSpec) -> Instant {
    let left = Duration::try_from(spec.deadline.at.duration_since(Timestamp::now())).unwrap_or_default();
    Instant::now() + left
}

/// Processes whose command line has all of these words.
pub fn with_words(words: &[&str]) -> Vec<i32> {
    let has_all = |pid: &i32| {
        let text = fs::read(format!("/proc/{pid}/cmdline")).unwrap_or_default();
        let found: Vec<&[u8]> = text.split(|byte| *byte == 0).collect();
        words.iter().all(|word| found.contains(&word.as_bytes()))
    };
    pids().into_iter().filter(has_all).collect()
}

/// The guardians of Injections of a namespace: its name is at the beginning of their records' names.
pub fn guardians(namespace: &str) -> Vec<i32> {
    let marker = format!("/{namespace}_");
    with_words(&["__guardian"])
        .into_iter()
        .filter(|pid| {
            let text = fs::read(format!("/proc/{pid}/cmdline")).unwrap_or_default();
            String::from_utf8_lossy(&text).contains(&marker)
        })
        .collect()
}

/// Which freezer holds a process, where one does.
pub fn frozen(pid: i32) -> Option<String> {
    let cgroups = fs::read_to_string(format!("/proc/{pid}/cgroup")).unwrap_or_default();
    cgroups.lines().find_map(|line| {
        let (_, place) = line.split_once(':')?;
        let (file, word) = match place.split_once(':')? {
            ("", path) => (format!("/sys/fs/cgroup/unified{path}/cgroup.freeze"), "1"),
            ("freezer", path) => (format!("/sys/fs/cgroup/freezer{path}/freezer.state"), "FROZEN"),
            _ => return None,
        };
        (fs::read_to_string(&file).ok()?.trim() == word).then_some(file)
    })
}
