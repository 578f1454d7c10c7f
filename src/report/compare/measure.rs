//! The numbers of a claim in two runs, and when one of them is worse.
//!
//! A run cannot tell every difference: members are asked every 200 ms, latencies of loopback differ by themselves. So a
//! number counts as another one only where it differs by more than its unit's [`floor`] and by more than the tolerance, a
//! share of the first run's number. Of an availability the part that is missing is compared: from 99 % to 98 % is twice as
//! bad.
//!
//! And a number counts only where a budget bounds it: the others, and everything before the first fault, are shown. A
//! budget that leaves out members that faults have bounds none of them, because they are those of all members.
//! Quantiles of latencies and numbers of events are shown, too, because they differ from one run to the next however
//! good they are; whether they are good is what their budget's verdict says.

use serde::Serialize;

use super::Trend;
use crate::api::Nanos;
use crate::experiment::{Sli, Unit};
use crate::judge::judgement::{Claim, Numbers, Scope};
use crate::judge::signals::ALL;
use crate::judge::words;

/// Two looks at the members: outages and recoveries that differ by less are the same.
const TWO_LOOKS: Nanos = 400_000_000;

/// Two numbers that mean the same in their runs.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Measure {
    /// What was measured.
    pub what: What,
    /// The first run's number: nanoseconds, millionths, events, or so many per second. None where there is none, or
    /// where it never came to that.
    pub first: Option<u64>,
    /// The second run's number.
    pub second: Option<u64>,
    /// The first run's number for a person.
    pub first_shown: String,
    /// The second run's number for a person.
    pub second_shown: String,
    /// Whether it got worse or better.
    pub trend: Trend,
    /// By how much, for a person, where it is not the same.
    pub difference: Option<String>,
}

/// What was measured.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub enum What {
    /// The SLI's value before the first fault.
    Before,
    /// The SLI's value while faults were there.
    During,
    /// The SLI's value from the moment of recovery.
    After,
    /// How long after the last revert it was good again.
    Recovery,
    /// The longest time without a break in which it was bad.
    LongestOutage,
}

/// What a run says of a number.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Reading {
    /// Nothing.
    Unknown,
    /// It did not come to that, or it had no end.
    Never,
    /// So much.
    Of(u64),
}

/// Whether the second of two values is worse, where more is worse.
pub(super) fn trend_of<T: Ord + Copy>(first: T, second: T) -> Trend {
    match second.cmp(&first) {
        std::cmp::Ordering::Less => Trend::Better,
        std::cmp::Ordering::Equal => Trend::Same,
        std::cmp::Ordering::Greater => Trend::Worse,
    }
}

/// Every number that either claim has.
pub(super) fn of_claims(unit: Unit, first: &Claim, second: &Claim, tolerance: u32) -> Vec<Measure> {
    What::ALL
        .into_iter()
        .filter_map(|what| {
            let readings = (what.of(unit, first), what.of(unit, second));
            (readings != (Reading::Unknown, Reading::Unknown)).then(|| {
                what.compared(unit, readings, tolerance, what.is_bounded(first) || what.is_bounded(second))
            })
        })
        .collect()
}

/// How long after the last revert a claim was good again; none where that was not judged or never came.
pub fn recovered_after(claim: &Claim) -> Option<Nanos> {
    let recovery = claim.recovery.as_ref()?;
    recovery.recovered.map(|moment| moment.saturating_sub(recovery.from))
}

/// The longest outage of a claim in any phase; none where outages were not looked for.
pub fn longest_outage(claim: &Claim) -> Option<Nanos> {
    if Sli::unit_of(&claim.sli) == Some(Unit::Events) {
        return None;
    }
    let outages = claim.outages().into_iter();
    let longest = outages.map(|outage| outage.to.saturating_sub(outage.from)).max();
    // What says when it is good again says what is bad, too: it was looked for.
    longest.or_else(|| claim.recovery.as_ref().map(|_| 0))
}

impl Measure {
    /// For a person: `recovery 9 s instead of 4.1 s, 4.9 s longer`.
    pub(super) fn words(&self) -> String {
        let Self { what, first_shown, second_shown, difference, .. } = self;
        let by = difference.as_ref().map_or(String::new(), |difference| format!(", {difference}"));
        format!("{} {second_shown} instead of {first_shown}{by}", what.name())
    }
}

impl What {
    const ALL: [Self; 5] = [Self::Before, Self::During, Self::After, Self::Recovery, Self::LongestOutage];

