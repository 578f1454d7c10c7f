//! `commitLatency`: how long the workload's writes took, from the moment at which each one should have begun to its
//! acknowledgement, so that a stall is not hidden by clients that wait.
//!
//! A write with an unknown outcome took at least as long as its client waited. A write that provably did not happen has
//! no latency, but shows that somebody wanted to write: where nothing at all was acknowledged, latency has no end. Where
//! nobody did, nothing is known; see [`silence`].

mod silence;

use std::collections::{HashMap, VecDeque};

use crate::api::Nanos;
use crate::journal::op::{Current, Function, OpLine, OpValue, Stage};
use crate::judge::series::{Kind, Measure, Point, Sample, Series, Window};

/// Outages of a latency are told apart to this.
const BUCKET: Nanos = 500_000_000;

/// Recoveries of a latency are told apart to this.
const MOMENT: Nanos = 100_000_000;

/// The writes of a run, by their intended start.
#[derive(Debug, Clone, Default)]
pub struct Commits {
    writes: VecDeque<Write>,
    open: HashMap<u32, Open>,
    /// All operations.
    pub totals: Totals,
}

/// How many operations there were.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Totals {
    /// That happened.
    pub ok: u64,
    /// That provably did not.
    pub failed: u64,
    /// Of which nobody knows.
    pub unknown: u64,
    /// When the first one began.
    pub first: Option<Nanos>,
    /// When the last one ended.
    pub last: Nanos,
}

#[derive(Debug, Clone, Copy)]
struct Write {
    intended: Nanos,
    outcome: Outcome,
}

#[derive(Debug, Clone, Copy)]
enum Outcome {
    /// After this long.
    Acknowledged(Nanos),
    /// Waited for this long.
    Unknown(Nanos),
    Failed,
}

#[derive(Debug, Clone, Copy)]
struct Open {
    intended: Nanos,
    value: Option<u64>,
}

impl Commits {
    /// Takes a line; the written value where it acknowledges a write.
    pub(super) fn take(&mut self, line: &OpLine<'_>) -> Option<u64> {
        if line.stage == Stage::Invoke {
            self.totals.first.get_or_insert(line.time);
            let value = match (line.f, line.value) {
                (Function::Read, _) | (_, OpValue::Null) => None,
                (Function::Write | Function::Cas, OpValue::Number(value) | OpValue::Pair(_, value)) => {
                    Some(value)
                }
            };
            let intended = line.intended.unwrap_or(line.time).min(line.time);
            self.open.insert(line.process, Open { intended, value });
            return None;
        }
        self.totals.last = self.totals.last.max(line.time);
        match line.stage {
            Stage::Ok => self.totals.ok += 1,
            Stage::Fail => self.totals.failed += 1,
            Stage::Info | Stage::Invoke => self.totals.unknown += 1,
        }
        let Open { intended, value } = self.open.remove(&line.process)?;
        let value = value?;
        let took = line.time.saturating_sub(intended);
        let outcome = match line.stage {
            Stage::Ok => Outcome::Acknowledged(took),
            Stage::Info | Stage::Invoke => Outcome::Unknown(took),
            // A compare-and-set that met another value was answered: the store did its part.
            Stage::Fail if line.current != Current::NotObserved => return None,
            Stage::Fail => Outcome::Failed,
        };
        self.insert(Write { intended, outcome });
        (line.stage == Stage::Ok).then_some(value)
    }

    /// Writes come nearly in the order of their intended starts.
    fn insert(&mut self, write: Write) {
        let mut place = self.writes.len();
        while place > 0 && self.writes[place - 1].intended > write.intended {
            place -= 1;
        }
        self.writes.insert(place, write);
    }

    /// How many operations are still open, whose outcome nobody will know if the run ends now.
    pub fn open(&self) -> u64 {
        self.open.len() as u64
    }

    pub(super) fn forget(&mut self, before: Nanos) {
        while self.writes.front().is_some_and(|write| write.intended < before) {
            self.writes.pop_front();
        }
    }

