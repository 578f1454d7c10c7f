//! Where things stand in a drawing. All of it is whole numbers, so that the same journal gives the same bytes everywhere.

use std::fmt;
use std::ops::{Add, Sub};

use crate::api::Nanos;

/// A place or a length in a drawing, in tenths of its unit.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) struct Px(pub(super) i64);

/// The width of a drawing, of which everything else is a part. A unit is about a pixel on a wide screen.
pub(super) const WIDTH: Px = Px::units(1200);
/// Where time begins.
pub(super) const LEFT: Px = Px::units(122);
/// Where time ends.
pub(super) const RIGHT: Px = Px::units(1188);

const SECOND: Nanos = 1_000_000_000;

impl Px {
    pub(super) const fn units(units: i64) -> Self {
        Self(units * 10)
    }

    /// So many parts of it, of `whole` that it has.
    pub(super) fn part(self, parts: u64, whole: u64) -> Self {
        Self((i128::from(self.0) * i128::from(parts) / i128::from(whole.max(1))) as i64)
    }

    /// So many of it in a row.
    pub(super) fn times(self, many: usize) -> Self {
        self.part(many as u64, 1)
    }
}

impl Add for Px {
    type Output = Self;

    fn add(self, other: Self) -> Self {
        Self(self.0 + other.0)
    }
}

impl Sub for Px {
    type Output = Self;

    fn sub(self, other: Self) -> Self {
        Self(self.0 - other.0)
    }
}

impl fmt::Display for Px {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let sign = if self.0 < 0 { "-" } else { "" };
        let (whole, tenth) = (self.0.unsigned_abs() / 10, self.0.unsigned_abs() % 10);
        match tenth {
            0 => write!(f, "{sign}{whole}"),
            tenth => write!(f, "{sign}{whole}.{tenth}"),
        }
    }
}

/// The axis of time: from the beginning of the run to its end.
#[derive(Debug, Clone, Copy)]
pub(super) struct Time {
    pub(super) end: Nanos,
}

impl Time {
    pub(super) fn over(end: Nanos) -> Self {
        Self { end: end.max(1) }
    }

    /// Where a moment stands.
    pub(super) fn x(self, at: Nanos) -> Px {
        LEFT + (RIGHT - LEFT).part(at.min(self.end), self.end)
    }

    /// Moments to be named, with their names: whole steps that people count in.
    pub(super) fn ticks(self) -> Vec<(Nanos, String)> {
        let wanted = self.end / 12;
        let steps = [100, 200, 500, 1_000, 2_000, 5_000, 10_000, 15_000, 30_000];
        let step = steps
            .into_iter()
            .map(|millis| millis * 1_000_000)
            .chain([1, 2, 5, 10, 15, 30, 60, 120, 240, 480].map(|minutes| minutes * 60 * SECOND))
            .find(|&step| step >= wanted)
            .unwrap_or_else(|| wanted.div_ceil(SECOND) * SECOND);
        (0..=self.end / step).map(|number| (number * step, clock(number * step, step))).collect()
    }
}

/// A moment on an axis whose ticks are `step` apart: `12 s`, `0.5 s`, `3:20`, `1:02:00`.
fn clock(at: Nanos, step: Nanos) -> String {
    let seconds = at / SECOND;
    if step < SECOND {
        return format!("{seconds}.{} s", at / 100_000_000 % 10);
    }
    if step <= 10 * SECOND {
        return format!("{seconds} s");
    }
    let (hours, minutes, seconds) = (seconds / 3600, seconds / 60 % 60, seconds % 60);
    if hours > 0 { format!("{hours}:{minutes:02}:{seconds:02}") } else { format!("{minutes}:{seconds:02}") }
}

/// Logarithms of 1 to 10, in thousandths.
const LOGARITHMS: [u64; 10] = [0, 301, 477, 602, 699, 778, 845, 903, 954, 1000];

