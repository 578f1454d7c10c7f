//! The same experiment many times: how often each claim held, how long recovery took, how long the longest outage was, and
//! how long it took until another leader was there.
//!
//! Percentiles are of the nearest rank, so that each is a measurement. The 99th of fewer than a hundred is their maximum,
//! and is called that. Times are of runs that passed or failed: one that was stopped, or whose fault was not in force, has
//! none. A run that did not recover is slower than all that did, and so is a leader that was hit and that
//! nobody followed.

use std::fmt;

use super::compare::is_answer;
use super::compare::measure::{longest_outage, recovered_after};
use crate::api::Nanos;
use crate::experiment::Verdict;
use crate::judge::judgement::{Claim, Election, Judgement};
use crate::judge::signals::nearest_rank;
use crate::judge::words;

/// From so many measurements on, the 99th percentile is not their maximum.
const MANY: usize = 100;

/// How far everything stands from the left that belongs to a claim.
const INDENT: usize = 16;

/// Runs of one experiment, in their order, for a person.
#[derive(Debug, Clone, Copy)]
pub struct Repeated<'a> {
    /// Those that were made.
    pub runs: &'a [Judgement],
    /// How many were asked for.
    pub asked: usize,
}

impl fmt::Display for Repeated<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { runs, asked } = *self;
        let Some(last) = runs.last() else {
            return Ok(());
        };
        let verdicts = counts(runs.iter().map(|run| run.verdict));
        let of = if runs.len() < asked { format!(" of {asked}") } else { String::new() };
        writeln!(f, "REPEATED  {}  {}{of} times: {verdicts}", last.experiment, runs.len())?;
        let widest = runs.len().to_string().len();
        for (number, run) in runs.iter().enumerate() {
            writeln!(
                f,
                "  {:<13} run {:>widest$}, seed {}: {}",
                run.verdict,
                number + 1,
                run.seed,
                run.headline
            )?;
            for missing in &run.not_back {
                writeln!(f, "  {:<13} run {:>widest$}: {missing}", "warning", number + 1)?;
            }
        }
        let failovers: Vec<Option<Nanos>> =
            runs.iter().filter(|run| is_answer(run.verdict)).flat_map(failovers).collect();
        if !failovers.is_empty() {
            let spread = spread(failovers, "nobody");
            writeln!(f, "  {:<13} {spread}, from a fault that hit the leader to another leader", "failover")?;
        }
        for claim in &last.claims {
            claim_lines(f, &claim.name, runs)?;
        }
        Ok(())
    }
}

fn claim_lines(f: &mut fmt::Formatter<'_>, name: &str, runs: &[Judgement]) -> fmt::Result {
    let found: Vec<(&Judgement, &Claim)> = runs
        .iter()
        .filter_map(|run| Some((run, run.claims.iter().find(|claim| claim.name == name)?)))
        .collect();
    let worst = found.iter().map(|(_, claim)| claim.verdict).max().unwrap_or(Verdict::Inconclusive);
    writeln!(f, "  {worst:<13} {name}")?;
    writeln!(f, "{:INDENT$}{}", "", counts(found.iter().map(|(_, claim)| claim.verdict)))?;
    let told: Vec<&Claim> =
        found.iter().filter(|(run, _)| is_answer(run.verdict)).map(|(_, claim)| *claim).collect();
    let recoveries: Vec<Option<Nanos>> =
        told.iter().filter(|claim| claim.recovery.is_some()).map(|claim| recovered_after(claim)).collect();
    let outages: Vec<Option<Nanos>> =
        told.iter().filter_map(|claim| longest_outage(claim)).map(Some).collect();
    for (what, measured) in [("recovery", recoveries), ("longest outage", outages)] {
        if !measured.is_empty() {
            writeln!(f, "{:INDENT$}{what:<14}  {}", "", spread(measured, "not recovered"))?;
        }
    }
    Ok(())
}

/// For each step that hit the leader the time from its decision to another leader; none where none was seen before the
/// next step.
fn failovers(run: &Judgement) -> Vec<Option<Nanos>> {
    let leaders: Vec<&Election> = run.first_leader.iter().chain(&run.elections).collect();
    let hits = run.steps.iter().filter_map(|step| {
        let (before, after) = leaders.split_at(leaders.partition_point(|seen| seen.at <= step.chosen));
        let leader = before.last()?.leader;
        let next = run.steps.iter().map(|other| other.chosen).find(|&chosen| chosen > step.chosen);
        let another =
            after.iter().find(|seen| seen.leader != leader && next.is_none_or(|next| seen.at <= next));
        let is_hit = step.set.is_none() && step.affected.contains(&leader);
        is_hit.then(|| another.map(|another| another.at - step.chosen))
    });
    hits.collect()
}

/// `4 passed, 1 failed`: those that there are.
fn counts(verdicts: impl Iterator<Item = Verdict>) -> String {
    let verdicts: Vec<Verdict> = verdicts.collect();
    [
        (Verdict::Pass, "passed"),
        (Verdict::Fail, "failed"),
        (Verdict::Inconclusive, "inconclusive"),
        (Verdict::Aborted, "aborted"),
    ]
    .into_iter()
    .map(|(verdict, word)| (verdicts.iter().filter(|&&one| one == verdict).count(), word))
    .filter(|(count, _)| *count > 0)
    .map(|(count, word)| format!("{count} {word}"))
    .collect::<Vec<_>>()
    .join(", ")
}

