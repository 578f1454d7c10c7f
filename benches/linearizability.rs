//! Prints how long the check takes, and porcupine-rs beside it on what that can do.
//!
//! porcupine-rs searches, so that it is given histories of growing size until it needs longer than its limit.

#![expect(clippy::unwrap_used, reason = "a benchmark ends where its premise fails")]

use std::time::{Duration, Instant};

use porcupine_rs::{CheckResult, Model, Operation as Timed};
use seatrial::bench::{Shape, bench_judge, journal};
use seatrial::judge::history::{self, CasOutcome, History, Kind, Operation};
use seatrial::judge::linearizability;

const LIMIT: Duration = Duration::from_secs(10);

fn main() {
    println!("{}", bench_judge(Shape::default(), 1).unwrap());
    println!("{:>12} {:>16} {:>16}", "operations", "seatrial", "porcupine-rs");
    for operations in [1_000, 10_000, 100_000, 1_000_000] {
        let text = journal(Shape { operations, ..Shape::default() }, 1);
        let history = history::from_journal(&text, 2, |_| true).unwrap();
        let started = Instant::now();
        let outcome = linearizability::check(&history);
        let ours = started.elapsed();
        assert!(matches!(outcome, linearizability::Outcome::Linearizable { .. }), "{outcome:?}");

        let theirs = for_porcupine(&history);
        let started = Instant::now();
        let result = porcupine_rs::check_operations_timeout(&theirs, LIMIT);
        let needed = started.elapsed();
        let theirs = match result {
            CheckResult::Ok => format!("{:.1} ms", needed.as_secs_f64() * 1e3),
            CheckResult::Illegal => "DISAGREES".to_owned(),
            CheckResult::Unknown => format!("gave up, {} s", LIMIT.as_secs()),
        };
        println!("{operations:>12} {:>13.1} ms {theirs:>16}", ours.as_secs_f64() * 1e3);
        if result == CheckResult::Unknown {
            break;
        }
    }
}

#[derive(Debug, Clone)]
struct Registers;

impl Model for Registers {
    type State = Option<u64>;
    type Op = Operation;
    type Metadata = ();

    fn partition_operations(history: &[Timed<Self>]) -> Vec<Vec<Timed<Self>>> {
        history.chunk_by(|a, b| a.op.key == b.op.key).map(<[_]>::to_vec).collect()
    }

    fn init() -> Option<u64> {
        None
    }

    fn step(state: &Option<u64>, operation: &Operation) -> (bool, Option<u64>) {
        match operation.kind {
            Kind::Read { value } => (value == *state, *state),
            Kind::Write { value } => (true, Some(value)),
            Kind::Cas { expect, outcome: CasOutcome::Mismatch { current }, .. } => {
                (current == *state && expect != *state, *state)
            }
            Kind::Cas { expect, value, .. } if expect == *state => (true, Some(value)),
            Kind::Cas { outcome, .. } => (outcome == CasOutcome::Unknown, *state),
        }
    }
}

fn for_porcupine(history: &History) -> Vec<Timed<Registers>> {
    let operations = history.registers.iter().flat_map(|register| &register.operations);
    operations
        .map(|operation| Timed {
            client_id: Some(operation.process),
            call_time: i64::try_from(operation.call).unwrap(),
            return_time: operation.over().map_or(i64::MAX, |ret| i64::try_from(ret).unwrap()),
            op: *operation,
            metadata: None,
        })
        .collect()
}
