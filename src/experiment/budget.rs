//! What must hold, and in which phase.

use std::time::Duration;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{Amount, Factor, Sli, Unit, duration};

/// One claim about one SLI.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(try_from = "Wire", into = "Wire")]
pub struct Hypothesis {
    /// In the words of the people who own the store.
    pub name: String,
    /// What is measured.
    pub sli: Sli,
    /// Before the first fault.
    pub before: Option<Budget>,
    /// While faults are there.
    pub during: Option<Budget>,
    /// After the last revert, once recovered.
    pub after: Option<Budget>,
    /// From the first to the last sample.
    pub always: Option<Budget>,
    /// How long after the last revert the `after` budget must hold at the latest.
    pub recover_within: Option<Duration>,
}

/// Bounds of a phase; what is left out does not bound.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Budget {
    /// Of `during`: only while this step's fault is there; any step's where it is left out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub step: Option<String>,
    /// The value must not be below this.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub min: Option<Amount>,
    /// The value must not be above this.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max: Option<Amount>,
    /// The value must not be above the run's own baseline times this. Of latencies, of how full volumes are and of their
    /// rates, for which a baseline below 1ms, 1 % or 1 a second counts as that much.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max_increase: Option<Factor>,
    /// The longest time without a break in which it may be bad.
    #[serde(default, with = "duration::optional", skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<duration::Text>")]
    pub longest_outage: Option<Duration>,
    /// All the time together in which it may be bad.
    #[serde(default, with = "duration::optional", skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<duration::Text>")]
    pub total_outage: Option<Duration>,
    /// The value is that of the worst window of this length instead of the whole phase: a quantile or a mean over a long
    /// time hides a bad minute. Windows begin a tenth of their length apart; a phase that is shorter is one window. The
    /// whole phase where it is left out.
    #[serde(default, with = "duration::optional", skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<duration::Text>")]
    pub window: Option<Duration>,
    /// With fewer samples (operations, questions to members, looks at volumes, attempts) the claim is Inconclusive; with
    /// `window`, where any window has fewer. Default 1.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub min_samples: Option<u64>,
    /// Of `during` and `always`, for what is told of each member (podAvailability, replicationLag, diskUsage, volumeIops):
    /// whether members are left out while a fault of the run has them: those that it takes away, and those that it hits
    /// where it takes nobody away. A fault has them until its revert is verified. Default false.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub exclude_faulted: bool,
    /// Of `before` and `after`: for how long without a break it must be good to count as steady or recovered.
    /// Default 2s.
    #[serde(default, with = "duration::optional", skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<duration::Text>")]
    pub stable_for: Option<Duration>,
}

/// The shortest window: below it samples are too few to say anything.
const SHORTEST_WINDOW: Duration = Duration::from_secs(1);

impl Budget {
    /// Whether it says by itself which values are good.
    pub fn has_limits(&self) -> bool {
        self.min.is_some() || self.max.is_some() || self.max_increase.is_some()
    }
}

/// The part of a run that a budget belongs to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Part {
    Before,
    During,
    After,
    Always,
}

impl Part {
    fn name(self) -> &'static str {
        match self {
            Self::Before => "before",
            Self::During => "during",
            Self::After => "after",
            Self::Always => "always",
        }
    }
}

/// A hypothesis as it is written.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct Wire {
    /// The claim in words; unique within the experiment.
    name: String,
    /// What is measured: exactly one.
    sli: Sli,
    /// What must hold before anything is broken.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    before: Option<Budget>,
    /// What must hold while faults are in force.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    during: Option<Budget>,
    /// What must hold again after the last revert.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    after: Option<Budget>,
    /// What must hold all the time.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    always: Option<Budget>,
    /// How long after the last revert the budgets of `after` must be met.
    #[serde(default, with = "duration::optional", skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<duration::Text>")]
    recover_within: Option<Duration>,
}

impl TryFrom<Wire> for Hypothesis {
    type Error = String;

