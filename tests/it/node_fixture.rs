//! A node as a process of its own, and hand-made pods for it: real namespaces, cgroups and processes.
//!
//! The node is this very test binary, started again with the ignored test `node_process`. It reads orders from its
//! standard input, finds pods in files, and appends its statuses to a file.

use std::fs::{self, OpenOptions};
use std::io::{self, BufRead, Write};
use std::net::IpAddr;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use async_trait::async_trait;
use jiff::Timestamp;
use seatrial::api::{
    Deadline, Desired, HostFault, InjectionSpec, InjectionState, InjectionStatus, Ordinal, Peer, PodRef,
};
use seatrial::host::process::ProcessId;
use seatrial::host::process::tree::Tree;
use seatrial::node::{Channel, Locate, LocatedContainer, LocatedPod, Options, Order, serve};
use seatrial::undo::guardian::Launch;
use tokio::sync::mpsc;

/// Waits for a condition, and says which when it does not come.
pub fn eventually<T>(what: &str, limit: Duration, mut condition: impl FnMut() -> Option<T>) -> T {
    let until = Instant::now() + limit;
    loop {
        if let Some(value) = condition() {
            return value;
        }
        assert!(Instant::now() < until, "not within {limit:?}: {what}");
        std::thread::sleep(Duration::from_millis(5));
    }
}

/// A folder that a node and its test share.
pub struct Folder(tempfile::TempDir);

impl Folder {
    pub fn new() -> Self {
        Self(tempfile::tempdir().expect("a temporary folder"))
    }

    pub fn path(&self) -> &Path {
        self.0.path()
    }

    pub fn undo_dir(&self) -> PathBuf {
        self.path().join("undo")
    }

    /// Undo records that are there now.
    pub fn records(&self) -> Vec<PathBuf> {
        let Ok(entries) = fs::read_dir(self.undo_dir()) else {
            return Vec::new();
        };
        entries.map(|entry| entry.expect("readable").path()).collect()
    }

    pub fn show(&self, ordinal: Ordinal, pod: &LocatedPod) {
        let path = self.path().join(format!("pod-{ordinal}.json"));
        let draft = path.with_extension("draft");
        fs::write(&draft, serde_json::to_string(pod).expect("serializable")).expect("writable");
        fs::rename(draft, path).expect("writable");
    }

    /// Every status that nodes of this folder have told, oldest first.
    pub fn statuses(&self) -> Vec<(String, InjectionStatus)> {
        let text = fs::read_to_string(self.path().join("statuses")).unwrap_or_default();
        text.lines()
            .filter_map(|line| serde_json::from_str(line).ok())
            .collect()
    }

    pub fn status(&self, name: &str) -> Option<InjectionStatus> {
        self.statuses()
            .into_iter()
            .rev()
            .find(|(of, _)| of == name)
            .map(|(_, status)| status)
    }

    pub fn await_state(&self, name: &str, state: InjectionState) -> InjectionStatus {
        let until = Instant::now() + Duration::from_secs(10);
        loop {
            let status = self.status(name);
            if let Some(status) = status.clone().filter(|status| status.state == state) {
                return status;
            }
            assert!(Instant::now() < until, "{name} is not {state:?}: {status:?}");
            std::thread::sleep(Duration::from_millis(5));
        }
    }
}

/// A node process.
pub struct Node {
    pub child: Child,
}

impl Node {
    pub fn start(folder: &Folder) -> Self {
        Self::start_with(folder, None)
    }

    /// One that dies at a named point.
    pub fn start_with(folder: &Folder, kill_at: Option<&str>) -> Self {
        let mut command = Command::new(std::env::current_exe().expect("known"));
        command
            .args([
                "--exact",
                "node_fixture::node_process",
                "--ignored",
                "--nocapture",
            ])
            .env("SEATRIAL_TEST_NODE", folder.path())
            .env_remove("SEATRIAL_KILL_AT")
            .stdin(Stdio::piped())
            .stdout(Stdio::null());
        if let Some(point) = kill_at {
            command.env("SEATRIAL_KILL_AT", point);
        }
        Self {
            child: command.spawn().expect("this test binary can be started"),
        }
    }

    pub fn put(&mut self, spec: &InjectionSpec) {
        let line = format!("{}\n", serde_json::to_string(spec).expect("serializable"));
        self.say(&line);
    }

    pub fn gone(&mut self, name: &str) {
        self.say(&format!("gone {name}\n"));
    }

