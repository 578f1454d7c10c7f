//! `durability`: does every member still hold every acknowledged write of the ledger?

use std::collections::{BTreeSet, HashMap};

use super::{Said, TOLD, prefix, without_prefix};
use crate::api::{Nanos, Ordinal, counted};
use crate::experiment::Verdict;
use crate::journal::entry::{Entry, Held};
use crate::journal::op::{Function, OpLine, OpValue, Stage};
use crate::judge::claim::Evidence;
use crate::judge::durability::{
    self, Answer, Counts, Durability, Fate, FinalReads, Holding, LedgerWrite, MemberAnswer, Missing, Phantom,
};
use crate::judge::facts::Facts;
use crate::judge::judgement::{MOST_VIOLATIONS, WitnessOperation};
use crate::judge::words;

/// Compares the ledger's writes with the final reads.
pub(super) fn judge(evidence: &Evidence<'_>) -> Said {
    let writes = writes(evidence);
    if writes.is_empty() {
        // What members hold then is another run's.
        return Said::inconclusive("the clients wrote nothing that could be lost");
    }
    let finals = finals(evidence, &writes);
    let Durability { answer, lost, diverged, phantoms, counts } = durability::check(&writes, &finals);
    match answer {
        Answer::Kept => Said::without_violation(Verdict::Pass, kept(counts)),
        Answer::Undecidable { reason } => Said::inconclusive(reason),
        Answer::Broken => {
            let facts = evidence.facts;
            let mut sentences: Vec<String> = lost
                .iter()
                .map(|missing| told_lost(missing, facts))
                .chain(diverged.iter().map(|missing| told_diverged(missing, facts)))
                .chain(phantoms.iter().map(told_phantom))
                .collect();
            let all = sentences.len();
            sentences.truncate(TOLD);
            if all > TOLD {
                sentences.push(format!(
                    "{} lost, {} not on every member and {} that nobody wrote, of {} in all",
                    lost.len(),
                    diverged.len(),
                    phantoms.len(),
                    counted(counts.acknowledged, "acknowledged write")
                ));
            }
            let shown = lost.iter().chain(&diverged).map(|missing| &missing.write);
            let shown = shown.chain(phantoms.iter().filter_map(|phantom| phantom.write.as_ref()));
            let mut violations: Vec<WitnessOperation> = shown.take(MOST_VIOLATIONS).map(witness).collect();
            let witness = violations.iter().take(TOLD).cloned().collect();
            violations.sort_by_key(|violation| violation.call);
            Said { verdict: Verdict::Fail, sentences, witness, violations }
        }
    }
}

fn kept(counts: Counts) -> String {
    let writes = match counts.acknowledged {
        1 => "the only acknowledged write is".to_owned(),
        many => format!("all {many} acknowledged writes are"),
    };
    let members = match counts.members {
        1 => "the only member".to_owned(),
        many => format!("all {many} members"),
    };
    format!(
        "{writes} held by {members} ({} of {} writes of unknown outcome are there, too)",
        counts.unknown_kept, counts.unknown
    )
}

fn writes(evidence: &Evidence<'_>) -> Vec<LedgerWrite> {
    let prefix = prefix(evidence);
    let mut open: HashMap<u32, LedgerWrite> = HashMap::new();
    let mut ended = Vec::new();
    for line in evidence.journal.operations() {
        let key = without_prefix(&line.key, prefix);
        if !key.starts_with("ledger/") {
            continue;
        }
        let fate = match line.stage {
            Stage::Invoke => {
                if let Some(write) = invoked(&line, key) {
                    // A client that begins anew without an end leaves an unknown outcome behind.
                    ended.extend(open.insert(line.process, write));
                }
                continue;
            }
            Stage::Ok => Fate::Acknowledged(line.time),
            Stage::Fail => Fate::Failed,
            Stage::Info => Fate::Unknown,
        };
        if let Some(write) = open.remove(&line.process) {
            ended.push(LedgerWrite { fate, ..write });
        }
    }
    ended.extend(open.into_values());
    ended.sort_unstable_by_key(|write| write.index);
    ended
}

