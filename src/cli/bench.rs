//! `seatrial bench`: how fast this build is, beside what it is meant to be.

use super::args;
use super::console;
use super::exit::Exit;

mod inject;
mod judge;
mod table;

/// `seatrial bench …`
pub(super) fn main(command: &args::Bench) -> Exit {
    if cfg!(debug_assertions) {
        console::hint("this is a debug build: budgets are meant for `cargo run --release -- bench …`");
    }
    match command {
        args::Bench::Judge { operations } => judge::judge(*operations),
        args::Bench::Inject { rounds } => inject::inject(*rounds),
    }
}

/// How a measurement stands to its budget.
fn against_budget(is_within: bool) -> &'static str {
    if is_within { "within" } else { "OVER" }
}
