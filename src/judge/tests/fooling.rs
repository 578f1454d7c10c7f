//! A verdict must not be fooled by a record that was cut, thinned or altered.

use proptest::prelude::*;
use serde_json::json;

use super::story::{Story, read, text, with_ids};
use crate::experiment::Verdict;
use crate::journal::read::Journal;
use crate::judge::{Judgement, judge};

fn good() -> Vec<String> {
    let mut story = Story::claiming(json!(null));
    story.hypothesis = json!([
        {"name": "up", "sli": {"podAvailability": {}}},
        {"name": "q", "sli": {"quorum": {}}, "recoverWithin": "5s"},
        {"name": "e", "sli": {"leaderElections": {}}},
        {"name": "lag", "sli": {"replicationLag": {}}},
        {"name": "c", "sli": {"commitLatency": {}}, "after": {"maxIncrease": "2x"}},
        {"name": "l", "sli": {"linearizability": {}}},
        {"name": "d", "sli": {"durability": {}}},
    ]);
    story.lines()
}

fn judged(lines: &[String]) -> Judgement {
    judge(&read(lines))
}

#[test]
fn the_good_record_passes() {
    let judgement = judged(&good());
    assert_eq!(judgement.verdict, Verdict::Pass, "{judgement:#?}");
}

#[test]
fn judging_twice_gives_the_same_bytes() {
    let lines = good();
    assert_eq!(judged(&lines).to_json(), judged(&lines).to_json());
    assert!(!judged(&lines).to_json().contains("e-"), "no number has an exponent");
}

#[test]
fn an_altered_read_fails_and_the_witness_names_it() {
    let mut lines = good();
    let read = lines
        .iter()
        .position(|line| line.contains("\"type\":\"ok\",\"f\":\"read\"") && line.contains("\"value\":800"))
        .expect("a read of 800");
    lines[read] = lines[read].replace("\"value\":800", "\"value\":300");
    let judgement = judged(&lines);
    assert_eq!(judgement.verdict, Verdict::Fail);
    assert!(judgement.headline.contains("seatrial/r/1"), "{}", judgement.headline);
    assert!(judgement.headline.contains("read 300"), "{}", judgement.headline);
    assert!(judgement.headline.contains("while pause hit member 0"), "{}", judgement.headline);
    let claim = judgement.claims.iter().find(|claim| claim.sli == "linearizability");
    let witness = &claim.expect("it was claimed").witness;
    assert!((1..=6).contains(&witness.len()), "{witness:#?}");
}

#[test]
fn a_value_that_is_gone_from_a_final_read_fails() {
    let lines: Vec<String> = good()
        .into_iter()
        .map(|line| if line.contains("\"member\":2") { line.replace("\"ledger/1\":1,", "") } else { line })
        .collect();
    let judgement = judged(&lines);
    assert_eq!(judgement.verdict, Verdict::Fail);
    let words = "durability: the write of 1 to ledger/1 by client 7, acknowledged at 2.0 s, is held by members 0 and 1, \
                 but not by member 2, before pause hit member 0";
    assert!(judgement.headline.starts_with(words), "{}", judgement.headline);
}

#[test]
fn without_a_proof_it_is_inconclusive_whichever_proof_is_dropped() {
    let lines = good();
    let proofs: Vec<usize> =
        (0..lines.len()).filter(|&place| lines[place].contains("\"state\":\"Injected\"")).collect();
    assert_eq!(proofs.len(), 4);
    for &dropped in &proofs {
        let mut lines = lines.clone();
        lines.remove(dropped);
        let judgement = judged(&lines);
        assert_eq!(judgement.verdict, Verdict::Inconclusive, "line {dropped}: {judgement:#?}");
    }
    let mut without = lines;
    without.retain(|line| !line.contains("\"state\":\"Injected\""));
    assert_eq!(judged(&without).verdict, Verdict::Inconclusive);
}

#[test]
fn half_of_a_record_is_inconclusive() {
    let text = text(&good());
    for share in [2, 3, 10, 50] {
        let part = &text.as_bytes()[..text.len() - text.len() / share];
        let judgement = judge(&Journal::parse(part).expect("a torn line is tolerated"));
        assert_eq!(judgement.verdict, Verdict::Inconclusive, "{}", judgement.headline);
        assert!(!judgement.finished);
    }
    let lines = good();
    let judgement = judged(&lines[..lines.len() / 2]);
    assert_eq!(judgement.verdict, Verdict::Inconclusive);
    assert!(!judgement.torn);
}

