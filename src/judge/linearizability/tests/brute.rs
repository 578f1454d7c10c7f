//! Every order is tried. Shares no code with the check or with the search.

use crate::judge::history::{CasOutcome, Kind, Operation};

/// Whether one register could have gone through all operations.
pub(super) fn is_linearizable(operations: &[Operation]) -> bool {
    let all = (1_u32 << operations.len()) - 1;
    explore(operations, all, None)
}

fn explore(operations: &[Operation], left: u32, state: Option<u64>) -> bool {
    let waiting = |place: usize| left & (1 << place) != 0;
    let certain = |operation: &Operation| match operation.kind {
        Kind::Cas { outcome, .. } => outcome != CasOutcome::Unknown,
        Kind::Read { .. } | Kind::Write { .. } => operation.ret.is_some(),
    };
    let mut deadline = u64::MAX;
    let mut any = false;
    for (place, operation) in operations.iter().enumerate() {
        if waiting(place) && certain(operation) {
            any = true;
            deadline = deadline.min(operation.ret.unwrap_or(u64::MAX));
        }
    }
    if !any {
        return true;
    }
    for (place, operation) in operations.iter().enumerate() {
        if !waiting(place) || operation.call > deadline {
            continue;
        }
        let after = match operation.kind {
            Kind::Read { value } if value == state => state,
            Kind::Write { value } => Some(value),
            Kind::Cas { expect, value, outcome: CasOutcome::Swapped | CasOutcome::Unknown }
                if expect == state =>
            {
                Some(value)
            }
            Kind::Cas { expect, outcome: CasOutcome::Mismatch { current }, .. }
                if current == state && expect != state =>
            {
                state
            }
            Kind::Read { .. } | Kind::Cas { .. } => continue,
        };
        if explore(operations, left & !(1 << place), after) {
            return true;
        }
    }
    false
}