fn invoked(line: &OpLine<'_>, key: &str) -> Option<LedgerWrite> {
    let value = match (line.f, line.value) {
        (Function::Write, OpValue::Number(value)) | (Function::Cas, OpValue::Pair(_, value)) => value,
        (Function::Read | Function::Write | Function::Cas, _) => return None,
    };
    Some(LedgerWrite {
        index: line.index,
        process: line.process,
        key: key.to_owned(),
        value,
        call: line.time,
        fate: Fate::Unknown,
    })
}

/// What each member answered last. Every key of the ledger was asked for where a member could be read.
fn finals(evidence: &Evidence<'_>, writes: &[LedgerWrite]) -> Vec<FinalReads> {
    let target = &evidence.journal.header.target;
    let mut finals: Vec<FinalReads> = target
        .ordinals()
        .map(|member| FinalReads { member, answer: MemberAnswer::NotReadable("it was never read".into()) })
        .collect();
    for line in &evidence.journal.lines {
        let Entry::FinalRead { member, held } = &line.entry else {
            continue;
        };
        let answer = match held {
            Held::Values(values) => {
                let asked = writes.iter().map(|write| (write.key.clone(), None));
                let there = values.iter().map(|(key, &value)| (key.clone(), Some(value)));
                MemberAnswer::Held(asked.chain(there).collect())
            }
            Held::Unreadable(why) => MemberAnswer::NotReadable(why.clone()),
        };
        finals.retain(|known| known.member != *member);
        finals.push(FinalReads { member: *member, answer });
    }
    finals
}

fn told_lost(missing: &Missing, facts: &Facts) -> String {
    format!(
        "{} is lost: no member that was read holds it{}",
        told(&missing.write),
        around(&missing.write, facts)
    )
}

fn told_diverged(missing: &Missing, facts: &Facts) -> String {
    let with = |wanted: fn(&Holding) -> bool| -> BTreeSet<Ordinal> {
        missing.members.iter().filter(|(_, holding)| wanted(holding)).map(|&(member, _)| member).collect()
    };
    let holds = with(|holding| matches!(holding, Holding::Written));
    let lacks = with(|holding| matches!(holding, Holding::Absent | Holding::Other(_)));
    let named = |members: BTreeSet<Ordinal>| words::members(&members.into_iter().collect::<Vec<_>>());
    format!(
        "{} is held by {}, but not by {}{}",
        told(&missing.write),
        named(holds),
        named(lacks),
        around(&missing.write, facts)
    )
}

fn told_phantom(phantom: &Phantom) -> String {
    let Phantom { member, key, value, write } = phantom;
    match write {
        Some(write) if write.value == *value => format!(
            "member {member} holds {value} under {key}, although that write provably failed {}",
            words::at(write.call)
        ),
        Some(write) => {
            format!("member {member} holds {value} under {key}, where {} was written", write.value)
        }
        None => format!("member {member} holds {value} under {key}, which nobody wrote"),
    }
}

fn told(write: &LedgerWrite) -> String {
    format!(
        "the write of {} to {} by client {}, acknowledged {},",
        write.value,
        write.key,
        write.process,
        words::at(ended(write).unwrap_or(write.call))
    )
}

/// The faults that were there when it was written, or the first one after that.
fn around(write: &LedgerWrite, facts: &Facts) -> String {
    let acknowledged = ended(write).unwrap_or(write.call);
    facts.faults_between(write.call, acknowledged).unwrap_or_else(|| {
        facts
            .occurrences
            .iter()
            .find(|occurrence| occurrence.chosen > acknowledged)
            .map_or(", with no fault then or later".into(), |next| format!(", before {}", next.told()))
    })
}

fn ended(write: &LedgerWrite) -> Option<Nanos> {
    match write.fate {
        Fate::Acknowledged(time) => Some(time),
        Fate::Unknown | Fate::Failed => None,
    }
}

fn witness(write: &LedgerWrite) -> WitnessOperation {
    WitnessOperation {
        index: write.index,
        process: write.process,
        member: None,
        call: write.call,
        ret: ended(write),
        what: format!("wrote {} to {}", write.value, write.key),
    }
}