    fn say(&mut self, line: &str) {
        // A node that was told to die may be dead by now.
        let _ = self
            .child
            .stdin
            .as_mut()
            .expect("piped")
            .write_all(line.as_bytes());
    }

    /// SIGKILL, as by the kernel when memory is short.
    pub fn kill(mut self) {
        self.child.kill().expect("ours");
        self.child.wait().expect("ours");
    }

    /// Closes its channel, so that it takes everything back and ends.
    pub fn end(mut self) {
        drop(self.child.stdin.take());
        assert!(self.child.wait().expect("ours").success());
    }
}

struct FileChannel(PathBuf);

#[async_trait]
impl Channel for FileChannel {
    async fn orders(&self) -> io::Result<mpsc::Receiver<Order>> {
        let (sender, receiver) = mpsc::channel(16);
        std::thread::spawn(move || {
            for line in io::stdin().lock().lines().map_while(Result::ok) {
                let order = match line.strip_prefix("gone ") {
                    Some(name) => Order::Gone(name.to_owned()),
                    None => Order::Put(serde_json::from_str(&line).expect("the test writes specs")),
                };
                if sender.blocking_send(order).is_err() {
                    return;
                }
            }
        });
        Ok(receiver)
    }

    async fn report(&self, name: &str, status: InjectionStatus) -> io::Result<()> {
        let line = format!("{}\n", serde_json::to_string(&(name, status))?);
        OpenOptions::new()
            .create(true)
            .append(true)
            .open(self.0.join("statuses"))?
            .write_all(line.as_bytes())
    }
}

pub struct FileLocate(pub PathBuf);

#[async_trait]
impl Locate for FileLocate {
    async fn pod(&self, ordinal: Ordinal) -> io::Result<Option<LocatedPod>> {
        match fs::read(self.0.join(format!("pod-{ordinal}.json"))) {
            Ok(text) => Ok(Some(serde_json::from_slice(&text)?)),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(error),
        }
    }
}

pub fn options(undo_dir: PathBuf) -> Options {
    Options {
        undo_dir,
        guardian: Launch {
            program: PathBuf::from(env!("CARGO_BIN_EXE_seatrial")),
            cgroup: None,
        },
        adopt_within: Duration::from_secs(2),
    }
}

#[test]
#[ignore = "the node process that other tests start"]
fn node_process() {
    let Some(folder) = std::env::var_os("SEATRIAL_TEST_NODE").map(PathBuf::from) else {
        return;
    };
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .expect("a runtime");
    let options = options(folder.join("undo"));
    runtime
        .block_on(serve(FileChannel(folder.clone()), FileLocate(folder), options))
        .expect("serves");
}

/// The cgroup v2 hierarchy, alone or beside version 1.
fn cgroups() -> PathBuf {
    let hybrid = PathBuf::from("/sys/fs/cgroup/unified");
    if hybrid.join("cgroup.procs").exists() {
        hybrid
    } else {
        PathBuf::from("/sys/fs/cgroup")
    }
}

/// Whether a container of a hand-made pod has a cgroup of its own.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Grouping {
    OwnCgroup,
    None,
}

/// A pod made by hand: a holder in a network namespace of its own, and one container that keeps forking.
pub struct Pod {
    holder: Child,
    container: Child,
    cgroup: Option<PathBuf>,
    pub located: LocatedPod,
}

