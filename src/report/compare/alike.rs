//! Whether two runs can be held against each other: the same experiment, on as many members, on the same kind of machine.

use std::collections::BTreeSet;

use serde::Serialize;

use crate::api::counted;
use crate::judge::judgement::{Judgement, StepOutcome};

const EXPERIMENT: &str = "experiment";
const FAULTS: &str = "faults";

/// Something that two runs do not have in common, though their numbers depend on it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Unlike {
    /// What it is, for a person: `number of processors`.
    pub what: String,
    /// What it was in the first run.
    pub first: String,
    /// What it was in the second run.
    pub second: String,
}

impl Unlike {
    /// Whether it leaves nothing to compare, whatever the numbers are.
    pub(super) fn is_decisive(&self) -> bool {
        [EXPERIMENT, FAULTS].contains(&self.what.as_str())
    }

    /// For a person.
    pub(super) fn words(&self) -> String {
        let other = if self.what == FAULTS { "other" } else { "another" };
        format!("not comparable: {other} {}: {}, then {}", self.what, self.first, self.second)
    }
}

/// Everything that two runs do not have in common.
pub(super) fn unlike(first: &Judgement, second: &Judgement) -> Vec<Unlike> {
    let (here, there) = (Place::of(&first.environment), Place::of(&second.environment));
    [
        (EXPERIMENT, first.experiment.clone(), second.experiment.clone()),
        (FAULTS, faults(first), faults(second)),
        ("target size", members(first), members(second)),
        ("kernel", here.kernel, there.kernel),
        ("number of processors", here.processors, there.processors),
        ("place", here.others, there.others),
    ]
    .into_iter()
    .filter(|(_, first, second)| first != second)
    .map(|(what, first, second)| Unlike { what: what.into(), first, second })
    .collect()
}

/// What was broken, each step once: how often one came depends on how far the run got.
fn faults(judgement: &Judgement) -> String {
    let told = |step: &StepOutcome| {
        let elsewhere = step.set.as_ref().map(|set| format!(" at {set}")).unwrap_or_default();
        format!("{} ({}{elsewhere})", step.step, step.fault)
    };
    let steps: BTreeSet<String> = judgement.steps.iter().map(told).collect();
    if steps.is_empty() { "none".into() } else { steps.into_iter().collect::<Vec<_>>().join(", ") }
}

fn members(judgement: &Judgement) -> String {
    counted(judgement.replicas, "member")
}

/// Where a run was, as its journal tells a person: `sandbox, Linux 6.1, 2 CPUs, as root`.
struct Place {
    kernel: String,
    processors: String,
    others: String,
}

impl Place {
    fn of(environment: &str) -> Self {
        let mut place = Self { kernel: unknown(), processors: unknown(), others: String::new() };
        let mut others = Vec::new();
        for part in environment.split(", ") {
            if part.starts_with("Linux ") {
                part.clone_into(&mut place.kernel);
            } else if let Some(many) = part.strip_suffix(" CPUs").or_else(|| part.strip_suffix(" CPU")) {
                // Older records have `1 CPUs`.
                place.processors = if many == "1" { "1 CPU".into() } else { format!("{many} CPUs") };
            } else if !part.starts_with("namespace ") {
                others.push(part);
            }
        }
        place.others = others.join(", ");
        place
    }
}

fn unknown() -> String {
    "unknown".into()
}
