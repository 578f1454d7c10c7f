//! Which claims can be made, and which say nothing.

use super::*;

fn refusal(json: &str) -> String {
    serde_json::from_str::<Hypothesis>(json).expect_err(json).to_string()
}

#[test]
fn a_rate_is_bounded_where_something_tells_good_from_bad() {
    for bounds in [
        r#""during":{"min":20}"#,
        r#""during":{"min":20,"max":5000},"always":{"max":9000}"#,
        r#""during":{"longestOutage":"2s"},"after":{"min":20},"recoverWithin":"5s""#,
        r#""during":{"maxIncrease":"3x"}"#,
        r#""during":{"min":20,"window":"10s","minSamples":5}"#,
    ] {
        let json = format!(r#"{{"name":"a claim","sli":{{"volumeIops":{{"claims":["data"]}}}},{bounds}}}"#);
        assert!(serde_json::from_str::<Hypothesis>(&json).is_ok(), "{json}");
    }
}

#[test]
fn a_wait_is_compared_with_the_baseline_although_often_nothing_is_waited_for() {
    for sli in ["attachLatency", "schedulerPending"] {
        let json = format!(r#"{{"name":"a claim","sli":{{"{sli}":{{}}}},"during":{{"maxIncrease":"2x"}}}}"#);
        assert!(serde_json::from_str::<Hypothesis>(&json).is_ok(), "{json}");
    }
}

#[test]
fn refuses_bounds_that_would_be_passed_over_in_silence() {
    for (bounds, words) in [
        (r#""sli":{"leaderElections":{}},"during":{}"#, "bounds nothing: write for example max: 1"),
        (
            r#""sli":{"restoreTime":{}},"always":{"minSamples":2}"#,
            "bounds nothing: write for example max: 1m",
        ),
        (
            r#""sli":{"restoreTime":{}},"always":{"maxIncrease":"2x"}"#,
            "no baseline to compare with, because what is tried are steps of the run: write for example max: 1m",
        ),
        (r#""sli":{"leaderElections":{}},"recoverWithin":"5s""#, "leave recoverWithin out"),
        (r#""sli":{"claimsReclaimed":{}},"recoverWithin":"5s""#, "leave recoverWithin out"),
        (
            r#""sli":{"attachSuccess":{}},"recoverWithin":"5s""#,
            "leave recoverWithin out, and write always: {min: 99%}",
        ),
        (r#""sli":{"snapshotSuccess":{}},"recoverWithin":"5s""#, "leave recoverWithin out"),
        (r#""sli":{"restoreTime":{}},"recoverWithin":"5s""#, "always: {max: 1m}"),
        (r#""sli":{"durability":{}},"recoverWithin":"5s""#, "it takes no budget"),
        (r#""sli":{"commitLatency":{}},"before":{"maxIncrease":"2x"}"#, "compare the baseline with itself"),
        (r#""sli":{"quorum":{}},"after":{"step":"cut"}"#, "`step` belongs to `during`"),
        (r#""sli":{"quorum":{}},"during":{"stableFor":"1s"}"#, "it belongs to `after`"),
        (r#""sli":{"quorum":{}},"after":{"stableFor":"0s"}"#, "`stableFor` of 0s is never seen"),
        (r#""sli":{"volumeIops":{}}"#, "no usual value, so nothing tells good from bad"),
        (r#""sli":{"volumeIops":{}},"during":{"longestOutage":"2s"}"#, "write for example after: {min: 100}"),
        (r#""sli":{"volumeIops":{}},"during":{"min":1},"recoverWithin":"5s""#, "no usual value"),
        (r#""sli":{"volumeIops":{}},"during":{"min":"80%"}"#, "`80%` is not a number per second: write 100"),
        (r#""sli":{"podAvailability":{}},"during":{"maxIncrease":"2x"}"#, "it does not fit here"),
        (
            r#""sli":{"replicationLag":{}},"after":{"max":"1s","window":"10s"}"#,
            "judged by its worst value in any case, so leave it out",
        ),
        (r#""sli":{"quorum":{}},"during":{"window":"10s"}"#, "each of its outages"),
        (r#""sli":{"leaderElections":{}},"during":{"max":1,"window":"1m"}"#, "happens in the whole phase"),
        (
            r#""sli":{"attachSuccess":{}},"always":{"min":"99%","window":"1m"}"#,
            "judged by its worst value in any case",
        ),
        (r#""sli":{"commitLatency":{}},"during":{"window":"10s"}"#, "write for example max: 50ms"),
        (r#""sli":{"podAvailability":{}},"during":{"window":"10s"}"#, "write for example min: 67%"),
        (
            r#""sli":{"commitLatency":{}},"during":{"max":"1s","window":"100ms"}"#,
            "a `window` of 100ms is too short to say anything",
        ),
        (
            r#""sli":{"commitLatency":{}},"during":{"max":"1s","window":"10s","longestOutage":"2s"}"#,
            "leave one of them out",
        ),
        (r#""sli":{"quorum":{}},"during":{"excludeFaulted":true}"#, "not told of each member"),
        (
            r#""sli":{"commitLatency":{}},"during":{"max":"1s","excludeFaulted":true}"#,
            "not told of each member",
        ),
        (
            r#""sli":{"podAvailability":{}},"after":{"excludeFaulted":true}"#,
            "no fault is there at another time",
        ),
        (r#""sli":{"quorum":{}},"during":{"minSamples":0}"#, "must be at least 1: leave it out"),
        (r#""sli":{"podAvailability":{}},"during":{"min":"67%","minSamples":10}"#, "is told when it changes"),
        (r#""sli":{"diskUsage":{}},"always":{"max":"101%"}"#, "is not a share of a disk: write 80%"),
        (r#""sli":{"diskUsage":{}},"always":{"max":80}"#, "`80` is not a share of a disk: write 80%"),
        (r#""sli":{"diskUsage":{"claim":"data"}}"#, "unknown field `claim`"),
        (
            r#""sli":{"podAvailability":{}},"always":{"min":1,"max":"50%"}"#,
            "no value is at least 1 and at most 50%: exchange them",
        ),
    ] {
        let found = refusal(&format!(r#"{{"name":"a claim",{bounds}}}"#));
        assert!(found.contains(words), "{bounds}: {found}");
    }
}
