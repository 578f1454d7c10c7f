//! Volumes of a sandbox whose mount is held.

use crate::e2e_fixture::{Desk, Seat, patient_quickstart_with};
use crate::e2e_recorded::{claim, last_states, report_in};

const CUT: &str = "{networkPartition: {isolate: {role: leader}}}";
const BLOCK: &str = "{volumeAttachBlock: {members: {role: leader}}}";

#[test]
fn a_pod_waits_for_its_volume_as_long_as_it_is_held_and_comes_back_with_it() {
    let desk = Desk::new();
    let _seat = Seat::take();
    let down = (
        "hypothesis:",
        "hypothesis:
    - {name: the member is away as long as its volume, sli: {podAvailability: {}}, during: {longestOutage: 1s}, after: {min: 100%}, recoverWithin: 30s}",
    );
    desk.write("x.yaml", patient_quickstart_with(&[(CUT, BLOCK), down]));
    // The only thing that is red is what asks that nobody is away.
    let done = desk.run(&["run", "x.yaml", "--seed", "7", "--out", "out"]).exits(10);
    let report = report_in(&desk.path("out"));
    let verdicts = ["podAvailability", "quorum", "durability", "linearizability"];
    let verdicts = verdicts.map(|sli| claim(&report, sli)["verdict"].clone());
    assert_eq!(verdicts, ["Fail", "Pass", "Pass", "Pass"], "{}", done.out);
    let step = &report["steps"][0];
    assert!(step["effectiveShare"].as_u64() > Some(900), "{step}");
    let proof = step["proof"].as_str().expect("a proof");
    assert!(proof.contains("waits for its volume, which is not mounted"), "{proof}");
    let journal = std::fs::read_to_string(desk.path("out/journal.jsonl")).expect("the journal is text");
    assert!(journal.contains("the volumes were away for "), "how long it took is told");
    let states = last_states(&desk.path("out"));
    assert!(states.len() == 1 && states[0].1 == "Reverted", "{states:?}");
}

#[test]
fn a_block_does_not_follow_pods_which_wait_anyhow() {
    let desk = Desk::new();
    let followed = format!("{BLOCK}\n      follow: true");
    desk.write("x.yaml", patient_quickstart_with(&[(CUT, &followed)]));
    desk.run(&["validate", "x.yaml"]).exits(20).says("`volumeAttachBlock` does not follow pods");
}
