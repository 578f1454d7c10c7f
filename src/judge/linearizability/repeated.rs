//! Keys on which a value was written twice, which only the search can judge.

use super::clusters::Place;
use super::restriction::Restriction;
use super::wgl::Answer;
use super::{Finding, ViolationKind, Witness};
use crate::judge::history::Operation;

/// Configurations to visit at most, and bytes that they may take.
const LIMIT: usize = 200_000;
const LIMIT_BYTES: usize = 256 << 20;

/// Larger parts are not made smaller: each step searches again.
const WORTH_MINIMISING: usize = 200;

/// Searches the whole key; if it is wrong, shows the shortest wrong beginning, made as small as can be.
pub(super) fn check(operations: &[Operation]) -> Finding {
    let limit = LIMIT.min(LIMIT_BYTES / (operations.len() / 8 + 64));
    let mut by_call: Vec<Place> = (0..operations.len() as Place).collect();
    by_call.sort_by_key(|&place| operations[place as usize].call);
    let restriction = Restriction::new(operations, &by_call);
    match restriction.search(&by_call, limit) {
        Answer::Linearizable => Finding::Linearizable,
        Answer::GaveUp => Finding::Undecided(format!(
            "a value was written twice, and the search for an order of its {} operations was given up after {limit} \
             configurations; let every write have a value of its own",
            operations.len(),
        )),
        Answer::NotLinearizable => {
            let mut part = beginning(operations, &by_call, &restriction, limit);
            if part.len() <= WORTH_MINIMISING {
                part = restriction.minimise(part, limit);
            }
            Finding::Wrong(Witness::new(operations, &part, ViolationKind::NoOrder))
        }
    }
}

/// The shortest beginning of the history that is wrong, with every writer of what it saw.
fn beginning(
    operations: &[Operation],
    by_call: &[Place],
    restriction: &Restriction<'_>,
    limit: usize,
) -> Vec<Place> {
    let wrong = |length: &usize| {
        restriction.search(&closed_beginning(operations, by_call, *length), limit) == Answer::NotLinearizable
    };
    // A beginning of a correct history is correct, so that bisecting finds the shortest wrong one.
    let (mut correct, mut length) = (0, by_call.len());
    while length - correct > 1 {
        let middle = usize::midpoint(correct, length);
        if wrong(&middle) {
            length = middle;
        } else {
            correct = middle;
        }
    }
    closed_beginning(operations, by_call, length)
}

fn closed_beginning(operations: &[Operation], by_call: &[Place], length: usize) -> Vec<Place> {
    let Some(&last) = by_call[..length].last() else {
        return Vec::new();
    };
    let now = operations[last as usize].call;
    let mut part: Vec<Place> = by_call[..length]
        .iter()
        .copied()
        .filter(|&place| {
            let operation = &operations[place as usize];
            operation.observed().is_none() || operation.over().is_some_and(|over| over <= now)
        })
        .collect();
    let seen: std::collections::HashSet<u64> =
        part.iter().filter_map(|&place| operations[place as usize].observed().flatten()).collect();
    let missing = by_call[length..].iter().copied();
    part.extend(
        missing
            .filter(|&place| operations[place as usize].written().is_some_and(|value| seen.contains(&value))),
    );
    part
}
