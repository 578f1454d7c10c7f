//! The agent itself, in a container as its DaemonSet has it made, and disks that are slow or fail by device mapper: on a
//! logical volume of LVM, which a pod has mounted in its own container. No Kubernetes runs in the virtual machine, and so
//! the test is kubelet, and the API server; what makes the containers is what makes them on any node.
//!
//! What is shown is that the agent can do it with the rights of that container and no others: its cgroup denies it device
//! mapper and the disk, so that processes of its own outside of the container open them.

mod api;
mod container;
mod logical;

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Child;
use std::time::Duration;

use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use jiff::Timestamp;
use k8s_openapi::api::apps::v1::DaemonSet;
use k8s_openapi::api::core::v1::PodSpec;
use nix::libc;
use nix::mount::{MsFlags, mount};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use seatrial::api::{Deadline, Desired, DiskOperation, HostFault, InjectionSpec, InjectionState, PodRef};
use serde_json::json;
use tempfile::TempDir;

use self::api::Api;
use self::container::{Container, NODE, Sandbox, Surroundings};
use self::logical::{Logical, Mounted, lvm};
use crate::certificates::Authority;
use crate::cluster_traces::with_words;
use crate::node_fixture::eventually;
use crate::node_power::Disk;
use crate::node_writer::{self, Writer};
use crate::vm::inside;
use crate::vm_mapped::{MILLIS, failing, must, shell, slow_syncs};

const AGENT: &str = include_str!("../../deploy/base/agent.yaml");
const LONG: Duration = Duration::from_mins(5);
const SOON: Duration = Duration::from_secs(10);
/// Of the agent's pod and of the node, on the cable between them.
const AGENT_ADDRESS: &str = "10.98.0.2";
const NODE_ADDRESS: &str = "10.98.0.1";
const UNDO: &str = "/var/lib/seatrial/undo";
/// Where the pod that is hit has its volume.
const DATA: &str = "/store/data";
/// As whom its store runs.
const USER: u32 = 999;

/// A pod on a logical volume, and what an agent needs. Whoever is named first goes first.
struct Scene {
    writer: Writer,
    _store: Container,
    sandbox: Sandbox,
    _mounted: Mounted,
    logical: Logical,
    api: Api,
    /// How long the pod's calls took.
    _times: TempDir,
    agents: Sandbox,
    settings: TempDir,
    _delegated: Delegated,
}

/// Cgroups mounted as systemd mounts them: nobody moves a process from where a cgroup namespace begins to somewhere else,
/// but from a namespace around both (cgroup_namespaces(7)).
struct Delegated;

impl Delegated {
    fn new() -> Self {
        Self::mount("nsdelegate").expect("they are mounted");
        Self
    }

    fn mount(options: &str) -> nix::Result<()> {
        mount(None::<&str>, "/sys/fs/cgroup", None::<&str>, MsFlags::MS_REMOUNT, Some(options))
    }
}

impl Drop for Delegated {
    fn drop(&mut self) {
        let _ = Self::mount("");
    }
}

