//! Whether a fault counts as proven.

use serde_json::json;

use super::story::{MS, S, Story, healthy, led_by, read, silent, status, with_ids};
use crate::api::Members;
use crate::experiment::Verdict;
use crate::judge::judge;

fn quorum() -> Story {
    Story::claiming(json!({"name": "q", "sli": {"quorum": {}}}))
}

#[test]
fn a_fault_that_is_proven_every_second_is_proven() {
    let judgement = quorum().judged();
    assert_eq!(judgement.verdict, Verdict::Pass, "{:#?}", judgement.reasons);
    let step = &judgement.steps[0];
    assert_eq!((step.effective_share, step.proofs), (Some(1000), 4));
    assert_eq!(step.fault, "processPause");
    assert_eq!(judgement.headline, "the claim held while pause hit member 0");
}

#[test]
fn what_a_step_chose_is_what_is_judged_and_named() {
    let mut story = quorum();
    story.steps = json!([{"name": "pause", "at": "1s", "oneOf": [
        {"fault": {"podKill": {"members": {"ordinals": [0]}}}},
        {"for": "4s", "fault": {"processPause": {"members": {"ordinals": [0]}}}}]}]);
    story.picked = json!({"place": 1, "name": "processPause"});
    let judgement = story.judged();
    assert_eq!(judgement.verdict, Verdict::Pass, "{:#?}", judgement.reasons);
    assert_eq!(judgement.steps[0].fault, "processPause");
    assert_eq!(judgement.headline, "the claim held while pause (processPause) hit member 0");
    // What happens once has the time until recovery for its own; what stays has not.
    story.members = |now| match now {
        11_100_000_000..12_000_000_000 => Members { members: vec![silent(0), silent(1), silent(2)] },
        _ => healthy(now),
    };
    let during = |story: &Story| story.judged().claims[0].phases[1].to;
    assert_eq!(during(&story), 11_050 * MS);
    story.picked = json!({"place": 0, "name": "podKill"});
    assert_eq!(during(&story), 12 * S);
}

#[test]
fn an_effect_that_is_lost_is_inconclusive_and_says_when() {
    let mut story = quorum();
    story.proofs.truncate(2);
    let mut lines = story.lines();
    let lost = format!("{{\"time\":{},\"entry\":{}}}", 9 * S, status("Lost", 9 * S, S));
    let place =
        lines.iter().position(|line| line.contains("\"desired\":\"Reverted\"")).expect("it is reverted");
    lines.insert(place, lost);
    let judgement = judge(&read(&lines));
    assert_eq!(judgement.verdict, Verdict::Inconclusive);
    assert!(judgement.headline.contains("was lost at 9.0 s"), "{}", judgement.headline);
}

#[test]
fn a_status_told_twice_is_one_proof() {
    let mut story = quorum();
    story.proofs.truncate(1);
    let mut lines = story.lines();
    let proof = lines.iter().position(|line| line.contains("\"proof\"")).expect("it is proven");
    for late in [8100 * MS, 9100 * MS, 10_100 * MS] {
        let again = lines[proof].replace("{\"time\":7100000000", &format!("{{\"time\":{late}"));
        lines.insert(proof + 2, again);
    }
    let judgement = judge(&read(&lines));
    assert_eq!(judgement.verdict, Verdict::Inconclusive);
    assert!(judgement.headline.contains("was not proven again after 7.1 s"), "{}", judgement.headline);
}

#[test]
fn nothing_injected_is_never_a_pass() {
    let mut story = quorum();
    story.injects = false;
    let judgement = story.judged();
    assert_eq!(judgement.verdict, Verdict::Inconclusive);
    assert_eq!(judgement.headline, "nothing was broken, so nothing was tested");
    story.steps = json!([]);
    assert_eq!(story.judged().verdict, Verdict::Inconclusive);
}

