//! What the clients did, in numbers.

use crate::api::Nanos;
use crate::judge::claim::Evidence;
use crate::judge::judgement::{Claim, Scope, WorkloadTotals, WriteLatency};
use crate::judge::series::Window;

/// The whole workload, and its writes by phase. All has recovered when the last claim has; where none says when that
/// was, or one never did, nothing is known to be after recovery.
pub(super) fn of(evidence: &Evidence<'_>, claims: &[Claim]) -> WorkloadTotals {
    let commits = &evidence.signals.commits;
    let totals = commits.totals;
    let unknown = totals.unknown + commits.open();
    let all = totals.ok + totals.failed + unknown;
    let lasted = totals.last.saturating_sub(totals.first.unwrap_or(totals.last));
    let rate = u128::from(all) * 1_000 * 1_000_000_000 / u128::from(lasted.max(1));
    let windows = evidence.windows;
    let recoveries = claims.iter().filter_map(|claim| claim.recovery.as_ref());
    let recovered: Option<Vec<Nanos>> = recoveries.map(|recovery| recovery.recovered).collect();
    let recovered = recovered.and_then(|moments| moments.into_iter().max());
    let during = windows.during(None, recovered);
    let recovering = windows.last_end.map(|end| {
        let from = during.last().map_or(end, |last| last.to.max(end));
        vec![Window::new(from, recovered.unwrap_or(windows.until))]
    });
    let phases = [
        (Scope::Before, Some(windows.before())),
        (Scope::During, Some(during)),
        (Scope::Recovery, recovering.filter(|windows| windows[0].length() > 0)),
        (Scope::After, recovered.map(|recovered| windows.after(recovered))),
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
