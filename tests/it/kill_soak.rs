//! Runs that are killed in the middle of a fault leave nothing in their sandbox, and sandboxes nothing on the host.

use std::collections::BTreeSet;
use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use seatrial::platform::sandbox::StateDir;
use serde_json::Value;
use tempfile::TempDir;

use crate::kill_host::{networks_of, remains};
use crate::sandbox_fixture::wait_until;

const CUT: &str = "networkPartition: {isolate: {role: follower, count: 1}}";
const PAUSE: &str = "processPause: {members: {role: follower, count: 1}}";

/// A fault that is begun a moment after the members are there.
const EXPERIMENT: &str = "
apiVersion: seatrial.dev/v1alpha1
kind: Experiment
metadata: {name: brief}
spec:
  target: {statefulSet: refkv, store: {refkv: {}}}
  workload: {clients: 2, rate: 20}
  baseline: 300ms
  steps:
    - name: cut
      at: 300ms
      for: LASTING
      fault: {FAULT}
  hypothesis:
    - name: no acknowledged write is lost
      sli: {durability: {}}
---
";

fn seatrial(state: &Path) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_seatrial"));
    command.env("SEATRIAL_STATE", state).current_dir(state).stdin(Stdio::null());
    command
}

/// Far longer than it takes to look at everything: nothing of the fault is over while somebody looks, or kills.
const LONG: &str = "5m";

/// The experiment with the StatefulSet of the shipped quickstart.
fn experiment(folder: &Path, fault: &str, lasting: &str) -> PathBuf {
    let quickstart = Path::new(env!("CARGO_MANIFEST_DIR")).join("experiments/quickstart.yaml");
    let text = fs::read_to_string(quickstart).expect("it is shipped");
    let (_, manifests) = text.split_once("\n---\n").expect("the experiment is its first document");
    let file = folder.join("brief.yaml");
    let experiment = EXPERIMENT.replace("FAULT", fault).replace("LASTING", lasting);
    fs::write(&file, format!("{experiment}{manifests}")).expect("the folder is ours");
    file
}

/// A run in a sandbox of its own, on whose journal the fault is in force.
struct Running {
    state: TempDir,
    run: Child,
    sandbox: StateDir,
    networks: BTreeSet<u64>,
}

impl Running {
    fn in_fault(fault: &str, lasting: &str) -> Self {
        let state = TempDir::new().expect("a temporary folder can be made");
        let file = experiment(state.path(), fault, lasting);
        let run = seatrial(state.path())
            .args(["run", "--out", "out"])
            .arg(file)
            .stdout(Stdio::null())
            .stderr(fs::File::create(state.path().join("said")).expect("the folder is ours"))
            .spawn()
            .expect("the program starts");
        let journal = state.path().join("out/journal.jsonl");
        wait_until("the fault is in force", || {
            fs::read_to_string(&journal).is_ok_and(|text| text.contains("\"began\""))
        });
        let sandbox = StateDir::of(state.path(), &format!("run-{}", run.id())).expect("a good name");
        let init = sandbox.init().expect("the sandbox lives");
        let networks = networks_of(init.as_raw());
        assert_eq!(networks.len(), 4, "one of the sandbox and one of each pod");
        assert!(remains(state.path(), &networks).len() > 8, "while it lives, all of it is found");
        Self { state, run, sandbox, networks }
    }

    fn wait_for_nothing(mut self) {
        let (state, networks) = (self.state.path().to_owned(), self.networks.clone());
        wait_until("the run ends", || self.run.try_wait().expect("it is ours").is_some());
        let mut left = Vec::new();
        wait_until("nothing is left", || {
            left = remains(&state, &networks);
            left.is_empty()
        });
        assert!(!self.sandbox.path().exists());
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        // Its sandbox ends with it.
        let _ = self.run.kill();
        let _ = self.run.wait();
    }
}

/// What a soak would see in this sandbox now.
fn look(sandbox: &StateDir) -> Value {
    let mut inspector = Command::new(env!("CARGO_BIN_EXE_seatrial"))
        .arg("__soak-inspect")
        .arg(sandbox.path())
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .expect("the program starts");
    let mut requests = inspector.stdin.take().expect("it is a pipe");
    requests.write_all(b"\n").expect("it reads");
    drop(requests);
    let output = inspector.wait_with_output().expect("it ends");
    serde_json::from_slice(&output.stdout).expect("it answers with JSON")
}

