//! What the clients did, in numbers.

use crate::api::Nanos;
use crate::judge::claim::Evidence;
use crate::judge::judgement::{Scope, WorkloadTotals, WriteLatency};
use crate::judge::series::Window;

/// The whole workload, and its writes by phase.
pub(super) fn of(evidence: &Evidence<'_>) -> WorkloadTotals {
    let commits = &evidence.signals.commits;
    let totals = commits.totals;
    let unknown = totals.unknown + commits.open();
    let all = totals.ok + totals.failed + unknown;
    let lasted = totals.last.saturating_sub(totals.first.unwrap_or(totals.last));
    let rate = u128::from(all) * 1_000 * 1_000_000_000 / u128::from(lasted.max(1));
    let windows = evidence.windows;
    let after = windows.last_end.map(|end| windows.after(end));
    let phases = [
        (Scope::Before, Some(windows.before())),
        (Scope::During, Some(windows.during(None, windows.last_end))),
        (Scope::After, after),
    ];
    WorkloadTotals {
        ok: totals.ok,
        failed: totals.failed,
        unknown,
        rate: if lasted == 0 { 0 } else { u64::try_from(rate).unwrap_or(u64::MAX) },
        writes: phases
            .into_iter()
            .filter_map(|(scope, windows)| Some(latency(evidence, scope, &windows?)))
            .collect(),
    }
}

fn latency(evidence: &Evidence<'_>, scope: Scope, windows: &[Window]) -> WriteLatency {
    let commits = &evidence.signals.commits;
    let now: Nanos = evidence.facts.end;
    let at = |thousandths| commits.measure(windows, thousandths, now);
    let acknowledged = commits.acknowledged(windows);
    let median = at(500);
    WriteLatency {
        scope,
        acknowledged,
        unacknowledged: median.samples - acknowledged,
        p50: median.value.filter(|&value| value < u64::MAX),
        p99: at(990).value.filter(|&value| value < u64::MAX),
    }
}