/// The logarithm to the base of ten in thousandths: exact at 1, 2, … 10 of every decade, straight between them.
fn logarithm(value: u64) -> u64 {
    let value = value.max(1);
    let decade = value.ilog10();
    let mantissa = u128::from(value) * 1000 / u128::from(10u64.pow(decade));
    let (whole, part) = ((mantissa / 1000) as usize, (mantissa % 1000) as u64);
    let (below, above) = (LOGARITHMS[whole - 1], LOGARITHMS[whole.min(9)]);
    u64::from(decade) * 1000 + below + (above - below) * part / 1000
}

/// A logarithmic axis of durations, of whole decades.
#[derive(Debug, Clone, Copy)]
pub(super) struct Decades {
    /// Powers of ten of a nanosecond.
    pub(super) lowest: u32,
    pub(super) highest: u32,
    pub(super) height: Px,
}

impl Decades {
    /// Just wide enough for all values.
    pub(super) fn around(values: impl Iterator<Item = Nanos> + Clone, height: Px) -> Self {
        let lowest = values.clone().min().map_or(6, |value| value.max(1).ilog10());
        let highest = values.max().map_or(lowest, |value| value.saturating_sub(1).max(1).ilog10());
        let lowest = lowest.clamp(3, 10);
        Self { lowest, highest: (highest + 1).clamp(lowest + 1, 14), height }
    }

    /// How far below the top a value stands.
    pub(super) fn y(self, value: Nanos) -> Px {
        let (bottom, top) = (u64::from(self.lowest) * 1000, u64::from(self.highest) * 1000);
        let at = logarithm(value).clamp(bottom, top) - bottom;
        self.height - self.height.part(at, top - bottom)
    }

    /// One tick for each decade.
    pub(super) fn ticks(self) -> impl Iterator<Item = (Nanos, String)> {
        (self.lowest..=self.highest).map(|decade| {
            let value = 10u64.pow(decade);
            let name = match decade {
                0..3 => format!("{value} ns"),
                3..6 => format!("{} µs", value / 1_000),
                6..9 => format!("{} ms", value / 1_000_000),
                9.. => format!("{} s", value / 1_000_000_000),
            };
            (value, name)
        })
    }
}

/// About how wide a text is in the small letters of drawings; wide enough in every usual font.
pub(super) fn text_width(text: &str) -> Px {
    Px::units(6).times(text.chars().count())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn time_begins_at_the_left_and_ends_at_the_right() {
        let time = Time::over(20 * SECOND);
        assert_eq!((time.x(0), time.x(20 * SECOND), time.x(u64::MAX)), (LEFT, RIGHT, RIGHT));
        assert_eq!(time.x(10 * SECOND).to_string(), "655");
        assert_eq!(Time::over(0).x(0), LEFT);
    }

    #[test]
    fn ticks_are_few_and_count_as_people_do() {
        let last = |end| Time::over(end).ticks().pop().map(|(_, name)| name);
        assert_eq!(last(20_800_000_000).as_deref(), Some("20 s"));
        assert_eq!(last(900_000_000).as_deref(), Some("0.9 s"));
        assert_eq!(last(3600 * SECOND).as_deref(), Some("1:00:00"));
        for end in [1, SECOND, 61 * SECOND, 7200 * SECOND, 900_000 * SECOND] {
            assert!(Time::over(end).ticks().len() <= 13, "{end}");
        }
    }

    #[test]
    fn decades_are_equally_high_and_hold_every_value() {
        let axis = Decades::around([1_500_000, 1_000_000_000].into_iter(), Px::units(90));
        assert_eq!((axis.lowest, axis.highest), (6, 9));
        let ys: Vec<_> = axis.ticks().map(|(value, _)| axis.y(value).to_string()).collect();
        assert_eq!(ys, ["90", "60", "30", "0"]);
        assert_eq!((axis.y(0), axis.y(u64::MAX)), (Px::units(90), Px(0)));
    }

    #[test]
    fn a_length_is_written_in_as_few_digits_as_it_takes() {
        assert_eq!([Px(0), Px(15), Px(-15), Px(120)].map(|px| px.to_string()), ["0", "1.5", "-1.5", "12"]);
    }
}
