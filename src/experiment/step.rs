//! One thing that is done, when and for how long.

use std::time::Duration;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::change::LONGEST;
use super::{Change, Selection, When, duration};
use crate::api::{DeniedResource, DisruptionBudgets};
use crate::fault::{Chooser, Fault, Resolved};

/// A step: one fault or action, at one time or several.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(try_from = "Wire", into = "Wire")]
pub struct Step {
    /// Unique within the experiment.
    pub name: String,
    /// When it starts.
    pub start: Start,
    /// For how long it stays; zero where it happens once, or stays to the end. See [`Self::extent`].
    pub lasting: Duration,
    /// How often.
    pub repeat: Repeat,
    /// Whether the fault goes over to an ordinal's next pod when it is re-created.
    pub follow: bool,
    /// Whether the guards hold it to PodDisruptionBudgets.
    pub budgets: DisruptionBudgets,
    /// What is done.
    pub work: Work,
}

/// What a step does.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Work {
    /// Something is broken.
    Fault(Fault),
    /// Something is operated, as people do.
    Action(Change),
}

/// For how long an occurrence of a step is there.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Extent {
    /// It happens once, and is over when it is proven.
    Once,
    /// It stays for this long.
    For(Duration),
    /// It goes on until it is done, at most for this long.
    UntilDone(Duration),
    /// It stays until every other step is over.
    ToTheEnd,
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

impl Work {
    /// Its name in documents.
    pub fn name(&self) -> &'static str {
        match self {
            Self::Fault(fault) => fault.name(),
            Self::Action(change) => change.name(),
        }
    }

    /// Whom it selects, for checks before any snapshot exists. Empty where it speaks of all members.
    pub fn selection(&self) -> Option<&Selection> {
        match self {
            Self::Fault(fault) => fault.selection(),
            Self::Action(change) => change.selection(),
        }
    }

    /// Whether it only makes sense for members that tell their role.
    pub fn needs_roles(&self) -> bool {
        match self {
            Self::Fault(fault) => fault.needs_roles(),
            Self::Action(change) => matches!(change.selection(), Some(Selection::Role { .. })),
        }
    }

    /// The fewest members that it makes sense for.
    pub fn fewest_members(&self) -> u32 {
        match self {
            Self::Fault(fault) => fault.fewest_members(),
            Self::Action(_) => 1,
        }
    }

    /// Whether it is done through the API server of Kubernetes alone, which a sandbox does not have.
    pub fn needs_kubernetes(&self) -> bool {
        match self {
            Self::Fault(fault) => fault.needs_kubernetes(),
            Self::Action(Change::RolloutRestart {}) => false,
            Self::Action(
                Change::Scale { .. }
                | Change::SetImage { .. }
                | Change::SetEnv { .. }
                | Change::TakeSnapshot { .. }
                | Change::RestoreSnapshot { .. },
            ) => true,
        }
    }

    /// Whether it needs a StatefulSet, which a target of pods does not have.
    pub fn needs_stateful_set(&self) -> bool {
        match self {
            Self::Fault(Fault::RolloutBreak(_) | Fault::VolumeAttachBlock(_) | Fault::ClaimDelete(_))
            | Self::Action(_) => true,
            Self::Fault(fault) => fault.denies().into_iter().any(DeniedResource::is_told_by_claims),
        }
    }

    /// Whether it denies snapshots, which nobody feels where none can be taken.
    pub fn denies_snapshots(&self) -> bool {
        matches!(self, Self::Fault(fault) if fault.denies().contains(&DeniedResource::VolumeSnapshots))
    }

    /// Why a member cannot be in both at once, if so.
    pub fn contradicts(&self, other: &Self) -> Option<String> {
        match (self, other) {
            (Self::Fault(one), Self::Fault(other)) => one.contradicts(other),
            (Self::Action(_), _) | (_, Self::Action(_)) => None,
        }
    }

    /// Whether it destroys data for good.
    pub fn destroys(&self) -> bool {
        matches!(self, Self::Fault(fault) if fault.destroys().is_some())
    }

    /// Decides who is hit and how.
    pub fn resolve(&self, chooser: &mut dyn Chooser) -> Result<Resolved, String> {
        match self {
            Self::Fault(fault) => fault.resolve(chooser),
            Self::Action(change) => change.resolve(chooser),
        }
    }
}

impl Step {
    /// For how long one occurrence is there.
    pub fn extent(&self) -> Extent {
        match &self.work {
            Work::Action(change) if change.ends_by_itself() => Extent::UntilDone(self.lasting),
            Work::Action(_) if self.lasting.is_zero() => Extent::ToTheEnd,
            Work::Fault(_) if self.lasting.is_zero() => Extent::Once,
            Work::Action(_) | Work::Fault(_) => Extent::For(self.lasting),
        }
    }

