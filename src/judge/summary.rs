//! The whole run: everything that is worse than Pass, and one sentence.

mod reasons;
mod totals;

use std::collections::BTreeSet;

use serde_json::Value;

use super::claim::Evidence;
use super::comeback::{self, Comeback};
use super::facts::{Facts, Occurrence};
use super::judgement::{Claim, Judgement, PhaseSpan, Reason, StepOutcome};
use super::proof;
use super::signals::{Signals, voters};
use super::windows::Windows;
use super::words;
use crate::api::Ordinal;
use crate::experiment::Verdict;
use crate::journal::entry::{Entry, Input, Line};
use crate::journal::read::Journal;

/// Judges a run by its journal.
pub fn judge(journal: &Journal) -> Judgement {
    let experiment = &journal.header.experiment;
    let facts = Facts::of(journal);
    let windows = Windows::of(experiment, &facts);
    let signals = signals(journal);
    let steps: Vec<StepOutcome> =
        facts.occurrences.iter().map(|occurrence| proof::outcome(experiment, occurrence, &facts)).collect();
    let comeback = Comeback::of(journal, &facts);
    let evidence = Evidence { journal, facts: &facts, windows: &windows, signals: &signals, comeback };
    let claims: Vec<Claim> =
        experiment.hypothesis.iter().map(|hypothesis| evidence.judge(hypothesis)).collect();
    let reasons = reasons::of(&evidence, &steps);
    let verdict = reasons
        .iter()
        .map(|reason| reason.verdict)
        .chain(claims.iter().map(|claim| claim.verdict))
        .fold(Verdict::Pass, Verdict::and);
    printable(&Judgement {
        experiment: experiment.name.clone(),
        run: journal.header.run.clone(),
        target: format!("{}/{}", journal.header.target.namespace, experiment.target.name()),
        replicas: journal.header.target.replicas,
        environment: journal.header.environment.clone(),
        version: journal.header.version.clone(),
        seed: journal.header.seed,
        started_at: journal.header.started_at,
        lasted: facts.end,
        verdict,
        headline: headline(verdict, &reasons, &claims, &facts),
        refused: facts.refusals.first().map(|(_, why)| why.clone()),
        revert_failed: facts.failed_reverts.iter().map(|(_, why)| why.clone()).collect(),
        not_back: comeback::not_back(journal, &facts),
        torn: journal.torn,
        finished: facts.finished.is_some(),
        phases: phases(&facts),
        workload: totals::of(&evidence, &claims),
        first_leader: signals.elections.first().cloned(),
        elections: signals.elections.changes().cloned().collect(),
        reasons,
        steps,
        claims,
    })
}

/// The same with every text plain: names, proofs and errors come from experiments, stores and kernels, and whatever they
/// hold ends up on terminals and in files of other formats.
fn printable(judgement: &Judgement) -> Judgement {
    let mut written = serde_json::to_value(judgement).expect("a judgement always becomes JSON");
    make_plain(&mut written);
    serde_json::from_value(written).expect("it is a judgement still")
}

fn make_plain(value: &mut Value) {
    match value {
        Value::String(text) if text.contains(words::is_no_text) => *text = words::plain(text),
        Value::Array(items) => items.iter_mut().for_each(make_plain),
        Value::Object(fields) => fields.values_mut().for_each(make_plain),
        Value::String(_) | Value::Null | Value::Bool(_) | Value::Number(_) => {}
    }
}

fn signals(journal: &Journal) -> Signals {
    let voters: BTreeSet<Ordinal> = journal
        .lines
        .iter()
        .filter_map(|line| match &line.entry {
            Entry::Input(Input::Members(members)) => Some(members),
            Entry::Header(_) | Entry::Input(_) | Entry::Effect { .. } | Entry::FinalRead { .. } => None,
        })
        .flat_map(voters)
        .collect();
    let mut signals = Signals::new(voters);
    signals.snapshot(0, &journal.header.target);
    for operation in journal.operations() {
        signals.operation(&operation);
    }
    journal.lines.iter().for_each(|line: &Line| signals.line(line));
    signals
}

fn phases(facts: &Facts) -> Vec<PhaseSpan> {
    facts
        .phases
        .iter()
        .enumerate()
        .map(|(place, &(from, phase))| PhaseSpan {
            phase,
            from,
            to: facts.phases.get(place + 1).map_or(facts.end, |&(next, _)| next),
        })
        .collect()
}

/// The first of the worst, or what a Pass rests on.
fn headline(verdict: Verdict, reasons: &[Reason], claims: &[Claim], facts: &Facts) -> String {
    // A claim says more than a reason where both are as bad, except that a broken run explains its claims.
    let claim = claims
        .iter()
        .find(|claim| claim.verdict == verdict)
        .map(|claim| format!("{} ({})", claim.sentence, claim.name));
    let reason = reasons.iter().find(|reason| reason.verdict == verdict).map(|reason| reason.text.clone());
    match verdict {
        Verdict::Pass => {
            let held = match claims.len() {
                1 => "the claim held".into(),
                many => format!("all {many} claims held"),
            };
            let faults: Vec<String> = facts.occurrences.iter().map(Occurrence::told).collect();
            match faults.as_slice() {
                [] | [_] | [_, _] => format!("{held} while {}", faults.join(" and ")),
                [first, ..] => format!("{held} while {first} and {} more faults happened", faults.len() - 1),
            }
        }
        Verdict::Inconclusive | Verdict::Aborted => reason.or(claim).unwrap_or_default(),
        Verdict::Fail => claim.or(reason).unwrap_or_default(),
    }
}