/// Runs until it is killed, busy in a small way, with children that come and go.
const BUSY: &str = "while :; do sleep 0.02; done";

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
                volumes: Vec::new(),
            },
            container: spawn("true", &[]),
            cgroup: None,
            holder,
        };
        if grouping == Grouping::OwnCgroup {
            let path = cgroups().join(format!("seatrial-test-{}", pod.located.holder));
            fs::create_dir(&path).expect("cgroup v2 is writable for root");
            pod.cgroup = Some(path);
        }
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
        self.container = spawn(
            "nsenter",
            &["-t", &target, "-n", "sh", "-c", &format!("{enter}{BUSY}")],
        );
        let pid = self.container.id().cast_signed();
        eventually("a running container", Duration::from_secs(5), || {
            let tasks = fs::read_to_string(format!("/proc/{pid}/task/{pid}/children")).ok()?;
            (!tasks.trim().is_empty()).then_some(())
        });
        self.located.containers = vec![LocatedContainer {
            name: "main".to_owned(),
            pid,
            cgroup: self.cgroup.clone(),
        }];
    }

    pub fn cgroup(&self) -> &Path {
        self.cgroup.as_deref().expect("made with one")
    }

    pub fn is_frozen(&self) -> bool {
        fs::read_to_string(self.cgroup().join("cgroup.events"))
            .expect("readable")
            .contains("frozen 1")
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
        }
        // A test that fails may leave stopped processes, which outlive their parents.
        if let Ok(Some(first)) = ProcessId::of(self.container.id().cast_signed()) {
            let _ = Tree {
                roots: vec![first],
                spared: None,
            }
            .kill(Duration::from_secs(2));
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
        assert!(
            output.status.success(),
            "{arguments:?}: {}",
            String::from_utf8_lossy(&output.stderr)
        );
        String::from_utf8_lossy(&output.stdout).into_owned()
    }

    /// Joins two pods by a cable: .1 and ::1 here, .2 and ::2 there.
    pub fn connect(&self, other: &Self) {
        let there = other.located.holder.to_string();
        self.must_run(&[
            "ip", "link", "add", "eth0", "type", "veth", "peer", "name", "eth0", "netns", &there,
        ]);
        for (pod, last) in [(self, 1), (other, 2)] {
            pod.must_run(&[
                "ip",
                "address",
                "add",
                &format!("10.99.0.{last}/24"),
                "dev",
                "eth0",
            ]);
            pod.must_run(&[
                "ip",
                "address",
                "add",
                &format!("fd99::{last}/64"),
                "dev",
                "eth0",
                "nodad",
            ]);
            pod.must_run(&["ip", "link", "set", "lo", "up"]);
            pod.must_run(&["ip", "link", "set", "eth0", "up"]);
        }
        eventually("a cable", Duration::from_secs(5), || {
            self.reaches("10.99.0.2").then_some(())
        });
        eventually("a cable for IPv6", Duration::from_secs(5), || {
            self.reaches("fd99::2").then_some(())
        });
    }

    pub fn reaches(&self, address: &str) -> bool {
        self.run(&["busybox", "ping", "-c", "1", "-W", "1", address])
            .status
            .success()
    }

    /// How many pings have come in.
    pub fn pings_heard(&self) -> u64 {
        let text = self.must_run(&["cat", "/proc/net/snmp"]);
        let mut lines = text
            .lines()
            .filter(|line| line.starts_with("Icmp:"))
            .map(str::split_ascii_whitespace);
        let (names, values) = (lines.next().expect("there"), lines.next().expect("there"));
        let (_, heard) = names
            .zip(values)
            .find(|(name, _)| *name == "InEchos")
            .expect("there");
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

/// An Injection on ordinal 0 for this long.
pub fn injection(name: &str, pod: &Pod, fault: HostFault, lasts: Duration) -> InjectionSpec {
    InjectionSpec {
        name: name.to_owned(),
        run: "run".to_owned(),
        step: "step".to_owned(),
        occurrence: 0,
        pod: PodRef {
            name: "db-0".to_owned(),
            ordinal: 0,
            uid: pod.located.uid.clone(),
            node: "here".to_owned(),
        },
        container: None,
        fault,
        desired: Desired::Injected,
        deadline: Deadline {
            at: Timestamp::now() + lasts,
            within: lasts,
        },
        follow: false,
    }
}

/// Both directions, from and to these addresses.
pub fn cut(addresses: &[&str]) -> HostFault {
    HostFault::Partition {
        peers: vec![Peer {
            ordinal: 1,
            addresses: addresses
                .iter()
                .map(|address| address.parse::<IpAddr>().expect("an address"))
                .collect(),
            drop_from: true,
            drop_to: true,
        }],
        ports: Vec::new(),
        clients: false,
    }
}

/// The guardians that guard a record of this folder.
pub fn guardians(folder: &Folder) -> Vec<i32> {
    let folder = folder.path().to_string_lossy().into_owned();
    let mut found = Vec::new();
    for entry in fs::read_dir("/proc").expect("readable").filter_map(Result::ok) {
        let Some(pid) = entry
            .file_name()
            .to_str()
            .and_then(|name| name.parse::<i32>().ok())
        else {
            continue;
        };
        let words = fs::read(entry.path().join("cmdline")).unwrap_or_default();
        let words = String::from_utf8_lossy(&words).into_owned();
        if words.contains("__guardian") && words.contains(&folder) {
            found.push(pid);
        }
    }
    found
}