#[test]
fn a_step_that_never_came_is_inconclusive() {
    let mut story = quorum();
    let pause = story.steps[0].clone();
    story.steps = json!([pause, {"name": "later", "after": "pause", "for": "1s",
                                 "fault": {"processPause": {"members": {"ordinals": [1]}}}}]);
    let judgement = story.judged();
    assert_eq!(judgement.verdict, Verdict::Inconclusive);
    assert_eq!(judgement.headline, "step `later` never happened");
}

#[test]
fn an_aborted_run_is_aborted_and_does_not_judge_recovery() {
    let lines: Vec<String> = quorum()
        .lines()
        .into_iter()
        .map(|line| {
            line.replace("{\"phase\":\"recovering\"}", "{\"abort\":{\"reason\":\"a person asked to stop\"}}")
        })
        .collect();
    let judgement = judge(&read(&lines));
    assert_eq!(judgement.verdict, Verdict::Aborted);
    assert_eq!(judgement.headline, "the run was aborted: a person asked to stop");
}

#[test]
fn a_snapshot_that_an_abort_takes_back_does_not_make_a_failure_of_it() {
    let taking = r#""fault":{"api":{"takeSnapshot":{"ordinals":[0],"claims":[],"class":null}}}"#;
    let story = Story::claiming(json!({"name": "s", "sli": {"snapshotSuccess": {}}}));
    let aborted = |line: String| match line.split_once("{\"apply\":") {
        Some((before, apply)) if apply.contains("\"desired\":\"Reverted\"") => {
            format!("{before}{{\"abort\":{{\"reason\":\"interrupted\"}}}},\"id\":0}}}}}}")
        }
        Some(_) | None => line.replace("\"fault\":{\"pause\":{}}", taking),
    };
    let lines = with_ids(story.lines().into_iter().map(aborted));
    let judgement = judge(&read(&lines));
    assert_eq!(
        judgement.claims[0].sentence,
        "snapshotSuccess: no snapshot was to be taken over the whole run"
    );
    assert_eq!(judgement.verdict, Verdict::Aborted);
}

#[test]
fn a_refusal_and_a_failed_revert_stand_beside_the_verdict() {
    let refused = "{\"refused\":{\"step\":\"pause\",\"reason\":\"2 of 3 would be left\"}}";
    let failed = "{\"revertFailed\":{\"reason\":\"pod db-0 is still frozen\"}}";
    let lines: Vec<String> = quorum()
        .lines()
        .into_iter()
        .map(|line| {
            line.replace("{\"phase\":\"recovering\"}", refused).replace("{\"phase\":\"settling\"}", failed)
        })
        .collect();
    let judgement = judge(&read(&lines));
    assert_eq!(judgement.refused.as_deref(), Some("step `pause`: 2 of 3 would be left"));
    assert_eq!(judgement.revert_failed, ["pod db-0 is still frozen"]);
    assert_eq!(judgement.verdict, Verdict::Inconclusive);
}

/// The story with a pod that is deleted at 7 s and gone at 7.05 s, where the step is over at 7.2 s.
fn deleted(hypothesis: serde_json::Value, is_seen_gone: bool) -> Vec<String> {
    let mut story = Story::claiming(hypothesis);
    story.steps =
        json!([{"name": "pause", "at": "1s", "fault": {"podKill": {"members": {"ordinals": [0]}}}}]);
    story.ready = vec![(7050 * MS, 2), (9 * S, 3)];
    let delete = format!(
        "{{\"time\":{},\"entry\":{{\"effect\":{{\"id\":2,\"effect\":{{\"deletePod\":{{\"ordinal\":0,\"grace\":null}}}}}}}}}}",
        7 * S
    );
    let mut lines = Vec::new();
    for line in story.lines() {
        if line.contains("{\"apply\"") || line.contains("{\"injection\"") {
            continue;
        }
        let is_chosen = line.contains("{\"chosen\"");
        let line = if line.contains("{\"ended\"") {
            line.replace(&(11_050 * MS).to_string(), &(7200 * MS).to_string())
        } else if line.contains("{\"pods\"") && is_seen_gone {
            line.replace("uid-0", "uid-0-new")
        } else {
            line
        };
        lines.push(line);
        if is_chosen {
            lines.push(delete.clone());
        }
    }
    lines.sort_by_key(|line| {
        let time = line.split("\"time\":").nth(1).and_then(|rest| rest.split(',').next());
        time.and_then(|time| time.parse::<u64>().ok())
    });
    with_ids(lines)
}

