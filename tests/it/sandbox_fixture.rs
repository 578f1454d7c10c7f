//! A sandbox for one test, with a small StatefulSet, removed at the end.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::time::Duration;

use nix::unistd::Pid;
use seatrial::api::{self, Ordinal, Snapshot};
use seatrial::node::{Locate, LocatedPod};
use seatrial::platform::Cluster;
use seatrial::platform::sandbox::client::Client;
use seatrial::platform::sandbox::pod_spec::{
    ClaimTemplate, Container, EnvValue, EnvVar, FieldPath, Limits, Mount, PodTemplate, Probe, ProbeCheck,
    Rights, SetSpec, StartOrder,
};
use seatrial::platform::sandbox::{Options, Sandbox};
use tempfile::TempDir;
use tokio::runtime::Runtime;

/// How long anything may take here; far more than it does. Whole runs are waited for, back-offs of ten seconds, and a database
/// that is made.
pub const LIMIT: Duration = Duration::from_mins(2);

/// Removes the sandbox when the test ends, however it ends.
pub struct Fixture {
    pub state: TempDir,
    pub sandbox: Option<Sandbox>,
    pub client: Client,
    pub runtime: Runtime,
}

impl Fixture {
    pub fn up(name: &str, spec: SetSpec) -> Self {
        let state = TempDir::new().expect("a temporary folder can be made");
        let options = options(name, state.path());
        Self::with(state, spec, options)
    }

    pub fn with(state: TempDir, spec: SetSpec, options: Options) -> Self {
        Self::with_others(state, spec, Vec::new(), options)
    }

    /// A sandbox of several StatefulSets, whose client is of the first one.
    pub fn with_others(state: TempDir, spec: SetSpec, others: Vec<SetSpec>, options: Options) -> Self {
        let sandbox = Sandbox::up(spec, others, options).expect("the sandbox starts");
        let runtime = Runtime::new().expect("a runtime can be made");
        let client = runtime.block_on(Client::connect(sandbox.dir())).expect("its init answers");
        Self { state, sandbox: Some(sandbox), client, runtime }
    }

    pub fn sandbox(&self) -> &Sandbox {
        self.sandbox.as_ref().expect("the sandbox was not stopped")
    }

    pub fn wait_ready(&self) {
        let ready = self.runtime.block_on(self.client.wait_ready(LIMIT));
        assert!(ready.is_ok(), "{ready:?}\n{}", self.all_logs());
    }

    /// Waits until a snapshot is as wanted.
    pub fn wait_for(&self, what: &str, wanted: impl FnMut(&Snapshot) -> bool) -> Snapshot {
        let mut snapshots = self.client.snapshots();
        let found = self.runtime.block_on(async {
            tokio::time::timeout(LIMIT, snapshots.wait_for(wanted))
                .await
                .map(|found| found.map(|now| now.clone()))
        });
        let last = self.client.snapshots().borrow().clone();
        assert!(matches!(found, Ok(Ok(_))), "{what}: not within {LIMIT:?}; the last snapshot: {last:#?}");
        found.expect("it was just looked at").expect("it was just looked at")
    }

    pub fn pod(&self, ordinal: Ordinal) -> api::Pod {
        self.client.snapshots().borrow().pod(ordinal).expect("the pod exists").clone()
    }

    /// Every log of the sandbox, for the message of a failed test.
    pub fn all_logs(&self) -> String {
        let find = Command::new("find").arg(self.sandbox().dir().path()).args(["-name", "*.log"]).output();
        let paths = String::from_utf8_lossy(&find.expect("find runs").stdout).into_owned();
        let show = |path: &str| format!("== {path}\n{}", std::fs::read_to_string(path).unwrap_or_default());
        paths.lines().map(show).collect()
    }

    pub fn log(&self, pod: &str, container: &str) -> String {
        let path = self.sandbox().logs_dir().join(pod).join(format!("{container}.log"));
        std::fs::read_to_string(path).unwrap_or_default()
    }

    /// Waits until a log says so.
    pub fn wait_log(&self, pod: &str, container: &str, text: &str) {
        let deadline = std::time::Instant::now() + LIMIT;
        while !self.log(pod, container).contains(text) {
            let is_late = std::time::Instant::now() >= deadline;
            assert!(!is_late, "no `{text}` in the log of {pod}/{container}\n{}", self.all_logs());
            std::thread::sleep(Duration::from_millis(10));
        }
    }

    pub fn locate(&self, ordinal: Ordinal) -> LocatedPod {
        let mut wanted = crate::sandbox_platform::injection("located");
        wanted.pod.name = format!("{}-{ordinal}", self.client.snapshots().borrow().name);
        wanted.pod.ordinal = ordinal;
        let found = self.runtime.block_on(Locate::pod(&self.client, &wanted));
        found.expect("init answers").expect("the pod is there")
    }

