//! One thing that is done, when and for how long.

use std::time::Duration;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::duration;
use crate::fault::Fault;

/// A step: one fault, at one time or several.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(try_from = "Wire", into = "Wire")]
pub struct Step {
    /// Unique within the experiment.
    pub name: String,
    /// When it starts.
    pub start: Start,
    /// For how long the fault stays; zero for a fault that happens once.
    pub lasting: Duration,
    /// How often.
    pub repeat: Repeat,
    /// Whether the fault goes over to an ordinal's next pod when it is re-created.
    pub follow: bool,
    /// What is done.
    pub fault: Fault,
}

/// When a step starts.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Start {
    /// This long after the baseline.
    At(Duration),
    /// When this step's last occurrence is reverted.
    After(String),
}

/// How often a step happens: `times` occurrences, whose starts are `every` apart.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Repeat {
    /// From one start to the next; zero where there is no next one.
    pub every: Duration,
    /// At least 1.
    pub times: u32,
}

/// A step as it is written.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct Wire {
    /// Unique within the experiment: lower-case letters, digits and hyphens.
    name: String,
    /// How long after the baseline it starts. Default 0s.
    #[serde(default, with = "duration::optional", skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<duration::Text>")]
    at: Option<Duration>,
    /// Starts when the last occurrence of this step is reverted, instead of `at`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    after: Option<String>,
    /// For how long the fault stays. Left out for a fault that happens once.
    #[serde(default, rename = "for", with = "duration::optional", skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<duration::Text>")]
    lasting: Option<Duration>,
    /// From one start to the next, where it happens several times. Longer than `for`.
    #[serde(default, with = "duration::optional", skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<duration::Text>")]
    every: Option<Duration>,
    /// How often it happens. Default 1.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    times: Option<u32>,
    /// Whether the fault goes over to an ordinal's next pod when it is re-created. Default false.
    #[serde(default)]
    follow: bool,
    /// What is done: exactly one fault.
    fault: Fault,
}

/// The most occurrences a step may have.
const MOST_TIMES: u32 = 10_000;

impl TryFrom<Wire> for Step {
    type Error = String;

    fn try_from(wire: Wire) -> Result<Self, String> {
        let start = match (wire.at, wire.after) {
            (Some(_), Some(_)) => return Err("has both `at` and `after`: keep one of them".into()),
            (Some(at), None) => Start::At(at),
            (None, Some(step)) => Start::After(step),
            (None, None) => Start::At(Duration::ZERO),
        };
        let lasting = wire.lasting.unwrap_or_default();
        if lasting.is_zero() && wire.fault.must_last() {
            return Err(format!(
                "`{}` stays until it is taken back: say how long, for example for: 10s",
                wire.fault.name()
            ));
        }
        if !lasting.is_zero() && !wire.fault.may_last(wire.follow) {
            return Err(format!(
                "`{}` happens once: leave `for` out{}",
                wire.fault.name(),
                if wire.fault.may_last(true) {
                    ", or add follow: true to hit every new pod during that time"
                } else {
                    ""
                }
            ));
        }
        let repeat = match (wire.every, wire.times) {
            // What happens once is not repeated, whatever the distance would be.
            (_, Some(1)) | (None, None) => Repeat { every: Duration::ZERO, times: 1 },
            (Some(every), Some(times @ 1..=MOST_TIMES)) if every > lasting => Repeat { every, times },
            (Some(_), Some(1..=MOST_TIMES)) => return Err("`every` must be longer than `for`".into()),
            (_, Some(_)) => {
                return Err(format!(
                    "`times` must be from 1 to {MOST_TIMES}, and needs `every`, for example every: 20s"
                ));
            }
            (Some(_), None) => return Err("`every` needs `times`, for example times: 3".into()),
        };
        Ok(Self { name: wire.name, start, lasting, repeat, follow: wire.follow, fault: wire.fault })
    }
}

impl From<Step> for Wire {
    fn from(step: Step) -> Self {
        let (at, after) = match step.start {
            Start::At(at) => (Some(at), None),
            Start::After(step) => (None, Some(step)),
        };
        Self {
            name: step.name,
            at,
            after,
            lasting: (!step.lasting.is_zero()).then_some(step.lasting),
            every: (step.repeat.times > 1).then_some(step.repeat.every),
            times: (step.repeat.times > 1).then_some(step.repeat.times),
            follow: step.follow,
            fault: step.fault,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_step_that_happens_once_reads_what_it_writes() {
        let text = r#"{"name":"kill","every":"20s","times":1,"fault":{"podKill":{"members":{"count":1}}}}"#;
        let step: Step = serde_json::from_str(text).expect("a valid step");
        let written = serde_json::to_string(&step).expect("it can be written");
        assert_eq!(serde_json::from_str::<Step>(&written).expect("it can be read"), step);
    }
}
