//! A node as a process of its own, and what it is asked to do.
//!
//! The node is this very test binary, started again for the one test here, which becomes the node. It reads orders from
//! its standard input, finds pods in files, and appends its statuses to a file.

use std::fs::{self, File, OpenOptions};
use std::io::{self, BufRead, Write};
use std::net::IpAddr;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use async_trait::async_trait;
use jiff::Timestamp;
use nix::errno::Errno;
use nix::libc;
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use seatrial::api::{
    Deadline, Desired, HostFault, InjectionSpec, InjectionState, InjectionStatus, Ordinal, Peer, PodRef,
};
use seatrial::host::process::threads::have_stopped;
use seatrial::node::{Channel, Locate, LocatedPod, Options, Order, serve};
use seatrial::undo::guardian::Launch;
use tokio::sync::mpsc;

use crate::again::again;
use crate::node_pod::Pod;
use crate::vm::patient;

/// The folder of a node, in the environment of its process.
const NODE: &str = "SEATRIAL_TEST_NODE";

/// Tells a node that it will hear of everything that is still wanted, however long that takes.
const SUCCESSOR: &str = "SEATRIAL_TEST_SUCCESSOR";

/// What a machine that does much besides is given at least. It is less than the faults of tests last that are to be taken back
/// before their deadline.
const PATIENCE: Duration = Duration::from_secs(20);

/// How long faults last that are to be seen before they end, and whose end is waited for.
pub const BRIEF: Duration = Duration::from_secs(10);

/// What a node says for which a deadline came too early.
const TOO_LATE: [&str; 2] = ["the deadline has passed already", "took until after the deadline"];

/// Waits for a condition for `limit`, or somewhat longer, and says which when it does not come.
pub fn eventually<T>(what: &str, limit: Duration, condition: impl FnMut() -> Option<T>) -> T {
    eventually_each(Duration::from_millis(5), what, limit, condition)
}

