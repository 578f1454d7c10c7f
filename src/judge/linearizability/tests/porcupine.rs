//! The same histories for porcupine-rs, which somebody else wrote.

use porcupine_rs::{Model, Operation as Timed};

/// An operation on one register.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Asked {
    /// It saw this.
    Read(Option<u64>),
    /// It wrote this.
    Write(u64),
    /// It wrote the second because it saw the first; of unknown outcome it may have seen something else.
    Swap { expect: Option<u64>, value: u64, known: bool },
    /// It did not see this.
    NotSeen(Option<u64>),
}

/// An operation and when it may have happened; without a return it may not have happened at all.
pub(super) type Recorded = (u64, Option<u64>, Asked);

#[derive(Debug, Clone)]
struct Register;

impl Model for Register {
    type State = Option<u64>;
    type Op = Asked;
    type Metadata = ();

    fn init() -> Option<u64> {
        None
    }

    fn step(state: &Option<u64>, operation: &Asked) -> (bool, Option<u64>) {
        match *operation {
            Asked::Read(value) => (value == *state, *state),
            Asked::Write(value) => (true, Some(value)),
            Asked::Swap { expect, value, .. } if expect == *state => (true, Some(value)),
            Asked::Swap { known, .. } => (!known, *state),
            Asked::NotSeen(value) => (value != *state, *state),
        }
    }
}

/// Its verdict.
pub(super) fn is_linearizable(history: &[Recorded]) -> bool {
    let timed: Vec<Timed<Register>> = history
        .iter()
        .map(|&(call, ret, op)| Timed {
            client_id: None,
            call_time: i64::try_from(call).unwrap(),
            // What never returns can be put behind everything else, where it changes nothing.
            return_time: ret.map_or(i64::MAX, |ret| i64::try_from(ret).unwrap()),
            op,
            metadata: None,
        })
        .collect();
    porcupine_rs::check_operations(&timed)
}
