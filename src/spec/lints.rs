//! What is valid, and yet probably not what somebody wants: claims that cannot be broken, faults that nothing can prove,
//! runs that nothing ends early.
//!
//! A lint is told as a problem is, with its place and what to write instead, and refuses nothing. An experiment that
//! means it says so by its name: `metadata.annotations: {seatrial.dev/accept: NAME}`, several with commas between them.

mod back_off;
mod data;
mod freeze;
mod guard;
mod length;
mod measured;
mod phase;
mod proof;
mod samples;

#[cfg(test)]
mod tests;

use std::fmt;
use std::time::Duration;

use super::document::Document;
use super::problem::Problem;
use super::rules::Broken;
use super::{TargetFacts, told, tree_of};
use crate::experiment::{Alternative, Experiment, Extent, Step, Work};
use crate::fault::Fault;
use crate::yaml::nearest;
use crate::yaml::tree::{Node, Segment};

/// The annotation by which an experiment accepts lints.
pub const ACCEPT_ANNOTATION: &str = "seatrial.dev/accept";

/// The name under which an annotation is told that accepts what there is not.
const UNKNOWN: &str = "unknown-lint";

/// Something that is probably not meant.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Warning {
    /// The lint's name, by which it is accepted.
    pub lint: &'static str,
    /// Where, why, and what to write instead.
    pub problem: Problem,
}

impl fmt::Display for Warning {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let message = format!("{} [{}]", self.problem.message, self.lint);
        write!(f, "warning: {}", Problem { message, ..self.problem.clone() })
    }
}

/// What a lint looks at.
struct Case<'a> {
    experiment: &'a Experiment,
    /// What it meets, where that is known.
    target: Option<&'a TargetFacts>,
}

/// One of them.
struct Lint {
    name: &'static str,
    find: fn(&Case<'_>) -> Vec<Broken>,
}

/// All of them.
const LINTS: [Lint; 9] = [
    Lint { name: "no-abort-condition", find: guard::find },
    Lint { name: "no-claim-about-data", find: data::find },
    Lint { name: "not-measured", find: measured::find },
    Lint { name: "too-few-samples", find: samples::find },
    Lint { name: "never-broken", find: phase::find },
    Lint { name: "freeze-hides-fsync", find: freeze::find },
    Lint { name: "back-off-takes-longer", find: back_off::find },
    Lint { name: "too-short-to-prove", find: proof::find },
    Lint { name: "run-too-short", find: length::find },
];

/// Every warning about a valid experiment that it does not accept, in the order of its text.
pub fn lint(document: &Document, experiment: &Experiment, target: Option<&TargetFacts>) -> Vec<Warning> {
    // Whoever has the experiment has read its document.
    let Ok(tree) = tree_of(document) else { return Vec::new() };
    let accepted = accepted(&tree);
    let case = Case { experiment, target };
    let mut warnings = unknown(document, &tree, &accepted);
    for lint in LINTS.iter().filter(|lint| !accepted.contains(&lint.name)) {
        let problems = told(document, &tree, (lint.find)(&case));
        warnings.extend(problems.into_iter().map(|problem| Warning { lint: lint.name, problem }));
    }
    warnings.sort_by_key(|warning| warning.problem.place);
    warnings
}

/// What the annotation names.
fn accepted(tree: &Node) -> Vec<&str> {
    let annotation = tree
        .get("metadata")
        .and_then(|metadata| metadata.get("annotations"))
        .and_then(|annotations| annotations.get(ACCEPT_ANNOTATION))
        .and_then(Node::text)
        .unwrap_or_default();
    annotation.split(',').map(str::trim).filter(|name| !name.is_empty()).collect()
}

/// Names that the annotation has and no lint.
fn unknown(document: &Document, tree: &Node, accepted: &[&str]) -> Vec<Warning> {
    let known = || LINTS.iter().map(|lint| lint.name);
    let path = ["metadata", "annotations", ACCEPT_ANNOTATION].map(|key| Segment::Key(key.into())).to_vec();
    let broken = accepted.iter().filter(|name| known().all(|known| known != **name)).map(|name| {
        let instead = match nearest(name, known()) {
            Some(near) => format!("did you mean `{near}`?"),
            None => format!("known are {}", known().collect::<Vec<_>>().join(", ")),
        };
        (path.clone(), format!("accepts `{name}`, which is no lint: {instead}"))
    });
    let problems = told(document, tree, broken.collect());
    problems.into_iter().map(|problem| Warning { lint: UNKNOWN, problem }).collect()
}

impl Case<'_> {
    /// Every fault that a step may do, by the step's place in the list.
    fn faults(&self) -> impl Iterator<Item = (usize, &Step, &Alternative, &Fault)> {
        let all = self.experiment.steps.iter().enumerate();
        let all = all.flat_map(|(index, step)| step.alternatives().iter().map(move |one| (index, step, one)));
        all.filter_map(|(index, step, one)| match &one.work {
            Work::Fault(fault) => Some((index, step, one, fault)),
            Work::Action(_) => None,
        })
    }
}

/// Whether a step acts on the experiment's own target, which claims are about.
fn is_own(case: &Case<'_>, step: &Step) -> bool {
    case.experiment.other_set(step).is_none()
}

/// For how long it is there each time, where it is something that stays for a time.
fn held(one: &Alternative) -> Option<Duration> {
    match one.extent() {
        Extent::For(lasting) => Some(lasting),
        Extent::Once | Extent::UntilDone(_) | Extent::ToTheEnd => None,
    }
}
