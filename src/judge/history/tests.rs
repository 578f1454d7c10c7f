#![expect(clippy::unwrap_used, reason = "a test ends where its premise fails")]

use super::*;

fn line(index: u64, process: u32, rest: &str) -> String {
    format!(r#"{{"index":{index},"time":{},"process":{process},{rest}}}"#, index * 10)
}

fn read_all(lines: &[String]) -> Result<History, ReadError> {
    from_journal(&lines.join("\n"), 2, |_| true)
}

fn only(lines: &[String]) -> Vec<Operation> {
    let history = read_all(lines).unwrap();
    assert_eq!(history.registers.len(), 1, "{history:?}");
    history.registers[0].operations.clone()
}

#[test]
fn pairs_calls_with_their_ends() {
    let operations = only(&[
        line(0, 1, r#""type":"invoke","f":"write","key":"a","value":5,"member":2"#),
        line(1, 2, r#""type":"invoke","f":"read","key":"a","value":null"#),
        line(2, 2, r#""type":"ok","f":"read","key":"a","value":5"#),
        line(3, 1, r#""type":"ok","f":"write","key":"a","value":5"#),
    ]);
    assert_eq!((operations[0].index, operations[0].member), (0, Some(2)));
    assert_eq!((operations[0].call, operations[0].ret), (0, Some(30)));
    assert_eq!((operations[1].call, operations[1].ret), (10, Some(20)));
    assert_eq!(operations[1].kind, Kind::Read { value: Some(5) });
}

#[test]
fn leaves_out_what_provably_failed_and_reads_without_an_answer() {
    let history = read_all(&[
        line(0, 1, r#""type":"invoke","f":"write","key":"a","value":5"#),
        line(1, 1, r#""type":"fail","f":"write","key":"a","value":5"#),
        line(2, 1, r#""type":"invoke","f":"read","key":"a","value":null"#),
        line(3, 1, r#""type":"info","f":"read","key":"a","value":null"#),
        line(4, 1, r#""type":"invoke","f":"cas","key":"a","value":[1,2]"#),
        line(5, 1, r#""type":"fail","f":"cas","key":"a","value":[1,2]"#),
        line(6, 1, r#""type":"invoke","f":"read","key":"a","value":null"#),
    ]);
    assert_eq!(history.unwrap(), History::default());
}

#[test]
fn keeps_what_may_have_happened_as_unknown() {
    let operations = only(&[
        line(0, 1, r#""type":"invoke","f":"write","key":"a","value":5"#),
        line(1, 1, r#""type":"info","f":"write","key":"a","value":5"#),
        line(2, 1, r#""type":"invoke","f":"cas","key":"a","value":[null,6]"#),
    ]);
    assert_eq!((operations[0].ret, operations[0].happened()), (None, false));
    let kind = Kind::Cas { expect: None, value: 6, outcome: CasOutcome::Unknown };
    assert_eq!((operations[1].ret, operations[1].kind), (None, kind));
}

#[test]
fn a_refused_swap_that_tells_the_value_is_an_observation() {
    let operations = only(&[
        line(0, 1, r#""type":"invoke","f":"cas","key":"a","value":[1,2]"#),
        line(1, 1, r#""type":"fail","f":"cas","key":"a","value":[1,2],"current":null"#),
        line(2, 1, r#""type":"invoke","f":"cas","key":"a","value":[1,3]"#),
        line(3, 1, r#""type":"fail","f":"cas","key":"a","value":[1,3],"current":9"#),
    ]);
    assert_eq!(operations[0].observed(), Some(None));
    assert_eq!(operations[1].observed(), Some(Some(9)));
    assert_eq!(operations[1].written(), None);
}

#[test]
fn passes_over_other_lines_and_other_keys() {
    let lines = [
        r#"{"schema":"seatrial/1"}"#.to_owned(),
        line(0, 1, r#""type":"invoke","f":"write","key":"r/1","value":5"#),
        line(1, 2, r#""type":"invoke","f":"write","key":"ledger/1","value":5"#),
        r#"{"event":{"index":1}}"#.to_owned(),
        line(2, 2, r#""type":"ok","f":"write","key":"ledger/1","value":5"#),
        line(3, 1, r#""type":"ok","f":"write","key":"r/1","value":5"#),
        line(4, 1, r#""type":"invoke","f":"write","key":"r/2","value":5"#),
    ];
    let history = from_journal(&lines.join("\n"), 3, |key| key.starts_with("r/")).unwrap();
    let keys: Vec<&str> = history.registers.iter().map(|register| register.key.as_str()).collect();
    assert_eq!(keys, ["r/1", "r/2"]);
    assert_eq!(history.registers[1].operations[0].key, KeyId(1));
}

#[test]
fn refuses_lines_that_do_not_fit_together() {
    let invoke = |index| line(index, 1, r#""type":"invoke","f":"write","key":"a","value":5"#);
    let cases = [
        (vec![invoke(0), invoke(1)], "its operation 0 is still open"),
        (vec![line(0, 1, r#""type":"ok","f":"write","key":"a","value":5"#)], "did not invoke"),
        (vec![invoke(0), line(1, 1, r#""type":"ok","f":"read","key":"a","value":5"#)], "another one"),
        (vec![invoke(0), line(1, 1, r#""type":"ok","f":"write","key":"b","value":5"#)], "another one"),
        (vec![invoke(3), line(1, 1, r#""type":"ok","f":"write","key":"a","value":5"#)], "before that began"),
        (vec![line(0, 1, r#""type":"invoke","f":"cas","key":"a","value":5"#)], "write [expected, new]"),
        (vec![line(0, 1, r#""type":"invoke","f":"write","key":"a""#)], "write a number"),
        (vec![line(0, 1, r#""type":"invoke""#)], "not readable"),
    ];
    for (lines, wanted) in cases {
        let error = read_all(&lines).unwrap_err().to_string();
        assert!(error.contains(wanted), "{error}");
    }
}

#[test]
fn any_number_of_threads_reads_the_same() {
    let mut lines = Vec::new();
    for index in 0..500 {
        let key = format!(r#""key":"k{}""#, index % 7);
        lines.push(line(2 * index, 1, &format!(r#""type":"invoke","f":"write",{key},"value":{index}"#)));
        lines.push(line(2 * index + 1, 1, &format!(r#""type":"ok","f":"write",{key},"value":{index}"#)));
    }
    let text = lines.join("\n");
    let one = from_journal(&text, 1, |_| true).unwrap();
    assert_eq!(one.operations(), 500);
    for threads in [2, 3, 16, 5000] {
        assert_eq!(from_journal(&text, threads, |_| true).unwrap(), one);
    }
}
