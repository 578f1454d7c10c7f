//! However a sandbox ends, nothing of it is left on the host.

use std::path::{Path, PathBuf};
use std::process::{Child, Stdio};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use seatrial::platform::sandbox::{Sandbox, SandboxError, StateDir};
use tempfile::TempDir;

use crate::again::again;
use crate::sandbox_fixture::{Fixture, options, shell_set, wait_until, with_claim};

/// What a sandbox named `name` still has on this host.
fn leftovers(name: &str, state: &Path) -> Vec<String> {
    let mut found = Vec::new();
    let folder = state.join("sandboxes").join(name);
    if folder.exists() {
        found.push(folder.display().to_string());
    }
    for root in ["/sys/fs/cgroup", "/sys/fs/cgroup/unified", "/sys/fs/cgroup/blkio"] {
        let cgroups = std::fs::read_dir(Path::new(root).join("seatrial"));
        for cgroup in cgroups.into_iter().flatten().flatten() {
            let folder = cgroup.file_name().to_string_lossy().into_owned();
            // `NAME-DEVICE-INODE`
            if folder.rsplitn(3, '-').nth(2) == Some(name) {
                found.push(cgroup.path().display().to_string());
            }
        }
    }
    for device in std::fs::read_dir("/sys/block").expect("sysfs is mounted").flatten() {
        let backing = std::fs::read_to_string(device.path().join("loop/backing_file")).unwrap_or_default();
        if backing.contains(&format!("/sandboxes/{name}/")) {
            found.push(backing);
        }
    }
    for process in std::fs::read_dir("/proc").expect("proc is mounted").flatten() {
        let command = std::fs::read_to_string(process.path().join("cmdline")).unwrap_or_default();
        if command.contains(&format!("/sandboxes/{name}\0")) {
            found.push(command);
        }
    }
    found
}

fn wait_for_nothing(name: &str, state: &Path) {
    wait_until("nothing is left", || leftovers(name, state).is_empty());
}

#[test]
fn stop_leaves_nothing() {
    let mut fixture = Fixture::up("end-stop", with_claim(shell_set(2, "exec sleep 1000")));
    fixture.wait_ready();
    assert!(!leftovers("end-stop", fixture.state.path()).is_empty());
    fixture.sandbox.take().expect("it runs").stop().expect("it can be stopped");
    assert_eq!(leftovers("end-stop", fixture.state.path()), Vec::<String>::new());
}

#[test]
fn killed_init_leaves_nothing() {
    let fixture = Fixture::up("end-init", with_claim(shell_set(2, "exec sleep 1000")));
    fixture.wait_ready();
    let init = fixture.sandbox().dir().init().expect("init's pid is known");
    kill(init, Signal::SIGKILL).expect("init lives");
    wait_for_nothing("end-init", fixture.state.path());
}

#[test]
fn a_sandbox_whose_folder_was_removed_leaves_nothing() {
    let fixture = Fixture::up("end-folder", with_claim(shell_set(1, "exec sleep 1000")));
    fixture.wait_ready();
    let init = fixture.sandbox().dir().init().expect("init's pid is known");
    std::fs::remove_dir_all(fixture.sandbox().dir().path()).expect("root may remove it");
    kill(init, Signal::SIGKILL).expect("init lives");
    wait_for_nothing("end-folder", fixture.state.path());
}

#[test]
fn killed_sweeper_ends_the_sandbox_and_the_next_look_sweeps() {
    let fixture = Fixture::up("end-sweep", with_claim(shell_set(1, "exec sleep 1000")));
    fixture.wait_ready();
    let init = fixture.sandbox().dir().init().expect("init's pid is known");
    let sweeper = std::fs::read_to_string(format!("/proc/{init}/stat")).expect("init lives");
    let parent = sweeper.rsplit(") ").next().and_then(|rest| rest.split(' ').nth(1)).map(str::to_owned);
    let sweeper = Pid::from_raw(parent.and_then(|pid| pid.parse().ok()).expect("stat has the parent"));
    kill(sweeper, Signal::SIGKILL).expect("the sweeper lives");
    wait_until("its processes are gone", || !fixture.sandbox().dir().is_alive());
    assert_eq!(Sandbox::list(fixture.state.path()), []);
    wait_for_nothing("end-sweep", fixture.state.path());
}