impl Scene {
    fn new() -> Self {
        let delegated = Delegated::new();
        let (logical, sandbox, agents) = (Logical::new(), Sandbox::new(), Sandbox::new());
        let mounted = Mounted::new(&logical, &sandbox.uid);
        let (times, settings) = (TempDir::new().expect("writable"), TempDir::new().expect("writable"));
        // As a store's own image leaves it, which is another user than the agent.
        let (data, notes) = (mounted.published.display(), times.path().display());
        must(&format!("chown {USER}:{USER} {data} {notes} && chmod 700 {data}"));
        let pod = pod(times.path());
        let surroundings = Surroundings {
            program: (&std::env::current_exe().expect("this is a program"), "/it"),
            claims: BTreeMap::from([("data", mounted.published.clone())]),
            files: Vec::new(),
            variables: vec![format!("{}={DATA}", node_writer::WRITER)],
        };
        let (store, child) = Container::start(&pod, &sandbox, &surroundings);
        let disk = Disk { image: logical.device(), mount: times.path().join("data") };
        let writer = Writer { child, disk };
        writer.goes_on_within(SOON);
        let api = Api::serve(json!({ "apiVersion": "v1", "kind": "Pod", "spec": pod,
            "metadata": { "name": "db-0", "namespace": "databases", "uid": sandbox.uid },
            "status": { "containerStatuses": [{ "name": "main", "ready": true, "restartCount": 0, "image": "it",
                "imageID": "it", "containerID": format!("containerd://{}", store.id),
                "state": { "running": {} } }] } }));
        connect(&agents);
        // Nothing is encrypted here, but a client wants to know somebody to trust.
        let authority = BASE64_STANDARD.encode(Authority::new().certificate());
        let config = json!({ "apiVersion": "v1", "kind": "Config", "current-context": "vm",
            "contexts": [{ "name": "vm", "context": { "cluster": "vm", "user": "vm" } }],
            "users": [{ "name": "vm", "user": {} }],
            "clusters": [{ "name": "vm", "cluster": { "certificate-authority-data": authority,
                "server": format!("http://{NODE_ADDRESS}:{}", api.port) } }] });
        fs::write(settings.path().join("kubeconfig"), config.to_string()).expect("writable");
        Self {
            writer,
            _store: store,
            sandbox,
            _mounted: mounted,
            logical,
            api,
            _times: times,
            agents,
            settings,
            _delegated: delegated,
        }
    }

    fn start_agent(&self) -> Agent {
        let surroundings = Surroundings {
            program: (Path::new(env!("CARGO_BIN_EXE_seatrial")), "/seatrial"),
            claims: BTreeMap::new(),
            files: vec![(self.settings.path().join("kubeconfig"), "/kubeconfig")],
            variables: vec!["KUBECONFIG=/kubeconfig".to_owned()],
        };
        self.api.forget_agent();
        let (container, child) = Container::start(&agents_pod(), &self.agents, &surroundings);
        Agent { container, child }
    }

    fn spec(&self, name: &str, fault: HostFault, lasts: Duration) -> InjectionSpec {
        InjectionSpec {
            name: name.to_owned(),
            run: "run".to_owned(),
            step: "step".to_owned(),
            occurrence: 0,
            pod: PodRef {
                name: "db-0".to_owned(),
                ordinal: 0,
                uid: self.sandbox.uid.clone(),
                node: NODE.to_owned(),
            },
            container: None,
            fault,
            desired: Desired::Injected,
            deadline: Deadline { at: Timestamp::now() + lasts, within: lasts },
            follow: false,
        }
    }

    /// Has it done, and gives what it was proven by.
    fn inject(&self, spec: &InjectionSpec) -> String {
        self.api.put(spec);
        let observed =
            self.api.await_state(&spec.name, InjectionState::Injected).proof.expect("proven").observed;
        println!("{observed}");
        assert_eq!(with_words(&["__guardian"]).len(), 2);
        observed
    }

    fn revert(&self, spec: &InjectionSpec) {
        self.api.put(&InjectionSpec { desired: Desired::Reverted, ..spec.clone() });
        self.api.await_state(&spec.name, InjectionState::Reverted);
    }

    /// Nothing is left of any fault, and LVM finds its volume as it has made it.
    fn is_clean(&self, before: &str) {
        eventually("nothing is left", SOON, || {
            let is_gone = records().is_empty() && with_words(&["__guardian"]).is_empty();
            (is_gone && self.logical.table() == before).then_some(())
        });
        let state = must(&format!("dmsetup info {}", self.logical.device().display()));
        assert!(state.contains("ACTIVE") && !state.contains("INACTIVE"), "{state}");
        let told = lvm(&format!("lvs --noheadings --options lv_attr {}", self.logical.name()));
        assert!(told.starts_with("-wi-ao"), "writable, inherited, active and open: {told}");
    }
}

/// The pods of the shipped DaemonSet.
fn agents_pod() -> PodSpec {
    let set: DaemonSet = serde_yaml::from_str(AGENT).expect("valid YAML");
    set.spec.and_then(|spec| spec.template.spec).expect("it has pods")
}