    /// The pid in the test's namespace of a process of the sandbox.
    pub fn pid_outside(&self, pid: i32) -> Pid {
        let init = self.sandbox().dir().init().expect("init's pid is known");
        let wanted = std::fs::read_link(format!("/proc/{init}/ns/pid")).expect("init lives");
        let processes = std::fs::read_dir("/proc").expect("proc is mounted").flatten();
        let of_sandbox = processes.filter_map(|entry| {
            let status = std::fs::read_to_string(entry.path().join("status")).ok()?;
            let numbers = status.lines().find_map(|line| line.strip_prefix("NSpid:"))?;
            let numbers: Vec<i32> =
                numbers.split_whitespace().filter_map(|number| number.parse().ok()).collect();
            // The first is ours, the second the sandbox's; only a process in or below its pid namespace has that.
            let is_it = numbers.len() > 1 && numbers[1] == pid && is_below(numbers[0], init.as_raw());
            is_it.then(|| Pid::from_raw(numbers[0]))
        });
        let found: Vec<Pid> = of_sandbox.collect();
        assert_eq!(found.len(), 1, "one process has pid {pid} in {}", wanted.display());
        found[0]
    }

    /// Runs a program in the sandbox's network, in a process of its own.
    pub fn in_network(&self, program: &[&str]) -> Output {
        let init = self.sandbox().dir().init().expect("init's pid is known");
        Command::new("nsenter")
            .arg(format!("--net=/proc/{init}/ns/net"))
            .args(program)
            .output()
            .expect("nsenter runs")
    }
}

/// Waits until something is so.
pub fn wait_until(what: &str, mut is_so: impl FnMut() -> bool) {
    let deadline = std::time::Instant::now() + LIMIT;
    while !is_so() {
        assert!(std::time::Instant::now() < deadline, "not within {LIMIT:?}: {what}");
        std::thread::sleep(Duration::from_millis(10));
    }
}

/// Whether `pid` descends from `ancestor`.
fn is_below(pid: i32, ancestor: i32) -> bool {
    let mut pid = pid;
    while pid > 1 {
        if pid == ancestor {
            return true;
        }
        let status = std::fs::read_to_string(format!("/proc/{pid}/status")).unwrap_or_default();
        let parent = status.lines().find_map(|line| line.strip_prefix("PPid:"));
        pid = parent.and_then(|parent| parent.trim().parse().ok()).unwrap_or(0);
    }
    false
}

impl Drop for Fixture {
    fn drop(&mut self) {
        if let Some(sandbox) = self.sandbox.take() {
            let _ = sandbox.stop();
        }
    }
}

/// Names the program for a test that runs as another user.
pub const PROGRAM: &str = "SEATRIAL_TEST_PROGRAM";

fn program() -> PathBuf {
    std::env::var_os(PROGRAM).map_or_else(|| env!("CARGO_BIN_EXE_seatrial").into(), PathBuf::from)
}

pub fn options(name: &str, state: &Path) -> Options {
    Options {
        name: name.to_owned(),
        state_root: state.to_owned(),
        keep: false,
        program: program(),
        node: None,
        forgetful: std::collections::BTreeSet::new(),
    }
}

/// A StatefulSet `web` of one container `main` that runs a shell script.
pub fn shell_set(replicas: u32, script: &str) -> SetSpec {
    SetSpec {
        name: "web".to_owned(),
        namespace: "default".to_owned(),
        service: "web".to_owned(),
        publish_not_ready: false,
        service_ports: Vec::new(),
        replicas,
        first_ordinal: 0,
        start: StartOrder::Parallel,
        min_ready: Duration::ZERO,
        pod: PodTemplate {
            labels: BTreeMap::new(),
            annotations: BTreeMap::new(),
            service_account: "default".to_owned(),
            init_containers: Vec::new(),
            containers: vec![shell("main", script)],
            empty_dirs: Vec::new(),
            shown_volumes: Vec::new(),
            grace: Duration::from_secs(2),
            hostname_is_fqdn: false,
            fs_group: None,
            fs_group_of_root: false,
            strict_groups: false,
            supplemental_groups: Vec::new(),
        },
        claims: Vec::new(),
        images: Vec::new(),
        secrets: Vec::new(),
        config_maps: Vec::new(),
    }
}

pub fn shell(name: &str, script: &str) -> Container {
    Container {
        name: name.to_owned(),
        image: None,
        argv: vec!["sh".to_owned(), "-c".to_owned(), script.to_owned()],
        working_dir: None,
        env: vec![EnvVar { name: "POD_IP".to_owned(), value: EnvValue::Field(FieldPath::PodIp) }],
        mounts: Vec::new(),
        run_as_user: None,
        run_as_group: None,
        ports: BTreeMap::new(),
        readiness: None,
        liveness: None,
        startup: None,
        rights: Rights::default(),
        limits: Limits::default(),
        is_sidecar: false,
        post_start: None,
        pre_stop: None,
        stop_signal: None,
    }
}

/// A claim `data` of 512 MiB, mounted at `/data`.
pub fn with_claim(mut spec: SetSpec) -> SetSpec {
    spec.claims.push(ClaimTemplate { name: "data".to_owned(), size: 512 << 20 });
    spec.pod.containers[0].mounts.push(mount("data", "/data"));
    spec
}

pub fn mount(volume: &str, path: &str) -> Mount {
    Mount { volume: volume.to_owned(), path: PathBuf::from(path), sub_path: None, read_only: false }
}

pub fn probe(check: ProbeCheck) -> Probe {
    Probe {
        check,
        initial_delay: Duration::ZERO,
        period: Duration::from_secs(1),
        timeout: Duration::from_secs(1),
        success_threshold: 1,
        failure_threshold: 3,
    }
}
