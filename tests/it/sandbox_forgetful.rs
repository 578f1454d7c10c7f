//! Claims that are forgetful volumes: what a sandbox keeps of them, however something ends.

use std::collections::BTreeSet;
use std::fs;
use std::path::PathBuf;
use std::time::Duration;

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use seatrial::api::{Deadline, HostFault, InjectionState};
use seatrial::platform::Nodes;
use seatrial::platform::sandbox::ClaimsOf;
use seatrial::platform::sandbox::pod_spec::EmptyDir;
use tempfile::TempDir;

use crate::sandbox_fixture::{Fixture, LIMIT, options, shell_set, wait_until, with_claim};
use crate::sandbox_platform::injection;

/// It syncs one file and writes to another one, which it never syncs, until it is stopped; on its start it says what it has.
const SCRIPT: &str = "echo start; cat /data/synced /data/unsynced 2>/dev/null; echo kept > /data/synced; sync /data/synced; \
                      n=0; while :; do n=$((n+1)); echo $n >> /data/unsynced; echo wrote $n; sleep 0.01; done";

/// A sandbox of one pod whose claim is a forgetful volume.
fn sandbox(name: &str) -> Fixture {
    let state = TempDir::new().expect("a temporary folder can be made");
    let mut options = options(name, state.path());
    let folder = state.path().join("sandboxes").join(name);
    options.node = Some(vec!["__node".to_owned(), folder.display().to_string()]);
    options.forgetful = BTreeSet::from([ClaimsOf { set: "web".to_owned(), template: "data".to_owned() }]);
    let fixture = Fixture::with(state, with_claim(shell_set(1, SCRIPT)), options);
    fixture.wait_ready();
    fixture.wait_log("web-0", "main", "wrote 20\n");
    fixture
}

impl Fixture {
    /// The processes that serve volumes of this sandbox.
    fn servers(&self) -> Vec<Pid> {
        let state = self.state.path().display().to_string();
        let processes = fs::read_dir("/proc").expect("proc is mounted").flatten();
        let serving = processes.filter_map(|entry| {
            let command = fs::read_to_string(entry.path().join("cmdline")).ok()?;
            let is_one = command.contains("__sandbox-volume") && command.contains(&state);
            is_one.then(|| entry.file_name().to_str()?.parse().ok().map(Pid::from_raw)).flatten()
        });
        serving.collect()
    }

    fn wait_restart(&self, restarts: u32) {
        self.wait_for("the restart", |now| {
            now.pod(0).is_some_and(|pod| pod.ready && pod.containers[0].restarts == restarts)
        });
    }

    /// What the program said before its last start, and since.
    fn said(&self) -> (String, String) {
        let log = self.log("web-0", "main");
        let (before, since) = log.rsplit_once("start\n").expect("it starts by saying so");
        (before.to_owned(), since.to_owned())
    }
}

/// The numbers that it wrote, by its own word.
fn written(said: &str) -> Vec<&str> {
    said.lines().filter_map(|line| line.strip_prefix("wrote ")).collect()
}

fn power_loss(fixture: &Fixture, torn: Option<u32>) -> String {
    let mut spec = injection("run.step.0.0");
    spec.pod.uid = fixture.pod(0).uid;
    spec.fault = HostFault::PowerLoss { claims: Vec::new(), torn };
    let within = Duration::from_mins(1);
    spec.deadline = Deadline { at: jiff::Timestamp::now() + within, within };
    let status = fixture.runtime.block_on(async {
        let mut statuses = fixture.client.statuses().await.expect("the watch opens");
        fixture.client.apply(spec).await.expect("init takes it");
        let settled = async {
            loop {
                let injection = statuses.recv().await.expect("the watch is open");
                match injection.status {
                    Some(status) if status.state != InjectionState::Pending => return status,
                    Some(_) | None => {}
                }
            }
        };
        tokio::time::timeout(LIMIT, settled).await.expect("the node acts")
    });
    assert_eq!((status.state, status.error), (InjectionState::Injected, None), "{}", fixture.all_logs());
    status.proof.expect("proven").observed
}