/// The same, with a longer pause between two looks that cost something.
pub fn eventually_each<T>(
    pause: Duration,
    what: &str,
    limit: Duration,
    mut condition: impl FnMut() -> Option<T>,
) -> T {
    let limit = patient(limit.max(PATIENCE));
    let until = Instant::now() + limit;
    loop {
        if let Some(value) = condition() {
            return value;
        }
        assert!(Instant::now() < until, "not within {limit:?}: {what}");
        std::thread::sleep(patient(pause));
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
        text.lines().filter_map(|line| serde_json::from_str(line).ok()).collect()
    }

    pub fn status(&self, name: &str) -> Option<InjectionStatus> {
        self.statuses().into_iter().rev().find(|(of, _)| of == name).map(|(_, status)| status)
    }

    /// Whether a node says of a fault that it is made, proven or not: its first status says that it was heard of, and others
    /// that tell of no trouble come only then.
    pub fn is_made(&self, name: &str) -> bool {
        let all = self.statuses();
        all.iter().filter(|(of, status)| of == name && status.error.is_none()).count() > 1
    }

    /// Whether a node says that the deadline of an Injection came before it could begin or was done, as on a disk that is busy.
    pub fn was_too_late(&self, name: &str) -> bool {
        let error = self.status(name).and_then(|status| status.error);
        error.is_some_and(|error| TOO_LATE.iter().any(|words| error.ends_with(words)))
    }

    pub fn await_state(&self, name: &str, state: InjectionState) -> InjectionStatus {
        let until = Instant::now() + patient(PATIENCE);
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
        Self::start_with(folder, &[])
    }

    /// One that is told at once what it shall take over: on a busy machine that takes longer than a node waits that may hear of
    /// nothing.
    pub fn takes_over(folder: &Folder) -> Self {
        Self::start_with(folder, &[(SUCCESSOR, "1")])
    }

    /// One that lacks a capability (capabilities(7)).
    pub fn without(capability: u8, folder: &Folder) -> Self {
        let drop = move || {
            // SAFETY: prctl(2) with plain numbers.
            let dropped =
                unsafe { libc::prctl(libc::PR_CAPBSET_DROP, libc::c_ulong::from(capability), 0, 0, 0) };
            Errno::result(dropped).map(|_| ()).map_err(io::Error::from)
        };
        let mut command = Self::command(folder, &[]);
        // SAFETY: between fork and exec it makes one system call and allocates nothing.
        unsafe { command.pre_exec(drop) };
        Self { child: command.spawn().expect("this test binary can be started") }
    }

    /// One that dies at a named point.
    pub fn dies_at(folder: &Folder, point: &str) -> Self {
        Self::start_with(folder, &[("SEATRIAL_KILL_AT", point)])
    }

    /// One that stops and dies at named points, by the variables for that.
    pub fn start_with(folder: &Folder, points: &[(&str, &str)]) -> Self {
        let mut command = Self::command(folder, points);
        Self { child: command.spawn().expect("this test binary can be started") }
    }

    fn command(folder: &Folder, points: &[(&str, &str)]) -> Command {
        let mut command = again("node_fixture::a_node_that_nobody_gives_orders_ends_and_leaves_nothing");
        command
            .env(NODE, folder.path())
            .env_remove("SEATRIAL_KILL_AT")
            .envs(points.iter().copied())
            .stdin(Stdio::piped())
            .stdout(Stdio::null());
        command
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
        let _ = self.child.stdin.as_mut().expect("piped").write_all(line.as_bytes());
    }

    fn process(&self) -> Pid {
        Pid::from_raw(self.child.id().cast_signed())
    }

    /// Stops it while it is at work on no record of the folder: while it is, it keeps everybody else from that.
    pub fn stop_between_looks(&self, folder: &Folder) {
        eventually("it stops between two looks", PATIENCE, || {
            kill(self.process(), Signal::SIGSTOP).expect("ours");
            // Each of its threads finishes what it asked the kernel for.
            eventually("it stops", PATIENCE, || have_stopped(self.process().as_raw()).then_some(()));
            let is_kept = |path: &PathBuf| File::open(path).is_ok_and(|record| record.try_lock().is_err());
            let is_between = !folder.records().iter().any(is_kept);
            if !is_between {
                self.go_on();
            }
            is_between.then_some(())
        });
    }

    /// Lets it go on.
    pub fn go_on(&self) {
        kill(self.process(), Signal::SIGCONT).expect("ours");
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

impl Drop for Node {
    /// A node that a failed test leaves behind, stopped perhaps, would never end.
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
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
        OpenOptions::new().create(true).append(true).open(self.0.join("statuses"))?.write_all(line.as_bytes())
    }
}

pub struct FileLocate(pub PathBuf);

#[async_trait]
impl Locate for FileLocate {
    async fn pod(&self, injection: &InjectionSpec) -> io::Result<Option<LocatedPod>> {
        match fs::read(self.0.join(format!("pod-{}.json", injection.pod.ordinal))) {
            Ok(text) => Ok(Some(serde_json::from_slice(&text)?)),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(error),
        }
    }
}

pub fn options(undo_dir: PathBuf) -> Options {
    Options {
        undo_dir,
        guardian: Launch::Beside { program: PathBuf::from(env!("CARGO_BIN_EXE_seatrial")), cgroup: None },
        adopt_within: Duration::from_secs(2),
    }
}

/// Serves the orders that come until no more can come.
fn be_the_node(folder: &Path) {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
    let mut options = options(folder.join("undo"));
    if std::env::var_os(SUCCESSOR).is_some() {
        options.adopt_within = Duration::MAX;
    }
    runtime
        .block_on(serve(FileChannel(folder.to_owned()), FileLocate(folder.to_owned()), options))
        .expect("serves");
}

#[test]
fn a_node_that_nobody_gives_orders_ends_and_leaves_nothing() {
    if let Some(folder) = std::env::var_os(NODE) {
        return be_the_node(Path::new(&folder));
    }
    let folder = Folder::new();
    Node::start(&folder).end();
    assert_eq!((folder.records().len(), folder.statuses().len(), guardians(&folder).len()), (0, 0, 0));
}

/// An Injection on ordinal 0 for this long, or somewhat longer: it lasts for more than is waited for what comes before its end.
pub fn injection(name: &str, pod: &Pod, fault: HostFault, lasts: Duration) -> InjectionSpec {
    let lasts = patient(lasts);
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
        deadline: Deadline { at: Timestamp::now() + lasts, within: lasts },
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
        let Some(pid) = entry.file_name().to_str().and_then(|name| name.parse::<i32>().ok()) else {
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