/// `p50 4 s, max of 5: 4.4 s`; a time that never came is none, and is called so.
fn spread(mut times: Vec<Option<Nanos>>, never: &str) -> String {
    times.sort_by_key(|time| time.unwrap_or(Nanos::MAX));
    let shown = |thousandths| {
        let time = nearest_rank(times.len(), thousandths).and_then(|place| times[place]);
        time.map_or_else(|| never.into(), words::time)
    };
    let slow = if times.len() < MANY { format!("max of {}:", times.len()) } else { "p99".into() };
    format!("p50 {}, {slow} {}", shown(500), shown(990))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::judge::tests::story::{Story, led_by};
    use crate::report::fixture::{S, claim, judgement, measured};

    fn run(seed: u64, verdict: Verdict, outage: u64, recovered: Option<u64>) -> Judgement {
        let mut quorum = measured("quorum", (1_000_000, 700_000), outage, recovered);
        quorum.verdict = verdict;
        let mut run = judgement(vec![quorum, claim("no write is lost", "durability", "Pass")]);
        run.seed = seed;
        run.headline = format!("it was {verdict}");
        run
    }

    #[test]
    fn counts_every_claim_and_tells_the_spread_of_its_times() {
        let runs = [
            run(7, Verdict::Pass, 2 * S, Some(3 * S)),
            run(8, Verdict::Fail, 6 * S, None),
            run(9, Verdict::Pass, S, Some(S)),
        ];
        let expected = "\
REPEATED  leader-cut  3 times: 2 passed, 1 failed
  Pass          run 1, seed 7: it was Pass
  Fail          run 2, seed 8: it was Fail
  Pass          run 3, seed 9: it was Pass
  Fail          a claim
                2 passed, 1 failed
                recovery        p50 3 s, max of 3: not recovered
                longest outage  p50 2 s, max of 3: 6 s
  Pass          no write is lost
                3 passed
";
        assert_eq!(Repeated { runs: &runs, asked: 3 }.to_string(), expected);
        assert_eq!(Repeated { runs: &[], asked: 3 }.to_string(), "");
        let some = Repeated { runs: &runs[..2], asked: 10 }.to_string();
        assert!(some.starts_with("REPEATED  leader-cut  2 of 10 times: 1 passed, 1 failed\n"), "{some}");
    }

    #[test]
    fn a_run_after_which_pods_did_not_come_back_says_so() {
        let mut away = run(8, Verdict::Pass, 0, Some(0));
        away.not_back.push("only 2 of 3 pods of db were Ready when the record ended".into());
        let runs = [run(7, Verdict::Pass, 0, Some(0)), away];
        let told = Repeated { runs: &runs, asked: 2 }.to_string();
        let expected = "
  Pass          run 1, seed 7: it was Pass
  Pass          run 2, seed 8: it was Pass
  warning       run 2: only 2 of 3 pods of db were Ready when the record ended
";
        assert!(told.contains(expected), "{told}");
    }

    #[test]
    fn a_run_that_is_no_answer_has_no_times() {
        let aborted = run(8, Verdict::Aborted, 0, None);
        let doubtful = run(9, Verdict::Inconclusive, 0, Some(0));
        let runs = [run(7, Verdict::Pass, 2 * S, Some(3 * S)), aborted, doubtful];
        let told = Repeated { runs: &runs, asked: 3 }.to_string();
        assert!(told.contains("\n                recovery        p50 3 s, max of 1: 3 s\n"), "{told}");
        assert!(told.contains("\n                longest outage  p50 2 s, max of 1: 2 s\n"), "{told}");
    }

    #[test]
    fn a_failover_is_the_time_until_another_member_leads() {
        let election = |at, leader| Election { at, term: at, leader, beside: None };
        let mut led = run(7, Verdict::Pass, 0, Some(0));
        let hit = led.steps[0].chosen;
        assert_eq!(failovers(&led), [], "nobody was seen to lead");
        led.first_leader = Some(election(S, 0));
        assert_eq!(failovers(&led), [None], "nobody followed");
        led.elections = vec![election(hit + S, 0), election(hit + 3 * S, 1)];
        assert_eq!(failovers(&led), [Some(3 * S)]);
        let mut stuck = led.clone();
        stuck.elections.clear();
        let told = Repeated { runs: &[led.clone(), stuck], asked: 2 }.to_string();
        assert!(told.contains("\n  failover      p50 3 s, max of 2: nobody, from a fault"), "{told}");
        // Whoever leads after the next step does so for that one's sake.
        let mut next = led.steps[0].clone();
        (next.chosen, next.affected) = (hit + 2 * S, vec![2]);
        led.steps.push(next);
        assert_eq!(failovers(&led), [None]);
        // Each hit counts by itself.
        led.steps[1].affected = vec![0];
        assert_eq!(failovers(&led), [None, Some(S)]);
        led.steps.pop();
        led.steps[0].affected = vec![2];
        assert_eq!(failovers(&led), [], "the leader was not hit");
    }

    #[test]
    fn the_first_fault_of_a_run_has_its_failover() {
        let mut story = Story::claiming(json!({"name": "a claim", "sli": {"quorum": {}}}));
        story.members = |now| if now < 9 * S { led_by(0, 1, now) } else { led_by(1, 2, now) };
        assert_eq!(failovers(&story.judged()), [Some(2 * S)]);
    }

    #[test]
    fn only_of_a_hundred_is_there_a_ninety_ninth() {
        let times = |count: u64| (1..=count).rev().map(|n| Some(n * S)).collect::<Vec<_>>();
        assert_eq!(spread(times(1), "never"), "p50 1 s, max of 1: 1 s");
        assert_eq!(spread(times(99), "never"), "p50 50 s, max of 99: 99 s");
        assert_eq!(spread(times(200), "never"), "p50 100 s, p99 198 s");
    }
}