    /// Whether it is done whatever PodDisruptionBudgets say: the step says so, or its fault does.
    pub fn ignores_budgets(&self) -> bool {
        let own = match &self.work {
            Work::Fault(fault) => fault.budgets(),
            Work::Action(_) => DisruptionBudgets::Respect,
        };
        [self.budgets, own].contains(&DisruptionBudgets::Ignore)
    }
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
    /// Starts when a condition on a pod, a member or an SLI holds, instead of `at`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    when: Option<When>,
    /// For how long the fault stays. Left out for a fault that happens once. Of an action: for how long it stays (until
    /// every other step is over where it is left out), or how long a rolloutRestart, a takeSnapshot or a
    /// restoreSnapshot may take (default 5m).
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
    /// Whether a PodDisruptionBudget over the target's pods forbids the step where it would leave fewer healthy than the
    /// budget wants. Default respect.
    #[serde(default, skip_serializing_if = "is_respected")]
    budgets: DisruptionBudgets,
    /// What is broken: exactly one fault. Each step has either a fault or an action.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    fault: Option<Fault>,
    /// What is operated: exactly one action.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    action: Option<Change>,
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
        let (work, lasting) = match (wire.fault, wire.action) {
            (Some(fault), None) => {
                let lasting = lasting(&fault, wire.lasting.unwrap_or_default(), wire.follow)?;
                (Work::Fault(fault), lasting)
            }
            (None, Some(change)) if wire.follow => {
                return Err(format!(
                    "`{}` hits no pod that it could follow: leave `follow` out",
                    change.name()
                ));
            }
            (None, Some(change)) => {
                let lasting =
                    wire.lasting.unwrap_or(if change.ends_by_itself() { LONGEST } else { Duration::ZERO });
                (Work::Action(change), lasting)
            }
            (Some(_), Some(_)) => return Err("has both `fault` and `action`: make two steps of them".into()),
            (None, None) => {
                return Err(
                    "does nothing: write for example fault: {podKill: {members: {count: 1}}} or action: {rolloutRestart: {}}"
                        .into(),
                );
            }
        };
        let repeat = match (wire.every, wire.times) {
            // What happens once is not repeated, whatever the distance would be.
            (_, Some(1)) | (None, None) => Repeat { every: Duration::ZERO, times: 1 },
            (Some(every), Some(times @ 1..=MOST_TIMES)) if every > lasting => Repeat { every, times },
            (Some(_), Some(1..=MOST_TIMES)) => {
                let lasting = duration::format(lasting);
                return Err(format!("`every` must be longer than `for`, which is {lasting}"));
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
            start,
            lasting,
            repeat,
            follow: wire.follow,
            budgets: wire.budgets,
            work,
        };
        if step.extent() == Extent::ToTheEnd && step.repeat.times > 1 {
            let name = step.work.name();
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

/// A fault's duration, if it can have that one.
fn lasting(fault: &Fault, lasting: Duration, follow: bool) -> Result<Duration, String> {
    let name = fault.name();
    if lasting.is_zero() && fault.must_last() {
        return Err(format!("`{name}` stays until it is taken back: say how long, for example for: 10s"));
    }
    if !lasting.is_zero() && !fault.may_last(follow) {
        let instead = if fault.may_last(true) {
            ", or add follow: true to hit every new pod during that time"
        } else {
            ""
        };
        return Err(format!("`{name}` happens once: leave `for` out{instead}"));
    }
    if follow && !fault.can_follow() {
        return Err(format!("`{name}` does not follow pods: leave `follow` out"));
    }
    Ok(lasting)
}

impl From<Step> for Wire {
    fn from(step: Step) -> Self {
        let (at, after, when) = match step.start {
            Start::At(at) => (Some(at), None, None),
            Start::After(step) => (None, Some(step), None),
            Start::When(when) => (None, None, Some(when)),
        };
        let (fault, action) = match step.work {
            Work::Fault(fault) => (Some(fault), None),
            Work::Action(change) => (None, Some(change)),
        };
        Self {
            name: step.name,
            at,
            after,
            when,
            lasting: (!step.lasting.is_zero()).then_some(step.lasting),
            every: (step.repeat.times > 1).then_some(step.repeat.every),
            times: (step.repeat.times > 1).then_some(step.repeat.times),
            follow: step.follow,
            budgets: step.budgets,
            fault,
            action,
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
