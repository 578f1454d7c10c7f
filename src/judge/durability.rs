//! Whether every acknowledged write is still there, on every member.
//!
//! The workload writes each key of its *ledger* once and never again. After the run every key is read from every
//! member, from that member's own copy. Then:
//! - an acknowledged write that no member that was read holds is **lost**;
//! - one that some members hold and others do not has **diverged**: it would be lost with the members that hold it;
//! - a value that nobody wrote, or that provably failed to be written, is a **phantom**;
//! - a write of unknown outcome may be there or not, but where it is, it must be what was written.
//!
//! What was seen counts even if some member could not be read. But without a finding, a member that was not read, or
//! only in part, leaves the question open, and so does a ledger without an acknowledged write.

mod tally;

use std::collections::HashMap;

use crate::api::{Nanos, Ordinal};

/// One write to a ledger's key, which is never written again.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LedgerWrite {
    /// The index of its `invoke` line in the journal.
    pub index: u64,
    /// The client.
    pub process: u32,
    /// The key.
    pub key: String,
    /// The value.
    pub value: u64,
    /// Before the request was sent.
    pub call: Nanos,
    /// How it ended.
    pub fate: Fate,
}

/// How a write ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fate {
    /// The store said that it is done, at this time.
    Acknowledged(Nanos),
    /// Nobody knows.
    Unknown,
    /// It provably did not happen.
    Failed,
}

/// What one member answered after the run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FinalReads {
    /// The member.
    pub member: Ordinal,
    /// Its answer.
    pub answer: MemberAnswer,
}

/// The ledger as one member holds it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum MemberAnswer {
    /// For each key that was asked, its value; none where the key is absent. A key that is missing was not asked.
    Held(HashMap<String, Option<u64>>),
    /// The member could not be read. Carries the reason.
    NotReadable(String),
}

/// What the check found, and how much it looked at.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Durability {
    /// The answer.
    pub answer: Answer,
    /// Acknowledged writes that no member that was read holds, by index.
    pub lost: Vec<Missing>,
    /// Acknowledged writes that only some members hold, by index.
    pub diverged: Vec<Missing>,
    /// Values that nobody wrote, by key and member.
    pub phantoms: Vec<Phantom>,
    /// How much was looked at.
    pub counts: Counts,
}

/// The answer to "is every acknowledged write still there?"
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Answer {
    /// Yes, on every member.
    Kept,
    /// No: see what was lost, has diverged or is a phantom.
    Broken,
    /// Nothing wrong was seen, but not everything was looked at.
    Undecidable {
        /// Why.
        reason: String,
    },
}

/// An acknowledged write that is not where it should be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Missing {
    /// The write.
    pub write: LedgerWrite,
    /// What each member holds, by ordinal.
    pub members: Vec<(Ordinal, Holding)>,
}

/// What one member holds under one key.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Holding {
    /// The value that was written.
    Written,
    /// Another value.
    Other(u64),
    /// Nothing.
    Absent,
    /// Nobody knows: the member, or this key on it, was not read.
    NotRead,
}

/// A value that cannot be there.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Phantom {
    /// Who holds it.
    pub member: Ordinal,
    /// The key.
    pub key: String,
    /// The value.
    pub value: u64,
    /// The write to that key, if there was one: another value, or provably failed.
    pub write: Option<LedgerWrite>,
}

/// How much the check looked at.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Counts {
    /// Acknowledged writes.
    pub acknowledged: usize,
    /// Writes of unknown outcome.
    pub unknown: usize,
    /// Of those, how many are there on at least one member.
    pub unknown_kept: usize,
    /// Members that were asked.
    pub members: usize,
    /// Members that answered.
    pub members_read: usize,
    /// Pairs of key and member that were read.
    pub reads: usize,
}

/// Compares a ledger with what every member holds of it.
pub fn check(writes: &[LedgerWrite], finals: &[FinalReads]) -> Durability {
    let mut finals: Vec<&FinalReads> = finals.iter().collect();
    finals.sort_by_key(|member| member.member);
    let mut found = Durability {
        answer: Answer::Kept,
        lost: Vec::new(),
        diverged: Vec::new(),
        phantoms: tally::phantoms(writes, &finals),
        counts: tally::counts(writes, &finals),
    };
    let mut acknowledged: Vec<&LedgerWrite> =
        writes.iter().filter(|write| matches!(write.fate, Fate::Acknowledged(_))).collect();
    acknowledged.sort_by_key(|write| write.index);
    let mut not_read = None;
    for write in acknowledged {
        let members: Vec<(Ordinal, Holding)> =
            finals.iter().map(|member| (member.member, member.holding(write))).collect();
        let any = |wanted: fn(&Holding) -> bool| members.iter().any(|(_, holding)| wanted(holding));
        let held = any(|holding| matches!(holding, Holding::Written));
        let missing = any(|holding| matches!(holding, Holding::Absent | Holding::Other(_)));
        if let Some(&(member, _)) = members.iter().find(|(_, holding)| *holding == Holding::NotRead) {
            not_read.get_or_insert((write.key.clone(), member));
        }
        if missing {
            let missing = Missing { write: write.clone(), members };
            if held {
                found.diverged.push(missing);
            } else {
                found.lost.push(missing);
            }
        }
    }
    found.answer = answer(&found, &finals, not_read);
    found
}

fn answer(found: &Durability, finals: &[&FinalReads], not_read: Option<(String, Ordinal)>) -> Answer {
    if !(found.lost.is_empty() && found.diverged.is_empty() && found.phantoms.is_empty()) {
        return Answer::Broken;
    }
    let unreadable = finals.iter().find_map(|member| match &member.answer {
        MemberAnswer::NotReadable(reason) => Some((member.member, reason)),
        MemberAnswer::Held(_) => None,
    });
    let reason = if found.counts.acknowledged == 0 {
        "no write to the ledger was acknowledged".to_owned()
    } else if finals.is_empty() {
        "no member was read after the run".to_owned()
    } else if let Some((member, reason)) = unreadable {
        format!("member {member} could not be read after the run: {reason}")
    } else if let Some((key, member)) = not_read {
        format!("key {key} was not read from member {member} after the run")
    } else {
        return Answer::Kept;
    };
    Answer::Undecidable { reason }
}

impl FinalReads {
    fn holding(&self, write: &LedgerWrite) -> Holding {
        match &self.answer {
            MemberAnswer::NotReadable(_) => Holding::NotRead,
            MemberAnswer::Held(ledger) => match ledger.get(&write.key) {
                None => Holding::NotRead,
                Some(None) => Holding::Absent,
                Some(&Some(value)) if value == write.value => Holding::Written,
                Some(&Some(value)) => Holding::Other(value),
            },
        }
    }
}

#[cfg(test)]
mod tests;
