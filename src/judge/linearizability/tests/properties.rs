//! Longer histories: right by construction, spoilt on purpose, and judged by somebody else's checker too.

use proptest::prelude::*;

use super::porcupine::{self, Asked, Recorded};
use super::*;

/// What a client does at one moment: when in its interval it acts is drawn apart.
#[derive(Debug, Clone, Copy)]
enum Act {
    Read,
    Write,
    LostAnswer,
    Swap,
    SwapLostAnswer,
    Refused,
}

fn acts() -> impl Strategy<Value = Vec<(Act, u64, u64)>> {
    let act = prop_oneof![
        4 => Just(Act::Read),
        3 => Just(Act::Write),
        1 => Just(Act::LostAnswer),
        3 => Just(Act::Swap),
        1 => Just(Act::SwapLostAnswer),
        1 => Just(Act::Refused),
    ];
    prop::collection::vec((act, 0..40_u64, 0..40_u64), 1..80)
}

/// A correct register that acts at moments 10 apart; each client waits a little before and after.
///
/// Times are made distinct, because checkers differ on ties.
fn execute(acts: &[(Act, u64, u64)]) -> Vec<Operation> {
    let mut state = None;
    let mut operations = Vec::new();
    for (index, &(act, before, after)) in (0..).zip(acts) {
        let moment = 100 + 10 * index;
        let call = (moment - before) * 1000 + index;
        let ret = Some((moment + after) * 1000 + 500 + index);
        let value = index + 1;
        let (ret, kind) = match act {
            Act::Read => (ret, Kind::Read { value: state }),
            Act::Write => (ret, Kind::Write { value }),
            Act::LostAnswer => (None, Kind::Write { value }),
            Act::Swap => (ret, Kind::Cas { expect: state, value, outcome: CasOutcome::Swapped }),
            Act::SwapLostAnswer => (None, Kind::Cas { expect: state, value, outcome: CasOutcome::Unknown }),
            Act::Refused => {
                let outcome = CasOutcome::Mismatch { current: state };
                (ret, Kind::Cas { expect: Some(10_000), value, outcome })
            }
        };
        let operation = operation(index, call, ret, kind);
        // Every other lost answer is that of a request which was lost as well.
        if operation.written().is_some() && (ret.is_some() || before % 2 == 0) {
            state = Some(value);
        }
        operations.push(operation);
    }
    operations
}

fn theirs(operation: &Operation) -> Vec<Recorded> {
    let (call, ret) = (operation.call, operation.ret);
    match operation.kind {
        Kind::Read { value } => vec![(call, ret, Asked::Read(value))],
        Kind::Write { value } => vec![(call, ret, Asked::Write(value))],
        Kind::Cas { outcome: CasOutcome::Mismatch { current }, .. } => {
            vec![(call, ret, Asked::Read(current))]
        }
        Kind::Cas { expect, value, outcome } => {
            vec![(call, ret, Asked::Swap { expect, value, known: outcome == CasOutcome::Swapped })]
        }
    }
}

fn porcupine_says(operations: &[Operation]) -> bool {
    porcupine::is_linearizable(&operations.iter().flat_map(theirs).collect::<Vec<_>>())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(400))]

    #[test]
    fn whatever_a_correct_register_did_is_linearizable(acts in acts()) {
        let operations = execute(&acts);
        prop_assert!(matches!(register::check(&operations), Finding::Linearizable));
    }

    #[test]
    fn an_overwritten_value_read_after_its_successor_returned_is_a_violation(acts in acts(), pick in any::<prop::sample::Index>()) {
        let mut operations = execute(&acts);
        let writes: Vec<Operation> = operations
            .iter()
            .filter(|operation| matches!(operation.kind, Kind::Write { .. }) && operation.ret.is_some())
            .copied()
            .collect();
        prop_assume!(!writes.is_empty());
        let overwriting = writes[pick.index(writes.len())];
        let old = writes
            .iter()
            .filter(|write| write.ret.unwrap() < overwriting.call)
            .max_by_key(|write| write.ret)
            .and_then(Operation::written);
        let index = operations.len() as u64;
        let call = overwriting.ret.unwrap() + 1;
        operations.push(read(index, call, call + 1, old));
        let Finding::Wrong(witness) = register::check(&operations) else {
            return Err(TestCaseError::fail("the stale read was not found"));
        };
        prop_assert!(witness.operations.iter().any(|operation| operation.index == index));
    }

    #[test]
    fn agrees_with_porcupine_when_a_few_reads_are_altered(
        acts in acts(),
        altered in prop::collection::vec((any::<prop::sample::Index>(), 0..4_u64), 1..3),
    ) {
        let mut operations = execute(&acts);
        for (pick, back) in altered {
            let place = pick.index(operations.len());
            let seen = operations[..place].iter().rev().filter_map(Operation::written).nth(back as usize);
            if let Kind::Read { value } | Kind::Cas { outcome: CasOutcome::Mismatch { current: value }, .. } =
                &mut operations[place].kind
            {
                *value = seen;
            }
        }
        match register::check(&operations) {
            Finding::Linearizable => prop_assert!(porcupine_says(&operations)),
            Finding::Wrong(witness) => {
                prop_assert!(!porcupine_says(&operations), "false accusation: {witness:#?}");
                let swaps = |operation: &Operation| matches!(operation.kind, Kind::Cas { .. });
                prop_assert!(witness.operations.iter().any(swaps) || witness.operations.len() <= 6);
            }
            Finding::Undecided(reason) => return Err(TestCaseError::fail(reason)),
        }
    }
}
