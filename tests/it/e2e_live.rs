//! Somebody undoes a fault behind the run's back: it must notice, and never answer with a Pass.

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use crate::e2e_fixture::{Desk, Done, Seat, patient_quickstart_with, text_of, wait_for_text};
use crate::e2e_recorded::report_in;

/// Starts a kept sandbox and an experiment in it, meddles once the fault is in force, and waits for the end.
fn meddled(desk: &Desk, experiment: &str, meddle: impl FnOnce()) -> Done {
    let _seat = Seat::take();
    desk.write("x.yaml", experiment);
    desk.run(&["sandbox", "up", "x.yaml", "--name", "dev"]).exits(0);
    let child = desk.start(&["run", "x.yaml", "--sandbox", "dev", "--seed", "7", "--out", "out"]);
    wait_for_text(&desk.path("out/journal.jsonl"), "\"effect\":{\"began\"");
    meddle();
    let done = Done::of(child.wait_with_output().expect("it ends"));
    desk.run(&["sandbox", "ls"]).exits(0).says("running");
    desk.run(&["revert", "dev"]).exits(0).says("nothing was injected");
    desk.run(&["sandbox", "down", "dev"]).exits(0);
    done
}

/// The sandbox's cgroups that somebody wants frozen.
fn frozen(desk: &Desk) -> Vec<PathBuf> {
    let setup = text_of(&desk.state().join("sandboxes/dev/setup.json"));
    let setup: serde_json::Value = serde_json::from_str(&setup).expect("it is JSON");
    let root = PathBuf::from(setup["cgroup"].as_str().expect("there are cgroups"));
    let mut found = Vec::new();
    let mut folders = vec![root];
    while let Some(folder) = folders.pop() {
        let entries = std::fs::read_dir(&folder).into_iter().flatten().flatten();
        folders.extend(entries.map(|entry| entry.path()).filter(|path| path.is_dir()));
        if std::fs::read_to_string(folder.join("cgroup.freeze")).is_ok_and(|text| text.trim() == "1") {
            found.push(folder);
        }
    }
    found
}

/// Processes of this sandbox's node and guardians, by what they were started with.
fn node_and_guardians(state: &Path) -> Vec<Pid> {
    let ours = state.display().to_string();
    let processes = std::fs::read_dir("/proc").expect("proc is mounted").flatten();
    processes
        .filter_map(|entry| {
            let pid = entry.file_name().to_str()?.parse().ok()?;
            let command = std::fs::read(entry.path().join("cmdline")).ok()?;
            let command = String::from_utf8_lossy(&command).into_owned();
            let is_one = command.contains("\0__node\0") || command.contains("\0__guardian\0");
            (is_one && command.contains(&ours)).then(|| Pid::from_raw(pid))
        })
        .collect()
}

#[test]
fn thawing_behind_its_back_is_noticed() {
    let desk = Desk::new();
    let experiment = patient_quickstart_with(&[(
        "networkPartition: {isolate: {role: leader}}",
        "processPause: {members: {role: follower, count: 1}}",
    )]);
    let done = meddled(&desk, &experiment, || {
        let frozen = frozen(&desk);
        assert_eq!(frozen.len(), 1, "{frozen:?}");
        std::fs::write(frozen[0].join("cgroup.freeze"), "0").expect("root may thaw");
    })
    .exits(11);
    let report = report_in(&desk.path("out"));
    let why = report["steps"][0]["unproven"].as_str().expect("it is not proven");
    assert!(why.contains("s into the run"), "no time in `{why}`");
    assert!(why.contains("its cgroup is not frozen: expected `frozen 1`"), "{why}");
    assert!(done.out.contains(why), "{}", done.out);
}

#[test]
fn a_partition_that_vanishes_is_noticed() {
    let desk = Desk::new();
    // How long the group is without a leader that comes and goes is not what is asked here.
    let any_outage =
        [("longestOutage: 5s", "longestOutage: 1m"), ("recoverWithin: 15s", "recoverWithin: 1m")];
    let done = meddled(&desk, &patient_quickstart_with(&any_outage), || {
        let ours = node_and_guardians(desk.state());
        // One guardian for each of three ends, and the node.
        assert!(ours.len() >= 2, "{ours:?}");
        // Their death removes the table. A node that is started again makes it anew, so that this goes on for long
        // enough to matter.
        let until = Instant::now() + Duration::from_secs(3);
        while Instant::now() < until {
            for pid in node_and_guardians(desk.state()) {
                let _ = kill(pid, Signal::SIGKILL);
            }
            std::thread::sleep(Duration::from_millis(20));
        }
    });
    assert_eq!(done.code, Some(11), "{done:#?}");
    let report = report_in(&desk.path("out"));
    let why = report["steps"][0]["unproven"].as_str().expect("it is not proven");
    assert!(why.contains("s into the run"), "no time in `{why}`");
    assert!(done.out.contains(why), "{}", done.out);
}
