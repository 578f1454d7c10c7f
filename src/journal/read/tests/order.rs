//! Lines that are missing, doubled or out of order, by their numbers.

use super::*;

/// Takes out a line, writes it twice, and exchanges it with the next one. Lines are counted from 1.
fn each_is_told(lines: &[String], place: usize) {
    let told = |place: usize, found: usize| {
        format!("the journal is damaged in line {place}: line {place} was expected here, this one is {found}")
    };
    let refused = |lines: &[String]| refusal(&(lines.join("\n") + "\n"));
    let mut missing = lines.to_vec();
    missing.remove(place - 1);
    assert_eq!(refused(&missing), told(place, place + 1));
    let mut doubled = lines.to_vec();
    doubled.insert(place, lines[place - 1].clone());
    assert_eq!(refused(&doubled), told(place + 1, place));
    let mut exchanged = lines.to_vec();
    exchanged.swap(place - 1, place);
    assert_eq!(refused(&exchanged), told(place, place + 1));
}

#[test]
fn a_line_that_is_missing_doubled_or_out_of_order_is_damage() {
    let lines = lines(9);
    for place in 2..9 {
        each_is_told(&lines, place);
    }
    // Of a last line that is missing nobody knows but the judge: a run's last line says that it has ended.
    assert!(Journal::parse((lines[..8].join("\n") + "\n").as_bytes()).is_ok());
}

#[test]
fn a_line_that_is_missing_is_damage_where_two_threads_part() {
    let lines = lines(MANY);
    let half = lines[1..].iter().map(|line| line.len() + 1).sum::<usize>() / 2;
    let mut offset = 0;
    let whole = lines[1..].iter().take_while(|line| {
        offset += line.len() + 1;
        offset <= half
    });
    let last_of_the_first = 2 + whole.count();
    for place in last_of_the_first - 1..=last_of_the_first + 2 {
        each_is_told(&lines, place);
    }
}

#[test]
fn a_line_without_its_number_is_damage() {
    let unnumbered = wake(3).replace("\"index\":3,", "");
    let text = format!("{HEADER}\n{}\n{unnumbered}\n{}\n", wake(2), wake(4));
    let told = refusal(&text);
    assert!(told.starts_with("the journal is damaged in line 3: missing field `index`"), "{told}");
}

#[test]
fn a_writer_that_goes_on_with_a_journal_numbers_its_lines_on() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("journal.jsonl");
    let torn = format!("{HEADER}\n{}\n{}\n{{\"time\":9,\"ent", wake(2), line(3));
    std::fs::write(&path, torn).expect("writable");
    let writer = Writer::resume(&path).expect("it goes on");
    writer.entry(5, &Entry::Input(crate::journal::entry::Input::Wake {})).expect("written");
    writer.operation(operation(0, "k")).expect("written");
    let journal = Journal::read(&path).expect("a whole journal");
    assert!(!journal.torn);
    assert_eq!(journal.lines.len(), 2);
    assert!(journal.operations().map(|operation| operation.index).eq([3, 5]));
}

#[test]
fn in_a_journal_of_schema_1_operations_alone_are_numbered() {
    let read = |lines: &[&str]| Journal::parse((lines.join("\n") + "\n").as_bytes());
    let [header, invoke, chosen, delete, ok] = OF_BEFORE;
    let journal = read(&OF_BEFORE).expect("it was released");
    assert!(journal.operations().map(|operation| operation.index).eq([0, 1]));
    // What is missing of the other lines is not seen there.
    assert_eq!(read(&[header, invoke, delete, ok]).expect("it has no numbers").lines.len(), 1);
    let missing = read(&[header, chosen, delete, ok]).expect_err("an operation is missing");
    assert_eq!(
        missing.to_string(),
        "the journal is damaged in line 4: operation 0 was expected here, this one is 1"
    );
    // Lines without numbers are none of schema 2.
    let header = header.replace("\"schema\":1", "\"schema\":2");
    let mixed = read(&[header.as_str(), chosen, delete]).expect_err("nothing is numbered");
    assert!(
        mixed.to_string().starts_with("the journal is damaged in line 2: missing field `index`"),
        "{mixed}"
    );
}
