//! What a client does next.
//!
//! Of a hundred operations 40 read a register, 20 write one, 20 compare-and-set one, and 20 add to the ledger. A
//! compare-and-set expects the value that any client saw last in that register, so that many succeed and the others
//! tell what they found.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use rand::rngs::ChaCha8Rng;
use rand::{RngExt, SeedableRng};

use super::record::{Action, Outcome};
use crate::experiment::Workload;

/// How many of a hundred operations read.
const READS: u32 = 100 - Workload::WRITE_PERCENT;

/// The newest value that anybody saw in each register; 0 for none. Only a hint: what is expected needs not be there.
pub(super) struct Seen(Vec<AtomicU64>);

impl Seen {
    /// Of this many registers, at least one.
    pub(super) fn new(registers: u32) -> Self {
        Self((0..registers.max(1)).map(|_| AtomicU64::new(0)).collect())
    }

    fn last(&self, register: usize) -> Option<u64> {
        match self.0[register].load(Ordering::Relaxed) {
            0 => None,
            value => Some(value),
        }
    }

    fn saw(&self, register: usize, value: Option<u64>) {
        self.0[register].store(value.unwrap_or(0), Ordering::Relaxed);
    }
}

/// The choices of one client.
pub(super) struct Mix {
    random: ChaCha8Rng,
    seen: Arc<Seen>,
    unique: Unique,
}

/// An operation that was chosen.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Choice {
    /// The key, without the scope's prefix.
    pub(super) key: String,
    /// What is done to it.
    pub(super) action: Action,
    register: Option<usize>,
}

impl Mix {
    /// The choices of client `number`, the same for the same seed of the run and the same answers.
    pub(super) fn new(run: u64, number: u32, seen: Arc<Seen>) -> Self {
        let mut random = ChaCha8Rng::seed_from_u64(run);
        // Streams of one seed are independent of each other.
        random.set_stream(u64::from(number));
        Self { random, seen, unique: Unique::of_client(number) }
    }

    /// The next operation.
    pub(super) fn next(&mut self) -> Choice {
        let register = self.random.random_range(0..self.seen.0.len());
        let action = match self.random.random_range(0..100) {
            ..READS => Action::Read,
            READS..60 => Action::Write(self.unique.next()),
            60..80 => Action::Cas { expect: self.seen.last(register), value: self.unique.next() },
            _ => return self.ledger(),
        };
        Choice { key: format!("r/{register}"), action, register: Some(register) }
    }

    fn ledger(&mut self) -> Choice {
        let value = self.unique.next();
        Choice {
            // As unique as the value, so that no key is written twice.
            key: format!("ledger/{value:016}"),
            action: Action::Write(value),
            register: None,
        }
    }

    /// Learns from how an operation ended.
    pub(super) fn learn(&self, choice: &Choice, outcome: &Outcome) {
        let Some(register) = choice.register else {
            return;
        };
        match (outcome, choice.action) {
            (Outcome::Ok(found), Action::Read) => self.seen.saw(register, *found),
            (Outcome::Ok(_), Action::Write(value) | Action::Cas { value, .. }) => {
                self.seen.saw(register, Some(value));
            }
            (Outcome::Mismatch { current }, _) => self.seen.saw(register, *current),
            (Outcome::Fail(_) | Outcome::Unknown(_), _) => {}
        }
    }
}

/// Values that no other client and no other operation writes: 1 to 2^21 clients with 2^32 values each stay below 2^53,
/// so that they are exact wherever JSON numbers are floating-point.
struct Unique(u64);

impl Unique {
    fn of_client(number: u32) -> Self {
        Self((u64::from(number) + 1) << 32)
    }

    fn next(&mut self) -> u64 {
        self.0 += 1;
        self.0
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    fn mix(number: u32) -> Mix {
        Mix::new(7, number, Arc::new(Seen::new(4)))
    }

    fn written(choice: &Choice) -> Option<u64> {
        match choice.action {
            Action::Read => None,
            Action::Write(value) | Action::Cas { value, .. } => Some(value),
        }
    }

    #[test]
    fn no_value_and_no_ledger_key_is_written_twice() {
        let (mut values, mut ledger) = (HashSet::new(), HashSet::new());
        for number in [0, 1, 8191] {
            let mut mix = mix(number);
            for _ in 0..1000 {
                let choice = mix.next();
                if let Some(value) = written(&choice) {
                    assert!(value < 1 << 53 && values.insert(value));
                }
                assert!(!choice.key.starts_with("ledger/") || ledger.insert(choice.key));
            }
        }
        assert!(ledger.len() > 400);
    }

    #[test]
    fn the_same_seed_makes_the_same_choices_and_clients_differ() {
        let choices = |number| {
            let mut mix = mix(number);
            (0..50).map(|_| mix.next()).collect::<Vec<_>>()
        };
        assert_eq!(choices(1), choices(1));
        assert_ne!(choices(1), choices(2));
    }

    #[test]
    fn a_compare_and_set_expects_what_was_seen_last() {
        let mut mix = mix(0);
        let swap = loop {
            let choice = mix.next();
            if matches!(choice.action, Action::Cas { expect: None, .. }) {
                break choice;
            }
        };
        mix.learn(&swap, &Outcome::Mismatch { current: Some(42) });
        let again = loop {
            let choice = mix.next();
            if choice.key == swap.key
                && let Action::Cas { expect, .. } = choice.action
            {
                break expect;
            }
        };
        assert_eq!(again, Some(42));
    }
}
