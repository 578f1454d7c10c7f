//! What a process that holds calls of others, or has them fail, has done so far, and how late it was itself.
//!
//! Whoever calls waits from the call on, and is held from the moment at which the process meets it. What lies between is in
//! no time that is measured by call; so it is told how long that has been at most once the process ran, and for how long it
//! did not run though it had to.

use std::time::{Duration, Instant};

use serde::{Deserialize, Serialize};

/// What was done.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Tally {
    /// Calls that were held and went on.
    pub held: u64,
    /// Calls that were answered with an error.
    pub failed: u64,
    /// Calls that are held now.
    pub waiting: usize,
    /// How long those that went on should have been held, altogether, in nanoseconds.
    pub asked: u64,
    /// How long they were, in nanoseconds.
    pub measured: u64,
    /// The longest time from its awakening until all that waited for it was met, in nanoseconds.
    pub late: u64,
    /// For how long it was ready to run and did not, altogether, in nanoseconds; nothing where the kernel does not tell.
    pub queued: Option<u64>,
}

impl Tally {
    /// Counts a call that was held.
    pub(super) fn count(&mut self, asked: Duration, measured: Duration) {
        self.held += 1;
        self.asked += nanos(asked);
        self.measured += nanos(measured);
    }

    /// All that waited has been met, by a process that awoke at this moment.
    pub(super) fn has_met_all(&mut self, since: Instant) {
        self.late = self.late.max(nanos(since.elapsed()));
    }

    /// Counts a call that is about to be answered with an error.
    ///
    /// Whoever made it may end of it, and this process with its last tracee; so the first one is told of at once.
    pub(super) fn count_failed(&mut self, tell: impl FnOnce(&Self)) {
        self.failed += 1;
        if self.failed == 1 {
            tell(self);
        }
    }

    /// What had been done, at the least, to a container that has ended since, where it may have ended of that.
    pub fn told_of_the_ended(&self, calls: &str) -> Option<String> {
        (self.failed > 0).then(|| {
            format!(
                "{} or more {calls} answered with the error, and the container has ended since",
                self.failed
            )
        })
    }

    /// As things stand now, with so many calls held.
    pub(super) fn now(&self, waiting: usize) -> Self {
        Self { waiting, queued: queued(), ..self.clone() }
    }

    /// What has been done to these calls, for a person, altogether and since an earlier look; nothing where nothing has.
    /// They are named as one of them is, and as several are.
    pub fn told(&self, before: &Self, [one, several]: [&str; 2]) -> Option<String> {
        let named = |many: u64| if many == 1 { one } else { several };
        if self.failed > 0 {
            let new = self.failed - before.failed;
            return Some(format!(
                "{} {} answered with the error, {new} since the last look",
                self.failed,
                named(self.failed)
            ));
        }
        if self.held == 0 {
            return None;
        }
        let queued =
            self.queued.map(|queued| format!(" and waited {:.2} ms for a processor", millis(queued)));
        Some(format!(
            "{} {} held, {} since the last look, {} now; asked for {:.2} ms in the mean, measured {:.2} ms by who holds them, who was {:.2} ms late at most{}",
            self.held,
            named(self.held),
            self.held - before.held,
            self.waiting,
            millis(self.asked / self.held),
            millis(self.measured / self.held),
            millis(self.late),
            queued.unwrap_or_default()
        ))
    }
}

/// For how long this process was ready to run and did not: the second word of `/proc/PID/schedstat`
/// (Documentation/scheduler/sched-stats.rst), which kernels without CONFIG_SCHED_INFO do not have.
fn queued() -> Option<u64> {
    std::fs::read_to_string("/proc/self/schedstat").ok()?.split_ascii_whitespace().nth(1)?.parse().ok()
}

fn nanos(duration: Duration) -> u64 {
    u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX)
}

fn millis(nanos: u64) -> f64 {
    Duration::from_nanos(nanos).as_secs_f64() * 1000.0
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tells_how_long_calls_were_held_and_how_late_that_began() {
        let mut tally = Tally::default();
        assert_eq!(tally.told(&tally, ["call", "calls"]), None);
        let milli = Duration::from_millis;
        tally.count(milli(20), milli(21));
        let before = tally.now(0);
        tally.count(milli(20), milli(23));
        tally.has_met_all(Instant::now().checked_sub(milli(70)).expect("it has run for longer"));
        tally.has_met_all(Instant::now());
        let tally = Tally { queued: Some(1_500_000), ..tally.now(3) };
        let told = tally.told(&before, ["call", "calls"]).expect("two were held");
        let begin =
            "2 calls held, 1 since the last look, 3 now; asked for 20.00 ms in the mean, measured 22.00 ms";
        assert!(told.starts_with(begin), "{told}");
        assert!(
            tally.late >= 70_000_000 && told.ends_with(" ms late at most and waited 1.50 ms for a processor"),
            "{told}"
        );
    }

    #[test]
    fn tells_how_many_have_failed() {
        let tally = Tally { failed: 5, ..Tally::default() };
        let before = Tally { failed: 3, ..Tally::default() };
        let told = tally.told(&before, ["read or write", "reads and writes"]);
        assert_eq!(
            told.as_deref(),
            Some("5 reads and writes answered with the error, 2 since the last look")
        );
        let tally = Tally { failed: 1, ..Tally::default() };
        let told = tally.told(&Tally::default(), ["read or write", "reads and writes"]);
        assert_eq!(told.as_deref(), Some("1 read or write answered with the error, 1 since the last look"));
    }

    #[test]
    fn tells_of_the_first_failure_at_once() {
        let mut tally = Tally::default();
        assert_eq!(tally.told_of_the_ended("calls"), None);
        let mut heard = Vec::new();
        tally.count_failed(|tally| heard.push(tally.failed));
        tally.count_failed(|tally| heard.push(tally.failed));
        assert_eq!(heard, [1]);
        assert_eq!(
            tally.told_of_the_ended("calls").as_deref(),
            Some("2 or more calls answered with the error, and the container has ended since")
        );
    }
}
