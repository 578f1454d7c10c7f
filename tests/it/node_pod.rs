//! Pods made by hand: a network namespace, a cgroup, a container that keeps forking, and a cable between two of them.

use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use seatrial::host::process::ProcessId;
use seatrial::host::process::tree::Tree;
use seatrial::node::{LocatedContainer, LocatedPod, LocatedVolume};

use crate::node_fixture::eventually;
use crate::vm::patient;

/// The cgroup v2 hierarchy, alone or beside version 1.
pub fn cgroups() -> PathBuf {
    let hybrid = PathBuf::from("/sys/fs/cgroup/unified");
    if hybrid.join("cgroup.procs").exists() { hybrid } else { PathBuf::from("/sys/fs/cgroup") }
}

/// The freezer hierarchy of cgroup v1, where the machine has it.
pub fn old_freezers() -> Option<PathBuf> {
    let path = PathBuf::from("/sys/fs/cgroup/freezer");
    path.join("cgroup.procs").exists().then_some(path)
}

/// Whether a container of a hand-made pod has a cgroup of its own.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Grouping {
    OwnCgroup,
    /// Of version 1's freezer hierarchy.
    OldCgroup,
    None,
}

/// A pod made by hand: a holder in a network namespace of its own, and one container that keeps forking.
pub struct Pod {
    holder: Child,
    container: Child,
    cgroup: Option<PathBuf>,
    pub located: LocatedPod,
}

/// Runs until it is killed or its test is, busy in a small way, with children that come and go.
fn busy() -> String {
    let pause = patient(Duration::from_millis(20)).as_secs_f64();
    format!("while [ -d /proc/{} ]; do sleep {pause}; done", std::process::id())
}

fn spawn(program: &str, arguments: &[&str]) -> Child {
    Command::new(program)
        .args(arguments)
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .expect("the tools of the tests are installed")
}

impl Pod {
    pub fn new(grouping: Grouping) -> Self {
        let holder = spawn("unshare", &["--net", "sleep", "600"]);
        let own = fs::metadata("/proc/self/ns/net").expect("readable").ino();
        let path = format!("/proc/{}/ns/net", holder.id());
        eventually("a network namespace", Duration::from_secs(5), || {
            let program = fs::read_link(format!("/proc/{}/exe", holder.id())).ok()?;
            let is_there =
                program.ends_with("sleep") || program.ends_with("busybox") || program.ends_with("coreutils");
            (is_there && fs::metadata(&path).ok()?.ino() != own).then_some(())
        });
        let mut pod = Self {
            located: LocatedPod {
                uid: format!("uid-{}", holder.id()),
                holder: holder.id().cast_signed(),
                containers: Vec::new(),
                unnamed: Vec::new(),
                volumes: Vec::new(),
                unreached: Vec::new(),
            },
            container: spawn("true", &[]),
            cgroup: None,
            holder,
        };
        let hierarchy = match grouping {
            Grouping::OwnCgroup => Some(cgroups()),
            Grouping::OldCgroup => Some(old_freezers().expect("checked by the test")),
            Grouping::None => None,
        };
        pod.cgroup = hierarchy.map(|hierarchy| {
            let path = hierarchy.join(format!("seatrial-test-{}", pod.located.holder));
            fs::create_dir(&path).expect("cgroups are writable for root");
            path
        });
        pod.start_container();
        pod
    }

    /// Starts the container again, as a kubelet does.
    pub fn start_container(&mut self) {
        let target = self.located.holder.to_string();
        let enter = match &self.cgroup {
            Some(cgroup) => format!("echo 0 > {}/cgroup.procs; ", cgroup.display()),
            None => String::new(),
        };
        let _ = self.container.wait();
        self.container = spawn("nsenter", &["-t", &target, "-n", "sh", "-c", &format!("{enter}{}", busy())]);
        let pid = self.container.id().cast_signed();
        eventually("a running container", Duration::from_secs(5), || {
            let tasks = fs::read_to_string(format!("/proc/{pid}/task/{pid}/children")).ok()?;
            (!tasks.trim().is_empty()).then_some(())
        });
        self.located.containers = vec![LocatedContainer {
            name: "main".to_owned(),
            pid,
            cgroup: self.cgroup.clone(),
            throttle: None,
        }];
    }

    /// Has `child` be its only container, without a cgroup of its own, and `volume` its only volume.
    pub fn holds(&mut self, child: &Child, volume: LocatedVolume) {
        self.located.volumes = vec![volume];
        self.located.containers = vec![LocatedContainer {
            name: "main".to_owned(),
            pid: child.id().cast_signed(),
            cgroup: None,
            throttle: None,
        }];
    }

    pub fn cgroup(&self) -> &Path {
        self.cgroup.as_deref().expect("made with one")
    }

    pub fn is_frozen(&self) -> bool {
        let read = |name: &str| fs::read_to_string(self.cgroup().join(name));
        let of_version_1 = |_| read("freezer.state").expect("readable").trim() == "FROZEN";
        read("cgroup.events").map_or_else(of_version_1, |events| events.contains("frozen 1"))
    }

