//! The same experiment more than once, with one seed after the other.

use std::path::Path;
use std::time::{Duration, Instant};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use crate::e2e_fixture::{Desk, Done, LIMIT, Seat, patient_quickstart_with, wait_for_text};
use crate::e2e_recorded::{all_reverted, report_in};

/// The quickstart with a short pause of one member in place of its cut.
fn short() -> String {
    patient_quickstart_with(&[
        ("      for: 8s\n", "      for: 2s\n"),
        ("- name: cut-leader", "- name: pause"),
        ("networkPartition: {isolate: {role: leader}}", "processPause: {members: {ordinals: [2]}}"),
    ])
}

#[test]
fn each_run_has_its_seed_and_its_folder_and_all_of_them_one_table() {
    let _seat = Seat::take();
    let desk = Desk::new();
    desk.write("x.yaml", short());
    let arguments = ["run", "x.yaml", "--seed", "7", "--repeat", "2", "--out", "both"];
    let done = desk.run(&arguments).exits(0);
    for (folder, seed) in [("both/1", 7), ("both/2", 8)] {
        let report = report_in(&desk.path(folder));
        assert_eq!((&report["seed"], &report["verdict"]), (&seed.into(), &"Pass".into()));
        all_reverted(&desk.path(folder));
        assert!(done.err.contains(&format!("seed {seed}, in {folder}")), "{}", done.err);
    }
    let table = done.out.split_once("REPEATED  ").expect("there is a table").1;
    for words in [
        "quickstart  2 times: 2 passed\n",
        "run 1, seed 7: ",
        "run 2, seed 8: ",
        "2 passed\n                recovery        p50 ",
        ", max of 2: ",
        "longest outage  p50 ",
    ] {
        assert!(table.contains(words), "no `{words}` in\n{table}");
    }
    assert_eq!(done.out.matches("PASS  quickstart").count(), 2, "each run says its own, too");
    desk.run(&arguments).exits(2).says("both/1 holds a run already: choose another --out");
}

#[test]
fn what_cannot_be_repeated_is_refused_before_anything_is_started() {
    let desk = Desk::new();
    desk.write("x.yaml", short());
    desk.run(&["run", "x.yaml", "--repeat", "2", "--on", "kubernetes"])
        .exits(2)
        .says("--repeat is for a sandbox");
    desk.run(&["run", "-", "--repeat", "2"]).exits(2).says("standard input can be read once only");
    desk.run(&["run", "x.yaml", "--repeat", "0"]).exits(2);
    desk.write("y.yaml", short().replace("      at: 1s", "      at: 1"));
    let done = desk.run(&["run", "y.yaml", "--repeat", "2", "--out", "none"]).exits(20);
    assert_eq!(done.err.matches("y.yaml:").count(), 1, "told once: {}", done.err);
    assert!(!desk.path("none").exists());
}

#[test]
fn a_series_that_is_stopped_before_its_first_record_is_no_pass() {
    let _seat = Seat::take();
    let desk = Desk::new();
    desk.write("x.yaml", short());
    let child = desk.start(&["run", "x.yaml", "--repeat", "3", "--out", "all"]);
    wait_for(&desk.path("all/1"));
    let pid = Pid::from_raw(child.id().try_into().expect("a process's number"));
    kill(pid, Signal::SIGINT).expect("it is there");
    Done::of(child.wait_with_output().expect("it ends")).exits(12);
    assert!(!desk.path("all/2").exists());
}

/// Waits until there is such a folder.
fn wait_for(folder: &Path) {
    let deadline = Instant::now() + LIMIT;
    while !folder.exists() {
        assert!(Instant::now() < deadline, "no {}", folder.display());
        std::thread::sleep(Duration::from_millis(10));
    }
}

/// What takes a run of its own: `make test-long`.
mod long {
    use super::*;

    #[test]
    fn a_run_that_is_stopped_is_the_last_one() {
        let _seat = Seat::take();
        let desk = Desk::new();
        desk.write("x.yaml", patient_quickstart_with(&[]));
        let child = desk.start(&["run", "x.yaml", "--seed", "7", "--repeat", "3", "--quiet", "--out", "all"]);
        wait_for_text(&desk.path("all/1/journal.jsonl"), "\"began\"");
        let pid = Pid::from_raw(child.id().try_into().expect("a process's number"));
        kill(pid, Signal::SIGTERM).expect("it is there");
        let done = Done::of(child.wait_with_output().expect("it ends")).exits(12);
        assert_eq!(done.out, "Aborted\n", "quiet prints the verdicts alone");
        all_reverted(&desk.path("all/1"));
        assert!(!desk.path("all/2").exists());
    }
}