#[test]
fn a_deleted_pod_is_proven_by_the_platform() {
    let claim = json!({"name": "up", "sli": {"podAvailability": {}}, "recoverWithin": "5s"});
    let lines = deleted(claim.clone(), true);
    let judgement = judge(&read(&lines));
    assert_eq!(judgement.verdict, Verdict::Pass, "{:#?}", judgement.reasons);
    let recovery = judgement.claims[0].recovery.clone().expect("it is told");
    assert_eq!((recovery.from, recovery.recovered), (7200 * MS, Some(9 * S)));
    let step = &judgement.steps[0];
    let seen = "the deleted pod of member 0 was seen to go at 7.0 s";
    assert_eq!((step.proofs, step.proof.as_deref()), (1, Some(seen)));
    let lines = deleted(claim, false);
    let judgement = judge(&read(&lines));
    assert_eq!(judgement.verdict, Verdict::Inconclusive);
    assert!(judgement.headline.contains("was never seen gone"), "{}", judgement.headline);
}

#[test]
fn what_follows_a_fault_that_happens_once_belongs_to_its_time() {
    let claim = |longest: &str| json!({"name": "up", "sli": {"podAvailability": {}}, "during": {"step": "pause", "longestOutage": longest}});
    let lines = deleted(claim("1s"), true);
    let judgement = judge(&read(&lines));
    assert_eq!(judgement.verdict, Verdict::Fail, "{:#?}", judgement.claims);
    assert!(
        judgement
            .headline
            .contains("below 100 % for 1.9 s during pause (at 7.0 s: 2 of 3 pods are ready), allowed 1 s"),
        "{}",
        judgement.headline
    );
    let lines = deleted(claim("2s"), true);
    assert_eq!(judge(&read(&lines)).verdict, Verdict::Pass);
}

#[test]
fn a_doubt_that_comes_back_as_a_lack_of_proof_is_told_once() {
    let why = "step pause did not come into force: it is not there";
    let doubt = json!({"effect": {"id": 1, "effect": {"doubt": {"reason": why}}}});
    let mut lines = Story::claiming(json!({"name": "up", "sli": {"podAvailability": {}}})).lines();
    let ended = lines.iter().position(|line| line.contains("\"unproven\":null")).expect("it ends");
    lines[ended] = lines[ended].replace("\"unproven\":null", &format!("\"unproven\":\"{why}\""));
    lines.insert(ended, format!("{{\"time\":{},\"entry\":{doubt}}}", 11_050 * MS));
    let reasons = judge(&read(&with_ids(lines))).reasons;
    let told: Vec<&str> = reasons.iter().map(|reason| reason.text.as_str()).collect();
    assert_eq!(told, [why]);
}

#[test]
fn whoever_stops_a_run_early_says_nothing_about_its_recovery() {
    let mut story = Story::claiming(json!({"name": "q", "sli": {"quorum": {}}, "recoverWithin": "1s"}));
    story.members = |now| if now < 9 * S { healthy(now) } else { led_by(9, 1, now) };
    assert!(story.judged().claims[0].recovery.is_some());
    let abort = "{\"abort\":{\"reason\":\"interrupted\"}}";
    let stopped = |line: String| line.replace("{\"phase\":\"recovering\"}", abort);
    let lines = with_ids(story.lines().into_iter().map(stopped));
    let claim = judge(&read(&lines)).claims.swap_remove(0);
    assert_eq!(claim.recovery, None);
    assert!(claim.sentence.contains("recovery was not judged, because the run stopped early"), "{claim:#?}");
}
