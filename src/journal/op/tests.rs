#![expect(clippy::unwrap_used, reason = "a test ends where its premise fails")]

use super::*;

fn line(text: &str) -> OpLine<'_> {
    OpLine::parse(text).unwrap()
}

#[test]
fn reads_every_shape_that_a_client_writes() {
    let read = line(
        r#"{"index":0,"time":5,"process":3,"type":"invoke","f":"read","key":"seatrial/r/7","value":null}"#,
    );
    assert_eq!((read.stage, read.f, read.value), (Stage::Invoke, Function::Read, OpValue::Null));
    assert!(matches!(read.key, Cow::Borrowed("seatrial/r/7")));

    let cas = line(
        r#"{"index":1,"time":6,"process":3,"type":"fail","f":"cas","key":"k","value":[null,5],"current":null,"member":2,"intended":4}"#,
    );
    assert_eq!(cas.value, OpValue::Pair(None, 5));
    assert_eq!(cas.current, Current::Observed(None));
    assert_eq!((cas.member, cas.intended), (Some(2), Some(4)));
}

#[test]
fn tells_a_value_that_is_null_from_one_that_was_not_observed() {
    let without = line(r#"{"index":1,"time":6,"process":3,"type":"fail","f":"cas","key":"k","value":[4,5]}"#);
    assert_eq!(without.current, Current::NotObserved);
}

#[test]
fn writes_what_it_reads() {
    for value in [OpValue::Null, OpValue::Number(u64::MAX), OpValue::Pair(None, 1), OpValue::Pair(Some(1), 2)]
    {
        for current in [Current::NotObserved, Current::Observed(None), Current::Observed(Some(9))] {
            let before = OpLine {
                index: 1,
                time: 2,
                process: 3,
                stage: Stage::Info,
                f: Function::Cas,
                key: Cow::Borrowed("a \"quoted\" key"),
                value,
                current,
                member: None,
                intended: None,
                error: Some("no \"leader\"".into()),
            };
            let mut text = Vec::new();
            before.write(&mut text);
            let text = String::from_utf8(text).unwrap();
            assert!(OpLine::is_one(&text), "{text}");
            assert_eq!(line(&text), before);
        }
    }
}

#[test]
fn refuses_numbers_that_are_not_whole_or_not_positive() {
    for value in ["1.5", "-1", "\"5\"", "[1]", "[1,2,3]", "[1,null]", "{}"] {
        let text =
            format!(r#"{{"index":0,"time":5,"process":3,"type":"ok","f":"read","key":"k","value":{value}}}"#);
        assert!(OpLine::parse(&text).is_err(), "{value}");
    }
}
