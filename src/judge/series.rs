//! Samples over time, and what they say about a window of it.

use std::collections::VecDeque;

use super::judgement::Outage;
use crate::api::Nanos;

/// Samples further apart than this say nothing about the time between them.
pub const SILENCE: Nanos = 2_000_000_000;

/// The same of samples that are taken once a second, by somebody who is far away.
pub const LONG_SILENCE: Nanos = 3_000_000_000;

/// A part of a run: from `from` to before `to`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Window {
    /// Its first moment.
    pub from: Nanos,
    /// Its end.
    pub to: Nanos,
}

impl Window {
    /// A window, empty where its end is not after its beginning.
    pub fn new(from: Nanos, to: Nanos) -> Self {
        Self { from, to: to.max(from) }
    }

    /// How long it is.
    pub fn length(self) -> Nanos {
        self.to - self.from
    }

    /// Whether a moment lies in it.
    pub fn contains(self, moment: Nanos) -> bool {
        (self.from..self.to).contains(&moment)
    }
}

/// What one sample says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Sample {
    /// A value, in the SLI's unit.
    Value(u64),
    /// The target did not answer: its doing.
    Unreachable,
    /// We did not ask: our doing.
    NotSampled,
}

/// A sample at its time.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Point {
    /// When.
    pub at: Nanos,
    /// What.
    pub sample: Sample,
    /// For a person, what a bad sample saw.
    pub why: String,
}

/// How a series came about, and so what it says between its points.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// A point for every change: its value holds until the next point.
    Changes,
    /// A look from time to time: nothing is known of the moments between two looks that differ.
    Looks,
    /// The same, and a look a second.
    RareLooks,
    /// The same, where each value is about the time since the look before it.
    Rates,
}

/// Points in the order of their times.
#[derive(Debug, Clone)]
pub struct Series {
    kind: Kind,
    points: VecDeque<Point>,
}

/// What the samples of a window say together.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Measure {
    /// Samples of any kind.
    pub samples: u64,
    /// Those that the target left unanswered.
    pub unreachable: u64,
    /// Those that were not taken.
    pub not_sampled: u64,
    /// Of operations, those that provably did not happen.
    pub refused: u64,
    /// For how long of the window nothing is known.
    pub unknown_time: Nanos,
    /// All together: averaged over the time that is known, where an unreachable target counts as 0; what an SLI makes
    /// of it otherwise.
    pub value: Option<u64>,
    /// The lowest value.
    pub lowest: Option<u64>,
    /// The highest value.
    pub highest: Option<u64>,
}

impl Series {
    /// Without points.
    pub fn new(kind: Kind) -> Self {
        Self { kind, points: VecDeque::new() }
    }

    /// Adds a point. Lines of different tasks may be a little out of order; a point never goes before its predecessor.
    pub fn push(&mut self, mut point: Point) {
        if let Some(last) = self.points.back() {
            point.at = point.at.max(last.at);
        }
        self.points.push_back(point);
    }

    /// Whether there is any point.
    pub fn is_empty(&self) -> bool {
        self.points.is_empty()
    }

    /// The newest point.
    pub fn last(&self) -> Option<&Point> {
        self.points.back()
    }

    /// Forgets points that no window from `before` on can see.
    pub fn forget(&mut self, before: Nanos) {
        while self.points.get(1).is_some_and(|second| second.at <= before) {
            self.points.pop_front();
        }
    }

    /// The points that say something about a window, each with the part of the window that it speaks for.
    fn parts(&self, window: Window) -> impl Iterator<Item = (&Point, Window)> {
        let first = self.points.partition_point(|point| point.at <= window.from).saturating_sub(1);
        let last = self.points.partition_point(|point| point.at < window.to);
        (first..last).filter_map(move |place| {
            let point = &self.points[place];
            let next = self.points.get(place + 1).map_or(window.to, |next| next.at);
            let until = match self.kind {
                Kind::Changes => next,
                Kind::Looks => next.min(point.at.saturating_add(SILENCE)),
                Kind::RareLooks | Kind::Rates => next.min(point.at.saturating_add(LONG_SILENCE)),
            };
            let part = Window::new(point.at.max(window.from), until.min(window.to));
            (part.length() > 0 || window.contains(point.at)).then_some((point, part))
        })
    }

