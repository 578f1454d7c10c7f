//! Comparisons of made-up runs: what counts as worse, and what a person reads of it.

use super::*;
use crate::judge::judgement::Scope;
use crate::report::compare::measure::What;
use crate::report::fixture::{S, claim, judgement, measured};

const MS: u64 = 1_000_000;

/// The trend of one number of a claim that both runs have.
fn trend(first: Claim, second: Claim, what: What) -> Trend {
    let compared = compare(&judgement(vec![first]), &judgement(vec![second]), 10);
    let measures = &compared.claims[0].measures;
    measures.iter().find(|measure| measure.what == what).expect("it was measured").trend
}

#[test]
fn a_run_beside_itself_is_the_same() {
    let run = judgement(vec![
        measured("quorum", (1_000_000, 700_000), 2 * S, Some(S)),
        claim("no write is lost", "durability", "Fail"),
    ]);
    let compared = compare(&run, &run, 0);
    assert!(!compared.is_regression() && compared.better.is_empty());
    assert_eq!((compared.unlike.len(), compared.claims.len()), (0, 2));
    let text = compared.to_string();
    assert!(text.starts_with("SAME  leader-cut  nothing got worse or better\n"), "{text}");
}

#[test]
fn tells_what_got_worse_and_what_got_better_in_its_unit() {
    let mut now = measured("quorum", (1_000_000, 500_000), 5 * S, Some(400 * MS));
    now.verdict = Verdict::Fail;
    now.sentence = "quorum: lost for 5 s".into();
    let first = judgement(vec![measured("quorum", (1_000_000, 724_000), 2100 * MS, Some(3 * S))]);
    let compared = compare(&first, &judgement(vec![now]), 10);
    assert_eq!(
        compared.worse,
        [
            "leader-cut: Fail instead of Pass",
            "a claim: Fail instead of Pass",
            "a claim: during held 50 % instead of held 72.4 %, 22.4 points less",
            "a claim: longest outage 5 s instead of 2.1 s, 2.9 s longer",
        ]
    );
    assert_eq!(compared.better, ["a claim: recovery 400 ms instead of 3 s, 2.6 s shorter"]);
    let expected = "\
MIXED  leader-cut  4 got worse, 1 better
  first         leader-cut-1: Pass, default/db, seed 7, seatrial 0.1.0, sandbox, Linux 6.1.0, 2 CPUs, as root
  second        leader-cut-1: Fail, default/db, seed 7, seatrial 0.1.0, sandbox, Linux 6.1.0, 2 CPUs, as root
  Fail          a claim
                was Pass: quorum: measured
                now Fail: quorum: lost for 5 s
                before           held 100 %  held 100 %
                during          held 72.4 %   held 50 %  22.4 points less: worse
                recovery                3 s      400 ms  2.6 s shorter: better
                longest outage        2.1 s         5 s  2.9 s longer: worse
  worse         leader-cut: Fail instead of Pass
  worse         a claim: Fail instead of Pass
  worse         a claim: during held 50 % instead of held 72.4 %, 22.4 points less
  worse         a claim: longest outage 5 s instead of 2.1 s, 2.9 s longer
  better        a claim: recovery 400 ms instead of 3 s, 2.6 s shorter
";
    assert_eq!(compared.to_string(), expected);
}

#[test]
fn what_a_run_cannot_tell_is_the_same() {
    // Two looks at the members.
    let recovered = |took| measured("quorum", (1_000_000, 1_000_000), 0, Some(took));
    assert_eq!(trend(recovered(0), recovered(399 * MS), What::Recovery), Trend::Same);
    assert_eq!(trend(recovered(0), recovered(400 * MS), What::Recovery), Trend::Worse);
    // Of an availability, what is missing: two percent is twice as bad as one.
    let available = |value| measured("podAvailability", (value, value), 0, Some(0));
    assert_eq!(trend(available(990_000), available(980_000), What::During), Trend::Worse);
    assert_eq!(trend(available(990_000), available(985_000), What::During), Trend::Same);
    // Nobody knows whether many reads and writes are good.
    let busy = |value| measured("volumeIops", (value, value), 0, Some(0));
    assert_eq!(trend(busy(100), busy(200), What::During), Trend::Different);
}

#[test]
fn what_differs_from_run_to_run_is_shown_and_not_counted() {
    let latency = |value| measured("commitLatency", (value, value), 0, Some(0));
    // Within the tolerance, and below a millisecond whatever the tolerance is.
    assert_eq!(trend(latency(100 * MS), latency(110 * MS), What::During), Trend::Same);
    assert_eq!(trend(latency(MS / 2), latency(MS), What::During), Trend::Same);
    for what in [What::Before, What::During] {
        assert_eq!(trend(latency(78 * MS), latency(805 * MS), what), Trend::Different);
        assert_eq!(trend(latency(805 * MS), latency(78 * MS), what), Trend::Different);
    }
    let events = |value| measured("leaderElections", (0, value), 0, Some(0));
    assert_eq!(trend(events(1), events(2), What::During), Trend::Different);
    // What was before the faults is no work of theirs.
    let steady = |value| measured("podAvailability", (value, 1_000_000), 0, Some(0));
    assert_eq!(trend(steady(1_000_000), steady(900_000), What::Before), Trend::Different);
}

