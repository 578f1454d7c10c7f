use std::process::{Command, Stdio};
use std::time::Duration;

use super::*;

/// For what takes a moment, and longer on a busy machine.
const SOON: Duration = Duration::from_secs(30);

fn sleeper() -> std::process::Child {
    Command::new("sleep").arg("60").stdin(Stdio::null()).spawn().expect("sleep exists everywhere")
}

#[test]
fn a_process_with_another_start_time_is_another_process() {
    let mut child = sleeper();
    let real = ProcessId::of(child.id().cast_signed()).expect("readable").expect("alive");
    let stranger = ProcessId { start: real.start + 1, ..real };
    assert!(stranger.open().expect("readable").is_none());
    assert!(real.open().expect("readable").is_some());
    child.kill().expect("ours");
    child.wait().expect("ours");
}

#[test]
fn a_handle_sees_the_end_of_its_process_even_before_it_is_reaped() {
    let mut child = sleeper();
    let process = ProcessId::of(child.id().cast_signed()).expect("readable").expect("alive");
    let handle = process.open().expect("readable").expect("alive");
    assert!(!handle.wait(Duration::ZERO).expect("pollable"));
    handle.signal(Signal::SIGKILL).expect("ours");
    assert!(handle.wait(SOON).expect("pollable"));
    assert!(!process.is_alive().expect("readable"), "a zombie counts as gone");
    child.wait().expect("ours");
    handle.signal(Signal::SIGKILL).expect("a process that is gone needs no signal");
}

#[test]
fn the_tree_below_a_process_is_found_and_nobody_else() {
    let mut shell = Command::new("sh")
        .args(["-c", "sleep 61 & sleep 62 & wait"])
        .stdin(Stdio::null())
        .spawn()
        .expect("sh exists everywhere");
    let root = ProcessId::of(shell.id().cast_signed()).expect("readable").expect("alive");
    let until = std::time::Instant::now() + SOON;
    let mut tree = descendants(&[root]).expect("readable");
    while tree.len() < 3 && std::time::Instant::now() < until {
        std::thread::yield_now();
        tree = descendants(&[root]).expect("readable");
    }
    assert_eq!(tree.len(), 3, "{tree:?}");
    assert_eq!(tree[0], root, "parents come first");
    for process in tree {
        let handle = process.open().expect("readable").expect("alive");
        handle.signal(Signal::SIGKILL).expect("ours");
    }
    shell.wait().expect("ours");
}
