//! An experiment as it exists inside: only valid values.
//!
//! The same types are read from YAML (by [`crate::spec`], which adds places and reports every problem at once), written
//! into the journal's first line, and read back from there. What serde cannot express as a type is checked by
//! `try_from`, so that no other part has to check it again.

mod alternative;
mod amount;
mod budget;
mod change;
mod condition;
pub mod duration;
mod guards;
pub mod quantity;
mod rate;
mod repeat;
mod scalar;
mod selection;
mod sli;
mod step;
mod step_target;
mod store;
mod target;
mod verdict;
mod work;
mod workload;

use std::collections::BTreeSet;
use std::time::Duration;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

pub use alternative::Alternative;
pub use amount::{Amount, Factor};
pub use budget::{Budget, Hypothesis};
pub use change::{Change, MOST_IN_SANDBOX};
pub use condition::{Condition, PodState, When};
pub use guards::{AbortCondition, Guards};
pub use quantity::Bytes;
pub use rate::Rate;
pub use repeat::{Every, Jitter, Repeat};
pub use selection::{Count, OrdinalSet, Selection};
pub use sli::{Quantile, Sli, Unit};
pub use step::{Start, Step};
pub use step_target::StepTarget;
pub use store::{Auth, DatabaseName, Postgres, SecretName, SecurePort, ServerName, Store, StorePort, Tls};
pub use target::{Group, OrdinalFrom, Pods, Selector, Target};
pub use verdict::Verdict;
pub use work::{Extent, Work};
pub use workload::{Reads, Scope, Through, Workload};

/// `spec` of an Experiment, complete and consistent.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Experiment {
    /// `metadata.name`.
    pub name: String,
    /// What is broken.
    pub target: Target,
    /// Who reads and writes meanwhile; nobody where it is left out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub workload: Option<Workload>,
    /// For how long the steady state must hold before anything is broken. Default 5s.
    #[serde(default = "defaults::baseline", with = "duration")]
    #[schemars(with = "duration::Text")]
    pub baseline: Duration,
    /// How long, at most, the run waits after the last revert for budgets of `after` that have no `recoverWithin`.
    /// Default 30s.
    #[serde(default = "defaults::recovery", with = "duration")]
    #[schemars(with = "duration::Text")]
    pub recovery: Duration,
    /// What is broken, when, for how long.
    pub steps: Vec<Step>,
    /// What must hold.
    pub hypothesis: Vec<Hypothesis>,
    /// What ends the run early.
    #[serde(default)]
    pub guards: Guards,
}

impl Experiment {
    /// Everything that a step may do, with the step.
    pub fn works(&self) -> impl Iterator<Item = (&Step, &Work)> {
        self.steps.iter().flat_map(|step| step.works().map(move |work| (step, work)))
    }

    /// The further StatefulSet that a step acts on; none where it acts on the experiment's own target.
    pub fn other_set<'a>(&self, step: &'a Step) -> Option<&'a str> {
        let named = step.target.as_ref()?.stateful_set.as_deref()?;
        (self.target.stateful_set() != Some(named)).then_some(named)
    }

    /// Every further StatefulSet that steps act on.
    pub fn other_sets(&self) -> BTreeSet<&str> {
        self.steps.iter().filter_map(|step| self.other_set(step)).collect()
    }

    /// The container that a step's faults on processes mean; all containers where there is none.
    pub fn container_of<'a>(&'a self, step: &'a Step) -> Option<&'a str> {
        let own = if self.other_set(step).is_some() { None } else { self.target.container.as_deref() };
        step.target.as_ref().and_then(|target| target.container.as_deref()).or(own)
    }

    /// What a run of it has for itself, one word for each: its target, and every further StatefulSet.
    pub fn keys(&self) -> BTreeSet<String> {
        self.other_sets().into_iter().map(str::to_owned).chain([self.target.key()]).collect()
    }

    /// What it breaks, for a person: its target, and every further StatefulSet.
    pub fn breaks(&self) -> String {
        let others = self.other_sets().into_iter().map(str::to_owned);
        let all: Vec<String> = std::iter::once(self.target.name()).chain(others).collect();
        all.join(" and ")
    }

    /// What it destroys for good, or may, one sentence for each way.
    pub fn warnings(&self) -> Vec<String> {
        let told = |(step, work): (&Step, &Work)| {
            let Work::Fault(fault) = work else { return None };
            let what = fault.destroys()?;
            let does = if step.has_choice() { "may destroy" } else { "destroys" };
            Some(format!("step {} {does} data: {} {what}", step.name, fault.name()))
        };
        self.works().filter_map(told).collect()
    }

    /// Why it can be run in a sandbox alone, where it can: the first step that says so.
    pub fn needs_sandbox(&self) -> Option<String> {
        self.works().find_map(|(step, work)| {
            let Work::Fault(fault) = work else { return None };
            Some(format!("step {}: {}: {}", step.name, fault.name(), fault.needs_sandbox()?))
        })
    }
}

mod defaults {
    use std::time::Duration;

    pub(super) fn baseline() -> Duration {
        Duration::from_secs(5)
    }

    pub(super) fn recovery() -> Duration {
        Duration::from_secs(30)
    }
}