#[test]
fn what_no_budget_bounds_is_shown_and_not_counted() {
    let bounded = |outage, took| measured("quorum", (1_000_000, 1_000_000), outage, Some(took));
    let unbounded = |outage, took| Claim { findings: Vec::new(), ..bounded(outage, took) };
    for (what, first, second) in
        [(What::LongestOutage, (S, 0), (3 * S, 0)), (What::Recovery, (0, S), (0, 3 * S))]
    {
        let counted = trend(bounded(first.0, first.1), bounded(second.0, second.1), what);
        let shown = trend(unbounded(first.0, first.1), unbounded(second.0, second.1), what);
        assert_eq!((counted, shown), (Trend::Worse, Trend::Different));
    }
}

#[test]
fn what_a_budget_leaves_members_out_of_is_shown_and_not_counted() {
    let up = |during, outage| {
        let mut claim = measured("podAvailability", (1_000_000, during), outage, Some(0));
        for finding in &mut claim.findings {
            finding.excludes_faulted = finding.scope == Scope::During;
        }
        claim
    };
    let everybody = |during, outage| measured("podAvailability", (1_000_000, during), outage, Some(0));
    for what in [What::During, What::LongestOutage] {
        let shown = trend(up(900_000, S), up(600_000, 9 * S), what);
        let counted = trend(everybody(900_000, S), everybody(600_000, 9 * S), what);
        assert_eq!((counted, shown), (Trend::Worse, Trend::Different));
    }
    // What it says of recovery is about everybody.
    let mut slower = up(600_000, 0);
    slower.recovery = measured("podAvailability", (0, 0), 0, Some(3 * S)).recovery;
    assert_eq!(trend(up(600_000, 0), slower, What::Recovery), Trend::Worse);
}

#[test]
fn a_recovery_that_never_came_is_worse_than_any() {
    let run = |took| measured("quorum", (1_000_000, 0), 0, took);
    assert_eq!(trend(run(Some(9 * S)), run(None), What::Recovery), Trend::Worse);
    assert_eq!(trend(run(None), run(Some(9 * S)), What::Recovery), Trend::Better);
    assert_eq!(trend(run(None), run(None), What::Recovery), Trend::Same);
}

#[test]
fn a_latency_without_an_end_is_worse_than_any() {
    let commits = |value: Option<u64>| {
        let mut claim = measured("commitLatency", (MS, MS), 0, Some(0));
        for numbers in &mut claim.phases {
            (numbers.value, numbers.unreachable) = (value, if value.is_none() { 40 } else { 0 });
        }
        claim
    };
    assert_eq!(trend(commits(Some(S)), commits(None), What::During), Trend::Worse);
    assert_eq!(trend(commits(None), commits(Some(S)), What::During), Trend::Better);
    assert_eq!(trend(commits(Some(S)), commits(None), What::Before), Trend::Different);
    let compared = compare(&judgement(vec![commits(Some(S))]), &judgement(vec![commits(None)]), 10);
    assert_eq!(compared.worse, ["a claim: during no end instead of 1 s"]);
}

#[test]
fn no_outage_is_known_of_what_never_recovered_for_long_enough_either() {
    let never = |outage| measured("quorum", (1_000_000, 1_000_000), outage, None);
    assert_eq!(trend(never(0), never(20 * S), What::LongestOutage), Trend::Worse);
}

#[test]
fn a_fault_that_stayed_is_worse_whatever_the_verdict() {
    let clean = judgement(vec![claim("one", "quorum", "Pass")]);
    let mut left = clean.clone();
    left.revert_failed.push("cut-leader on db-0".into());
    let compared = compare(&clean, &left, 10);
    assert_eq!(compared.worse, ["faults that could not be taken back: 1 instead of 0"]);
}

#[test]
fn pods_that_did_not_come_back_are_said_and_not_counted() {
    let first = judgement(vec![claim("one", "quorum", "Pass")]);
    let mut second = first.clone();
    second.not_back.push("only 2 of 3 pods of db were Ready when the record ended".into());
    let compared = compare(&first, &second, 10);
    assert!(!compared.is_regression() && compared.inconclusive.is_empty());
    let text = compared.to_string();
    assert!(text.starts_with("SAME  "), "{text}");
    assert_eq!(text.matches("warning").count(), 1, "{text}");
    let words = "\n  warning       the second run: only 2 of 3 pods of db were Ready when the record ended\n";
    assert!(text.contains(words), "{text}");
}

#[test]
fn claims_without_a_counterpart_are_said_and_not_counted() {
    let first = judgement(vec![claim("one", "quorum", "Pass"), claim("gone", "durability", "Pass")]);
    let second = judgement(vec![claim("new", "quorum", "Pass"), claim("one", "quorum", "Pass")]);
    let compared = compare(&first, &second, 10);
    assert!(!compared.is_regression());
    assert_eq!((compared.only_first[0].name.as_str(), compared.only_first.len()), ("gone", 1));
    assert_eq!((compared.only_second[0].name.as_str(), compared.only_second.len()), ("new", 1));
    assert_eq!(
        compared.inconclusive,
        ["the second run does not claim: gone"],
        "whoever removes a claim hides it"
    );
    assert_eq!(compare(&second, &second, 10).inconclusive, [""; 0]);
    let text = compared.to_string();
    for words in
        ["gone\n                only in the first run", "new\n                only in the second run"]
    {
        assert!(text.contains(words), "{text}");
    }
}

