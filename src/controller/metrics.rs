//! Figures for Prometheus.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use kube::runtime::reflector::Store;
use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::{Histogram, exponential_buckets};
use prometheus_client::registry::Registry;

use crate::experiment::Verdict;
use crate::platform::kubernetes::access::requests;
use crate::resource::Experiment;

/// Figures for Prometheus.
pub struct Metrics {
    registry: Registry,
    leader: Gauge,
    experiments: Family<PhaseLabel, Gauge>,
    runs: Family<VerdictLabel, Counter>,
    refused: Counter,
    lost: Counter,
    reconciliations: Family<ResultLabel, Counter>,
    seconds: Histogram,
    memory: Gauge<f64, AtomicU64>,
    requests: Counter,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct PhaseLabel {
    phase: String,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct VerdictLabel {
    verdict: String,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct ResultLabel {
    result: &'static str,
}

impl Default for Metrics {
    fn default() -> Self {
        let mut metrics = Self {
            registry: Registry::with_prefix("seatrial"),
            leader: Gauge::default(),
            experiments: Family::default(),
            runs: Family::default(),
            refused: Counter::default(),
            lost: Counter::default(),
            reconciliations: Family::default(),
            seconds: Histogram::new(exponential_buckets(0.001, 2.0, 14)),
            memory: Gauge::default(),
            requests: Counter::default(),
        };
        let registry = &mut metrics.registry;
        registry.register("leader", "1 where this controller leads", metrics.leader.clone());
        registry.register("experiments", "Experiments by phase", metrics.experiments.clone());
        registry.register("runs", "Runs that have ended, by verdict", metrics.runs.clone());
        registry.register("refusals", "Experiments that were refused", metrics.refused.clone());
        registry.register("runners_lost", "Runners that were gone without a verdict", metrics.lost.clone());
        registry.register("reconciliations", "Reconciliations by result", metrics.reconciliations.clone());
        registry.register("reconcile_seconds", "How long reconciliations took", metrics.seconds.clone());
        registry.register("resident_memory_bytes", "Memory of this process", metrics.memory.clone());
        registry.register("api_requests", "Requests sent to the API server", metrics.requests.clone());
        metrics
    }
}

impl Metrics {
    /// Whether this controller leads.
    pub fn leads(&self, leads: bool) {
        self.leader.set(leads.into());
    }

    /// An Experiment was refused.
    pub fn refused(&self) {
        self.refused.inc();
    }

    /// A runner was gone without a verdict.
    pub fn runner_lost(&self) {
        self.lost.inc();
    }

    /// A run has ended.
    pub fn judged(&self, verdict: Verdict) {
        self.runs.get_or_create(&VerdictLabel { verdict: format!("{verdict:?}") }).inc();
    }

    /// A reconciliation has ended.
    pub fn reconciled(&self, result: &'static str, took: Duration) {
        self.reconciliations.get_or_create(&ResultLabel { result }).inc();
        self.seconds.observe(took.as_secs_f64());
    }

    /// All of them as Prometheus reads them.
    pub fn text(&self, experiments: Option<&Store<Experiment>>) -> String {
        self.experiments.clear();
        for experiment in experiments.map(Store::state).unwrap_or_default() {
            let phase = experiment.status.as_ref().and_then(|status| status.phase);
            let phase = phase.map_or_else(|| "New".into(), |phase| format!("{phase:?}"));
            self.experiments.get_or_create(&PhaseLabel { phase }).inc();
        }
        // Counted where requests are sent, which knows no controller.
        self.requests.inner().store(requests(), Ordering::Relaxed);
        self.memory.set(resident_bytes().unwrap_or(0.0));
        let mut text = String::new();
        // Writing into a string cannot fail.
        let _ = prometheus_client::encoding::text::encode(&mut text, &self.registry);
        text
    }
}

/// `VmRSS` of proc_pid_status(5).
fn resident_bytes() -> Option<f64> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"))?;
    let kibibytes: f64 = line.trim().strip_suffix("kB")?.trim().parse().ok()?;
    Some(kibibytes * 1024.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn prometheus_reads_what_happened() {
        let metrics = Metrics::default();
        metrics.leads(true);
        metrics.judged(Verdict::Pass);
        metrics.reconciled("ok", Duration::from_millis(3));
        let text = metrics.text(None);
        for line in [
            "seatrial_leader 1",
            "seatrial_runs_total{verdict=\"Pass\"} 1",
            "seatrial_reconciliations_total{result=\"ok\"} 1",
            "seatrial_reconcile_seconds_count 1",
            &format!("seatrial_api_requests_total {}", requests()),
        ] {
            assert!(text.lines().any(|found| found == line), "{line} in\n{text}");
        }
    }
}
