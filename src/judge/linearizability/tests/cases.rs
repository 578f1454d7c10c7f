//! Each kind of violation, with its smallest witness, and what looks like one and is none.

use super::*;

fn indices(witness: &Witness) -> Vec<u64> {
    witness.operations.iter().map(|operation| operation.index).collect()
}

fn assert_correct(operations: Vec<Operation>) {
    let count = operations.len();
    assert_eq!(check(&history(operations)), Outcome::Linearizable { operations: count, keys: 1 });
}

#[test]
fn nothing_answered_is_nothing_to_check() {
    assert_eq!(check(&History::default()), Outcome::NothingToCheck);
    assert_eq!(check(&history(vec![unknown_write(0, 1, 1)])), Outcome::NothingToCheck);
}

#[test]
fn a_value_that_nobody_wrote_needs_one_operation() {
    let found = witness(vec![write(0, 1, 2, 1), read(1, 3, 4, Some(9))]);
    assert_eq!((found.kind, indices(&found)), (ViolationKind::ReadFromNowhere, vec![1]));
}

#[test]
fn a_swap_of_a_value_that_nobody_wrote_comes_from_nowhere() {
    let found = witness(vec![write(0, 1, 2, 1), swap(1, 3, 4, Some(9), 2), read(2, 5, 6, Some(2))]);
    assert_eq!((found.kind, indices(&found)), (ViolationKind::ReadFromNowhere, vec![1]));
    let found = witness(vec![unknown_swap(1, 3, Some(9), 2), read(2, 5, 6, Some(2))]);
    assert_eq!((found.kind, indices(&found)), (ViolationKind::ReadFromNowhere, vec![1, 2]));
}

#[test]
fn a_read_before_its_write_is_one() {
    let found = witness(vec![read(0, 1, 2, Some(1)), write(1, 3, 4, 1)]);
    assert_eq!((found.kind, indices(&found)), (ViolationKind::ReadBeforeWrite, vec![0, 1]));
}

#[test]
fn touching_times_are_concurrent() {
    assert_correct(vec![read(0, 1, 3, Some(1)), write(1, 3, 4, 1)]);
}

#[test]
fn an_old_value_after_a_newer_one_is_stale() {
    let old = [write(0, 1, 2, 1), write(1, 3, 4, 2), read(2, 5, 6, Some(1)), read(3, 5, 6, Some(2))];
    let found = witness(old.to_vec());
    assert_eq!((found.kind, indices(&found)), (ViolationKind::StaleRead, vec![0, 1, 2]));
}

#[test]
fn a_write_that_nobody_sees_after_its_answer_is_lost() {
    let found =
        witness(vec![write(0, 1, 2, 1), write(1, 3, 4, 2), read(2, 5, 6, Some(1)), read(3, 7, 8, Some(1))]);
    assert_eq!(found.kind, ViolationKind::LostWrite);
    assert_eq!(found.operations.len(), 3);
    let found = witness(vec![write(0, 1, 2, 1), read(1, 3, 4, None)]);
    assert_eq!((found.kind, indices(&found)), (ViolationKind::LostWrite, vec![0, 1]));
}

#[test]
fn two_values_that_each_follow_the_other_need_six_operations_at_most() {
    let found = witness(vec![
        write(0, 1, 20, 1),
        write(1, 1, 20, 2),
        read(2, 2, 3, Some(1)),
        read(3, 4, 5, Some(2)),
        read(4, 6, 7, Some(1)),
        read(5, 8, 9, Some(1)),
    ]);
    assert_eq!(found.kind, ViolationKind::ValueCameBack);
    assert_eq!(found.operations.len(), 5);
}

#[test]
fn two_swaps_of_one_value_are_not_atomic() {
    let found = witness(vec![write(0, 1, 2, 1), swap(1, 3, 6, Some(1), 2), swap(2, 3, 6, Some(1), 3)]);
    assert_eq!((found.kind, indices(&found)), (ViolationKind::SplitCas, vec![0, 1, 2]));
    let found = witness(vec![swap(1, 3, 6, None, 2), swap(2, 3, 6, None, 3)]);
    assert_eq!((found.kind, indices(&found)), (ViolationKind::SplitCas, vec![1, 2]));
}