    /// What the writes that were meant to begin in some windows say, with those that are still open at `now`.
    pub fn measure(&self, windows: &[Window], thousandths: u32, now: Nanos) -> Measure {
        let mut took: Vec<Nanos> = Vec::new();
        let (mut acknowledged, mut unknown, mut failed, mut waiting) = (0, 0, 0, 0);
        for window in windows {
            let first = self.writes.partition_point(|write| write.intended < window.from);
            let last = self.writes.partition_point(|write| write.intended < window.to);
            for write in self.writes.range(first..last) {
                match write.outcome {
                    Outcome::Acknowledged(time) => {
                        acknowledged += 1;
                        took.push(time);
                    }
                    Outcome::Unknown(time) => {
                        unknown += 1;
                        took.push(time);
                    }
                    Outcome::Failed => failed += 1,
                }
            }
            for open in self.open.values() {
                if open.value.is_some() && window.contains(open.intended) {
                    waiting += 1;
                    took.push(now.saturating_sub(open.intended));
                }
            }
        }
        let value = if acknowledged + waiting > 0 {
            quantile(&mut took, thousandths)
        } else {
            (unknown + failed > 0).then_some(u64::MAX)
        };
        Measure {
            samples: acknowledged + unknown + failed + waiting,
            unreachable: unknown + failed,
            not_sampled: waiting,
            refused: failed,
            unknown_time: self.silence(windows, now),
            value,
            lowest: took.iter().min().copied(),
            highest: took.iter().max().copied(),
        }
    }

    /// How many writes that were meant to begin in some windows were acknowledged.
    pub fn acknowledged(&self, windows: &[Window]) -> u64 {
        let in_windows = |write: &&Write| windows.iter().any(|window| window.contains(write.intended));
        self.writes
            .iter()
            .filter(in_windows)
            .filter(|write| matches!(write.outcome, Outcome::Acknowledged(_)))
            .count() as u64
    }

    /// The quantile over time, one value for every half second and one for what is left of a window at its end, so that
    /// no write speaks for a window in which it was not meant to begin. Writes that are still open show that a value is
    /// bad once they have waited for too long, and nothing before.
    pub(super) fn series(
        &self,
        windows: &[Window],
        thousandths: u32,
        now: Nanos,
        bad: &dyn Fn(u64) -> bool,
    ) -> Series {
        let mut series = Series::new(Kind::Changes);
        for window in windows {
            let mut from = window.from;
            // One bucket more, to see whether an outage goes on.
            let end = window.to.saturating_add(BUCKET);
            while from < end {
                let reach = from.saturating_add(BUCKET);
                let bucket = Window::new(from, if from < window.to { reach.min(window.to) } else { end });
                let measure = self.measure(&[bucket], thousandths, now);
                let (sample, why) = match measure.value {
                    None => (Sample::NotSampled, String::new()),
                    Some(u64::MAX) => (Sample::Unreachable, "no write was acknowledged".into()),
                    Some(value) if measure.not_sampled > 0 && !bad(value) => {
                        (Sample::NotSampled, String::new())
                    }
                    Some(value) => (Sample::Value(value), String::new()),
                };
                let is_silent = measure.value.is_none();
                series.push(Point { at: from, sample, why });
                from = bucket.to.max(from.saturating_add(1));
                if is_silent && from < window.to {
                    // Nothing is known until the next write, however long that is.
                    let next =
                        self.next_write(from).map_or(window.to, |next| on_grid(window.from, next, BUCKET));
                    from = next.min(window.to);
                }
            }
        }
        series
    }

    /// When the first write from `from` on was meant to begin.
    fn next_write(&self, from: Nanos) -> Option<Nanos> {
        let place = self.writes.partition_point(|write| write.intended < from);
        let ended = self.writes.get(place).map(|write| write.intended);
        let open = self.open.values().filter(|open| open.value.is_some()).map(|open| open.intended);
        ended.into_iter().chain(open.filter(|&intended| intended >= from)).min()
    }