/// How many of each kind of remains there are.
fn counted(look: &Value) -> [usize; 5] {
    ["members", "tables", "frozen", "records", "guardians"].map(|kind| {
        let found = &look[kind];
        found.as_array().map_or_else(|| found.as_object().map_or(0, serde_json::Map::len), Vec::len)
    })
}

fn told(output: &Output) -> String {
    format!(
        "{}\n{}{}",
        output.status,
        String::from_utf8_lossy(&output.stdout),
        String::from_utf8_lossy(&output.stderr)
    )
}

#[test]
fn runs_killed_at_random_moments_leave_nothing() {
    leave_nothing(8);
}

/// What takes longer than continuous integration has: `make test-long`.
mod long {
    #[test]
    fn fifty_runs_killed_at_random_moments_leave_nothing() {
        super::leave_nothing(50);
    }
}

fn leave_nothing(rounds: u32) {
    let state = TempDir::new().expect("a temporary folder can be made");
    let soak = seatrial(state.path())
        .args(["soak", "--rounds", &rounds.to_string(), "--seed", "3"])
        .output()
        .expect("the program runs");
    let said = told(&soak);
    assert_eq!(soak.status.code(), Some(0), "{said}");
    assert!(said.contains(&format!("{rounds} of {rounds} left nothing behind")), "{said}");
    assert_eq!(remains(state.path(), &BTreeSet::new()), Vec::<String>::new(), "{said}");
}

#[test]
fn a_soak_sees_what_is_left_and_ends_with_the_code_of_a_failed_revert() {
    let state = TempDir::new().expect("a temporary folder can be made");
    let soak = seatrial(state.path())
        .args(["soak", "--rounds", "1", "--seed", "3"])
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("the program starts");
    let sandbox = StateDir::of(state.path(), &format!("soak-{}", soak.id())).expect("a good name");
    // It is made once nothing was left of before, and before the run is started that may be killed right away.
    let round = sandbox.path().join("soak/0");
    wait_until("the round has begun", || round.exists());
    fs::write(sandbox.undo().join("planted"), "").expect("the sandbox lives");
    let soak = soak.wait_with_output().expect("it ends");
    let said = told(&soak);
    assert_eq!(soak.status.code(), Some(40), "{said}");
    assert!(said.contains("undo record: planted"), "{said}");
    assert!(said.contains("0 of 1 left nothing behind"), "{said}");
}

#[test]
fn a_look_shows_a_cut_in_force() {
    let running = Running::in_fault(CUT, LONG);
    let look = look(&running.sandbox);
    assert_eq!(counted(&look), [3, 3, 0, 3, 3], "{look:#}");
}

#[test]
fn a_look_shows_a_pause_in_force() {
    let running = Running::in_fault(PAUSE, LONG);
    let look = look(&running.sandbox);
    assert_eq!(counted(&look), [3, 0, 1, 1, 1], "{look:#}");
}

#[test]
fn an_interrupted_soak_takes_its_sandbox_down() {
    let state = TempDir::new().expect("a temporary folder can be made");
    let mut soak = seatrial(state.path())
        .args(["soak", "--rounds", "20"])
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .expect("the program starts");
    let sandbox = StateDir::of(state.path(), &format!("soak-{}", soak.id())).expect("a good name");
    let journal = sandbox.path().join("soak/0/journal.jsonl");
    wait_until("the run has begun", || journal.exists());
    let pid = Pid::from_raw(i32::try_from(soak.id()).expect("pids are small"));
    kill(pid, Signal::SIGINT).expect("it lives");
    let status = soak.wait().expect("it is ours");
    assert_eq!(status.code(), Some(1));
    wait_until("nothing is left", || remains(state.path(), &BTreeSet::new()).is_empty());
}

#[test]
fn a_finished_run_leaves_nothing_on_the_host() {
    Running::in_fault(CUT, "10s").wait_for_nothing();
}

#[test]
fn a_killed_run_takes_its_own_sandbox_with_it() {
    let mut running = Running::in_fault(CUT, LONG);
    running.run.kill().expect("it lives");
    running.wait_for_nothing();
}

#[test]
fn a_run_whose_sandbox_is_killed_ends_and_leaves_nothing() {
    let running = Running::in_fault(CUT, LONG);
    let init = running.sandbox.init().expect("the sandbox lives");
    kill(init, Signal::SIGKILL).expect("init lives");
    running.wait_for_nothing();
}