#[test]
fn a_last_line_that_is_torn_is_inconclusive() {
    let text = text(&good()) + "{\"time\":17";
    let judgement = judge(&Journal::parse(text.as_bytes()).expect("a torn line is tolerated"));
    assert_eq!(judgement.verdict, Verdict::Inconclusive);
    assert_eq!(judgement.headline, "the last line of the record is torn");
}

#[test]
fn a_decision_that_was_taken_out_is_missed_whichever_it_was() {
    let lines = good();
    let effects: Vec<usize> =
        (0..lines.len()).filter(|&place| lines[place].contains("\"entry\":{\"effect\"")).collect();
    assert!(effects.len() > 10);
    for &dropped in &effects {
        let mut lines = lines.clone();
        lines.remove(dropped);
        let judgement = judged(&lines);
        assert_eq!(judgement.verdict, Verdict::Inconclusive, "{}", judgement.headline);
    }
    let aborted: Vec<String> = lines
        .iter()
        .flat_map(|line| {
            let abort = line.contains("\"recovering\"").then(|| {
                line.replace(
                    "{\"phase\":\"recovering\"}",
                    "{\"abort\":{\"reason\":\"a person asked to stop\"}}",
                )
            });
            std::iter::once(line.clone()).chain(abort)
        })
        .collect();
    let mut aborted = with_ids(aborted);
    assert_eq!(judged(&aborted).verdict, Verdict::Aborted);
    aborted.retain(|line| !line.contains("\"abort\""));
    assert_eq!(
        judged(&aborted).verdict,
        Verdict::Inconclusive,
        "an abort is not made undone by leaving it out"
    );
}

#[test]
fn a_line_that_was_taken_out_doubled_or_exchanged_is_damage_whatever_it_says() {
    let text = text(&good());
    let lines: Vec<&str> = text.lines().collect();
    let refused = |lines: &[&str]| {
        let error = Journal::parse((lines.join("\n") + "\n").as_bytes()).expect_err("a number is wrong");
        assert!(error.to_string().contains("was expected here"), "{error}");
    };
    for kind in [
        "\"input\":{\"members\"",
        "\"input\":{\"injection\"",
        "\"entry\":{\"effect\"",
        "\"finalRead\"",
        "\"ok\"",
    ] {
        let place = lines.iter().position(|line| line.contains(kind)).expect(kind);
        let mut without = lines.clone();
        without.remove(place);
        refused(&without);
        let mut doubled = lines.clone();
        doubled.insert(place, lines[place]);
        refused(&doubled);
        let mut exchanged = lines.clone();
        exchanged.swap(place, place + 1);
        refused(&exchanged);
    }
}

/// The same run, as each schema has it on record.
const OF_EACH_SCHEMA: [&[u8]; 2] = [
    include_bytes!("../../../tests/fuzz/seeds/journal/schema-1.jsonl"),
    include_bytes!("../../../tests/fuzz/seeds/journal/run.jsonl"),
];

#[test]
fn a_run_is_judged_alike_whatever_the_schema_of_its_record() {
    let told = OF_EACH_SCHEMA.map(|bytes| judge(&Journal::parse(bytes).expect("it is whole")));
    assert_eq!(told[0].verdict, Verdict::Pass, "{:#?}", told[0]);
    assert_eq!(told[0].to_json(), told[1].to_json());
}

fn verdict() -> impl Strategy<Value = Verdict> {
    prop_oneof![Just(Verdict::Pass), Just(Verdict::Inconclusive), Just(Verdict::Aborted), Just(Verdict::Fail)]
}

proptest! {
    #[test]
    fn the_worst_verdict_wins_in_any_order(a in verdict(), b in verdict(), c in verdict()) {
        prop_assert_eq!(a.and(b), b.and(a));
        prop_assert_eq!(a.and(b).and(c), a.and(b.and(c)));
        prop_assert_eq!(a.and(Verdict::Pass), a);
        prop_assert_eq!(a.and(Verdict::Fail), Verdict::Fail);
    }
}
