mod order;

use std::sync::Arc;

use proptest::prelude::*;

use super::*;
use crate::journal::op::{Current, Function, OpValue, Stage};
use crate::journal::write::{WriteError, Writer};

const HEADER: &str = r#"{"time":0,"index":1,"entry":{"header":{"schema":2,"version":"0.1.0","run":"r","startedAt":"2026-01-01T00:00:00Z","experiment":{"name":"t","target":{"statefulSet":"db"},"steps":[],"hypothesis":[]},"seed":1,"environment":"here","target":{"name":"db","namespace":"default","replicas":0,"first_ordinal":0,"pods":[]}}}}"#;

/// What was heard, as a line of this number.
fn wake(index: u64) -> String {
    format!("{{\"time\":5,\"index\":{index},\"entry\":{{\"input\":{{\"wake\":{{}}}}}}}}")
}

fn operation(index: u64, key: &str) -> OpLine<'_> {
    OpLine {
        index,
        time: 10 + index,
        process: 1,
        stage: Stage::Invoke,
        f: Function::Write,
        key: key.into(),
        value: OpValue::Number(index),
        current: Current::NotObserved,
        member: Some(2),
        intended: Some(9),
        error: None,
    }
}

fn line(index: u64) -> String {
    written(&operation(index, "k"))
}

fn written(operation: &OpLine<'_>) -> String {
    let mut bytes = Vec::new();
    operation.write(&mut bytes);
    String::from_utf8(bytes).expect("JSON is text")
}

fn refusal(text: &str) -> String {
    Journal::parse(text.as_bytes()).expect_err("it is damaged").to_string()
}

#[test]
fn many_tasks_write_whole_lines_that_are_read_back_in_order() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("journal.jsonl");
    let header = Journal::parse(format!("{HEADER}\n").as_bytes()).expect("a header is a journal").header;
    let writer = Arc::new(Writer::create(&path, &header).expect("a new file"));
    std::thread::scope(|scope| {
        for task in 0..4u64 {
            let writer = &writer;
            scope.spawn(move || {
                for number in 0..500 {
                    let key = format!("key/{task}/{}", number % 7);
                    writer.operation(operation(0, &key)).expect("written");
                    let entry = Entry::Input(crate::journal::entry::Input::Wake {});
                    writer.entry(number, &entry).expect("written");
                }
            });
        }
    });
    writer.sync().expect("stored");
    let journal = Journal::read(&path).expect("a whole journal");
    assert!(!journal.torn);
    assert_eq!(journal.header, header);
    assert_eq!((journal.operations().len(), journal.lines.len()), (2000, 2000));
    let indexes: Vec<u64> = journal.operations().map(|operation| operation.index).collect();
    assert!(indexes.is_sorted() && indexes[0] >= 2 && indexes[1999] <= 4001, "they stand among other lines");
    let keys = journal.operations().filter(|operation| operation.key == "key/3/6");
    assert_eq!(keys.count(), 71);
    assert!(matches!(Writer::create(&path, &header), Err(WriteError::Create { .. })));
}

#[test]
fn a_torn_last_line_is_left_out_and_reported() {
    let (heard, next) = (wake(2), wake(3));
    for torn in [r#"{"time":9,"ent"#, "{\"time\":9,\"ent\n", next.as_str(), "{\"index\":3,\"ti", "\u{e4}"] {
        let text = format!("{HEADER}\n{heard}\n{torn}");
        let journal = Journal::parse(text.as_bytes()).expect(torn);
        assert!(journal.torn, "{torn}");
        assert_eq!(journal.lines.len(), 1, "{torn}");
    }
    let mut cut_in_a_letter = format!("{HEADER}\n{heard}\n").into_bytes();
    cut_in_a_letter.push(0xc3);
    assert!(Journal::parse(&cut_in_a_letter).expect("torn").torn);
}

#[test]
fn other_damage_is_named_with_its_line() {
    let cut_inside = format!("{HEADER}\n{{\"time\":9,\"ent\n{}\n", wake(3));
    assert!(
        refusal(&cut_inside).starts_with("the journal is damaged in line 2: EOF"),
        "{}",
        refusal(&cut_inside)
    );
    let unknown = format!("{HEADER}\n{}\n{{\"time\":1,\"index\":3,\"entry\":{{\"gossip\":1}}}}\n", wake(2));
    assert!(refusal(&unknown).contains("line 3: unknown variant `gossip`"), "{}", refusal(&unknown));
    let twice = format!("{HEADER}\n{HEADER}\n");
    assert!(refusal(&twice).contains("line 2: a second header"));
    let mut binary = format!("{HEADER}\n").into_bytes();
    binary.extend([0xff, 0xfe, b'\n']);
    let error = Journal::parse(&binary).expect_err("not text");
    assert_eq!(error.to_string(), "the journal is damaged in line 2: it is not UTF-8 text");
}

#[test]
fn what_is_no_journal_is_refused_by_its_first_line() {
    assert_eq!(refusal(""), "this is no journal: it has no whole first line");
    assert!(refusal("apiVersion: v1\n").starts_with("this is no journal: its first line is not a header"));
    assert!(refusal(&format!("{}\n{HEADER}\n", wake(1))).starts_with("this is no journal"));
    for schema in [0, 3, u64::from(u32::MAX) + 2] {
        let version = format!("\"schema\":{schema},\"version\":\"3.0.0\"");
        let other = HEADER.replace("\"schema\":2,\"version\":\"0.1.0\"", &version);
        let told = format!("has schema {schema}, this version reads up to 2: use Seatrial 3.0.0 or later");
        assert_eq!(refusal(&format!("{other}\n")), format!("the journal {told}"));
    }
}