    /// What the samples of some windows, which do not overlap, say together.
    pub fn measure(&self, windows: &[Window]) -> Measure {
        let mut measure = Measure::default();
        let (mut weighted, mut known) = (0u128, 0);
        for (point, part) in windows.iter().flat_map(|&window| self.parts(window)) {
            measure.samples += 1;
            match point.sample {
                Sample::Value(value) => {
                    weighted += u128::from(value) * u128::from(part.length());
                    known += part.length();
                    measure.lowest = Some(measure.lowest.map_or(value, |lowest| lowest.min(value)));
                    measure.highest = Some(measure.highest.map_or(value, |highest| highest.max(value)));
                }
                Sample::Unreachable => {
                    known += part.length();
                    measure.unreachable += 1;
                }
                Sample::NotSampled => measure.not_sampled += 1,
            }
        }
        let length: Nanos = windows.iter().map(|window| window.length()).sum();
        measure.unknown_time = length - known;
        if known > 0 {
            measure.value = u64::try_from(weighted / u128::from(known)).ok();
        }
        measure
    }

    /// The mean over some windows, where each value is about the time since the point before it; and for how long of them
    /// that is known. A mean over a long silence says little about its moments: it counts, but nothing is known by it. The
    /// newest value is believed for as long after it.
    pub fn mean_before(&self, windows: &[Window]) -> (Option<u64>, Nanos) {
        let (mut weighted, mut length, mut known) = (0u128, 0u128, 0);
        for &window in windows {
            let inside =
                |from: Nanos, to: Nanos| Window::new(from.max(window.from), to.min(window.to)).length();
            let first = self.points.partition_point(|point| point.at <= window.from).max(1);
            for (before, point) in
                self.points.range(first - 1..).zip(self.points.range(first.min(self.points.len())..))
            {
                if before.at >= window.to {
                    break;
                }
                let Sample::Value(value) = point.sample else { continue };
                let part = inside(before.at, point.at);
                weighted += u128::from(value) * u128::from(part);
                length += u128::from(part);
                known += if point.at - before.at <= LONG_SILENCE { part } else { 0 };
            }
            if let Some(Point { at, sample: Sample::Value(_), .. }) = self.points.back() {
                known += inside(*at, at.saturating_add(LONG_SILENCE));
            }
        }
        let mean = weighted.checked_div(length).and_then(|mean| u64::try_from(mean).ok());
        (mean, known)
    }

    /// The points of a window, and its beginning.
    pub fn moments(&self, window: Window) -> Vec<Nanos> {
        let inside = self.points.iter().map(|point| point.at);
        std::iter::once(window.from).chain(inside.filter(|&at| at > window.from && at < window.to)).collect()
    }

    /// The times of some windows in which the SLI was bad, without counting one twice. See [`Self::outages_in`].
    pub fn outages(&self, windows: &[Window], bad: &dyn Fn(u64) -> bool) -> Vec<Outage> {
        let mut all: Vec<Outage> = Vec::new();
        for outage in windows.iter().flat_map(|&window| self.outages_in(window, bad)) {
            match all.last_mut() {
                Some(last) if outage.from < last.to => last.to = last.to.max(outage.to),
                Some(_) | None => all.push(outage),
            }
        }
        all
    }

    /// The times of a window in which the SLI was bad. An unreachable target is bad; what was not sampled neither
    /// begins nor ends an outage.
    ///
    /// Conservative: between two looks the outage is taken to have begun right after the last good one and to have
    /// lasted until the next good one. An outage that outlasts the window counts until it ends, because it began here;
    /// one that began before counts from the window's beginning.
    fn outages_in(&self, window: Window, bad: &dyn Fn(u64) -> bool) -> Vec<Outage> {
        let mut outages: Vec<Outage> = Vec::new();
        let mut open: Option<Outage> = None;
        let mut last_good = None;
        let start = self.points.partition_point(|point| point.at <= window.from).saturating_sub(1);
        let mut before = None;
        for point in self.points.range(start..) {
            let since = match self.kind {
                Kind::Rates => before.replace(point.at).unwrap_or(point.at),
                Kind::Changes | Kind::Looks | Kind::RareLooks => point.at,
            };
            if open.is_none() && since >= window.to {
                break;
            }
            let is_bad = match point.sample {
                Sample::Value(value) => bad(value),
                Sample::Unreachable => true,
                Sample::NotSampled => continue,
            };
            if !is_bad {
                last_good = Some(point.at);
                if let Some(mut outage) = open.take() {
                    outage.to = point.at;
                    outages.push(outage);
                }
            } else if open.is_none() {
                let began = match self.kind {
                    Kind::Changes => point.at,
                    Kind::Rates => since,
                    Kind::Looks | Kind::RareLooks => last_good.unwrap_or(point.at),
                };
                open = Some(Outage { from: began.max(window.from), to: window.to, why: point.why.clone() });
            }
        }
        if let Some(mut outage) = open {
            let last = self.points.back().map_or(0, |point| point.at);
            outage.to = window.to.max(last);
            outages.push(outage);
        }
        outages.retain(|outage| outage.to > window.from && outage.from < outage.to);
        outages
    }
}

#[cfg(test)]
mod tests;
