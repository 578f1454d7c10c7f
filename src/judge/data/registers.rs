//! `linearizability`: is there an order of all operations on registers that explains every answer?

use super::{Said, TOLD, prefix, without_prefix};
use crate::api::{are, counted};
use crate::experiment::{Reads, Verdict};
use crate::judge::claim::Evidence;
use crate::judge::facts::Facts;
use crate::judge::history::{Builder, CasOutcome, History, Kind, Operation};
use crate::judge::judgement::{MOST_VIOLATIONS, WitnessOperation};
use crate::judge::linearizability::{self, Outcome, Witness};
use crate::judge::words;

/// Keys that are neither the ledger's nor the heartbeat's are registers, whatever the experiment puts before all.
fn is_register(key: &str, prefix: &str) -> bool {
    let key = without_prefix(key, prefix);
    !key.starts_with("ledger/") && key != "heartbeat"
}

/// Checks every register.
pub(super) fn judge(evidence: &Evidence<'_>) -> Said {
    let workload = evidence.journal.header.experiment.workload.as_ref();
    if workload.is_some_and(|workload| workload.reads == Reads::Local) {
        return Said::inconclusive(
            "reads may be old by the experiment's own word (reads: local), so there is nothing to judge",
        );
    }
    let history = match history(evidence) {
        Ok(history) => history,
        Err(why) => return Said::inconclusive(why),
    };
    match linearizability::check(&history) {
        Outcome::Linearizable { operations, keys } => Said::without_violation(
            Verdict::Pass,
            format!(
                "{} on {} {} an order that explains every answer",
                counted(operations, "operation"),
                counted(keys, "key"),
                if operations == 1 { "has" } else { "have" }
            ),
        ),
        Outcome::NothingToCheck => Said::inconclusive("there was no operation with a known answer"),
        Outcome::Undecidable { reason } => Said::inconclusive(reason),
        Outcome::Violation { witnesses, .. } => {
            let mut sentences: Vec<String> = witnesses
                .iter()
                .take(TOLD)
                .map(|witness| sentence(witness, &history, evidence.facts))
                .collect();
            if witnesses.len() > TOLD {
                let more = witnesses.len() - TOLD;
                sentences.push(format!("{} {} wrong", counted(more, "more register"), are(more)));
            }
            let first = witnesses.first().map_or(&[][..], |witness| &witness.operations);
            let last = |witness: &Witness| witness.operations.iter().max_by_key(|last| last.call).map(shown);
            let mut violations: Vec<WitnessOperation> =
                witnesses.iter().filter_map(last).take(MOST_VIOLATIONS).collect();
            violations.sort_by_key(|violation| violation.call);
            let witness = first.iter().map(shown).collect();
            Said { verdict: Verdict::Fail, sentences, witness, violations }
        }
    }
}

fn history(evidence: &Evidence<'_>) -> Result<History, String> {
    let mut builder = Builder::default();
    let prefix = prefix(evidence);
    for line in evidence.journal.operations().filter(|line| is_register(&line.key, prefix)) {
        builder.push(&line).map_err(|error| error.to_string())?;
    }
    Ok(builder.finish())
}

/// What is wrong, with key, values, clients, members, times and the faults that were there.
fn sentence(witness: &Witness, history: &History, facts: &Facts) -> String {
    let key = history.registers.get(witness.key.0 as usize).map_or("", |register| register.key.as_str());
    let told: Vec<String> = witness.operations.iter().map(told).collect();
    let from = witness.operations.iter().map(|operation| operation.call).min();
    let to = witness.operations.iter().map(|operation| operation.ret.unwrap_or(operation.call)).max();
    format!(
        "key {key}: {}: {}{}",
        witness.kind.describe(),
        told.join("; "),
        facts
            .faults_between(from.unwrap_or(0), to.unwrap_or(u64::MAX))
            .unwrap_or_else(|| ", while no fault was there".into())
    )
}

/// `client 3 read 4 from member 1 at 12.3 s`.
fn told(operation: &Operation) -> String {
    let member =
        operation.member.map_or("through the service".into(), |member| format!("at member {member}"));
    format!("client {} {} {member} {}", operation.process, what(operation), words::at(operation.call))
}

fn what(operation: &Operation) -> String {
    let shown = |value: Option<u64>| value.map_or("nothing".into(), |value| value.to_string());
    match operation.kind {
        Kind::Read { value } => format!("read {}", shown(value)),
        Kind::Write { value } if operation.ret.is_some() => format!("wrote {value}"),
        Kind::Write { value } => format!("wrote {value} (outcome unknown)"),
        Kind::Cas { expect, value, outcome } => match outcome {
            CasOutcome::Swapped => format!("swapped {} for {value}", shown(expect)),
            CasOutcome::Unknown => format!("swapped {} for {value} (outcome unknown)", shown(expect)),
            CasOutcome::Mismatch { current } => {
                format!("did not swap {}, because it met {}", shown(expect), shown(current))
            }
        },
    }
}

fn shown(operation: &Operation) -> WitnessOperation {
    WitnessOperation {
        index: operation.index,
        process: operation.process,
        member: operation.member,
        call: operation.call,
        ret: operation.ret,
        what: what(operation),
    }
}
