//! `seatrial bench`: how fast this build is, beside what it is meant to be.

use super::args;
use super::console;
use super::exit::Exit;

#[cfg(feature = "kubernetes")]
mod cluster;
#[cfg(all(feature = "sandbox", feature = "refkv"))]
pub(super) mod disk;
#[cfg(all(feature = "sandbox", feature = "refkv"))]
mod inject;
mod judge;
mod latency;
mod table;

/// `seatrial bench …`
pub(super) fn main(command: &args::Bench) -> Exit {
    if cfg!(debug_assertions) && is_of_this_build(command) {
        console::hint("this is a debug build: budgets are meant for `cargo run --release -- bench …`");
    }
    match command {
        args::Bench::Judge { operations } => judge::judge(*operations),
        #[cfg(all(feature = "sandbox", feature = "refkv"))]
        args::Bench::Inject { rounds } => inject::inject(*rounds),
        #[cfg(all(feature = "sandbox", feature = "refkv"))]
        args::Bench::Disk(args) => disk::disk(args),
        #[cfg(feature = "kubernetes")]
        args::Bench::Cluster(args) => cluster::cluster(args),
    }
}

/// Whether this very program is measured, and not what is installed somewhere.
fn is_of_this_build(command: &args::Bench) -> bool {
    match command {
        args::Bench::Judge { .. } => true,
        #[cfg(all(feature = "sandbox", feature = "refkv"))]
        args::Bench::Inject { .. } | args::Bench::Disk(_) => true,
        #[cfg(feature = "kubernetes")]
        args::Bench::Cluster(_) => false,
    }
}

/// How a measurement stands to its budget.
fn against_budget(is_within: bool) -> &'static str {
    if is_within { "within" } else { "OVER" }
}
