//! What makes a value bad.

use std::time::Duration;

use super::signals::ALL;
use crate::api::Nanos;
use crate::experiment::{Budget, Sli, Unit};

/// A baseline below this is noise of clocks and samplers: `maxIncrease` compares with at least this.
pub const BASELINE_FLOOR: Nanos = 1_000_000;

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
        let has_own = budget.min.is_some() || budget.max.is_some() || budget.max_increase.is_some();
        let source = if has_own { budget } else { else_from.unwrap_or(budget) };
        let mut limits = Self {
            min: source.min.map(|amount| amount.in_unit(unit)),
            max: source.max.map(|amount| amount.in_unit(unit)),
        };
        if let Some(factor) = source.max_increase {
            let increased = factor.of(baseline.ok_or(NoBaseline)?.max(BASELINE_FLOOR));
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

    pub(super) fn allow(self, value: u64) -> bool {
        self.min.is_none_or(|min| value >= min) && self.max.is_none_or(|max| value <= max)
    }
}

/// A duration in the journal's unit.
pub(super) fn nanos(time: Duration) -> Nanos {
    u64::try_from(time.as_nanos()).unwrap_or(u64::MAX)
}