    /// For a person.
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Before => "before",
            Self::During => "during",
            Self::After => "after",
            Self::Recovery => "recovery",
            Self::LongestOutage => "longest outage",
        }
    }

    fn of(self, unit: Unit, claim: &Claim) -> Reading {
        let value = |scope| {
            let phase = claim.phases.iter().find(|numbers: &&Numbers| numbers.scope == scope);
            match phase.map(|numbers| (numbers.value, numbers.unreachable)) {
                Some((Some(value), _)) => Reading::Of(value),
                // Nothing was answered at all: a report has no number for that.
                Some((None, 1..)) if unit == Unit::Latency => Reading::Never,
                Some((None, _)) | None => Reading::Unknown,
            }
        };
        match self {
            Self::Before => value(Scope::Before),
            Self::During => value(Scope::During),
            Self::After => value(Scope::After),
            Self::Recovery if claim.recovery.is_some() => {
                recovered_after(claim).map_or(Reading::Never, Reading::Of)
            }
            Self::Recovery => Reading::Unknown,
            Self::LongestOutage => longest_outage(claim).map_or(Reading::Unknown, Reading::Of),
        }
    }

    /// Whether a budget of a claim speaks of the number.
    fn is_bounded(self, claim: &Claim) -> bool {
        let by: &[Scope] = match self {
            Self::Before => &[],
            Self::During | Self::LongestOutage => &[Scope::During, Scope::Always],
            Self::After => &[Scope::After, Scope::Always],
            Self::Recovery => &[Scope::Recovery, Scope::After],
        };
        let counts = |scope| by.contains(&scope);
        claim.findings.iter().any(|finding| counts(finding.scope) && !finding.excludes_faulted)
    }

    fn compared(
        self,
        unit: Unit,
        (first, second): (Reading, Reading),
        tolerance: u32,
        is_bounded: bool,
    ) -> Measure {
        let number = |reading| match reading {
            Reading::Of(number) => Some(number),
            Reading::Unknown | Reading::Never => None,
        };
        let trend = match self.trend(unit, first, second, tolerance) {
            Trend::Worse | Trend::Better if !is_bounded => Trend::Different,
            trend => trend,
        };
        let difference = match (first, second) {
            (Reading::Of(first), Reading::Of(second)) if trend != Trend::Same => {
                Some(self.difference(unit, first, second))
            }
            _ => None,
        };
        Measure {
            what: self,
            first: number(first),
            second: number(second),
            first_shown: self.shown(unit, first),
            second_shown: self.shown(unit, second),
            trend,
            difference,
        }
    }

    fn trend(self, unit: Unit, first: Reading, second: Reading, tolerance: u32) -> Trend {
        let (first, second) = match (first, second) {
            (Reading::Of(first), Reading::Of(second)) => (first, second),
            (Reading::Never, Reading::Never) | (Reading::Unknown, Reading::Unknown) => return Trend::Same,
            (Reading::Of(_), Reading::Never) => return Trend::Worse,
            (Reading::Never, Reading::Of(_)) => return Trend::Better,
            (Reading::Unknown, _) | (_, Reading::Unknown) => return Trend::Different,
        };
        let (first, second) = (self.badness(unit, first), self.badness(unit, second));
        let apart = first.abs_diff(second);
        let tolerated = u128::from(first) * u128::from(tolerance);
        if apart < self.floor(unit) || u128::from(apart) * 100 <= tolerated {
            return Trend::Same;
        }
        match (self, unit) {
            // Whether many or few are wanted, and how many are too many, is the experiment's matter.
            (Self::Before | Self::During | Self::After, Unit::Rate | Unit::Latency | Unit::Events) => {
                Trend::Different
            }
            _ => trend_of(first, second),
        }
    }

    /// The same number, of which more is worse.
    fn badness(self, unit: Unit, number: u64) -> u64 {
        match (self, unit) {
            (Self::Before | Self::During | Self::After, Unit::Availability | Unit::Condition) => {
                ALL.saturating_sub(number)
            }
            _ => number,
        }
    }

    /// The least difference that a run can tell.
    fn floor(self, unit: Unit) -> u64 {
        match (self, unit) {
            (Self::Recovery | Self::LongestOutage, _) => TWO_LOOKS,
            (_, Unit::Availability | Unit::Condition | Unit::Usage) => ALL / 100,
            (_, Unit::Latency) => 1_000_000,
            (_, Unit::Events | Unit::Rate | Unit::Property) => 1,
        }
    }

    fn shown(self, unit: Unit, reading: Reading) -> String {
        match (self, reading) {
            (_, Reading::Unknown) => "not measured".into(),
            (Self::Before | Self::During | Self::After, Reading::Never) => "no end".into(),
            (Self::Recovery | Self::LongestOutage, Reading::Never) => "not recovered".into(),
            (Self::LongestOutage, Reading::Of(0)) => "none".into(),
            (Self::Recovery, Reading::Of(0)) => "at once".into(),
            (Self::Recovery | Self::LongestOutage, Reading::Of(time)) => words::time(time),
            (Self::Before | Self::During | Self::After, Reading::Of(value)) => match unit {
                Unit::Condition => format!("held {}", words::ratio(value)),
                Unit::Availability
                | Unit::Usage
                | Unit::Rate
                | Unit::Events
                | Unit::Latency
                | Unit::Property => words::value(unit, value),
            },
        }
    }

    fn difference(self, unit: Unit, first: u64, second: u64) -> String {
        let apart = first.abs_diff(second);
        let is_more = second > first;
        let by = if is_more { "more" } else { "less" };
        match (self, unit) {
            (Self::Recovery | Self::LongestOutage, _) => {
                format!("{} {}", words::time(apart), if is_more { "longer" } else { "shorter" })
            }
            (_, Unit::Latency) => format!("{} {by}", words::time(apart)),
            (_, Unit::Availability | Unit::Condition | Unit::Usage) => {
                format!("{}.{} points {by}", apart / 10_000, apart / 1_000 % 10)
            }
            (_, Unit::Rate) => format!("{apart} per second {by}"),
            (_, Unit::Events | Unit::Property) => {
                format!("{apart} {}", if is_more { "more" } else { "fewer" })
            }
        }
    }
}