    /// The moments in a window, [`MOMENT`] apart, after which some write was meant to begin within `reach`: of any other
    /// moment nothing can be said.
    pub(super) fn moments(&self, window: Window, reach: Nanos) -> Vec<Nanos> {
        let mut moments = Vec::new();
        let mut at = window.from;
        while at < window.to {
            let Some(next) = self.next_write(at) else {
                break;
            };
            if next < at.saturating_add(reach.max(1)) {
                moments.push(at);
                at = at.saturating_add(MOMENT);
            } else {
                let first = next - reach.max(1) + 1;
                at = on_grid(window.from, first.saturating_add(MOMENT - 1), MOMENT);
            }
        }
        moments
    }
}

/// The last moment up to `at` that is a whole number of steps after `from`.
fn on_grid(from: Nanos, at: Nanos, step: Nanos) -> Nanos {
    from + (at - from) / step * step
}

/// The smallest value that at least this many thousandths of all values do not exceed.
pub fn quantile(values: &mut [u64], thousandths: u32) -> Option<u64> {
    let place = nearest_rank(values.len(), thousandths)?;
    Some(*values.select_nth_unstable(place).1)
}

/// The place of that value among so many in order: it is one that was measured, never one between two of them.
pub fn nearest_rank(many: usize, thousandths: u32) -> Option<usize> {
    let rank = (many as u64 * u64::from(thousandths)).div_ceil(1000).max(1);
    usize::try_from(rank - 1).ok().filter(|&place| place < many)
}

#[cfg(test)]
mod tests {
    use super::*;

    const HOUR: Nanos = 3_600_000_000_000;

    /// One write in each of two hours that are far apart.
    fn sparse() -> Commits {
        let mut commits = Commits::default();
        for intended in [HOUR, 1_000_000 * HOUR] {
            commits.insert(Write { intended, outcome: Outcome::Acknowledged(1) });
        }
        commits
    }

    #[test]
    fn silence_takes_no_time_to_judge() {
        let window = Window::new(0, u64::MAX);
        assert_eq!(
            sparse().series(&[window], 990, u64::MAX, &|_| true).outages(&[window], &|_| true).len(),
            1
        );
        let moments = sparse().moments(window, 2_000_000_000);
        assert_eq!(moments.len(), 40, "{moments:?}");
        assert!(moments.iter().all(|at| at % MOMENT == 0), "{moments:?}");
        assert_eq!((moments[0], moments[19]), (HOUR - 19 * MOMENT, HOUR));
    }

    #[test]
    fn what_a_write_after_a_window_suffers_is_none_of_its_outages() {
        const MS: Nanos = 1_000_000;
        let outages = |slow_from: Nanos| {
            let mut commits = Commits::default();
            for intended in (0..20).map(|tenth| tenth * 100 * MS) {
                let took = if intended >= slow_from * MS { 400 * MS } else { MS };
                commits.insert(Write { intended, outcome: Outcome::Acknowledged(took) });
            }
            // The fault comes two milliseconds after a half second began.
            let window = Window::new(0, 1_002 * MS);
            let bad = |value| value > 100 * MS;
            let found = commits.series(&[window], 900, 10_000 * MS, &bad).outages(&[window], &bad);
            found.iter().map(|outage| (outage.from / MS, outage.to / MS)).collect::<Vec<_>>()
        };
        assert_eq!(outages(1_100), []);
        assert_eq!(outages(1_000), [(1_000, 1_002)]);
        assert_eq!(outages(500), [(500, 1_002)]);
    }

    #[test]
    fn a_quantile_is_a_value_that_was_measured() {
        let mut values: Vec<u64> = (1..=100).rev().collect();
        assert_eq!(quantile(&mut values, 990), Some(99));
        assert_eq!(quantile(&mut values, 1000), Some(100));
        assert_eq!(quantile(&mut values, 500), Some(50));
        assert_eq!(quantile(&mut values, 1), Some(1));
        assert_eq!(quantile(&mut [], 990), None);
    }
}
