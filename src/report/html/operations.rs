//! What the clients did, operation by operation, as a drawing needs it.

use std::collections::HashMap;

use crate::api::Nanos;
use crate::journal::op::{Current, Function, Stage};
use crate::journal::read::Journal;

/// How an operation ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Outcome {
    /// It was answered: done, or a compare-and-set that met another value.
    Answered,
    /// It provably did not happen.
    Failed,
    /// Nobody knows.
    Unknown,
}

/// One operation.
#[derive(Debug, Clone, Copy)]
pub(super) struct Operation {
    /// When it should have begun.
    pub(super) intended: Nanos,
    /// When it ended; for one that never did, when the record ended.
    pub(super) ended: Nanos,
    pub(super) writes: bool,
    pub(super) outcome: Outcome,
}

impl Operation {
    /// How long its client waited.
    pub(super) fn took(&self) -> Nanos {
        self.ended - self.intended
    }
}

/// Every operation, in the order of their ends.
pub(super) fn all(journal: &Journal) -> Vec<Operation> {
    let mut open: HashMap<u32, Operation> = HashMap::new();
    let mut all = Vec::with_capacity(journal.operations().len() / 2);
    for line in journal.operations() {
        let outcome = match line.stage {
            Stage::Invoke => {
                let begun = Operation {
                    intended: line.intended.unwrap_or(line.time).min(line.time),
                    ended: line.time,
                    writes: line.f != Function::Read,
                    outcome: Outcome::Unknown,
                };
                open.insert(line.process, begun);
                continue;
            }
            Stage::Ok => Outcome::Answered,
            // A compare-and-set that met another value was answered: the store did its part.
            Stage::Fail if line.current != Current::NotObserved => Outcome::Answered,
            Stage::Fail => Outcome::Failed,
            Stage::Info => Outcome::Unknown,
        };
        if let Some(begun) = open.remove(&line.process) {
            all.push(Operation { ended: line.time.max(begun.intended), outcome, ..begun });
        }
    }
    let end = journal.end();
    let mut unended: Vec<Operation> =
        open.into_values().map(|begun| Operation { ended: end.max(begun.intended), ..begun }).collect();
    unended.sort_by_key(|operation| (operation.intended, operation.writes));
    all.extend(unended);
    all
}
