//! What must not happen, and what ends a run early.

use std::time::Duration;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::budget::fits;
use super::{Amount, Sli, Unit, duration};

/// What must not happen whatever the hypothesis says.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Guards {
    /// Allows faults that take more members or links than the store can lose. Default false.
    #[serde(default)]
    pub allow_quorum_loss: bool,
    /// The run is aborted when it takes longer than this, from the start of the first step. Default 10m.
    #[serde(default = "usual_duration", with = "duration")]
    #[schemars(with = "duration::Text")]
    pub max_duration: Duration,
    /// Conditions that abort the run.
    #[serde(default)]
    pub abort_when: Vec<AbortCondition>,
}

impl Default for Guards {
    fn default() -> Self {
        Self { allow_quorum_loss: false, max_duration: usual_duration(), abort_when: Vec::new() }
    }
}

fn usual_duration() -> Duration {
    Duration::from_mins(10)
}

/// Aborts the run when an SLI is bad for some time: on the wrong side of a bound, or lost where it only holds or not.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(try_from = "Wire", into = "Wire")]
pub struct AbortCondition {
    /// What is watched.
    pub sli: Sli,
    /// Aborts while the value is below this.
    pub below: Option<Amount>,
    /// Aborts while the value is above this.
    pub above: Option<Amount>,
    /// For how long without a break. Default 0s: at once.
    pub lasting: Duration,
}

/// An abort condition as it is written.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct Wire {
    /// What is watched.
    sli: Sli,
    /// Aborts while the value is below this.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    below: Option<Amount>,
    /// Aborts while the value is above this.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    above: Option<Amount>,
    /// For how long without a break. Default 0s: at once.
    #[serde(default, rename = "for", with = "duration")]
    #[schemars(with = "duration::Text")]
    lasting: Duration,
}

impl TryFrom<Wire> for AbortCondition {
    type Error = String;

    fn try_from(wire: Wire) -> Result<Self, String> {
        let Wire { sli, below, above, lasting } = wire;
        let (name, unit) = (sli.name(), sli.unit());
        let is_bounded = below.is_some() || above.is_some();
        if sli.counts_attempts() {
            let instead = if sli.needs_volumes() {
                "write for example {sli: {attachLatency: {}}, above: 30s}"
            } else {
                "leave it to the hypothesis, and bound the step by its `for`"
            };
            return Err(format!(
                "`{name}` counts attempts that are over, so it is never bad for a time: {instead}"
            ));
        }
        match unit {
            Unit::Property => {
                return Err(format!(
                    "`{name}` is judged in the end: it cannot abort a run, and nothing can wait for it"
                ));
            }
            Unit::Condition if is_bounded => {
                return Err(format!("`{name}` holds or not: leave `below` and `above` out"));
            }
            Unit::Availability if !is_bounded => {
                return Err(format!("`{name}` needs a bound: write for example below: 34%"));
            }
            Unit::Latency if !is_bounded => {
                return Err(format!("`{name}` needs a bound: write for example above: 5s"));
            }
            Unit::Usage if !is_bounded => {
                return Err(format!("`{name}` needs a bound: write for example above: 95%"));
            }
            Unit::Rate if !is_bounded => {
                return Err(format!("`{name}` needs a bound: write for example below: 10"));
            }
            Unit::Events if !is_bounded => {
                return Err(format!("`{name}` needs a bound: write for example above: 3"));
            }
            Unit::Events if !lasting.is_zero() => {
                return Err(format!("`{name}` is counted from the beginning: leave `for` out"));
            }
            Unit::Availability
            | Unit::Condition
            | Unit::Usage
            | Unit::Rate
            | Unit::Events
            | Unit::Latency => {}
        }
        for amount in [below, above].into_iter().flatten() {
            fits(unit, amount)?;
        }
        Ok(Self { sli, below, above, lasting })
    }
}

impl AbortCondition {
    /// The same condition for whoever waits for it without wanting to abort.
    pub fn new(
        sli: Sli,
        below: Option<Amount>,
        above: Option<Amount>,
        lasting: Duration,
    ) -> Result<Self, String> {
        Wire { sli, below, above, lasting }.try_into()
    }
}

impl From<AbortCondition> for Wire {
    fn from(condition: AbortCondition) -> Self {
        let AbortCondition { sli, below, above, lasting } = condition;
        Self { sli, below, above, lasting }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn refuses_conditions_that_never_or_always_come_true() {
        for (json, words) in [
            (r#"{"sli":{"durability":{}}}"#, "cannot abort a run"),
            (r#"{"sli":{"quorum":{}},"below":1}"#, "leave `below` and `above` out"),
            (r#"{"sli":{"podAvailability":{}},"for":"5s"}"#, "write for example below: 34%"),
            (r#"{"sli":{"podAvailability":{}},"below":"3s"}"#, "is not an availability"),
            (r#"{"sli":{"commitLatency":{}},"above":0.5}"#, "`50%` is not a duration"),
            (r#"{"sli":{"leaderElections":{}},"above":3,"for":"5s"}"#, "leave `for` out"),
            (r#"{"sli":{"diskUsage":{}}}"#, "write for example above: 95%"),
            (r#"{"sli":{"volumeIops":{}},"for":"5s"}"#, "write for example below: 10"),
            (r#"{"sli":{"volumeIops":{}},"below":"5s"}"#, "is not a number per second"),
            (r#"{"sli":{"attachSuccess":{}},"below":"99%"}"#, "write for example {sli: {attachLatency: {}}"),
            (r#"{"sli":{"snapshotSuccess":{}},"below":"99%"}"#, "leave it to the hypothesis"),
            (r#"{"sli":{"restoreTime":{}},"above":"1m"}"#, "leave it to the hypothesis"),
        ] {
            let found = serde_json::from_str::<AbortCondition>(json).expect_err(json).to_string();
            assert!(found.contains(words), "{json}: {found}");
        }
    }
}