/// In a process that was started for it: makes a sandbox and waits to be killed, or leaves it behind where it is kept.
/// Says whether this is such a process.
fn has_held() -> bool {
    let Some(state) = std::env::var_os("HOLD_STATE").map(PathBuf::from) else {
        return false;
    };
    let name = std::env::var("HOLD_NAME").expect("the other test says under which name");
    let mut options = options(&name, &state);
    options.keep = std::env::var_os("HOLD_KEEP").is_some();
    let keep = options.keep;
    let _sandbox =
        Sandbox::up(with_claim(shell_set(1, "exec sleep 1000")), Vec::new(), options).expect("it starts");
    if !keep {
        std::thread::sleep(std::time::Duration::from_mins(10));
    }
    true
}

fn start_holding(name: &str, state: &Path, keep: bool) -> Child {
    let mut command = again("sandbox_end::sandbox_ends_with_a_run_that_is_killed");
    command.env("HOLD_STATE", state).env("HOLD_NAME", name).stdout(Stdio::null());
    if keep {
        command.env("HOLD_KEEP", "1");
    }
    command.spawn().expect("the test program starts")
}

#[test]
fn sandbox_ends_with_a_run_that_is_killed() {
    if has_held() {
        return;
    }
    let state = TempDir::new().expect("a temporary folder can be made");
    let mut run = start_holding("end-run", state.path(), false);
    let dir = StateDir::of(state.path(), "end-run").expect("a good name");
    wait_until("it runs", || dir.socket().exists());
    run.kill().expect("it runs");
    run.wait().expect("it was killed");
    wait_for_nothing("end-run", state.path());
}

#[test]
fn kept_sandbox_outlives_its_maker_until_it_is_taken_down() {
    let state = TempDir::new().expect("a temporary folder can be made");
    assert!(start_holding("end-kept", state.path(), true).wait().expect("it ends").success());
    let listed = Sandbox::list(state.path());
    assert_eq!((listed.len(), listed[0].is_alive), (1, true));
    Sandbox::attach(state.path(), "end-kept").expect("it runs");
    let again = Sandbox::up(shell_set(1, "exec sleep 1"), Vec::new(), options("end-kept", state.path()));
    assert!(matches!(again, Err(SandboxError::Exists(name)) if name == "end-kept"));
    Sandbox::down(state.path(), "end-kept").expect("it can be taken down");
    assert_eq!(leftovers("end-kept", state.path()), Vec::<String>::new());
    assert!(matches!(Sandbox::down(state.path(), "end-kept"), Err(SandboxError::Absent(_))));
}

#[test]
fn kept_sandbox_that_died_keeps_its_volumes_until_it_is_taken_down() {
    let state = TempDir::new().expect("a temporary folder can be made");
    assert!(start_holding("end-dead", state.path(), true).wait().expect("it ends").success());
    let dir = StateDir::of(state.path(), "end-dead").expect("a good name");
    let image = dir.volumes().join("data-web-0.img");
    wait_until("the volume is there", || image.exists());
    kill(dir.init().expect("init's pid is known"), Signal::SIGKILL).expect("init lives");
    wait_until("it is dead", || !dir.is_alive());
    let listed = Sandbox::list(state.path());
    assert_eq!((listed.len(), listed[0].is_alive), (1, false));
    assert!(image.exists());
    let again = Sandbox::up(shell_set(1, "exec sleep 1"), Vec::new(), options("end-dead", state.path()));
    assert!(matches!(again, Err(SandboxError::Dead(_))));
    Sandbox::down(state.path(), "end-dead").expect("it can be taken down");
    assert_eq!(leftovers("end-dead", state.path()), Vec::<String>::new());
}

#[test]
fn two_sandboxes_do_not_disturb_each_other() {
    let spec = || with_claim(shell_set(2, "exec sleep 1000"));
    let (one, other) = (Fixture::up("end-one", spec()), Fixture::up("end-other", spec()));
    one.wait_ready();
    other.wait_ready();
    let before = other.pod(0);
    drop(one);
    assert_eq!(other.pod(0), before);
    assert!(other.locate(0).volumes[0].device.is_some());
}

#[test]
fn refuses_a_name_that_is_no_host_name() {
    let state = TempDir::new().expect("a temporary folder can be made");
    for name in ["", "Upper", "a/b", "..", "-a", "a-", "under_score"] {
        let refused = Sandbox::up(shell_set(1, "exec sleep 1"), Vec::new(), options(name, state.path()));
        assert!(matches!(refused, Err(SandboxError::Name(_))), "{name}");
    }
}
