//! What a comparison can be told.

use std::path::PathBuf;

use clap::{Args, ValueEnum};

/// `seatrial compare`
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  seatrial compare runs/etcd-3.5 runs/etcd-3.6
  seatrial compare runs/main runs/change --fail-on-regression --tolerance 25
  seatrial compare runs/seed-1 runs/seed-2 -o json | jq .worse

A number is another one where it differs by more than the tolerance and by more than a run can
tell: 400 ms of an outage or a recovery, 1 ms of a latency, one point of a share. Of an
availability, the part that is missing is compared. What counts is verdicts, and recoveries,
outages and shares that a budget bounds; all other numbers are shown.")]
pub struct Compare {
    /// The run that the other one is held against: its folder, or its journal
    #[arg(value_name = "RUN")]
    pub first: PathBuf,
    /// The other run
    #[arg(value_name = "OTHER")]
    pub second: PathBuf,
    /// Exit with code 10 where a verdict or a number got worse, 11 where nothing can be concluded
    #[arg(long)]
    pub fail_on_regression: bool,
    /// By how many percent of the first run's a number may differ and still count as the same
    #[arg(long, value_name = "PERCENT", default_value_t = 10)]
    pub tolerance: u32,
    /// As what it is printed
    #[arg(long, short, value_name = "FORMAT", default_value = "text")]
    pub output: Format,
}

/// As what something is printed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Format {
    /// For people
    Text,
    /// For programs
    Json,
    /// For programs, too
    Yaml,
}
