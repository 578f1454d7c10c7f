//! `seatrial bench judge`: a made-up journal is read and judged.

use std::time::Duration;

use super::super::console;
use super::super::exit::Exit;
use super::{against_budget, table};
use crate::bench::{Shape, bench_judge};
use crate::experiment::Verdict;
use crate::judge::linearizability::Outcome;

/// What a journal of this many operations may take, from text to outcome, on two processors.
const BUDGET: (u64, Duration) = (1_000_000, Duration::from_secs(2));
/// The same journal each time.
const SEED: u64 = 1;

pub(super) fn judge(operations: u64) -> Exit {
    if operations == 0 {
        return console::error("nothing can be judged in 0 operations", Exit::Usage);
    }
    let Ok(count) = usize::try_from(operations) else {
        return console::error("so many operations fit into no memory", Exit::Usage);
    };
    let shape = Shape { operations: count, ..Shape::default() };
    let timing = match bench_judge(shape, SEED) {
        Ok(timing) => timing,
        Err(error) => return console::failure(&error, Exit::Unexpected),
    };
    let allowed = BUDGET.1.mul_f64(operations as f64 / BUDGET.0 as f64);
    let row = |what: &str, took: Duration, budget: &str, stands: &str| {
        vec![what.to_owned(), seconds(took), budget.to_owned(), stands.to_owned()]
    };
    let headings = [
        format!("{operations} OPERATIONS, {} MB", timing.bytes / 1_000_000),
        "MEASURED".to_owned(),
        "BUDGET".to_owned(),
        String::new(),
    ];
    console::data(table::render(&[
        headings.to_vec(),
        row("history from text", timing.reading, "", ""),
        row("zones", timing.checking, "", ""),
        row(
            &format!("whole verdict, {} threads", timing.threads),
            timing.whole,
            &format!("≤ {}", seconds(allowed)),
            against_budget(timing.whole <= allowed),
        ),
    ]));
    console::hint("`cargo bench --bench linearizability` prints porcupine-rs beside it");
    match timing.outcome {
        _ if timing.verdict != Verdict::Pass => {
            console::error(format_args!("judged {}", timing.verdict), Exit::Unexpected)
        }
        Outcome::Linearizable { .. } | Outcome::NothingToCheck => Exit::Pass,
        Outcome::Violation { .. } | Outcome::Undecidable { .. } => {
            console::error(format_args!("{timing}"), Exit::Unexpected)
        }
    }
}

fn seconds(duration: Duration) -> String {
    format!("{:.3} s", duration.as_secs_f64())
}