#[test]
fn a_run_that_is_no_answer_is_never_better() {
    let run = |verdict| judgement(vec![claim("one", "quorum", verdict)]);
    for none in ["Inconclusive", "Aborted"] {
        let compared = compare(&run("Fail"), &run(none), 10);
        assert_eq!((compared.better.len(), compared.worse.len()), (0, 0), "{compared:?}");
        assert_eq!(compared.claims[0].trend, Trend::Different);
        assert_eq!(compared.inconclusive, [format!("the second run is {none}")]);
        let text = compared.to_string();
        assert!(text.starts_with("INCONCLUSIVE  leader-cut  nothing got worse or better\n"), "{text}");
        assert!(text.contains(&format!("\n  inconclusive  the second run is {none}\n")), "{text}");
        let compared = compare(&run("Pass"), &run(none), 10);
        assert_eq!(compared.worse.len(), 2, "{compared:?}");
        let compared = compare(&run(none), &run("Pass"), 10);
        assert_eq!(compared.better, [""; 0]);
        assert_eq!(compared.inconclusive, [format!("the first run is {none}")]);
    }
}

#[test]
fn another_experiment_is_no_answer_either() {
    let first = judgement(vec![claim("one", "quorum", "Pass")]);
    let second = judgement(vec![claim("two", "quorum", "Pass")]);
    let expected = ["the second run does not claim: one", "the runs have no claim in common"];
    assert_eq!(compare(&first, &second, 10).inconclusive, expected);
    let mut second = first.clone();
    second.experiment = "other".into();
    second.steps[0].fault = "processPause".into();
    let expected = [
        "not comparable: another experiment: leader-cut, then other",
        "not comparable: other faults: cut-leader (networkPartition), then cut-leader (processPause)",
    ];
    assert_eq!(compare(&first, &second, 10).inconclusive, expected);
    // The same fault, on what the target depends on.
    let mut second = first.clone();
    second.steps[0].set = Some("zookeeper".into());
    let told = "other faults: cut-leader (networkPartition), then cut-leader (networkPartition at zookeeper)";
    assert_eq!(compare(&first, &second, 10).inconclusive, [format!("not comparable: {told}")]);
    // A smaller machine is a warning.
    let mut second = first.clone();
    second.environment = "sandbox, Linux 6.1.0, 1 CPU, as root".into();
    let compared = compare(&first, &second, 10);
    assert_eq!(compared.inconclusive, [""; 0]);
    assert!(compared.to_string().contains("number of processors: 2 CPUs, then 1 CPU"), "{compared}");
    // As older records have it.
    let mut older = first.clone();
    older.environment = "sandbox, Linux 6.1.0, 1 CPUs, as root".into();
    assert!(compare(&older, &second, 10).unlike.is_empty());
}

#[test]
fn warns_of_everything_that_makes_numbers_incomparable() {
    let first = judgement(Vec::new());
    let mut second = first.clone();
    second.experiment = "other".into();
    second.replicas = 5;
    second.environment = "sandbox, Linux 6.8.0, 4 CPUs, as an ordinary user".into();
    second.steps[0].fault = "processPause".into();
    let compared = compare(&first, &second, 10);
    let told: Vec<_> = compared.unlike.iter().map(|unlike| unlike.what.as_str()).collect();
    assert_eq!(told, ["experiment", "faults", "target size", "kernel", "number of processors", "place"]);
    let text = compared.to_string();
    for words in [
        "not comparable: another number of processors: 2 CPUs, then 4 CPUs",
        "not comparable: another target size: 3 members, then 5 members",
        "not comparable: another kernel: Linux 6.1.0, then Linux 6.8.0",
    ] {
        assert!(text.contains(words), "{text}");
    }
    // Another seed, another release and another namespace are what people compare.
    let mut other = first.clone();
    (other.seed, other.version) = (8, "0.2.0".into());
    assert_eq!(compare(&first, &other, 10).unlike, []);
}

#[test]
fn programs_read_the_same() {
    let first = judgement(vec![measured("quorum", (1_000_000, 724_000), 2 * S, Some(3 * S))]);
    let second = judgement(vec![measured("quorum", (1_000_000, 724_000), 2 * S, None)]);
    let json = serde_json::to_value(compare(&first, &second, 10)).expect("it is JSON");
    assert_eq!(json["first"]["seed"], 7);
    let recovery = &json["claims"][0]["measures"][2];
    assert_eq!(
        *recovery,
        serde_json::json!({"what": "recovery", "first": 3 * S, "second": null, "firstShown": "3 s",
                           "secondShown": "not recovered", "trend": "worse", "difference": null})
    );
}
