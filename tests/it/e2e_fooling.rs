//! A verdict that can be fooled is worth nothing: copies of a real journal are tampered with, and the judge must notice.

use serde_json::Value;

use crate::e2e_fixture::{Desk, Done};
use crate::e2e_recorded::{numbered_anew, recorded};

/// Judges a journal of these lines.
fn judged(lines: &[String]) -> Done {
    judged_bytes((lines.join("\n") + "\n").as_bytes())
}

fn judged_bytes(journal: &[u8]) -> Done {
    let desk = Desk::new();
    desk.write("journal.jsonl", journal);
    desk.run(&["judge", "journal.jsonl"])
}

fn parsed(line: &str) -> Value {
    serde_json::from_str(line).expect("every line is JSON")
}

/// Whether a line is an acknowledged operation of this kind on a register.
fn is_ok(line: &Value, function: &str) -> bool {
    line["type"] == "ok"
        && line["f"] == function
        && line["key"].as_str().is_some_and(|key| key.contains("r/"))
        && line["value"].is_u64()
}

#[test]
fn a_copy_is_judged_as_the_run_was() {
    let run = recorded();
    let done = judged(&run.lines()).exits(0);
    assert_eq!(done.out, run.done.out);
}

#[test]
fn one_altered_read_fails() {
    let mut lines = recorded().lines();
    let read = lines.iter().rposition(|line| is_ok(&parsed(line), "read")).expect("there are reads");
    let mut altered = parsed(&lines[read]);
    let key = altered["key"].clone();
    // The first value that was ever acknowledged there: many writes of the same key came after it.
    let oldest = lines
        .iter()
        .map(|line| parsed(line))
        .find(|line| is_ok(line, "write") && line["key"] == key)
        .expect("there are writes");
    assert_ne!(altered["value"], oldest["value"]);
    altered["value"] = oldest["value"].clone();
    // The order of an operation's fields matters to no reader but this one: a line must begin with its index.
    let began = lines[read].clone();
    let value_of = |line: &str| line.split("\"value\":").nth(1).map(str::to_owned);
    let rest = value_of(&began).expect("a read has a value");
    let digits = rest.chars().take_while(char::is_ascii_digit).count();
    lines[read] =
        began.replace(&format!("\"value\":{}", &rest[..digits]), &format!("\"value\":{}", altered["value"]));
    assert_eq!(parsed(&lines[read]), altered);
    let done = judged(&lines).exits(10);
    assert!(
        done.out.contains("FAIL") && done.out.contains(&format!("read {}", oldest["value"])),
        "{}",
        done.out
    );
}

#[test]
fn a_value_that_nobody_wrote_fails() {
    let mut lines = recorded().lines();
    let read = lines.iter().rposition(|line| is_ok(&parsed(line), "read")).expect("there are reads");
    let value = parsed(&lines[read])["value"].clone();
    lines[read] = lines[read].replace(&format!("\"value\":{value}"), "\"value\":987654321987");
    judged(&lines).exits(10).says("987654321987");
}

#[test]
fn without_its_proofs_a_run_is_inconclusive() {
    let lines: Vec<String> =
        recorded().lines().into_iter().filter(|line| !line.contains("\"input\":{\"injection\":")).collect();
    assert!(lines.len() < recorded().lines().len());
    judged_bytes(numbered_anew(&lines).as_bytes()).exits(11).says("not proven");
}

#[test]
fn half_of_a_journal_is_inconclusive() {
    let lines = recorded().lines();
    judged(&lines[..lines.len() / 2]).exits(11);
    let bytes = recorded().text("journal.jsonl").into_bytes();
    judged_bytes(&bytes[..bytes.len() / 2]).exits(11);
}

#[test]
fn nobody_believes_a_judgement_that_lies_beside_the_journal() {
    let run = recorded();
    let desk = Desk::new();
    desk.write("journal.jsonl", run.text("journal.jsonl"));
    let told = |desk: &Desk| desk.run(&["judge", "."]).exits(0).out;
    assert_eq!(told(&desk), run.done.out, "with no report at all");
    desk.write("report.json", run.text("report.json").replace("\"pass\"", "\"fail\""));
    desk.write("junit.xml", "<testsuites failures=\"9\"/>");
    assert_eq!(told(&desk), run.done.out, "with reports that lie");
}

#[test]
fn a_judgement_within_the_journal_is_damage() {
    let mut lines = recorded().lines();
    let number = lines.len() + 1;
    lines.push(format!(r#"{{"time":1,"index":{number},"entry":{{"judgement":{{"verdict":"Pass"}}}}}}"#));
    judged(&lines).exits(1).says(&format!("damaged in line {number}"));
}

#[test]
fn a_torn_last_line_is_tolerated_and_told() {
    let text = recorded().text("journal.jsonl");
    let done = judged_bytes(&text.as_bytes()[..text.len() - 5]);
    // The run's last line says that it ended, so a torn one leaves the end open.
    done.exits(11).says("the last line of the record is torn");
    // Nobody knows what a line that was only begun would have said.
    let begun = text + "{\"index\":";
    judged_bytes(begun.as_bytes()).exits(11).says("the last line of the record is torn");
}

#[test]
fn a_damaged_line_is_an_error_with_its_number() {
    let mut lines = recorded().lines();
    lines[99] = lines[99].replacen(':', ";", 1);
    judged(&lines).exits(1).says("the journal is damaged in line 100");
    judged_bytes(b"").exits(1).says("this is no journal");
    judged_bytes(b"{}\n").exits(1).says("its first line is not a header");
}

#[test]
fn no_line_goes_unnoticed_that_is_missing_doubled_or_out_of_order() {
    let lines = recorded().lines();
    let told = |lines: &[String], line: usize, found: usize| {
        let words = format!("damaged in line {line}: line {line} was expected here, this one is {found}");
        judged(lines).exits(1).says(&words);
    };
    let heard = |what: &str| lines.iter().position(|line| line.contains(what)).expect("it is on record");
    for place in [
        heard("\"input\":{\"pods\":"),
        heard("\"input\":{\"members\":"),
        heard("\"entry\":{\"effect\":"),
        heard("\"type\":\"ok\""),
        lines.len() - 2,
    ] {
        // In the list they count from 0, in the file from 1.
        let number = place + 1;
        let mut missing = lines.clone();
        missing.remove(place);
        told(&missing, number, number + 1);
        let mut doubled = lines.clone();
        doubled.insert(place, lines[place].clone());
        told(&doubled, number + 1, number);
        let mut exchanged = lines.clone();
        exchanged.swap(place, place + 1);
        told(&exchanged, number, number + 1);
    }
    // As if nobody had ever asked who leads.
    let mut silent = lines.clone();
    silent.retain(|line| !line.contains("\"input\":{\"members\":"));
    judged(&silent).exits(1).says("was expected here");
}
