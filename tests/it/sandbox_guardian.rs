//! Guardians outlive what stops the rest of their sandbox.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use jiff::Timestamp;
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use seatrial::api::{Deadline, Desired, HostFault, InjectionSpec, InjectionState, PodRef};
use seatrial::node::Locate;
use seatrial::platform::sandbox::StateDir;
use seatrial::platform::sandbox::client::Client;
use seatrial::platform::{Cluster, Nodes};
use tempfile::TempDir;
use tokio::runtime::Runtime;

use crate::sandbox_fixture::{LIMIT, wait_until};

const MANIFEST: &str = "
apiVersion: v1
kind: Service
metadata: {name: web}
spec:
  clusterIP: None
  selector: {app: web}
---
apiVersion: apps/v1
kind: StatefulSet
metadata: {name: web}
spec:
  serviceName: web
  replicas: 1
  selector: {matchLabels: {app: web}}
  template:
    metadata: {labels: {app: web}}
    spec:
      containers:
        - name: main
          image: busybox
          command: [sh, -c, 'while :; do sleep 0.1; done']
";

/// A cgroup such as a login session or a unit has, with a sandbox in it.
struct Session {
    cgroup: PathBuf,
    state: TempDir,
}

impl Session {
    fn start() -> Self {
        let hybrid = Path::new("/sys/fs/cgroup/unified");
        let root = if hybrid.exists() { hybrid } else { Path::new("/sys/fs/cgroup") };
        let cgroup = root.join(format!("seatrial-session-{}", std::process::id()));
        fs::create_dir(&cgroup).expect("cgroups are writable for root");
        let session = Self { cgroup, state: TempDir::new().expect("a temporary folder can be made") };
        let manifest = session.state.path().join("web.yaml");
        fs::write(&manifest, MANIFEST).expect("the folder is ours");
        let up = Command::new("sh")
            .args(["-c", "echo 0 > \"$0/cgroup.procs\" && exec \"$@\""])
            .arg(&session.cgroup)
            .args([env!("CARGO_BIN_EXE_seatrial"), "sandbox", "up"])
            .arg(&manifest)
            .env("SEATRIAL_STATE", session.state.path())
            .stdin(Stdio::null())
            .output()
            .expect("the program starts");
        assert!(up.status.success(), "{}", String::from_utf8_lossy(&up.stderr));
        session
    }

    fn dir(&self) -> StateDir {
        StateDir::of(self.state.path(), "web").expect("a good name")
    }

    fn freeze(&self, word: &str) {
        fs::write(self.cgroup.join("cgroup.freeze"), word).expect("it is ours");
    }
}

impl Drop for Session {
    fn drop(&mut self) {
        self.freeze("0");
        if let Ok(init) = self.dir().init() {
            let _ = kill(init, Signal::SIGKILL);
        }
        let until = Instant::now() + Duration::from_secs(5);
        while fs::remove_dir(&self.cgroup).is_err() && Instant::now() < until {
            std::thread::sleep(Duration::from_millis(10));
        }
        let _ = Command::new(env!("CARGO_BIN_EXE_seatrial"))
            .args(["sandbox", "down", "web"])
            .env("SEATRIAL_STATE", self.state.path())
            .stderr(Stdio::null())
            .status();
    }
}

#[test]
fn a_guardian_ends_a_pause_though_the_session_of_its_sandbox_is_frozen() {
    let session = Session::start();
    let runtime = Runtime::new().expect("a runtime can be made");
    let client = runtime.block_on(Client::connect(&session.dir())).expect("its init answers");
    let pod = client.snapshots().borrow().pods[0].clone();
    let located = runtime
        .block_on(Locate::pod(&client, &crate::sandbox_platform::injection("located")))
        .expect("init answers")
        .expect("it runs");
    let cgroup = located.containers[0].cgroup.clone().expect("cgroups are writable for root");
    let is_frozen =
        || fs::read_to_string(cgroup.join("cgroup.events")).is_ok_and(|text| text.contains("frozen 1"));
    // Long enough for the pause to be in force and the session frozen before the node would end it.
    let lasts = Duration::from_secs(10);
    let deadline = Instant::now() + lasts;
    let spec = InjectionSpec {
        name: "pause".to_owned(),
        run: "run".to_owned(),
        step: "step".to_owned(),
        occurrence: 0,
        pod: PodRef { name: pod.name, ordinal: 0, uid: pod.uid, node: pod.node },
        container: None,
        fault: HostFault::Pause {},
        desired: Desired::Injected,
        deadline: Deadline { at: Timestamp::now() + lasts, within: lasts },
        follow: false,
    };
    let injected = async {
        let mut statuses = client.statuses().await.expect("init answers");
        client.apply(spec).await.expect("init answers");
        while statuses
            .recv()
            .await
            .expect("init lives")
            .status
            .is_none_or(|status| status.state != InjectionState::Injected)
        {}
    };
    runtime.block_on(async { tokio::time::timeout(LIMIT, injected).await }).expect("the node acts");
    session.freeze("1");
    assert!(is_frozen(), "nobody ended it before the session was frozen, and nobody else is left who could");
    wait_until("the fault is over", || !is_frozen());
    assert!(Instant::now() < deadline + Duration::from_secs(20), "by the deadline, as far as one can tell");
    let init = Pid::from_raw(session.dir().init().expect("known").as_raw());
    assert!(kill(init, None).is_ok(), "and the sandbox is still there");
}
