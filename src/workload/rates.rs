//! How the workload fares now, for people who watch. Verdicts are made from the record, never from these numbers.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use hdrhistogram::Histogram;
use tokio::sync::watch;

use super::record::Outcome;
use crate::api::Nanos;

/// The longest latency that is told apart, in microseconds: an hour.
const LONGEST: u64 = 3_600_000_000;

/// What happened in one second.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Rates {
    /// Operations that the store answered, a compare-and-set that found another value among them.
    pub ok: u64,
    /// Operations that provably changed nothing.
    pub fail: u64,
    /// Operations of which nobody knows whether they happened.
    pub unknown: u64,
    /// Operations that were due and never sent, because their client was held up for longer than the timeout.
    pub missed: u64,
    /// Median of the answered ones' latency, from the intended start; none where none was answered.
    pub p50: Option<Duration>,
    /// 99th percentile, as `p50`.
    pub p99: Option<Duration>,
}

/// What happened from start to stop.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Totals {
    /// See [`Rates::ok`].
    pub ok: u64,
    /// See [`Rates::fail`].
    pub fail: u64,
    /// See [`Rates::unknown`].
    pub unknown: u64,
    /// See [`Rates::missed`].
    pub missed: u64,
}

impl Totals {
    fn add(&mut self, more: Self) {
        self.ok += more.ok;
        self.fail += more.fail;
        self.unknown += more.unknown;
        self.missed += more.missed;
    }
}

/// Counts of all clients.
pub(super) struct Meter(Mutex<Counts>);

struct Counts {
    /// Before this second.
    before: Totals,
    second: Totals,
    /// In microseconds.
    latency: Histogram<u64>,
}

impl Default for Meter {
    fn default() -> Self {
        Self(Mutex::new(Counts {
            before: Totals::default(),
            second: Totals::default(),
            latency: Histogram::new_with_bounds(1, LONGEST, 3)
                .expect("the bounds are within the histogram's limits"),
        }))
    }
}

impl Meter {
    /// One operation ended.
    pub(super) fn count(&self, outcome: &Outcome, latency: Nanos) {
        let mut counts = self.lock();
        match outcome {
            Outcome::Ok(_) | Outcome::Mismatch { .. } => {
                counts.second.ok += 1;
                counts.latency.saturating_record(latency / 1000);
            }
            Outcome::Fail(_) => counts.second.fail += 1,
            Outcome::Unknown(_) => counts.second.unknown += 1,
        }
    }

    /// So many slots went by unused.
    pub(super) fn missed(&self, slots: u64) {
        if slots > 0 {
            self.lock().second.missed += slots;
        }
    }

    /// Everything so far.
    pub(super) fn totals(&self) -> Totals {
        let counts = self.lock();
        let mut totals = counts.before;
        totals.add(counts.second);
        totals
    }

    /// Ends a second.
    fn turn(&self) -> Rates {
        let mut counts = self.lock();
        let second = std::mem::take(&mut counts.second);
        counts.before.add(second);
        let quantile = |q| {
            (!counts.latency.is_empty()).then(|| Duration::from_micros(counts.latency.value_at_quantile(q)))
        };
        let rates = Rates {
            ok: second.ok,
            fail: second.fail,
            unknown: second.unknown,
            missed: second.missed,
            p50: quantile(0.5),
            p99: quantile(0.99),
        };
        counts.latency.reset();
        rates
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Counts> {
        // Counters that are one short are still good enough to look at.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Publishes each second until nobody looks any more.
pub(super) async fn publish_every_second(meter: Arc<Meter>, rates: watch::Sender<Rates>) {
    let mut seconds = tokio::time::interval(Duration::from_secs(1));
    // The first tick comes at once.
    seconds.tick().await;
    loop {
        seconds.tick().await;
        if rates.send(meter.turn()).is_err() {
            return;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_second_is_counted_once_and_totals_keep_it() {
        let meter = Meter::default();
        meter.count(&Outcome::Ok(None), 2_000_000);
        meter.count(&Outcome::Mismatch { current: None }, 4_000_000);
        meter.count(&Outcome::Unknown("lost".into()), 9_000_000);
        meter.missed(3);
        let rates = meter.turn();
        assert_eq!((rates.ok, rates.fail, rates.unknown, rates.missed), (2, 0, 1, 3));
        assert_eq!(rates.p50.map(|p50| p50.as_millis()), Some(2));
        assert_eq!(meter.turn(), Rates::default());
        meter.count(&Outcome::Fail("refused".into()), 1);
        assert_eq!(meter.totals(), Totals { ok: 2, fail: 1, unknown: 1, missed: 3 });
    }
}
