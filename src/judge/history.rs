//! What the clients did, as the data check sees it: one register for each key.
//!
//! Guarantees of a [`History`] that was built from lines:
//! - every operation in it was observed or may have happened: provably failed ones are not in it, nor are reads that
//!   brought no value;
//! - `call <= ret`, and operations are ordered by the index of their invocation;
//! - an operation that was still open when the journal ended has an unknown outcome.
//!
//! Operations whose times touch (`a.ret == b.call`) count as concurrent.

mod build;
mod read;

use crate::api::{Nanos, Ordinal};

pub use build::{Builder, HistoryError};
pub use read::{ReadError, from_journal};

/// Everything that clients did, by key.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct History {
    /// One entry for each key, in the order in which keys were first used; [`KeyId`] is the position.
    pub registers: Vec<Register>,
}

/// What clients did to one key. Keys are independent of each other.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Register {
    /// The key's name.
    pub key: String,
    /// Operations, by index.
    pub operations: Vec<Operation>,
}

/// A key's position in its history.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct KeyId(pub u32);

/// One operation of one client.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Operation {
    /// The index of its `invoke` line in the journal.
    pub index: u64,
    /// The client.
    pub process: u32,
    /// The member to which the client was pinned, if any.
    pub member: Option<Ordinal>,
    /// The key.
    pub key: KeyId,
    /// Before the request was sent.
    pub call: Nanos,
    /// After the answer was received; none when the outcome is unknown, so that it may happen at any time after
    /// `call`.
    pub ret: Option<Nanos>,
    /// What was asked and answered.
    pub kind: Kind,
}

/// What an operation asked, and what it was answered.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Kind {
    /// A read that was answered.
    Read {
        /// What the key held; none when it was absent.
        value: Option<u64>,
    },
    /// A write; without a `ret` it may or may not have happened.
    Write {
        /// The value, unique among all writes to the key.
        value: u64,
    },
    /// A compare-and-set.
    Cas {
        /// What the key had to hold; none when it had to be absent.
        expect: Option<u64>,
        /// The value to set, unique among all writes to the key.
        value: u64,
        /// How it went.
        outcome: CasOutcome,
    },
}

/// How a compare-and-set went.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum CasOutcome {
    /// The key held what was expected, and holds the new value now.
    Swapped,
    /// The key held something else.
    Mismatch {
        /// What it held; none when it was absent.
        current: Option<u64>,
    },
    /// It may or may not have happened.
    Unknown,
}

impl History {
    /// How many operations it holds.
    pub fn operations(&self) -> usize {
        self.registers.iter().map(|register| register.operations.len()).sum()
    }
}

impl Operation {
    /// The value that it puts into the key if it happens; none for what only reads.
    pub fn written(&self) -> Option<u64> {
        match self.kind {
            Kind::Write { value }
            | Kind::Cas { value, outcome: CasOutcome::Swapped | CasOutcome::Unknown, .. } => Some(value),
            Kind::Read { .. } | Kind::Cas { outcome: CasOutcome::Mismatch { .. }, .. } => None,
        }
    }

    /// What it saw in the key without changing it; none for what writes.
    pub fn observed(&self) -> Option<Option<u64>> {
        match self.kind {
            Kind::Read { value } | Kind::Cas { outcome: CasOutcome::Mismatch { current: value }, .. } => {
                Some(value)
            }
            Kind::Write { .. } | Kind::Cas { outcome: CasOutcome::Swapped | CasOutcome::Unknown, .. } => None,
        }
    }

    /// Whether it is known to have happened.
    pub fn happened(&self) -> bool {
        match self.kind {
            Kind::Read { .. } => true,
            Kind::Write { .. } => self.ret.is_some(),
            Kind::Cas { outcome, .. } => match outcome {
                CasOutcome::Swapped | CasOutcome::Mismatch { .. } => true,
                CasOutcome::Unknown => false,
            },
        }
    }

    /// When it was over: never, while its outcome is unknown.
    pub fn over(&self) -> Option<Nanos> {
        self.ret.filter(|_| self.happened())
    }
}

#[cfg(test)]
mod tests;
