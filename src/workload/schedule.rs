//! When each client shall start its operations.
//!
//! A client that waits for an answer before it decides when to ask next measures one long answer where its users would
//! have had a hundred ("coordinated omission", Gil Tene, *How NOT to Measure Latency*, 2013). So every operation has
//! a slot, slots are equally spaced whatever the store does, and a client that was held up by the store starts its next
//! operation at once and counts from the slot, not from the start. A client that was free at its slot counts from the
//! moment at which it woke up: lateness of our own timer is not the store's.
//!
//! How far a client can be behind is bounded by the operations' timeout: a user who gives up after one second has given
//! up on a request that could not even be sent for one second. Such slots are **missed**: counted, never sent. Without
//! this bound a long outage would be followed by a burst that no user makes, and by latencies of an outage that is over.

use std::time::Duration;

use crate::api::Nanos;
use crate::experiment;

/// The slots of one client.
#[derive(Debug)]
pub(super) struct Schedule {
    first: Nanos,
    period: Nanos,
    patience: Nanos,
    next: u64,
}

/// The next slot.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Slot {
    /// It is in the future.
    Ahead(Nanos),
    /// It has come or is over.
    Due(Nanos),
}

impl Schedule {
    /// The slots of client `number`: all clients together make the rate, evenly spread.
    pub(super) fn new(begin: Nanos, number: u32, spec: &experiment::Workload) -> Self {
        let second = nanos(Duration::from_secs(1));
        let rate = u64::from(spec.rate.max(1));
        Self {
            first: begin + second * u64::from(number) / rate,
            period: (second * u64::from(spec.clients) / rate).max(1),
            patience: nanos(spec.timeout),
            next: 0,
        }
    }

    /// Takes the next slot, and says how many were missed before it.
    pub(super) fn take(&mut self, now: Nanos) -> (Slot, u64) {
        let latest_given_up = now.saturating_sub(self.patience);
        let behind = latest_given_up.saturating_sub(self.at(self.next));
        let missed = behind.div_ceil(self.period);
        self.next += missed;
        let at = self.at(self.next);
        self.next += 1;
        let slot = if at > now { Slot::Ahead(at) } else { Slot::Due(at) };
        (slot, missed)
    }

    fn at(&self, slot: u64) -> Nanos {
        self.first + slot * self.period
    }
}

/// A duration on the run's clock; 584 years at most.
pub(super) fn nanos(duration: Duration) -> Nanos {
    u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    const MS: Nanos = 1_000_000;

    /// Two clients, 20 operations per second together, patience of 250 ms: client 1 has slots at 50, 150, 250, ...
    fn schedule() -> Schedule {
        let spec = serde_json::from_str(r#"{"clients":2,"rate":20,"timeout":"250ms"}"#).expect("a workload");
        Schedule::new(0, 1, &spec)
    }

    #[test]
    fn slots_are_equally_spaced_and_clients_take_turns() {
        let mut schedule = schedule();
        assert_eq!(schedule.take(0), (Slot::Ahead(50 * MS), 0));
        assert_eq!(schedule.take(51 * MS), (Slot::Ahead(150 * MS), 0));
    }

    #[test]
    fn a_client_that_was_held_up_keeps_the_intended_start() {
        let mut schedule = schedule();
        schedule.take(0);
        assert_eq!(schedule.take(380 * MS), (Slot::Due(150 * MS), 0));
        assert_eq!(schedule.take(381 * MS), (Slot::Due(250 * MS), 0));
        assert_eq!(schedule.take(382 * MS), (Slot::Due(350 * MS), 0));
        assert_eq!(schedule.take(383 * MS), (Slot::Ahead(450 * MS), 0));
    }

    #[test]
    fn slots_older_than_the_timeout_are_missed_and_counted() {
        let mut schedule = schedule();
        schedule.take(0);
        // Nobody waits any more for what should have begun before 451 ms: 150, 250, 350 and 450.
        assert_eq!(schedule.take(701 * MS), (Slot::Due(550 * MS), 4));
    }
}
