//! From a wish to its proof, and from its end to the proof of that, on whichever platform.
//!
//! What is measured is one Injection on one pod, from the moment at which the platform is asked until its status says
//! that the kernel was read back: `Injected` with a proof that holds, or `Reverted`.

use std::time::{Duration, Instant};

use tokio::sync::mpsc;

use super::super::wish::{Fault, proven, taken_back, wish};
use super::against_budget;
use crate::api::{Injection, InjectionSpec, Snapshot};
use crate::judge::signals::nearest_rank;
use crate::platform::Nodes;

/// The run in whose name everything is asked for.
pub(super) const RUN: &str = "bench";
/// When a fault would end by itself.
const LASTING: Duration = Duration::from_mins(1);

const MS: Duration = Duration::from_millis(1);
/// What the median and the slowest of a hundred may take.
const INJECT: (Duration, Duration) = (MS.saturating_mul(50), MS.saturating_mul(250));
const REVERT: (Duration, Duration) = (MS.saturating_mul(30), MS.saturating_mul(150));

/// What the rounds of one fault took.
#[derive(Default)]
struct Timings {
    inject: Vec<Duration>,
    revert: Vec<Duration>,
}

/// So many rounds of each fault, on the target's pods by turns, as a table.
pub(super) async fn measure(
    nodes: &dyn Nodes,
    target: &Snapshot,
    rounds: u32,
) -> Result<Vec<Vec<String>>, String> {
    let mut statuses = nodes.statuses().await.map_err(|error| error.to_string())?;
    let mut rows = headings();
    for fault in Fault::ALL {
        let mut timings = Timings::default();
        for round in 0..rounds {
            let pod = &target.pods[round as usize % target.pods.len()];
            let spec = wish(RUN, round, fault, target, pod, LASTING);
            timings.inject.push(time(nodes, &mut statuses, &spec).await?);
            timings.revert.push(time(nodes, &mut statuses, &taken_back(&spec)).await?);
            nodes.forget(&spec.name).await.map_err(|error| error.to_string())?;
        }
        rows.extend(timings.rows(fault.name()));
    }
    Ok(rows)
}

/// Asks for something and waits until it is proven; how long that took.
async fn time(
    nodes: &dyn Nodes,
    statuses: &mut mpsc::Receiver<Injection>,
    spec: &InjectionSpec,
) -> Result<Duration, String> {
    let began = Instant::now();
    nodes.apply(spec.clone()).await.map_err(|error| error.to_string())?;
    proven(statuses, spec).await?;
    Ok(began.elapsed())
}

fn headings() -> Vec<Vec<String>> {
    let words = ["FAULT", "ROUNDS", "P50", "BUDGET", "", "P99", "BUDGET", ""];
    vec![words.map(str::to_owned).to_vec()]
}

impl Timings {
    fn rows(mut self, fault: &str) -> [Vec<String>; 2] {
        [
            row(&format!("{fault}, inject → verified"), &mut self.inject, INJECT),
            row(&format!("{fault}, revert → verified"), &mut self.revert, REVERT),
        ]
    }
}

fn row(what: &str, took: &mut [Duration], (median, slowest): (Duration, Duration)) -> Vec<String> {
    took.sort_unstable();
    let mut cells = vec![what.to_owned(), took.len().to_string()];
    for (percent, budget) in [(50, median), (99, slowest)] {
        let measured = percentile(took, percent);
        cells.extend([
            milliseconds(measured),
            format!("≤ {} ms", budget.as_millis()),
            against_budget(measured <= budget).to_owned(),
        ]);
    }
    cells
}

/// The smallest that so many percent do not exceed.
pub(super) fn percentile(sorted: &[Duration], percent: u32) -> Duration {
    nearest_rank(sorted.len(), percent * 10).map_or(Duration::ZERO, |place| sorted[place])
}

fn milliseconds(duration: Duration) -> String {
    format!("{:.1} ms", duration.as_secs_f64() * 1e3)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn percentiles_are_measurements_and_not_between_them() {
        let sorted: Vec<Duration> = (1..=200).map(|n| MS * n).collect();
        assert_eq!(percentile(&sorted, 50), MS * 100);
        assert_eq!(percentile(&sorted, 99), MS * 198);
        assert_eq!(percentile(&sorted[..1], 99), MS);
    }
}