/// The pod that is hit. What it notes of its calls is kept on the node.
fn pod(times: &Path) -> PodSpec {
    let spec = json!({
        "nodeName": NODE,
        "securityContext": { "runAsUser": USER, "runAsGroup": USER },
        "containers": [{
            "name": "main",
            "args": ["--exact", node_writer::TEST, "--nocapture"],
            "securityContext": { "allowPrivilegeEscalation": false, "capabilities": { "drop": ["ALL"] } },
            "volumeMounts":
                [{ "name": "times", "mountPath": "/store" }, { "name": "data", "mountPath": DATA }],
        }],
        "volumes": [
            { "name": "times", "hostPath": { "path": times, "type": "DirectoryOrCreate" } },
            { "name": "data", "persistentVolumeClaim": { "claimName": "data-db-0" } },
        ],
    });
    serde_json::from_value(spec).expect("a pod")
}

/// Joins the network of a pod to that of the node.
fn connect(sandbox: &Sandbox) {
    let pid = sandbox.pid();
    for line in [
        format!("ip link add agent type veth peer name eth0 netns {pid}"),
        format!("ip address add {NODE_ADDRESS}/24 dev agent"),
        "ip link set agent up".to_owned(),
        format!("nsenter -t {pid} -n ip address add {AGENT_ADDRESS}/24 dev eth0"),
        format!("nsenter -t {pid} -n ip link set eth0 up"),
    ] {
        must(&line);
    }
}

fn records() -> Vec<PathBuf> {
    let entries = fs::read_dir(UNDO).into_iter().flatten();
    entries.map(|entry| entry.expect("readable").path()).collect()
}

/// An agent in its container.
struct Agent {
    container: Container,
    child: Child,
}

impl Agent {
    /// What its container keeps from it, and that it says that it can do it all the same.
    fn can(&self, scene: &Scene) {
        let told = scene.api.node_agent();
        let faults = told["status"]["faults"].as_array().expect("a list").clone();
        for fault in ["diskLatency/dmDelay", "diskError/dmError"] {
            assert!(faults.contains(&fault.into()), "{fault}: {:#}", told["status"]["missing"]);
        }
        let device = scene.logical.device();
        for denied in [Path::new("/dev/mapper/control"), &device] {
            let read = format!("exec dd if={} of=/dev/null bs=4k count=1", denied.display());
            let output = shell(&self.container.in_its_cgroup(&read));
            let said = String::from_utf8_lossy(&output.stderr);
            assert!(!output.status.success() && said.contains("Operation not permitted"), "{said}");
        }
        let status = fs::read_to_string(format!("/proc/{}/status", self.container.pid)).expect("it lives");
        let effective = status.lines().find_map(|line| line.strip_prefix("CapEff:")).expect("told");
        let effective = u64::from_str_radix(effective.trim(), 16).expect("a number");
        let context = agents_pod().containers[0].security_context.clone().expect("it has rights");
        let listed = context.capabilities.and_then(|capabilities| capabilities.add).expect("a list");
        assert_eq!(effective.count_ones() as usize, listed.len(), "{listed:?} and no other: {effective:x}");
        assert!(fs::write(format!("/proc/{}/root/new", self.container.pid), "").is_err(), "read-only");
    }

    /// SIGKILL, and what its runtime does then.
    fn kill(mut self) {
        kill(Pid::from_raw(self.container.pid), Signal::SIGKILL).expect("it lives");
        self.child.wait().expect("ours");
        self.container.remove();
    }

    /// Asks it to end, as kubelet does.
    fn end(mut self) {
        kill(Pid::from_raw(self.container.pid), Signal::SIGTERM).expect("it lives");
        let ended = eventually("it ends", SOON, || self.child.try_wait().expect("ours"));
        assert!(ended.success(), "{}", self.container.log());
    }
}

/// What takes a minute in an emulated machine: `make test-long`.
mod long {
    use super::*;

