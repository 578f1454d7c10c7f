//! The claim templates that SLIs name must exist.

use super::{Broken, at, within};
use crate::experiment::{Condition, Experiment, Sli, Start, When};
use crate::spec::TargetFacts;

pub(super) fn against_target(experiment: &Experiment, target: &TargetFacts, broken: &mut Vec<Broken>) {
    let claims = experiment.hypothesis.iter().map(|claim| &claim.sli).enumerate();
    let aborting = experiment.guards.abort_when.iter().map(|condition| &condition.sli).enumerate();
    let waiting = experiment.steps.iter().enumerate().filter_map(|(index, step)| match &step.start {
        Start::When(When { condition: Condition::Sli(condition), .. }) => Some((index, &condition.sli)),
        Start::When(_) | Start::At(_) | Start::After(_) => None,
    });
    let places = claims
        .map(|(index, sli)| (at("hypothesis", index, &["sli"]), sli))
        .chain(aborting.map(|(index, sli)| (within(&["guards", "abortWhen"], index, &["sli"]), sli)))
        .chain(waiting.map(|(index, sli)| (at("steps", index, &["when"]), sli)));
    for (place, sli) in places {
        let (Sli::DiskUsage { claims } | Sli::VolumeIops { claims }) = sli else { continue };
        for claim in claims.iter().filter(|claim| !target.claims.contains(claim)) {
            let (name, known) = (&target.name, target.claims.join("`, `"));
            let message = format!("`{name}` has no claim template `{claim}`: it has `{known}`");
            broken.push((place.clone(), message));
        }
    }
}
