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
    pub during: Option<DuringBudget>,
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
    /// The value must not be below this.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub min: Option<Amount>,
    /// The value must not be above this.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max: Option<Amount>,
    /// The value must not be above the run's own baseline times this.
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
    /// For how long without a break it must be good to count as recovered. Default 2s.
    #[serde(default, with = "duration::optional", skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<duration::Text>")]
    pub stable_for: Option<Duration>,
}

/// Bounds while faults are there: all of them, or one step's.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct DuringBudget {
    /// Only while this step's fault is there; any step's where it is left out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub step: Option<String>,
    /// The value must not be below this.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub min: Option<Amount>,
    /// The value must not be above this.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max: Option<Amount>,
    /// The value must not be above the run's own baseline times this.
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
}

impl DuringBudget {
    /// Its bounds without the step.
    pub fn bounds(&self) -> Budget {
        Budget {
            min: self.min,
            max: self.max,
            max_increase: self.max_increase,
            longest_outage: self.longest_outage,
            total_outage: self.total_outage,
            stable_for: None,
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
    during: Option<DuringBudget>,
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
        let during_bounds = during.as_ref().map(DuringBudget::bounds);
        let phases =
            [("before", &before), ("during", &during_bounds), ("after", &after), ("always", &always)];
        for (phase, budget) in phases {
            if let Some(budget) = budget {
                check(&sli, budget).map_err(|why| format!("`{phase}` of `{}`: {why}", sli.name()))?;
            }
        }
        if sli.unit() == Unit::Property
            && (recover_within.is_some() || phases.iter().any(|(_, budget)| budget.is_some()))
        {
            return Err(format!(
                "`{}` holds or is violated over the whole run: it takes no budget",
                sli.name()
            ));
        }
        Ok(Self { name, sli, before, during, after, always, recover_within })
    }
}

/// Refuses bounds that the SLI's unit cannot have.
fn check(sli: &Sli, budget: &Budget) -> Result<(), String> {
    let fits = |amount: Option<Amount>| match (sli.unit(), amount) {
        (_, None)
        | (Unit::Availability, Some(Amount::Ratio(..=1_000_000) | Amount::Count(0 | 1)))
        | (Unit::Events, Some(Amount::Count(_)))
        | (Unit::Latency, Some(Amount::Time(_))) => Ok(()),
        (Unit::Availability, Some(other)) => {
            Err(format!("`{other}` is not an availability: write 0.67 or 99.9%"))
        }
        (Unit::Events, Some(other)) => Err(format!("`{other}` is not a count: write 3")),
        (Unit::Latency, Some(other)) => Err(format!("`{other}` is not a duration: write 50ms")),
        (Unit::Condition | Unit::Property, Some(_)) => {
            Err("it holds or not: bound it by longestOutage or totalOutage".into())
        }
    };
    fits(budget.min)?;
    fits(budget.max)?;
    if budget.max_increase.is_some() && sli.unit() != Unit::Latency {
        return Err("`maxIncrease` compares latencies with the baseline's: it does not fit here".into());
    }
    if sli.unit() == Unit::Events && (budget.longest_outage.is_some() || budget.total_outage.is_some()) {
        return Err("events have no outage: bound them by max".into());
    }
    Ok(())
}

impl From<Hypothesis> for Wire {
    fn from(hypothesis: Hypothesis) -> Self {
        let Hypothesis { name, sli, before, during, after, always, recover_within } = hypothesis;
        Self { name, sli, before, during, after, always, recover_within }
    }
}
