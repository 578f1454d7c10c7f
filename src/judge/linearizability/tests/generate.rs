//! Small histories: some of a register that is right, some of one that is not, some of nothing at all.

use crate::judge::history::{CasOutcome, KeyId, Kind, Operation};

/// SplitMix64 (Steele, Lea & Flood, 2014): the same seed gives the same histories everywhere.
pub(super) struct Dice(pub u64);

impl Dice {
    /// A number below `sides`.
    pub(super) fn roll(&mut self, sides: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (mixed ^ (mixed >> 31)) % sides
    }

    fn value(&mut self, values: u64) -> Option<u64> {
        Some(self.roll(values + 1)).filter(|&value| value > 0)
    }
}

/// Two to seven operations on one key; every written value is another one.
pub(super) fn small(dice: &mut Dice, into: &mut Vec<Operation>) {
    into.clear();
    let length = 2 + dice.roll(6);
    if dice.roll(8) == 0 {
        nonsense(dice, length, into);
        return;
    }
    real(dice, length, into);
    if dice.roll(6) > 0 {
        for _ in 0..=dice.roll(4) {
            spoil(dice, into);
        }
    }
}

fn nonsense(dice: &mut Dice, length: u64, into: &mut Vec<Operation>) {
    for index in 0..length {
        let call = dice.roll(length);
        let ret = Some(call + dice.roll(length));
        let value = index + 1;
        let (ret, kind) = match dice.roll(8) {
            0..=2 => (ret, Kind::Read { value: dice.value(length) }),
            3 => (ret, Kind::Write { value }),
            4 => (None, Kind::Write { value }),
            5 => (ret, Kind::Cas { expect: dice.value(length), value, outcome: CasOutcome::Swapped }),
            6 => (None, Kind::Cas { expect: dice.value(length), value, outcome: CasOutcome::Unknown }),
            _ => {
                let current = dice.value(length);
                let outcome = CasOutcome::Mismatch { current };
                (ret, Kind::Cas { expect: dice.value(length), value, outcome })
            }
        };
        into.push(Operation { index, process: index as u32, member: None, key: KeyId(0), call, ret, kind });
    }
}

/// Operations of a correct register, one after the other, each with some time around its moment.
fn real(dice: &mut Dice, length: u64, into: &mut Vec<Operation>) {
    let mut state = None;
    let slack = 1 + dice.roll(8);
    for index in 0..length {
        let moment = 10 + 2 * index;
        let call = moment.saturating_sub(dice.roll(slack));
        let mut ret = Some(moment + dice.roll(slack));
        let value = index + 1;
        let kind = match dice.roll(10) {
            0..=3 => Kind::Read { value: state },
            4 | 5 => {
                if dice.roll(4) == 0 {
                    ret = None;
                }
                if ret.is_some() || dice.roll(2) == 0 {
                    state = Some(value);
                }
                Kind::Write { value }
            }
            6..=8 => {
                let expect = if dice.roll(4) == 0 { dice.value(length) } else { state };
                if dice.roll(4) == 0 {
                    ret = None;
                    if expect == state && dice.roll(2) == 0 {
                        state = Some(value);
                    }
                    Kind::Cas { expect, value, outcome: CasOutcome::Unknown }
                } else if expect == state {
                    state = Some(value);
                    Kind::Cas { expect, value, outcome: CasOutcome::Swapped }
                } else {
                    Kind::Cas { expect, value, outcome: CasOutcome::Mismatch { current: state } }
                }
            }
            _ => {
                let expect = dice.value(length);
                if expect == state {
                    Kind::Read { value: state }
                } else {
                    Kind::Cas { expect, value, outcome: CasOutcome::Mismatch { current: state } }
                }
            }
        };
        into.push(Operation { index, process: index as u32, member: None, key: KeyId(0), call, ret, kind });
    }
}

/// Changes a value or a time somewhere.
fn spoil(dice: &mut Dice, operations: &mut [Operation]) {
    let values = operations.len() as u64;
    let place = dice.roll(values) as usize;
    let seen =
        if dice.roll(8) == 0 { dice.value(values) } else { operations[dice.roll(values) as usize].written() };
    let operation = &mut operations[place];
    match (&mut operation.kind, dice.roll(3)) {
        (Kind::Read { value }, 0 | 1) => *value = seen,
        (Kind::Cas { outcome: CasOutcome::Mismatch { current }, .. }, 0 | 1) => *current = seen,
        (Kind::Cas { expect, .. }, 0) => *expect = seen,
        _ => {
            let length = operation.ret.map(|ret| ret - operation.call);
            operation.call = 8 + dice.roll(2 * values + 4);
            operation.ret = length.map(|length| operation.call + length);
        }
    }
}
