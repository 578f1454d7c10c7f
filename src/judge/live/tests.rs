//! The running run's view must agree with the judge's on the same lines.

use serde_json::json;

use super::*;
use crate::api::Members;
use crate::judge::tests::story::{Answer, MS, S, Story, healthy, member, pods, read, silent};

/// Asks after every line, in the order of times.
fn told(story: &Story, ask: fn(&Live, Nanos) -> Option<String>) -> Vec<(Nanos, Option<String>)> {
    let journal = read(&story.lines());
    let mut live = Live::new(&journal.header.experiment);
    live.observe(&Line { time: 0, entry: Entry::Header(Box::new(journal.header.clone())) });
    let mut operations = journal.operations().peekable();
    let mut answers: Vec<(Nanos, Option<String>)> = Vec::new();
    for line in &journal.lines {
        while let Some(operation) = operations.next_if(|operation| operation.time < line.time) {
            live.observe_operation(&operation);
        }
        live.observe(line);
        let answer = ask(&live, line.time);
        if answers.last().is_none_or(|(_, last)| *last != answer) {
            answers.push((line.time, answer));
        }
    }
    answers
}

fn unmet(story: &Story) -> Vec<(Nanos, Option<String>)> {
    told(story, |live, now| live.unmet(now).into_iter().next())
}

fn abort(story: &Story) -> Vec<(Nanos, Option<String>)> {
    told(story, Live::abort_conditions)
}

fn lost_quorum(now: Nanos) -> Members {
    match now {
        8_000_000_000..12_500_000_000 => {
            Members { members: vec![silent(0), silent(1), member(2, 0, 1, now)] }
        }
        _ => healthy(now),
    }
}

#[test]
fn a_claim_is_unmet_until_it_was_good_for_long_enough_after_the_last_revert() {
    let claim = json!({"name": "one leader", "sli": {"quorum": {}}, "during": {"longestOutage": "9s"}, "recoverWithin": "9s"});
    let mut story = Story::claiming(claim);
    story.members = lost_quorum;
    let words = Some("one leader (quorum has not been good for 2 s yet)".to_owned());
    let answers = unmet(&story);
    let [first, steady, lost, recovered] = answers.as_slice() else {
        unreachable!("{answers:?}");
    };
    assert_eq!(first, &(0, words.clone()));
    // Nothing was known of its first tenth.
    assert_eq!(steady, &(2300 * MS, None));
    assert_eq!(lost.1, words);
    assert_eq!(recovered, &(14_500 * MS, None));
    let recovery = story.judged().claims[0].recovery.clone().expect("it is told always");
    assert_eq!(recovery.recovered, Some(12_500 * MS));
}

#[test]
fn a_revert_starts_the_wait_anew_even_where_nothing_went_bad() {
    let claim =
        json!({"name": "c", "sli": {"commitLatency": {}}, "after": {"max": "50ms", "stableFor": "3s"}});
    let answers = unmet(&Story::claiming(claim));
    let (when, answer) = answers.last().expect("it was asked");
    assert_eq!(*answer, None);
    assert!((14 * S..14_200 * MS).contains(when), "{answers:?}");
}

#[test]
fn slow_commits_are_waited_for_against_the_baseline() {
    let claim = json!({"name": "c", "sli": {"commitLatency": {}}, "after": {"maxIncrease": "2x"}});
    let mut story = Story::claiming(claim);
    story.writes = |at| Answer::Ok(if (7 * S..13 * S).contains(&at) { 60 * MS } else { 5 * MS });
    let answers = unmet(&story);
    let (when, answer) = answers.last().expect("it was asked");
    assert_eq!(*answer, None);
    assert!((15 * S..15_200 * MS).contains(when), "{answers:?}");
}

#[test]
fn claims_about_the_workload_wait_for_the_workload() {
    let story = Story::claiming(json!({"name": "c", "sli": {"commitLatency": {}}}));
    let answers = unmet(&story);
    assert_eq!(answers[0], (0, None));
    assert!(answers.iter().any(|(when, answer)| *when == S && answer.is_some()), "{answers:?}");
}

#[test]
fn an_abort_condition_is_true_when_it_lasted() {
    let mut story =
        Story::claiming(json!({"name": "q", "sli": {"quorum": {}}, "during": {"longestOutage": "9s"}}));
    story.guards = json!({"abortWhen": [{"sli": {"quorum": {}}, "for": "2s"}]});
    assert_eq!(abort(&story), [(0, None)]);
    story.members = lost_quorum;
    let answers = abort(&story);
    let words = Some("quorum has been lost for 2 s".to_owned());
    assert_eq!(answers[1], (9900 * MS, words), "{answers:?}");
    assert_eq!(answers[2], (12_500 * MS, None), "{answers:?}");
    story.guards = json!({"abortWhen": [{"sli": {"commitLatency": {}}, "above": "1s"}]});
    story.writes = |at| Answer::Ok(if at > 8 * S { 2 * S } else { 5 * MS });
    let answers = abort(&story);
    let (when, answer) = &answers[1];
    assert_eq!(answer.as_deref(), Some("commitLatency p99 is above 1s"));
    assert!((8 * S..9500 * MS).contains(when), "{answers:?}");
}

#[test]
fn what_is_waited_for_still_has_not_recovered_and_aborts_by_the_whole_wait() {
    let claim = json!({"name": "p", "sli": {"schedulerPending": {}}, "after": {"max": "10s"}});
    let mut story = Story::claiming(claim);
    story.heard = vec![(6500 * MS, pods("pending")), (14 * S, pods("running"))];
    let answers = unmet(&story);
    let (when, answer) = answers.last().expect("it was asked");
    assert_eq!((*when, answer.as_ref()), (14 * S, None), "{answers:?}");
    let recovery = story.judged().claims[0].recovery.clone().expect("it is told always");
    assert_eq!(recovery.recovered, Some(12 * S));
    story.guards = json!({"abortWhen": [{"sli": {"schedulerPending": {}}, "above": "7s"}]});
    let words = Some("schedulerPending is above 7s".to_owned());
    assert_eq!(abort(&story)[1..], [(13_600 * MS, words), (14 * S, None)]);
}

#[test]
fn nothing_is_waited_for_that_only_attempts_can_tell() {
    for sli in ["attachSuccess", "snapshotSuccess", "restoreTime"] {
        let mut claim = json!({"name": "c", "sli": {}});
        claim["sli"][sli] = json!({});
        assert_eq!(unmet(&Story::claiming(claim)), [(0, None)], "{sli}");
    }
}