    fn try_from(wire: Wire) -> Result<Self, String> {
        let Wire { name, sli, before, during, after, always, recover_within } = wire;
        let parts = [
            (Part::Before, &before),
            (Part::During, &during),
            (Part::After, &after),
            (Part::Always, &always),
        ];
        let bounds_something = recover_within.is_some() || parts.iter().any(|(_, budget)| budget.is_some());
        match sli.unit() {
            Unit::Property if bounds_something => {
                return Err(format!(
                    "`{}` holds or is violated over the whole run: it takes no budget",
                    sli.name()
                ));
            }
            Unit::Events if recover_within.is_some() => {
                return Err(format!(
                    "`{}` counts events, which do not recover: leave recoverWithin out, and write after: {{max: 0}}",
                    sli.name()
                ));
            }
            Unit::Rate => {
                let after_has_limits = after.as_ref().is_some_and(Budget::has_limits);
                let all_have = parts.iter().all(|(_, budget)| budget.as_ref().is_none_or(Budget::has_limits));
                let is_complete = all_have && bounds_something && recover_within.is_none();
                if !after_has_limits && !is_complete {
                    return Err(format!(
                        "`{}` has no usual value, so nothing tells good from bad: write for example after: {{min: 100}}",
                        sli.name()
                    ));
                }
            }
            Unit::Availability
            | Unit::Condition
            | Unit::Usage
            | Unit::Events
            | Unit::Latency
            | Unit::Property => {}
        }
        if sli.counts_attempts() && recover_within.is_some() {
            return Err(format!(
                "`{}` counts attempts, of which none need be made again: leave recoverWithin out, and write always: {{{}}}",
                sli.name(),
                if sli.unit() == Unit::Latency { "max: 1m" } else { "min: 99%" }
            ));
        }
        for (part, budget) in parts {
            if let Some(budget) = budget {
                check(&sli, part, budget)
                    .map_err(|why| format!("`{}` of `{}`: {why}", part.name(), sli.name()))?;
            }
        }
        Ok(Self { name, sli, before, during, after, always, recover_within })
    }
}

/// Refuses bounds that the SLI's unit cannot have, that the part of the run does not know, and that say nothing:
/// each of them would be passed over in silence.
fn check(sli: &Sli, part: Part, budget: &Budget) -> Result<(), String> {
    let unit = sli.unit();
    for amount in [budget.min, budget.max].into_iter().flatten() {
        fits(unit, amount)?;
    }
    if let (Some(min), Some(max)) = (budget.min, budget.max)
        && min.in_unit(unit) > max.in_unit(unit)
    {
        return Err(format!("no value is at least {min} and at most {max}: exchange them"));
    }
    if budget.step.is_some() && part != Part::During {
        return Err("`step` belongs to `during`: leave it out".into());
    }
    if budget.stable_for.is_some() && matches!(part, Part::During | Part::Always) {
        return Err("`stableFor` says what recovered means: it belongs to `after`".into());
    }
    // Nothing is known of no time at all: it would never be steady, and never recover.
    if budget.stable_for.is_some_and(|stable| stable.is_zero()) {
        return Err(
            "`stableFor` of 0s is never seen: write for example stableFor: 1s, or leave it out for 2s".into(),
        );
    }
    if budget.max_increase.is_some() && !matches!(unit, Unit::Latency | Unit::Usage | Unit::Rate) {
        return Err(
            "`maxIncrease` compares latencies, usage and rates with the baseline's: it does not fit here"
                .into(),
        );
    }
    if budget.max_increase.is_some() && sli.counts_attempts() {
        return Err("`maxIncrease` has no baseline to compare with, because what is tried are steps of the run: write for \
                    example max: 1m"
            .into());
    }
    if budget.max_increase.is_some() && part == Part::Before {
        return Err(
            "`maxIncrease` would compare the baseline with itself: write for example max: 50ms".into()
        );
    }
    if budget.exclude_faulted && !sli.is_told_by_member() {
        return Err(format!(
            "`{}` is not told of each member, so none can be left out: leave `excludeFaulted` out",
            sli.name()
        ));
    }
    if budget.exclude_faulted && !matches!(part, Part::During | Part::Always) {
        return Err(
            "`excludeFaulted` belongs to `during` and `always`: no fault is there at another time".into()
        );
    }
    window(sli, budget)?;
    match budget.min_samples {
        Some(0) => return Err("`minSamples` must be at least 1: leave it out".into()),
        Some(_) if !sli.counts_samples() => {
            return Err(format!(
                "`{}` is told when it changes, so that samples say nothing of it: leave `minSamples` out",
                sli.name()
            ));
        }
        Some(_) | None => {}
    }
    if unit == Unit::Events {
        if budget.longest_outage.is_some() || budget.total_outage.is_some() {
            return Err("events have no outage: bound them by max".into());
        }
        if budget.min.is_none() && budget.max.is_none() {
            return Err("bounds nothing: write for example max: 1".into());
        }
    }
    // Every other latency has a usual value, which tells good from bad where nothing is written.
    if unit == Unit::Latency && sli.counts_attempts() && !budget.has_limits() {
        return Err("bounds nothing: write for example max: 1m".into());
    }
    Ok(())
}