    #[test]
    fn an_agent_in_its_container_slows_a_logical_volume_down_and_has_it_fail() {
        inside(
            "vm_agent::long::an_agent_in_its_container_slows_a_logical_volume_down_and_has_it_fail",
            || {
                let scene = Scene::new();
                let before = scene.logical.table();
                assert_eq!(before.matches(" linear ").count(), 2, "{before}");
                let agent = scene.start_agent();
                agent.can(&scene);
                let syncs = scene.spec("slow", slow_syncs(), LONG);
                let observed = scene.inject(&syncs);
                assert!(observed.starts_with("dmDelay: volume data (device "), "{observed}");
                for slow in scene.writer.shortest_of(3) {
                    assert!(slow >= MILLIS * 1000, "{slow} µs where {MILLIS} ms were asked for");
                }
                assert_eq!(scene.logical.table().matches(" delay ").count(), 2);
                scene.revert(&syncs);
                scene.is_clean(&before);
                for after in scene.writer.shortest_of(3) {
                    assert!(after < MILLIS * 1000, "{after} µs after the revert");
                }
                // The proof is a read of the device itself, which the container may not open either.
                let all = scene.spec(
                    "all",
                    failing(&[DiskOperation::Read, DiskOperation::Write, DiskOperation::Sync]),
                    LONG,
                );
                let observed = scene.inject(&all);
                assert!(
                    observed.starts_with("dmError: ") && observed.contains("a read was answered with EIO"),
                    "{observed}"
                );
                eventually("both threads hear of it", SOON, || {
                    scene.writer.errors(libc::EIO).iter().all(|&errors| errors > 0).then_some(())
                });
                scene.revert(&all);
                scene.is_clean(&before);
                agent.end();
            },
        );
    }

    #[test]
    fn what_kills_the_agents_container_leaves_guardians_who_put_the_table_back_at_the_deadline() {
        inside(
            "vm_agent::long::what_kills_the_agents_container_leaves_guardians_who_put_the_table_back_at_the_deadline",
            || {
                let scene = Scene::new();
                let before = scene.logical.table();
                let agent = scene.start_agent();
                agent.can(&scene);
                // Long enough for the death of an agent whose container another program removes, emulated beside other tests.
                let lasts = Duration::from_secs(90);
                let slow = scene.spec("slow", slow_syncs(), lasts);
                scene.inject(&slow);
                agent.kill();
                let guardians = with_words(&["__guardian"]);
                assert_eq!(guardians.len(), 2, "they live in another cgroup");
                for guardian in guardians {
                    let cgroup = fs::read_to_string(format!("/proc/{guardian}/cgroup")).expect("it lives");
                    assert_eq!(cgroup.trim(), "0::/seatrial");
                }
                assert!(Timestamp::now() < slow.deadline.at, "there was time enough");
                assert!(scene.logical.table().contains(" delay "), "until the deadline");
                eventually("its table", lasts, || (scene.logical.table() == before).then_some(()));
                assert!(Timestamp::now() >= slow.deadline.at);
                scene.is_clean(&before);
                scene.writer.goes_on_within(SOON);
                // LVM changes the table by what it knows of it.
                lvm(&format!("lvextend --size +4m {}", scene.logical.name()));
                assert_ne!(scene.logical.table(), before);
                let next = scene.start_agent();
                scene.api.node_agent();
                next.end();
                assert!(!Path::new("/sys/fs/cgroup/seatrial").exists());
            },
        );
    }

    #[test]
    fn the_next_agent_puts_back_what_one_that_was_killed_with_its_guardians_has_left() {
        inside(
            "vm_agent::long::the_next_agent_puts_back_what_one_that_was_killed_with_its_guardians_has_left",
            || {
                let scene = Scene::new();
                let before = scene.logical.table();
                let agent = scene.start_agent();
                let slow = scene.spec("slow", slow_syncs(), LONG);
                scene.inject(&slow);
                // Guardians of which one is left alone do not wait for the deadline.
                for guardian in with_words(&["__guardian"]) {
                    kill(Pid::from_raw(guardian), Signal::SIGKILL).expect("it lives");
                }
                agent.kill();
                assert!(scene.logical.table().contains(" delay ") && !records().is_empty());
                scene.api.put(&InjectionSpec { desired: Desired::Reverted, ..slow });
                let next = scene.start_agent();
                scene.api.await_state("slow", InjectionState::Reverted);
                scene.is_clean(&before);
                scene.writer.goes_on_within(SOON);
                next.end();
            },
        );
    }
}
