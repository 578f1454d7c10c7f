//! How steps are written.

use super::*;
use crate::experiment::Jitter;

#[test]
fn a_step_that_happens_once_reads_what_it_writes() {
    let text = r#"{"name":"kill","every":"20s","times":1,"fault":{"podKill":{"members":{"count":1}}}}"#;
    let step: Step = serde_json::from_str(text).expect("a valid step");
    let written = serde_json::to_string(&step).expect("it can be written");
    assert_eq!(serde_json::from_str::<Step>(&written).expect("it can be read"), step);
}

fn read(fields: &str) -> Result<Step, String> {
    let text = format!(r#"{{"name":"soak",{fields}}}"#);
    serde_json::from_str(&text).map_err(|error| error.to_string())
}

#[test]
fn the_time_between_starts_is_written_as_one_or_as_a_mean() {
    let repeat = |every: &str| {
        let step = read(&format!(r#""every":{every},"times":3,"oneOf":[{KILL},{KILL}]"#))?;
        let written = serde_json::to_string(&step).expect("it can be written");
        assert_eq!(serde_json::from_str::<Step>(&written).expect("it can be read"), step);
        Ok::<_, String>(step.repeat.every)
    };
    let mean = Duration::from_mins(10);
    assert_eq!(repeat(r#""10m""#), Ok(Every { mean, jitter: None }));
    let drawn = |jitter| Ok(Every { mean, jitter: Some(jitter) });
    assert_eq!(repeat(r#"{"mean":"10m","jitter":"exponential"}"#), drawn(Jitter::Exponential));
    assert_eq!(repeat(r#"{"mean":"10m","jitter":"uniform"}"#), drawn(Jitter::Uniform));
    for (every, words) in [
        (
            r#"{"mean":"10m"}"#,
            "needs both `mean` and `jitter`: write for example {mean: 10m, jitter: exponential}",
        ),
        (r#"{"jitter":"uniform"}"#, "needs both `mean` and `jitter`"),
        (r#"{"mean":"10m","jitter":"gaussian"}"#, "unknown variant `gaussian`"),
        (r#"{"mean":"0s","jitter":"uniform"}"#, "must be longer than 0s"),
        (r#"{"mean":"10m","jitter":"uniform","width":"1m"}"#, "unknown field `width`"),
        ("20", "`20` has no unit"),
        ("[]", "or {mean: 10m, jitter: exponential}"),
    ] {
        let found = repeat(every).expect_err(every);
        assert!(found.contains(words), "{every}: {found}");
    }
    let short = r#""for":"9s","every":{"mean":"8s","jitter":"uniform"},"times":2"#;
    let found = read(&format!(r#"{short},"oneOf":[{KILL},{PAUSE}]"#)).expect_err(short);
    assert!(
        found.contains(
            "`mean` of `every` must be longer than `for`, which is 9s: write for example mean: 18s"
        ),
        "{found}"
    );
}

const PAUSE: &str = r#"{"fault":{"processPause":{"members":{"count":1}}}}"#;
const KILL: &str = r#"{"weight":3,"fault":{"podKill":{"members":{"count":1}}}}"#;

#[test]
fn the_for_of_a_step_is_that_of_alternatives_that_stay_and_have_none() {
    let own = r#"{"for":"2s","fault":{"processPause":{"members":{"role":"leader"}}}}"#;
    let between = r#""every":"20s","times":3,"recoverBetween":"30s""#;
    let step = read(&format!(r#"{between},"for":"5s","oneOf":[{PAUSE},{KILL},{own}]"#));
    let step = step.expect("a valid step");
    let seconds: Vec<_> = step.alternatives().iter().map(|one| one.lasting.as_secs()).collect();
    assert_eq!(seconds, [5, 0, 2]);
    assert_eq!(step.alternatives()[1].weight, 3);
    let written = serde_json::to_string(&step).expect("it can be written");
    assert_eq!(serde_json::from_str::<Step>(&written).expect("it can be read"), step);
}

#[test]
fn refuses_alternatives_that_are_none_and_says_which() {
    for (fields, words) in [
        (format!(r#""for":"5s","oneOf":[{PAUSE}]"#), "from 2 to 16, or the only one without `oneOf`"),
        (format!(r#""oneOf":[{KILL},{PAUSE}]"#), "`oneOf[1]`: `processPause` stays until it is taken back"),
        (format!(r#""for":"5s","oneOf":[{KILL},{KILL}]"#), "no alternative takes the step's `for`"),
        (format!(r#""oneOf":[{KILL},{{}}]"#), "`oneOf[1]`: does nothing"),
        (format!(r#""oneOf":[{KILL},{{"weight":0,{}]"#, &KILL[12..]), "write a number from 1 to 1000"),
        (
            format!(r#""oneOf":[{KILL},{KILL}],"action":{{"rolloutRestart":{{}}}}"#),
            "has `oneOf` beside a `fault` or an `action`",
        ),
        (
            format!(r#""every":"20s","times":2,"oneOf":[{KILL},{{"action":{{"scale":{{"replicas":5}}}}}}]"#),
            "`scale` stays to the end",
        ),
        (
            format!(r#""recoverBetween":"9s","oneOf":[{KILL},{KILL}]"#),
            "add for example every: 20s and times: 3",
        ),
        (
            format!(r#""for":"9s","every":"8s","times":2,"oneOf":[{KILL},{PAUSE}]"#),
            "longer than `for`, which is 9s",
        ),
    ] {
        let found = read(&fields).expect_err(&fields);
        assert!(found.contains(words), "{fields}: {found}");
    }
}