    /// Whether the container's first process is stopped by a signal.
    pub fn is_stopped(&self) -> bool {
        let stat =
            fs::read_to_string(format!("/proc/{}/stat", self.located.containers[0].pid)).expect("alive");
        stat.rsplit_once(") ").expect("well formed").1.starts_with('T')
    }

    pub fn container_is_alive(&mut self) -> bool {
        self.container.try_wait().expect("ours").is_none()
    }

    pub fn kill_container(&mut self) {
        self.container.kill().expect("ours");
        self.container.wait().expect("ours");
    }

    /// Ends it, its network namespace included.
    pub fn remove(&mut self) {
        if let Some(cgroup) = &self.cgroup {
            let _ = fs::write(cgroup.join("cgroup.kill"), "1");
            // A process that version 1 has frozen does not die.
            let _ = fs::write(cgroup.join("freezer.state"), "THAWED");
        }
        // A test that fails may leave stopped processes, which outlive their parents.
        if let Ok(Some(first)) = ProcessId::of(self.container.id().cast_signed()) {
            let _ = Tree::below(first).kill(Duration::from_secs(2));
        }
        let _ = self.container.kill();
        let _ = self.container.wait();
        let _ = self.holder.kill();
        let _ = self.holder.wait();
        if let Some(cgroup) = self.cgroup.take() {
            let until = Instant::now() + Duration::from_secs(2);
            while fs::remove_dir(&cgroup).is_err() && Instant::now() < until {
                std::thread::sleep(Duration::from_millis(5));
            }
        }
    }

    /// Runs a program in the pod's network namespace.
    pub fn run(&self, arguments: &[&str]) -> std::process::Output {
        Command::new("nsenter")
            .args(["-t", &self.located.holder.to_string(), "-n"])
            .args(arguments)
            .stdin(Stdio::null())
            .output()
            .expect("nsenter is there")
    }

    pub fn must_run(&self, arguments: &[&str]) -> String {
        let output = self.run(arguments);
        assert!(output.status.success(), "{arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8_lossy(&output.stdout).into_owned()
    }

    /// Joins two pods by a cable: .1 and ::1 here, .2 and ::2 there.
    pub fn connect(&self, other: &Self) {
        let there = other.located.holder.to_string();
        self.must_run(&[
            "ip", "link", "add", "eth0", "type", "veth", "peer", "name", "eth0", "netns", &there,
        ]);
        self.give_addresses(other);
    }

    /// Joins two pods in the same way by a bridge in the network of a third, as a node does it.
    pub fn connect_through(&self, between: &Self, other: &Self) {
        let there = between.located.holder.to_string();
        between.must_run(&["ip", "link", "add", "pods", "type", "bridge"]);
        between.must_run(&["ip", "link", "set", "pods", "up"]);
        for (pod, port) in [(self, "pod1"), (other, "pod2")] {
            pod.must_run(&[
                "ip", "link", "add", "eth0", "type", "veth", "peer", "name", port, "netns", &there,
            ]);
            between.must_run(&["ip", "link", "set", port, "master", "pods", "up"]);
        }
        self.give_addresses(other);
    }

    fn give_addresses(&self, other: &Self) {
        for (pod, last) in [(self, 1), (other, 2)] {
            pod.must_run(&["ip", "address", "add", &format!("10.99.0.{last}/24"), "dev", "eth0"]);
            pod.must_run(&["ip", "address", "add", &format!("fd99::{last}/64"), "dev", "eth0", "nodad"]);
            pod.must_run(&["ip", "link", "set", "lo", "up"]);
            pod.must_run(&["ip", "link", "set", "eth0", "up"]);
        }
        eventually("a cable", Duration::from_secs(5), || self.reaches("10.99.0.2").then_some(()));
        eventually("a cable for IPv6", Duration::from_secs(5), || self.reaches("fd99::2").then_some(()));
    }

    pub fn reaches(&self, address: &str) -> bool {
        self.run(&["busybox", "ping", "-c", "1", "-W", "1", address]).status.success()
    }

    /// How many pings have come in.
    pub fn pings_heard(&self) -> u64 {
        let text = self.must_run(&["cat", "/proc/net/snmp"]);
        let mut lines =
            text.lines().filter(|line| line.starts_with("Icmp:")).map(str::split_ascii_whitespace);
        let (names, values) = (lines.next().expect("there"), lines.next().expect("there"));
        let (_, heard) = names.zip(values).find(|(name, _)| *name == "InEchos").expect("there");
        heard.parse().expect("a number")
    }

    /// The names of the nftables tables in it.
    pub fn tables(&self) -> Vec<String> {
        let listed = self.must_run(&["nft", "list", "tables"]);
        listed.lines().map(str::to_owned).collect()
    }
}

impl Drop for Pod {
    fn drop(&mut self) {
        self.remove();
    }
}
