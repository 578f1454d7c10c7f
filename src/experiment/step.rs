//! One thing that is done, when and for how long.

use std::time::Duration;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::alternative::{self, Alternative};
use super::{Change, Condition, Every, Extent, Repeat, StepTarget, When, Work, duration};
use crate::api::DisruptionBudgets;
use crate::fault::Fault;

/// A step: a fault or an action, at one time or several; one of several where it has a choice.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(try_from = "Wire", into = "Wire")]
pub struct Step {
    /// Unique within the experiment.
    pub name: String,
    /// Where it acts, if not where the experiment does.
    pub target: Option<StepTarget>,
    /// When it starts.
    pub start: Start,
    /// How often.
    pub repeat: Repeat,
    /// Whether the fault goes over to an ordinal's next pod when it is re-created.
    pub follow: bool,
    /// Whether the guards hold it to PodDisruptionBudgets.
    pub budgets: DisruptionBudgets,
    /// What is done: one of these, anew for each occurrence. Never empty.
    alternatives: Vec<Alternative>,
}

/// When a step starts.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Start {
    /// This long after the baseline.
    At(Duration),
    /// When this step's last occurrence is reverted.
    After(String),
    /// When a condition holds.
    When(When),
}

impl Step {
    /// What an occurrence may do; one thing where there is no choice.
    pub fn alternatives(&self) -> &[Alternative] {
        &self.alternatives
    }

    /// Everything that it may do.
    pub fn works(&self) -> impl Iterator<Item = &Work> {
        self.alternatives.iter().map(|one| &one.work)
    }

    /// Whether each occurrence chooses.
    pub fn has_choice(&self) -> bool {
        self.alternatives.len() > 1
    }

    /// What it waits for, in words, where it waits for a condition.
    pub fn condition(&self) -> Option<String> {
        let Start::When(When { condition, .. }) = &self.start else { return None };
        let elsewhere = self.target.as_ref().and_then(|target| target.stateful_set.as_deref());
        Some(match (condition, elsewhere) {
            (Condition::Pod { .. }, Some(set)) => format!("{condition} ({set})"),
            (Condition::Pod { .. } | Condition::Role { .. } | Condition::Sli(_), _) => condition.to_string(),
        })
    }

    /// Whether an occurrence may stay until every other step is over.
    pub fn may_stay(&self) -> bool {
        self.alternatives.iter().any(|one| one.extent() == Extent::ToTheEnd)
    }

    /// Whether this is done whatever PodDisruptionBudgets say: the step says so, or its fault does.
    pub fn ignores_budgets(&self, work: &Work) -> bool {
        [self.budgets, work.budgets()].contains(&DisruptionBudgets::Ignore)
    }
}

/// A step as it is written.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct Wire {
    /// Unique within the experiment: lower-case letters, digits and hyphens.
    name: String,
    /// Another StatefulSet of the namespace that it acts on, as one that the target depends on, or another container of the
    /// pods. Hypotheses, SLIs and roles stay those of `spec.target`. Default: the experiment's own target.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    target: Option<StepTarget>,
    /// How long after the baseline it starts. Default 0s.
    #[serde(default, with = "duration::optional", skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<duration::Text>")]
    at: Option<Duration>,
    /// Starts when the last occurrence of this step is reverted, instead of `at`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    after: Option<String>,
    /// Starts when a condition on a pod, a member or an SLI holds, instead of `at`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    when: Option<When>,
    /// For how long the fault stays. Left out for a fault that happens once. Of an action: for how long it stays (until
    /// every other step is over where it is left out), or how long a rolloutRestart, a takeSnapshot or a
    /// restoreSnapshot may take (default 5m).
    #[serde(default, rename = "for", with = "duration::optional", skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<duration::Text>")]
    lasting: Option<Duration>,
    /// From one start to the next, where it happens several times; longer than `for`. A duration (20s), or a mean that is
    /// drawn around by the run's seed ({mean: 10m, jitter: exponential}, or uniform: from half the mean to one and a half
    /// of it). The first one starts at its time. One that would start before the one before it is reverted starts right
    /// after that.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    every: Option<Every>,
    /// How often it happens. Default 1.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    times: Option<u32>,
    /// The next one starts only once every pod is Ready, a leader is there and every budget of `after` is met again for as
    /// long as it says, and at its own time at the earliest. It waits for that at most so long from its time; then nothing
    /// more is broken, and the run is Inconclusive unless a budget says that it failed. It does not wait where this is left
    /// out.
    #[serde(default, with = "duration::optional", skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<duration::Text>")]
    recover_between: Option<Duration>,
    /// Whether the fault goes over to an ordinal's next pod when it is re-created. Default false.
    #[serde(default)]
    follow: bool,
    /// Whether a PodDisruptionBudget over the target's pods forbids the step where it would leave fewer healthy than the
    /// budget wants. Default respect.
    #[serde(default, skip_serializing_if = "is_respected")]
    budgets: DisruptionBudgets,
    /// What is broken: exactly one fault. Each step has one of fault, action and oneOf.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    fault: Option<Fault>,
    /// What is operated: exactly one action.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    action: Option<Change>,
    /// Faults and actions of which each occurrence does one, chosen by the run's seed. The step's `for` is that of those
    /// that stay and have none of their own.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 16))]
    one_of: Vec<alternative::Wire>,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde calls it with a reference")]
