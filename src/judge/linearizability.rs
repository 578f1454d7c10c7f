//! Is there one order of all operations, each at a moment between its call and its return, that a single correct
//! register could have gone through?
//!
//! Keys are checked apart from each other, and in parallel. A key on which no value was written twice is judged by
//! the zone method (Gibbons & Korach, *Testing Shared Memories*, 1997; Golab, Li & Shah, *Analyzing Consistency
//! Properties for Fun and Profit*, 2011) in O(n log n), and exactly:
//!
//! - A value's *cluster* is the operation that wrote it and all that saw it. In a correct order clusters do not
//!   interleave. The absent key is a value too, written before everything else.
//! - A compare-and-set from a to b stands at the end of a's cluster and at the beginning of b's, so it chains both
//!   into one *block* that nothing may enter; inside a block the order is given.
//! - An operation of unknown outcome happened if a value that only it explains was seen, or was consumed by a
//!   compare-and-set that happened. If not, leaving it out loses nothing: nobody saw its value. So nothing has to be
//!   guessed.
//! - Block B must precede block A if the earliest return in B is before the latest call in A. A cycle of such
//!   demands always holds one of only two blocks (the member with the earliest return must precede every member
//!   that has a predecessor), so that comparing pairs decides.
//!
//! A key on which a value was written twice is searched (Wing & Gong with Lowe's memoisation) within a limit.
//!
//! Nobody is accused on the word of one method: a violation comes with a witness, a part of the history that is
//! wrong whatever happened around it, as small as can be (at most six operations where there are no
//! compare-and-sets), and the search has to find that part wrong too. If it does not, the check says that it
//! disagrees with itself.

mod blocks;
mod clusters;
mod contradiction;
mod register;
mod repeated;
mod restriction;
pub mod wgl;
mod witness;
mod zones;

use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;

use super::history::{History, KeyId, Operation, Register};

/// What the check found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Outcome {
    /// Every key has a correct order.
    Linearizable {
        /// How many operations were judged.
        operations: usize,
        /// On how many keys.
        keys: usize,
    },
    /// At least one key has none.
    Violation {
        /// One for each such key, the earliest first; never empty.
        witnesses: Vec<Witness>,
        /// How many operations were judged.
        operations: usize,
        /// On how many keys.
        keys: usize,
    },
    /// No violation is known, but at least one key could not be judged.
    Undecidable {
        /// Why.
        reason: String,
    },
    /// There was no operation with a known answer.
    NothingToCheck,
}

/// Operations of one key that no correct register can have answered.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Witness {
    /// The key's position in the history.
    pub key: KeyId,
    /// The operations, by call; removing any of them (with what depends on it) leaves a correct rest.
    pub operations: Vec<Operation>,
    /// What is wrong with them.
    pub kind: ViolationKind,
}

/// What is wrong, in a form that a sentence can be made of.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum ViolationKind {
    /// A value was seen that nobody ever wrote.
    ReadFromNowhere,
    /// A value was seen before the operation that wrote it began.
    ReadBeforeWrite,
    /// A value was seen after another one had replaced it.
    StaleRead,
    /// As a stale read, but nobody ever saw the replacing value after it was acknowledged: it is gone.
    LostWrite,
    /// Two values were each seen after the other.
    ValueCameBack,
    /// Between the value that a compare-and-set expected and its swap there was another one, or two of them swapped
    /// the same value.
    SplitCas,
    /// A compare-and-set was refused with exactly the value that it expected.
    RefusedMatch,
    /// Compare-and-sets that each need another one's value first.
    CircularCas,
    /// No order explains these operations; found by search, on a key with repeated values.
    NoOrder,
}

impl ViolationKind {
    /// What is wrong, as a clause.
    pub fn describe(self) -> &'static str {
        match self {
            Self::ReadFromNowhere => "a value was read that nobody ever wrote",
            Self::ReadBeforeWrite => "a value was seen before the operation that wrote it began",
            Self::StaleRead => "an old value was read after a newer one had replaced it",
            Self::LostWrite => {
                "an acknowledged write is gone: the value before it was read again, and nobody ever saw it afterwards"
            }
            Self::ValueCameBack => "a value was read again after another one had been read in its place",
            Self::SplitCas => {
                "a compare-and-set was not atomic: another operation came between its comparison and its swap"
            }
            Self::RefusedMatch => "a compare-and-set was refused although the key held what it expected",
            Self::CircularCas => "compare-and-sets succeeded that each need the other's value first",
            Self::NoOrder => "no order of these operations explains their answers",
        }
    }
}

/// What is known about one key.
enum Finding {
    Linearizable,
    Wrong(Witness),
    Undecided(String),
}

/// Fewer operations than this are judged on the calling thread.
const WORTH_A_THREAD: usize = 4096;

/// Checks every key of a history on all cores.
pub fn check(history: &History) -> Outcome {
    let threads = thread::available_parallelism().map_or(1, std::num::NonZero::get);
    check_with(history, threads)
}

/// Checks every key of a history on that many threads.
pub fn check_with(history: &History, threads: usize) -> Outcome {
    let operations = history.operations();
    let keys = history.registers.len();
    if !history.registers.iter().flat_map(|register| &register.operations).any(Operation::happened) {
        return Outcome::NothingToCheck;
    }
    let threads = if operations < WORTH_A_THREAD { 1 } else { threads.min(keys) };
    let mut witnesses = Vec::new();
    let mut undecided = None;
    for (position, finding) in findings(&history.registers, threads) {
        match finding {
            Finding::Linearizable => {}
            Finding::Wrong(witness) => witnesses.push(witness),
            Finding::Undecided(reason) => {
                undecided.get_or_insert(format!("key {}: {reason}", history.registers[position].key));
            }
        }
    }
    if !witnesses.is_empty() {
        witnesses.sort_by_key(|witness| (witness.shown_at(), witness.key));
        return Outcome::Violation { witnesses, operations, keys };
    }
    match undecided {
        Some(reason) => Outcome::Undecidable { reason },
        None => Outcome::Linearizable { operations, keys },
    }
}

/// The finding about each register, in the order of the registers.
fn findings(registers: &[Register], threads: usize) -> Vec<(usize, Finding)> {
    if threads <= 1 {
        return registers.iter().map(|register| register::check(&register.operations)).enumerate().collect();
    }
    let next = AtomicUsize::new(0);
    let work = || {
        let mut found = Vec::new();
        loop {
            let position = next.fetch_add(1, Ordering::Relaxed);
            let Some(register) = registers.get(position) else {
                return found;
            };
            found.push((position, register::check(&register.operations)));
        }
    };
    let mut found: Vec<_> = thread::scope(|scope| {
        let workers: Vec<_> = (0..threads).map(|_| scope.spawn(work)).collect();
        workers
            .into_iter()
            .flat_map(|worker| worker.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic)))
            .collect()
    });
    found.sort_unstable_by_key(|&(position, _)| position);
    found
}

impl Witness {
    fn new(operations: &[Operation], part: &[clusters::Place], kind: ViolationKind) -> Self {
        let mut chosen: Vec<Operation> = part.iter().map(|&place| operations[place as usize]).collect();
        chosen.sort_by_key(|operation| (operation.call, operation.index));
        let key = chosen.first().map_or(KeyId(0), |operation| operation.key);
        Self { key, operations: chosen, kind }
    }

    /// The call of its last operation: from then on the answer to come was wrong whatever it said before.
    fn shown_at(&self) -> u64 {
        self.operations.iter().map(|operation| operation.call).max().unwrap_or_default()
    }
}

#[cfg(test)]
mod tests;