#[test]
fn a_power_loss_loses_or_tears_what_was_not_synced_and_says_how_much() {
    for torn in [None, Some(1), Some(2)] {
        let fixture = sandbox("torn");
        let observed = power_loss(&fixture, torn);
        assert!(observed.contains("volume data: synced marker there"), "{observed}");
        let told = observed.split_once("unsynced writes: ").expect("it says how much").1;
        let writes: u64 = told.split(',').next().and_then(|count| count.parse().ok()).expect("a number");
        assert!(writes >= 20, "{observed}");
        if torn.is_none() {
            assert!(told.contains(", torn: 0, sectors kept: 0, lost: "), "{observed}");
        }
        fixture.wait_restart(1);
        fixture.wait_log("web-0", "main", "start\nkept\n");
        let (before, after) = fixture.said();
        let found: Vec<&str> = after.lines().skip(1).take_while(|line| !line.starts_with("wrote")).collect();
        let before = written(&before);
        assert!(found.len() <= before.len() + 1, "{found:?} of {before:?}");
        if torn.is_none() {
            assert_eq!(found, Vec::<&str>::new(), "nobody synced it");
        }
        let markers = fixture.locate(0).volumes[0].path.clone();
        let init = fixture.sandbox().dir().init().expect("init's pid is known");
        let markers =
            PathBuf::from(format!("/proc/{init}/root")).join(markers.strip_prefix("/").expect("absolute"));
        let left = fs::read_dir(markers).expect("readable").flatten();
        let left = left.filter(|entry| entry.file_name().to_string_lossy().starts_with(".seatrial"));
        assert_eq!(left.count(), 0, "the markers are removed");
    }
}

#[test]
fn a_volume_whose_server_dies_is_mounted_again_with_what_was_synced() {
    let fixture = sandbox("served");
    let [server] = fixture.servers()[..] else { panic!("one volume has one server") };
    kill(server, Signal::SIGKILL).expect("it lives");
    fixture.wait_restart(1);
    fixture.wait_log("web-0", "main", "start\nkept\n");
    let (_, after) = fixture.said();
    assert!(after.lines().nth(1).is_none_or(|line| line == "wrote 1"), "nobody synced it: {after}");
    assert_ne!(fixture.servers(), [server]);
}

#[test]
fn a_pod_that_cannot_have_another_volume_keeps_no_claim_mounted() {
    let state = TempDir::new().expect("a temporary folder can be made");
    let mut options = options("half", state.path());
    options.forgetful = BTreeSet::from([ClaimsOf { set: "web".to_owned(), template: "data".to_owned() }]);
    let mut spec = with_claim(shell_set(1, SCRIPT));
    // No folder has such a name.
    let impossible = EmptyDir { name: "zero\0byte".to_owned(), in_memory: false, size: None };
    spec.pod.empty_dirs.push(impossible);
    let fixture = Fixture::with(state, spec, options);
    wait_until("it is tried again", || fixture.all_logs().matches("the pod sandbox failed").count() >= 3);
    // One that was told to end may be there still when the next try begins; of those of all tries three would stay.
    wait_until("each try ends what it began", || fixture.servers().len() <= 1);
}

#[test]
fn a_killed_process_and_a_deleted_pod_lose_nothing() {
    let fixture = sandbox("killed");
    let uid = fixture.pod(0).uid;
    let holder = fixture.pid_outside(fixture.locate(0).holder);
    kill(holder, Signal::SIGKILL).expect("it lives");
    fixture.wait_restart(1);
    fixture.wait_log("web-0", "main", "start\nkept\n1\n2\n3\n");
    fixture
        .runtime
        .block_on(seatrial::platform::Cluster::delete_pod(&fixture.client, 0, None))
        .expect("there");
    fixture.wait_for("another pod", |now| now.pod(0).is_some_and(|pod| pod.uid != uid && pod.ready));
    wait_until("it says what it has", || {
        fixture.log("web-0", "main").matches("start\nkept\n1\n2\n3\n").count() == 2
    });
}

#[test]
fn nothing_of_a_volume_is_left_however_its_sandbox_ends() {
    let fixture = sandbox("gone");
    let servers = fixture.servers();
    assert_eq!(servers.len(), 1);
    // A server that does not answer keeps nobody.
    kill(servers[0], Signal::SIGSTOP).expect("it lives");
    let state = fixture.state.path().display().to_string();
    kill(fixture.sandbox().dir().init().expect("init's pid is known"), Signal::SIGKILL).expect("it lives");
    wait_until("no server", || fixture.servers().is_empty());
    wait_until("no folder", || !fixture.state.path().join("sandboxes/gone").exists());
    let mounts = fs::read_to_string("/proc/self/mountinfo").expect("readable");
    assert!(!mounts.contains(&state), "{mounts}");
}
