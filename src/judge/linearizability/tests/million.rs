//! The zone method, the search and brute force agree on many small histories, and every witness is as small as can be.

use std::collections::BTreeMap;

use super::generate::{Dice, small};
use super::*;
use crate::judge::linearizability::clusters::Place;
use crate::judge::linearizability::restriction::Restriction;
use crate::judge::linearizability::wgl::Answer;

const THREADS: u64 = 2;

/// How often each finding was made; none stands for no violation.
type Tally = BTreeMap<Option<ViolationKind>, u64>;

#[test]
fn agrees_with_brute_force_on_a_hundred_thousand_histories() {
    agrees_with_brute_force(100_000);
}

/// What takes longer than continuous integration has: `make test-long`.
mod long {
    #[test]
    fn agrees_with_brute_force_on_a_million_histories() {
        super::agrees_with_brute_force(1_000_000);
    }
}

fn agrees_with_brute_force(histories: u64) {
    let share = histories / THREADS;
    let tallies: Vec<Tally> = std::thread::scope(|scope| {
        let workers: Vec<_> = (0..THREADS).map(|thread| scope.spawn(move || agree(thread, share))).collect();
        workers.into_iter().map(|worker| worker.join().unwrap()).collect()
    });
    let count = |kind| tallies.iter().filter_map(|tally| tally.get(&kind)).sum::<u64>();
    let correct = count(None);
    assert!(
        (histories / 5 * 2..=histories / 5 * 3).contains(&correct),
        "about half of the histories should be correct, {correct} of {histories} are"
    );
    for kind in [
        ViolationKind::ReadFromNowhere,
        ViolationKind::ReadBeforeWrite,
        ViolationKind::StaleRead,
        ViolationKind::LostWrite,
        ViolationKind::ValueCameBack,
        ViolationKind::SplitCas,
        ViolationKind::RefusedMatch,
        ViolationKind::CircularCas,
    ] {
        assert!(count(Some(kind)) > histories / 10_000, "{kind:?} is hardly tested: {tallies:?}");
    }
}

/// Checks that many histories; answers what they were found to be.
fn agree(seed: u64, histories: u64) -> Tally {
    let mut dice = Dice(seed << 32);
    let mut operations = Vec::new();
    let mut tally = Tally::new();
    for _ in 0..histories {
        small(&mut dice, &mut operations);
        let expected = brute::is_linearizable(&operations);
        let all: Vec<Place> = (0..operations.len() as Place).collect();
        let searched = Restriction::new(&operations, &all).search(&all, usize::MAX);
        assert_eq!(searched == Answer::Linearizable, expected, "the search is wrong: {operations:#?}");
        let kind = match register::check(&operations) {
            Finding::Linearizable => {
                assert!(expected, "missed a violation: {operations:#?}");
                None
            }
            Finding::Wrong(witness) => {
                assert!(!expected, "false accusation by {witness:#?} in {operations:#?}");
                assert_minimal(&witness, &operations);
                Some(witness.kind)
            }
            Finding::Undecided(reason) => panic!("{reason}: {operations:#?}"),
        };
        *tally.entry(kind).or_default() += 1;
    }
    tally
}

/// The witness is wrong by itself, and right without any of its operations.
fn assert_minimal(witness: &Witness, operations: &[Operation]) {
    let swaps = |operation: &Operation| matches!(operation.kind, Kind::Cas { .. });
    assert!(operations.iter().any(swaps) || witness.operations.len() <= 6, "{witness:#?}");
    assert!(!brute::is_linearizable(&alone(&witness.operations, operations)), "{witness:#?}");
    for struck in &witness.operations {
        let unexplained = |operation: &Operation| {
            struck.written().is_some() && operation.observed() == Some(struck.written())
        };
        let rest: Vec<Operation> = witness
            .operations
            .iter()
            .filter(|operation| *operation != struck && !unexplained(operation))
            .copied()
            .collect();
        assert!(
            brute::is_linearizable(&alone(&rest, operations)),
            "{struck:?} is not needed in {witness:#?}"
        );
    }
}

/// A part of a history on its own: a swap of a value that is written outside of it counts as a write.
fn alone(part: &[Operation], whole: &[Operation]) -> Vec<Operation> {
    let writes =
        |operations: &[Operation], value| operations.iter().any(|other| other.written() == Some(value));
    let weaken = |operation: &Operation| match operation.kind {
        Kind::Cas { expect: Some(expect), value, outcome: CasOutcome::Swapped | CasOutcome::Unknown }
            if writes(whole, expect) && !writes(part, expect) =>
        {
            Operation { kind: Kind::Write { value }, ..*operation }
        }
        Kind::Cas { .. } | Kind::Read { .. } | Kind::Write { .. } => *operation,
    };
    part.iter().map(weaken).collect()
}
