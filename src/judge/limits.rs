//! What makes a value bad.

use std::time::Duration;

use super::series::Measure;
use super::signals::ALL;
use crate::api::Nanos;
use crate::experiment::{Budget, Sli, Unit};

/// A baseline below this is noise of clocks and samplers: `maxIncrease` compares with at least this.
pub const BASELINE_FLOOR: Nanos = 1_000_000;

/// The same of a share, in millionths: 1 %.
const USAGE_FLOOR: u64 = 10_000;

/// The same of a rate.
const RATE_FLOOR: u64 = 1;

/// What `maxIncrease` compares with: the value of the time before the first fault; of rates, that of the busiest volume,
/// because `max` is about that one.
pub(super) fn baseline(sli: &Sli, before: &Measure) -> Option<u64> {
    let value = if sli.unit() == Unit::Rate { before.highest } else { before.value };
    value.filter(|&value| value < u64::MAX)
}

/// The values that are good, both ends included.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Limits {
    pub min: Option<u64>,
    pub max: Option<u64>,
}

/// `maxIncrease` without anything to compare with.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct NoBaseline;

impl Limits {
    /// The limits that a budget names; those of `else_from` where it names none, because an outage must be told from
    /// normal times by something.
    pub(super) fn of(
        sli: &Sli,
        budget: &Budget,
        else_from: Option<&Budget>,
        baseline: Option<u64>,
    ) -> Result<Self, NoBaseline> {
        let unit = sli.unit();
        let source = if budget.has_limits() { budget } else { else_from.unwrap_or(budget) };
        let mut limits = Self {
            min: source.min.map(|amount| amount.in_unit(unit)),
            max: source.max.map(|amount| amount.in_unit(unit)),
        };
        if let Some(factor) = source.max_increase {
            let floor = match unit {
                Unit::Usage => USAGE_FLOOR,
                Unit::Rate => RATE_FLOOR,
                Unit::Latency | Unit::Availability | Unit::Condition | Unit::Events | Unit::Property => {
                    BASELINE_FLOOR
                }
            };
            let increased = factor.of(baseline.ok_or(NoBaseline)?.max(floor));
            limits.max = Some(limits.max.map_or(increased, |max| max.min(increased)));
        }
        match unit {
            Unit::Condition => limits.min = Some(ALL),
            Unit::Availability if limits.min.is_none() && limits.max.is_none() => limits.min = Some(ALL),
            Unit::Availability | Unit::Usage | Unit::Rate | Unit::Events | Unit::Latency | Unit::Property => {
            }
        }
        Ok(limits)
    }

    /// How far a value is beyond what is allowed; the farther below nothing, the better.
    pub(super) fn excess(self, value: u64) -> i128 {
        let value = i128::from(value);
        let over = self.max.map(|max| value - i128::from(max));
        let under = self.min.map(|min| i128::from(min) - value);
        over.into_iter().chain(under).max().unwrap_or(i128::MIN)
    }

    pub(super) fn allow(self, value: u64) -> bool {
        self.min.is_none_or(|min| value >= min) && self.max.is_none_or(|max| value <= max)
    }
}

/// A duration in the journal's unit.
pub(super) fn nanos(time: Duration) -> Nanos {
    u64::try_from(time.as_nanos()).unwrap_or(u64::MAX)
}
