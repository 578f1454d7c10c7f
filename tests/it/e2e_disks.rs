//! How full volumes are and what they do, in a sandbox: seen green, and red by the fault that makes it so.

use serde_json::Value;

use crate::e2e_fixture::{Desk, Done, Seat, quickstart_with};
use crate::e2e_recorded::{claim, last_states, report_in};

/// A follower's disk, and both claims. How long its volume does next to nothing is bounded, not the mean of the whole time of
/// the fault, in which what it does before the freeze counts as well.
fn experiment(fault: &str) -> String {
    let claims = "hypothesis:
    - name: nobody runs out of room
      sli: {diskUsage: {}}
    - name: volumes go on working
      sli: {volumeIops: {claims: [data]}}
      before: {min: 1}
      during: {min: 25, longestOutage: 4s}
    - name: replaced";
    quickstart_with(&[
        ("networkPartition: {isolate: {role: leader}}", fault),
        (
            "hypothesis:\n    - name: a majority keeps one leader, with at most five seconds to elect it",
            claims,
        ),
        ("after: {maxIncrease: 10x}", "after: {max: 1m}"),
    ])
}

fn run(desk: &Desk, fault: &str) -> Done {
    let _seat = Seat::take();
    desk.write("x.yaml", experiment(fault));
    desk.run(&["run", "x.yaml", "--seed", "7", "--out", "out"])
}

fn verdicts(report: &Value) -> [&str; 2] {
    ["diskUsage", "volumeIops"].map(|sli| claim(report, sli)["verdict"].as_str().expect("a verdict"))
}

#[test]
fn half_full_disks_that_work_pass_and_measuring_is_no_fault() {
    let desk = Desk::new();
    run(&desk, "diskFill: {members: {role: follower, count: 1}, to: {percent: 60}}").exits(0);
    let report = report_in(&desk.path("out"));
    assert_eq!(verdicts(&report), ["Pass", "Pass"]);
    let highest = claim(&report, "diskUsage")["phases"]
        .as_array()
        .expect("phases")
        .iter()
        .filter_map(|phase| phase["highest"].as_u64())
        .max();
    assert!(highest.is_some_and(|share| (550_000..650_000).contains(&share)), "{highest:?}");
    let states = last_states(&desk.path("out"));
    assert_eq!(states.len(), 1, "only the fault counts as one: {states:?}");
    desk.run(&["judge", "out"]).exits(0).says("diskUsage: 60");
}

#[test]
fn a_disk_that_is_filled_fails_the_usage() {
    let desk = Desk::new();
    run(&desk, "diskFill: {members: {role: follower, count: 1}, to: {percent: 95}}").exits(10);
    let report = report_in(&desk.path("out"));
    let usage = claim(&report, "diskUsage");
    assert_eq!(usage["verdict"], "Fail", "{usage:#}");
    let sentence = usage["sentence"].as_str().expect("a sentence");
    assert!(sentence.contains("volume data of member") && sentence.contains("allowed 80 %"), "{sentence}");
    desk.run(&["judge", "out"]).exits(10).says(sentence);
}

#[test]
fn a_disk_that_stands_still_fails_the_rate() {
    let desk = Desk::new();
    run(&desk, "diskStall: {members: {role: follower, count: 1}}").exits(10);
    let report = report_in(&desk.path("out"));
    assert_eq!(verdicts(&report), ["Pass", "Fail"]);
    let sentence = claim(&report, "volumeIops")["sentence"].as_str().expect("a sentence");
    assert!(sentence.contains("below 25 per second for") && sentence.contains("allowed 4 s"), "{sentence}");
}

/// An ordinary user's volumes are folders of the machine's own disk, whose statistics are not theirs.
#[test]
fn a_volume_without_a_device_of_its_own_has_no_rate() {
    let _seat = Seat::take();
    let desk = Desk::new();
    let usage = "    - name: nobody runs out of room\n      sli: {diskUsage: {}}\n";
    let whole = experiment("processPause: {members: {role: follower, count: 1}}");
    // How full this machine's own disk is says nothing.
    desk.write("x.yaml", whole.replace(usage, ""));
    crate::e2e_user::as_nobody(&desk, &["run", "x.yaml", "--seed", "7", "--out", "out"]).exits(11);
    let report = report_in(&desk.path("out"));
    let rate = claim(&report, "volumeIops");
    assert_eq!(rate["verdict"], "Inconclusive", "{rate:#}");
    let sentence = rate["sentence"].as_str().expect("a sentence");
    assert!(sentence.contains("of the node's own") || sentence.contains("no block device"), "{sentence}");
}