/// So many lines, two operations and what was heard in turn.
fn lines(last: u64) -> Vec<String> {
    let line = |index: u64| match index % 3 {
        0 => wake(index),
        _ => written(&operation(index, &format!("key/{}", index % 100))),
    };
    std::iter::once(HEADER.to_owned()).chain((2..=last).map(line)).collect()
}

/// More than one thread reads alone.
const MANY: u64 = 6000;

#[test]
fn two_threads_read_what_one_reads() {
    let lines = lines(MANY);
    let text = lines.join("\n") + "\n";
    let journal = Journal::parse(text.as_bytes()).expect("a whole journal");
    let again = journal.operations().map(|operation| written(&operation));
    assert!(again.eq(lines.iter().filter(|line| OpLine::is_one(line)).cloned()));
    assert_eq!((journal.operations().len(), journal.lines.len()), (3999, 2000));
    let middle = text.len() / 2;
    let damaged = format!("{}\n{}{}", &text[..middle], wake(2), &text[middle..]);
    let expected = 1 + text[..middle].matches('\n').count();
    assert!(refusal(&damaged).starts_with(&format!("the journal is damaged in line {expected}: ")));
}

proptest! {
    #[test]
    fn junk_is_refused_without_panic(bytes in proptest::collection::vec(any::<u8>(), 0..2000)) {
        let _ = Journal::parse(&bytes);
        let mut after_header = format!("{HEADER}\n").into_bytes();
        after_header.extend(bytes);
        let _ = Journal::parse(&after_header);
    }

    #[test]
    fn a_changed_byte_never_panics(place in 0usize..4000, byte in any::<u8>()) {
        let mut bytes = format!("{HEADER}\n{}\n{}\n{}\n", wake(2), line(3), line(4)).into_bytes();
        let place = place % bytes.len();
        bytes[place] = byte;
        let _ = Journal::parse(&bytes);
    }
}

/// What journals of schema 1 look like, before further StatefulSets, each line with what it has lacked since.
const OF_BEFORE: [&str; 5] = [
    r#"{"time":0,"entry":{"header":{"schema":1,"version":"0.1.0","run":"r","startedAt":"2026-01-01T00:00:00Z","experiment":{"name":"t","target":{"statefulSet":"db"},"steps":[],"hypothesis":[]},"seed":1,"environment":"here","target":{"name":"db","namespace":"default","replicas":0,"first_ordinal":0,"pods":[]}}}}"#,
    r#"{"index":0,"time":5,"process":1,"type":"invoke","f":"read","key":"k","value":null}"#,
    r#"{"time":6,"entry":{"effect":{"id":0,"effect":{"chosen":{"step":"kill","occurrence":0,"members":[1],"damage":{"down":[1],"cut":[]}}}}}}"#,
    r#"{"time":6,"entry":{"effect":{"id":1,"effect":{"deletePod":{"ordinal":1,"grace":null}}}}}"#,
    r#"{"index":1,"time":7,"process":1,"type":"ok","f":"read","key":"k","value":3}"#,
];

#[test]
fn a_journal_of_before_further_sets_is_read_and_written_as_it_was() {
    let journal = Journal::parse((OF_BEFORE.join("\n") + "\n").as_bytes()).expect("it was released");
    assert_eq!(journal.header.others, []);
    let effects: Vec<_> = journal.lines.iter().map(|line| &line.entry).collect();
    assert!(
        effects.iter().any(|entry| matches!(
            entry,
            Entry::Effect { effect: crate::journal::entry::Effect::Chosen { set: None, .. }, .. }
        )),
        "{effects:?}"
    );
    // A run of the target alone is written without a word of it.
    for entry in journal.lines.iter().map(|line| &line.entry) {
        let written = serde_json::to_string(entry).expect("it can be written");
        assert!(!written.contains("\"set\"") && !written.contains("others"), "{written}");
    }
    let header = serde_json::to_string(&journal.header).expect("it can be written");
    assert!(!header.contains("others"), "{header}");
}

#[test]
fn what_is_told_of_a_further_set_is_read_back() {
    let header = Journal::parse(format!("{HEADER}\n").as_bytes()).expect("a header is a journal").header;
    let other = crate::api::Snapshot { name: "zookeeper".into(), replicas: 3, ..Default::default() };
    let header = crate::journal::entry::Header { others: vec![other.clone()], ..header };
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("journal.jsonl");
    let writer = Writer::create(&path, &header).expect("a new file");
    let told = [
        Entry::Input(crate::journal::entry::Input::OtherPods(other)),
        Entry::Effect {
            id: 0,
            effect: crate::journal::entry::Effect::DeletePod {
                set: Some("zookeeper".into()),
                ordinal: 1,
                grace: None,
            },
        },
    ];
    for entry in &told {
        writer.entry(1, entry).expect("written");
    }
    writer.sync().expect("stored");
    let journal = Journal::read(&path).expect("a whole journal");
    assert_eq!(journal.header, header);
    let read: Vec<_> = journal.lines.iter().map(|line| line.entry.clone()).collect();
    assert!(read.ends_with(&told), "{read:#?}");
}
