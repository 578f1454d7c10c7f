//! A part of a key's history that is judged on its own, and what it proves about the whole.
//!
//! Take a correct order of the whole and strike out every operation that is not in the part. What is left is a
//! correct order of the part, provided that
//! - all operations that write a value which the part sees are in the part, and
//! - a compare-and-set whose expected value is written outside of the part counts as a plain write there.
//!
//! So if such a part has no correct order, the whole has none either.

use std::collections::HashMap;

use super::clusters::Place;
use super::wgl::{self, Answer, Interval, Sequential};
use crate::judge::history::{Kind, Operation};

/// The operations of a key, and which of them write the values that matter.
pub(super) struct Restriction<'a> {
    operations: &'a [Operation],
    writers: HashMap<u64, Vec<Place>>,
}

/// An operation as the search sees it.
#[derive(Debug, Clone, Copy)]
enum Step {
    /// It sees this.
    Read(Option<u64>),
    /// It sees this, which is not what it expects.
    Refused { expect: Option<u64>, current: Option<u64> },
    /// It writes this, whatever was there.
    Write(u64),
    /// It writes if it sees what it expects.
    Swap { expect: Option<u64>, value: u64 },
}

struct Steps(Vec<Step>);

impl<'a> Restriction<'a> {
    /// Prepares to judge `chosen` and parts of it.
    pub(super) fn new(operations: &'a [Operation], chosen: &[Place]) -> Self {
        let mut writers: HashMap<u64, Vec<Place>> = chosen
            .iter()
            .filter_map(|&place| saw(&operations[place as usize]))
            .map(|value| (value, Vec::new()))
            .collect();
        for (place, operation) in (0..).zip(operations) {
            if let Some(places) = operation.written().and_then(|value| writers.get_mut(&value)) {
                places.push(place);
            }
        }
        Self { operations, writers }
    }

    /// Whether every value that the part sees comes with all operations that write it.
    pub(super) fn is_closed(&self, part: &[Place]) -> bool {
        part.iter().all(|&place| match self.operations[place as usize].observed() {
            Some(Some(value)) => self.explains(part, value),
            Some(None) | None => true,
        })
    }

    /// Searches for an order of the part.
    pub(super) fn search(&self, part: &[Place], limit: usize) -> Answer {
        let steps = Steps(part.iter().map(|&place| self.step(part, place)).collect());
        let intervals: Vec<Interval> = part
            .iter()
            .map(|&place| {
                let operation = &self.operations[place as usize];
                Interval {
                    call: operation.call,
                    ret: operation.over().unwrap_or(u64::MAX),
                    optional: !operation.happened(),
                }
            })
            .collect();
        wgl::search(&steps, &intervals, limit)
    }

    /// Leaves out operations as long as the rest stays wrong. The part must be closed and wrong.
    pub(super) fn minimise(&self, mut part: Vec<Place>, limit: usize) -> Vec<Place> {
        // Where nothing can be left out for a whole round, nothing can.
        let mut needed = 0;
        while needed < part.len() {
            let smaller = self.without(&part, part[0]);
            if self.search(&smaller, limit) == Answer::NotLinearizable {
                part = smaller;
                needed = 0;
            } else {
                part.rotate_left(1);
                needed += 1;
            }
        }
        part
    }

    /// The part without an operation, and without those that saw what it wrote.
    pub(super) fn without(&self, part: &[Place], struck: Place) -> Vec<Place> {
        let written = self.operations[struck as usize].written();
        part.iter()
            .copied()
            .filter(|&place| {
                let seen = self.operations[place as usize].observed().flatten();
                place != struck && (seen.is_none() || seen != written)
            })
            .collect()
    }

    fn explains(&self, part: &[Place], value: u64) -> bool {
        self.writers.get(&value).is_none_or(|writers| writers.iter().all(|writer| part.contains(writer)))
    }

    fn step(&self, part: &[Place], place: Place) -> Step {
        let operation = &self.operations[place as usize];
        match operation.kind {
            Kind::Read { value } => Step::Read(value),
            Kind::Write { value } => Step::Write(value),
            Kind::Cas { expect, value, .. } => match operation.observed() {
                Some(current) => Step::Refused { expect, current },
                None if expect.is_none_or(|expect| self.explains(part, expect)) => {
                    Step::Swap { expect, value }
                }
                None => Step::Write(value),
            },
        }
    }
}

/// The value that the operation needs to have been there.
fn saw(operation: &Operation) -> Option<u64> {
    match operation.kind {
        Kind::Write { .. } => None,
        Kind::Read { value } => value,
        Kind::Cas { expect, .. } => operation.observed().unwrap_or(expect),
    }
}

impl Sequential for Steps {
    type State = Option<u64>;

    fn initial(&self) -> Option<u64> {
        None
    }

    fn apply(&self, operation: usize, state: &Option<u64>) -> Option<Option<u64>> {
        match self.0[operation] {
            Step::Read(value) => (value == *state).then_some(*state),
            Step::Refused { expect, current } => (current == *state && expect != *state).then_some(*state),
            Step::Write(value) => Some(Some(value)),
            Step::Swap { expect, value } => (expect == *state).then_some(Some(value)),
        }
    }
}