/// Refuses a window that changes nothing, or about which nothing could be said.
fn window(sli: &Sli, budget: &Budget) -> Result<(), String> {
    let Some(window) = budget.window else {
        return Ok(());
    };
    if !sli.is_of_a_whole_time() {
        return Err(format!(
            "`window` is about quantiles and means: `{}` is judged by {}, so leave it out",
            sli.name(),
            match sli.unit() {
                Unit::Events => "what happens in the whole phase",
                Unit::Condition => "each of its outages",
                Unit::Availability | Unit::Usage | Unit::Rate | Unit::Latency | Unit::Property => {
                    "its worst value in any case"
                }
            }
        ));
    }
    if window < SHORTEST_WINDOW {
        return Err(format!(
            "a `window` of {} is too short to say anything: write at least 1s, for example window: 10s",
            duration::format(window)
        ));
    }
    if budget.longest_outage.is_some() || budget.total_outage.is_some() {
        return Err(
            "`window` is about a value, and outages are told from sample to sample: leave one of them out"
                .into(),
        );
    }
    if !budget.has_limits() {
        let bound = match sli.unit() {
            Unit::Latency => "max: 50ms",
            Unit::Rate => "min: 100",
            Unit::Availability | Unit::Condition | Unit::Usage | Unit::Events | Unit::Property => "min: 67%",
        };
        return Err(format!("`window` needs a bound for its value: write for example {bound}"));
    }
    Ok(())
}

/// Refuses a value that an SLI of this unit never has.
pub(super) fn fits(unit: Unit, amount: Amount) -> Result<(), String> {
    match (unit, amount) {
        (Unit::Availability | Unit::Usage, Amount::Ratio(..=1_000_000) | Amount::Count(0 | 1))
        | (Unit::Events | Unit::Rate, Amount::Count(_))
        | (Unit::Latency, Amount::Time(_)) => Ok(()),
        (Unit::Availability, other) => Err(format!("`{other}` is not an availability: write 0.67 or 99.9%")),
        (Unit::Usage, other) => Err(format!("`{other}` is not a share of a disk: write 80%")),
        (Unit::Rate, other) => Err(format!("`{other}` is not a number per second: write 100")),
        (Unit::Events, other) => Err(format!("`{other}` is not a count: write 3")),
        (Unit::Latency, other) => Err(format!("`{other}` is not a duration: write 50ms")),
        (Unit::Condition | Unit::Property, _) => {
            Err("it holds or not: bound it by longestOutage or totalOutage".into())
        }
    }
}

impl From<Hypothesis> for Wire {
    fn from(hypothesis: Hypothesis) -> Self {
        let Hypothesis { name, sli, before, during, after, always, recover_within } = hypothesis;
        Self { name, sli, before, during, after, always, recover_within }
    }
}

#[cfg(test)]
mod tests;
