//! What faults leave in pods and on nodes, looked for from outside: the nodes' processes are processes of this machine.

use std::fs;
use std::path::PathBuf;

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use seatrial::host::nftables;
use seatrial::host::process::ProcessId;

/// The processes of the pod with this UID, the oldest first.
pub fn processes(uid: &str) -> Vec<ProcessId> {
    let is_of_pod =
        |pid: &i32| fs::read_to_string(format!("/proc/{pid}/cgroup")).is_ok_and(|text| text.contains(uid));
    let of_pod = pids().into_iter().filter(is_of_pod);
    let mut found: Vec<ProcessId> = of_pod.filter_map(|pid| ProcessId::of(pid).ok().flatten()).collect();
    found.sort_by_key(|process| process.start);
    found
}

/// What faults have changed in the pod of these processes. One that has ended has nothing left.
pub fn left_in(pod: &str, processes: &[ProcessId]) -> Vec<String> {
    let mut left = Vec::new();
    for process in processes {
        let tables = match nftables::tables_of(process) {
            Ok(tables) => tables,
            Err(_) if !process.is_alive().expect("readable") => continue,
            Err(error) => unreachable!("{pod}: {error}"),
        };
        left.extend(tables.into_iter().map(|table| format!("{pod}: table {table}")));
        left.extend(frozen(process.pid).map(|state| format!("{pod}: {state}")));
    }
    left.sort();
    left.dedup();
    left
}

/// The undo records for Injections of a namespace, on the node of the pod of these processes.
pub fn records(processes: &[ProcessId], namespace: &str) -> Vec<PathBuf> {
    // A container's first process is a child of its shim, who lives in the node's mounts.
    let first = processes.first().and_then(|first| first.stat().ok().flatten()).expect("it runs");
    let folder = format!("/proc/{}/root/var/lib/seatrial/undo", first.parent);
    let Ok(entries) = fs::read_dir(folder) else {
        return Vec::new();
    };
    let ours = format!("{namespace}_");
    let entries = entries.map(|entry| entry.expect("readable"));
    entries
        .filter(|entry| entry.file_name().to_string_lossy().starts_with(&ours))
        .map(|entry| entry.path())
        .collect()
}

fn pids() -> Vec<i32> {
    let entries = fs::read_dir("/proc").expect("readable").filter_map(Result::ok);
    entries.filter_map(|entry| entry.file_name().to_str()?.parse().ok()).collect()
}

/// Processes whose command line has all of these words.
pub fn with_words(words: &[&str]) -> Vec<i32> {
    let has_all = |pid: &i32| {
        let text = fs::read(format!("/proc/{pid}/cmdline")).unwrap_or_default();
        let found: Vec<&[u8]> = text.split(|byte| *byte == 0).collect();
        words.iter().all(|word| found.contains(&word.as_bytes()))
    };
    pids().into_iter().filter(has_all).collect()
}

/// The guardians of Injections of a namespace: its name is at the beginning of their records' names.
pub fn guardians(namespace: &str) -> Vec<i32> {
    let marker = format!("/{namespace}_");
    with_words(&["__guardian"])
        .into_iter()
        .filter(|pid| {
            let text = fs::read(format!("/proc/{pid}/cmdline")).unwrap_or_default();
            String::from_utf8_lossy(&text).contains(&marker)
        })
        .collect()
}

/// Which freezer holds a process, where one does.
pub fn frozen(pid: i32) -> Option<String> {
    let cgroups = fs::read_to_string(format!("/proc/{pid}/cgroup")).unwrap_or_default();
    cgroups.lines().find_map(|line| {
        let (_, place) = line.split_once(':')?;
        let (file, word) = match place.split_once(':')? {
            ("", path) => (format!("/sys/fs/cgroup/unified{path}/cgroup.freeze"), "1"),
            ("freezer", path) => (format!("/sys/fs/cgroup/freezer{path}/freezer.state"), "FROZEN"),
            _ => return None,
        };
        (fs::read_to_string(&file).ok()?.trim() == word).then_some(file)
    })
}

/// SIGKILL to every process of the pod with this UID that has this word in its command line.
pub fn kill_all(uid: &str, word: &str) {
    signal_all(uid, word, Signal::SIGKILL);
}

/// A signal to every process of the pod with this UID that has this word in its command line.
pub fn signal_all(uid: &str, word: &str, signal: Signal) {
    let of_pod = processes(uid).into_iter().map(|process| process.pid);
    let meant: Vec<i32> =
        with_words(&[word]).into_iter().filter(|pid| of_pod.clone().any(|it| it == *pid)).collect();
    assert!(!meant.is_empty(), "pod {uid} has no process `{word}`");
    for pid in meant {
        let _ = kill(Pid::from_raw(pid), signal);
    }
}
