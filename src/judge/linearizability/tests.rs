#![expect(clippy::unwrap_used, reason = "a test ends where its premise fails")]

mod brute;
mod cases;
mod generate;
mod million;
mod porcupine;
mod properties;
mod recorded;

use super::*;
use crate::judge::history::{CasOutcome, Kind};

/// One operation of a key, tersely.
fn operation(index: u64, call: u64, ret: Option<u64>, kind: Kind) -> Operation {
    Operation { index, process: index as u32, member: None, key: KeyId(0), call, ret, kind }
}

fn read(index: u64, call: u64, ret: u64, value: Option<u64>) -> Operation {
    operation(index, call, Some(ret), Kind::Read { value })
}

fn write(index: u64, call: u64, ret: u64, value: u64) -> Operation {
    operation(index, call, Some(ret), Kind::Write { value })
}

fn unknown_write(index: u64, call: u64, value: u64) -> Operation {
    operation(index, call, None, Kind::Write { value })
}

fn swap(index: u64, call: u64, ret: u64, expect: Option<u64>, value: u64) -> Operation {
    operation(index, call, Some(ret), Kind::Cas { expect, value, outcome: CasOutcome::Swapped })
}

fn unknown_swap(index: u64, call: u64, expect: Option<u64>, value: u64) -> Operation {
    operation(index, call, None, Kind::Cas { expect, value, outcome: CasOutcome::Unknown })
}

fn refused(index: u64, call: u64, ret: u64, expect: Option<u64>, current: Option<u64>) -> Operation {
    let outcome = CasOutcome::Mismatch { current };
    operation(index, call, Some(ret), Kind::Cas { expect, value: 1_000 + index, outcome })
}

fn history(operations: Vec<Operation>) -> History {
    History { registers: vec![Register { key: "k".into(), operations }] }
}

/// The only witness of a key that is wrong.
fn witness(operations: Vec<Operation>) -> Witness {
    match check(&history(operations)) {
        Outcome::Violation { mut witnesses, .. } if witnesses.len() == 1 => witnesses.remove(0),
        other => panic!("a violation with one witness was expected, not {other:?}"),
    }
}
