//! What keeps an experiment from doing more than it should: the quorum guard, abort conditions, the person.
#![expect(clippy::panic, reason = "a test that cannot go on fails")]

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use serde_json::Value;

use crate::e2e_fixture::{Desk, Done, Seat, patient_quickstart_with, wait_for_text};
use crate::e2e_recorded::{all_reverted, claim, last_states, report_in};

/// Isolates two of three.
const MAJORITY: (&str, &str) = ("isolate: {role: leader}", "isolate: {ordinals: [0, 1]}");

fn run(desk: &Desk, text: &str) -> Done {
    let _seat = Seat::take();
    desk.write("x.yaml", text);
    desk.run(&["run", "x.yaml", "--seed", "7", "--out", "out"])
}

#[test]
fn refuses_to_isolate_two_of_three() {
    let desk = Desk::new();
    let text = patient_quickstart_with(&[MAJORITY]);
    let done = run(&desk, &text).exits(21);
    for words in [
        "3 voters, this cuts 6 links: at most 1 of 3 reach one leader both ways",
        "a majority is 2",
        "spec.guards.allowQuorumLoss: true allows it",
    ] {
        assert!(done.out.contains(words), "no `{words}` in\n{}", done.out);
    }
    assert!(done.out.starts_with("REFUSED"), "{}", done.out);
    assert_eq!(last_states(&desk.path("out")), [], "nothing was injected");
    desk.run(&["plan", "x.yaml"]).exits(21).says("refused").says("allowQuorumLoss");
}

#[test]
fn an_allowed_loss_of_quorum_is_red_for_as_long_as_it_lasts() {
    let desk = Desk::new();
    let text = patient_quickstart_with(&[
        MAJORITY,
        ("longestOutage: 5s", "longestOutage: 2s"),
        ("  guards:\n", "  guards:\n    allowQuorumLoss: true\n"),
    ]);
    run(&desk, &text).exits(10);
    all_reverted(&desk.path("out"));
    let report = report_in(&desk.path("out"));
    let quorum = claim(&report, "quorum");
    assert_eq!(quorum["verdict"], "Fail");
    let red: u64 = quorum["phases"]
        .as_array()
        .expect("phases")
        .iter()
        .filter(|phase| phase["scope"] == "during")
        .flat_map(|phase| phase["outages"].as_array().expect("outages"))
        .map(|outage| nanos(&outage["to"]) - nanos(&outage["from"]))
        .sum();
    let step = &report["steps"][0];
    let cut = nanos(&step["ended"]) - nanos(&step["began"]);
    // A leader that is cut off steps down only after it has missed its followers for a while.
    assert!(red >= cut / 2 && red <= cut + 3_000_000_000, "{red} of {cut}: {quorum:#}");
    let recovery = &quorum["recovery"];
    let lasted = nanos(&recovery["recovered"]) - nanos(&recovery["from"]);
    assert!(lasted > 0 && lasted < 15_000_000_000, "{recovery}");
    for sli in ["durability", "linearizability"] {
        assert_eq!(claim(&report, sli)["verdict"], "Pass", "{report:#}");
    }
}

fn nanos(value: &Value) -> u64 {
    value.as_u64().unwrap_or_else(|| panic!("{value} is no moment"))
}

#[test]
fn a_step_that_hits_nobody_is_no_pass() {
    // A minority of one member is nobody.
    let text = patient_quickstart_with(&[
        ("isolate: {role: leader}", "isolate: {count: minority}"),
        ("networkPartition: {isolate: {count: minority}}", "processPause: {members: {count: minority}}"),
        ("replicas: 3", "replicas: 1"),
        ("--replicas=3", "--replicas=1"),
    ]);
    let desk = Desk::new();
    let done = run(&desk, &text);
    assert!(matches!(done.code, Some(11 | 20 | 21)), "{done:?}");
    assert!(!done.out.contains("PASS"), "{}", done.out);
}

#[test]
fn an_abort_condition_ends_the_run_and_takes_the_fault_back() {
    let desk = Desk::new();
    let text = patient_quickstart_with(&[
        ("for: 8s", "for: 60s"),
        (
            "networkPartition: {isolate: {role: leader}}",
            "processPause: {members: {role: follower, count: 1}}",
        ),
        ("below: 66%, for: 60s", "below: 0.9, for: 1s"),
    ]);
    let done = run(&desk, &text).exits(12);
    assert!(done.out.starts_with("ABORTED") && done.out.contains("podAvailability"), "{}", done.out);
    all_reverted(&desk.path("out"));
}

#[test]
fn ctrl_c_takes_the_fault_back_first() {
    let _seat = Seat::take();
    let desk = Desk::new();
    desk.write("x.yaml", patient_quickstart_with(&[("for: 8s", "for: 60s")]));
    let child = desk.start(&["run", "x.yaml", "--seed", "7", "--out", "out"]);
    wait_for_text(&desk.path("out/journal.jsonl"), "\"effect\":{\"began\"");
    let pid = i32::try_from(child.id()).expect("a pid");
    kill(Pid::from_raw(pid), Signal::SIGINT).expect("it is ours");
    let done = Done::of(child.wait_with_output().expect("it ends")).exits(12);
    assert!(done.out.starts_with("ABORTED") && done.err.contains("interrupted"), "{done:?}");
    all_reverted(&desk.path("out"));
    let kept = std::fs::read_dir(desk.state().join("sandboxes"));
    assert_eq!(kept.into_iter().flatten().count(), 0, "nothing of the sandbox is left");
}