#[test]
fn a_write_between_comparison_and_swap_splits_it() {
    let found = witness(vec![
        write(0, 1, 2, 1),
        swap(1, 3, 4, Some(1), 2),
        write(2, 5, 6, 3),
        swap(3, 7, 8, Some(2), 4),
        swap(4, 9, 10, Some(4), 5),
    ]);
    assert_eq!((found.kind, indices(&found)), (ViolationKind::SplitCas, vec![1, 2, 3]));
}

#[test]
fn a_refusal_with_the_expected_value_is_wrong() {
    let found = witness(vec![write(0, 1, 2, 1), refused(1, 3, 4, Some(1), Some(1))]);
    assert_eq!((found.kind, indices(&found)), (ViolationKind::RefusedMatch, vec![0, 1]));
}

#[test]
fn a_ring_of_swaps_has_no_beginning() {
    let found = witness(vec![swap(0, 1, 9, Some(2), 1), swap(1, 1, 9, Some(1), 2), write(2, 1, 2, 3)]);
    assert_eq!((found.kind, indices(&found)), (ViolationKind::CircularCas, vec![0, 1]));
}

#[test]
fn a_refusal_that_saw_an_old_value_is_a_stale_read() {
    let found = witness(vec![write(0, 1, 2, 1), write(1, 3, 4, 2), refused(2, 5, 6, Some(7), Some(1))]);
    assert_eq!(found.operations.len(), 3);
}

#[test]
fn an_unknown_write_may_happen_late_or_never() {
    assert_correct(vec![
        unknown_write(0, 1, 1),
        write(1, 2, 3, 2),
        read(2, 4, 5, Some(2)),
        read(3, 90, 91, Some(1)),
    ]);
    assert_correct(vec![unknown_write(0, 1, 1), write(1, 2, 3, 2), read(2, 4, 5, Some(2))]);
}

#[test]
fn an_unknown_swap_happened_if_its_value_was_seen() {
    assert_correct(vec![write(0, 1, 2, 1), unknown_swap(1, 3, Some(1), 2), swap(2, 4, 9, Some(1), 3)]);
    let found = witness(vec![
        write(0, 1, 2, 1),
        unknown_swap(1, 3, Some(1), 2),
        swap(2, 4, 9, Some(1), 3),
        read(3, 10, 11, Some(2)),
    ]);
    assert_eq!((found.kind, indices(&found)), (ViolationKind::SplitCas, vec![0, 1, 2, 3]));
}

#[test]
fn a_chain_of_unknown_swaps_is_settled_by_its_last_value() {
    let chain = [write(0, 1, 2, 1), unknown_swap(1, 3, Some(1), 2), unknown_swap(2, 3, Some(2), 3)];
    assert_correct(chain.into_iter().chain([read(3, 5, 6, Some(3))]).collect());
    let found = witness(chain.into_iter().chain([read(3, 5, 6, Some(3)), read(4, 7, 8, Some(1))]).collect());
    assert_eq!(found.kind, ViolationKind::StaleRead);
    // Who wrote the value that the last swap expected does not matter.
    assert_eq!(indices(&found), [0, 2, 3, 4]);
}

#[test]
fn repeated_values_are_searched() {
    assert_correct(vec![write(0, 1, 2, 1), write(1, 3, 4, 1), read(2, 5, 6, Some(1))]);
    let found = witness(vec![
        write(0, 1, 2, 1),
        write(1, 3, 4, 1),
        read(2, 5, 6, Some(1)),
        write(3, 7, 8, 2),
        read(4, 9, 10, Some(1)),
        read(5, 11, 12, Some(2)),
    ]);
    assert_eq!(found.kind, ViolationKind::NoOrder);
    assert_eq!(indices(&found), [0, 1, 3, 4]);
}

#[test]
fn keys_do_not_mix_and_the_earliest_violation_comes_first() {
    let mut late = vec![write(0, 101, 102, 1), read(1, 103, 104, None)];
    let mut early = vec![write(2, 1, 2, 1), read(3, 3, 4, None)];
    let mut history = History::default();
    for (position, operations) in [&mut late, &mut early].into_iter().enumerate() {
        for operation in operations.iter_mut() {
            operation.key = KeyId(position as u32);
        }
        history.registers.push(Register { key: position.to_string(), operations: operations.clone() });
    }
    let Outcome::Violation { witnesses, operations: 4, keys: 2 } = check(&history) else {
        panic!("both keys are wrong")
    };
    assert_eq!(witnesses.iter().map(|witness| witness.key.0).collect::<Vec<_>>(), [1, 0]);
}