fn is_respected(budgets: &DisruptionBudgets) -> bool {
    *budgets == DisruptionBudgets::Respect
}

/// The most occurrences a step may have.
const MOST_TIMES: u32 = 10_000;

impl TryFrom<Wire> for Step {
    type Error = String;

    fn try_from(wire: Wire) -> Result<Self, String> {
        let start = match (wire.at, wire.after, wire.when) {
            (Some(at), None, None) => Start::At(at),
            (None, Some(step), None) => Start::After(step),
            (None, None, Some(when)) => Start::When(when),
            (None, None, None) => Start::At(Duration::ZERO),
            (at, after, when) => return Err(starts(at.is_some(), after.is_some(), when.is_some())),
        };
        let alternatives = match (wire.fault, wire.action, wire.one_of) {
            (fault, action, one_of) if one_of.is_empty() => {
                vec![Alternative::only(fault, action, wire.lasting, wire.follow)?]
            }
            (None, None, one_of) => Alternative::all(one_of, wire.lasting, wire.follow)?,
            (Some(_), _, _) | (_, Some(_), _) => {
                return Err(
                    "has `oneOf` beside a `fault` or an `action`: make it one of the alternatives".into()
                );
            }
        };
        let lasting = alternatives.iter().map(|one| one.lasting).max().unwrap_or_default();
        let recover_between = wire.recover_between;
        if recover_between.is_some() && wire.times.is_none() {
            return Err("`recoverBetween` is about the time between occurrences: add for example every: 20s and times: 3".into());
        }
        let repeat = match (wire.every, wire.times) {
            // What happens once is not repeated, whatever the distance would be.
            (_, Some(1)) | (None, None) => Repeat::ONCE,
            (Some(every), Some(times @ 1..=MOST_TIMES)) if every.mean > lasting => {
                Repeat { every, times, recover_between }
            }
            (Some(every), Some(1..=MOST_TIMES)) => {
                let (what, field) =
                    if every.jitter.is_some() { ("`mean` of `every`", "mean") } else { ("`every`", "every") };
                return Err(format!(
                    "{what} must be longer than `for`, which is {}: write for example {field}: {}",
                    duration::format(lasting),
                    duration::format(lasting * 2)
                ));
            }
            (_, Some(_)) => {
                return Err(format!(
                    "`times` must be from 1 to {MOST_TIMES}, and needs `every`, for example every: 20s"
                ));
            }
            (Some(_), None) => return Err("`every` needs `times`, for example times: 3".into()),
        };
        let step = Self {
            name: wire.name,
            target: wire.target,
            start,
            repeat,
            follow: wire.follow,
            budgets: wire.budgets,
            alternatives,
        };
        let staying = step.alternatives.iter().find(|one| one.extent() == Extent::ToTheEnd);
        if let (Some(one), 2..) = (staying, step.repeat.times) {
            let name = one.work.name();
            return Err(format!(
                "`{name}` stays to the end: say how long, for example for: 10s, to repeat it"
            ));
        }
        Ok(step)
    }
}

/// Which of the ways to start are too many.
fn starts(at: bool, after: bool, when: bool) -> String {
    let named: Vec<_> = [("`at`", at), ("`after`", after), ("`when`", when)]
        .into_iter()
        .filter_map(|(name, is_there)| is_there.then_some(name))
        .collect();
    format!("has both {}: keep one of them", named.join(" and "))
}

impl From<Step> for Wire {
    fn from(step: Step) -> Self {
        let (at, after, when) = match step.start {
            Start::At(at) => (Some(at), None, None),
            Start::After(step) => (None, Some(step), None),
            Start::When(when) => (None, None, Some(when)),
        };
        let mut one_of: Vec<_> = step.alternatives.into_iter().map(Alternative::wire).collect();
        let only = if one_of.len() == 1 { one_of.pop() } else { None };
        let (lasting, fault, action) =
            only.map_or((None, None, None), |only| (only.lasting, only.fault, only.action));
        Self {
            name: step.name,
            target: step.target,
            at,
            after,
            when,
            lasting,
            every: (step.repeat.times > 1).then_some(step.repeat.every),
            times: (step.repeat.times > 1).then_some(step.repeat.times),
            recover_between: step.repeat.recover_between,
            follow: step.follow,
            budgets: step.budgets,
            fault,
            action,
            one_of,
        }
    }
}

#[cfg(test)]
mod tests;
