//! What is measured, wherever an experiment says so, and what has to be there for it.

use super::{Broken, at, listed, within};
use crate::experiment::{Condition, Experiment, Sli, Start, When};
use crate::spec::TargetFacts;
use crate::yaml::tree::Segment;

/// Every SLI with its place: those of claims, of conditions that end the run, and of steps that wait for one.
pub(super) fn all(experiment: &Experiment) -> impl Iterator<Item = (Vec<Segment>, &Sli)> {
    let claims = experiment.hypothesis.iter().map(|claim| &claim.sli).enumerate();
    let aborting = experiment.guards.abort_when.iter().map(|condition| &condition.sli).enumerate();
    let waiting = experiment.steps.iter().enumerate().filter_map(|(index, step)| match &step.start {
        Start::When(When { condition: Condition::Sli(condition), .. }) => Some((index, &condition.sli)),
        Start::When(_) | Start::At(_) | Start::After(_) => None,
    });
    claims
        .map(|(index, sli)| (at("hypothesis", index, &["sli"]), sli))
        .chain(aborting.map(|(index, sli)| (within(&["guards", "abortWhen"], index, &["sli"]), sli)))
        .chain(waiting.map(|(index, sli)| (at("steps", index, &["when", "sli"]), sli)))
}

/// A store to ask, and clients.
pub(super) fn needs(experiment: &Experiment, broken: &mut Vec<Broken>) {
    for (place, sli) in all(experiment) {
        if sli.needs_store() && experiment.target.store.is_none() {
            broken.push((
                place.clone(),
                format!(
                    "`{}` is asked of a store: name it, for example spec.target.store: {{etcd: {{}}}}",
                    sli.name()
                ),
            ));
        }
        if sli.needs_workload() && experiment.workload.is_none() {
            broken.push((
                place,
                format!("`{}` needs clients that read and write: add spec.workload: {{}}", sli.name()),
            ));
        }
    }
}

/// What only a StatefulSet tells.
pub(super) fn against_pods(experiment: &Experiment, broken: &mut Vec<Broken>) {
    let rollouts = all(experiment).filter(|(_, sli)| matches!(sli, Sli::RolloutSuccess {}));
    broken.extend(rollouts.map(|(place, _)| {
        let message =
            "`rolloutSuccess` is told by a StatefulSet's revisions: spec.target names pods instead".into();
        (place, message)
    }));
}

/// An API server.
pub(super) fn against_sandbox(experiment: &Experiment, broken: &mut Vec<Broken>) {
    let asking = all(experiment).filter(|(_, sli)| sli.needs_kubernetes());
    broken.extend(asking.map(|(place, sli)| {
        let message = format!(
            "`{}` asks an API server, which a sandbox does not have: run it with --on kubernetes",
            sli.name()
        );
        (place, message)
    }));
}

/// The claim templates that are named.
pub(super) fn against_target(experiment: &Experiment, target: &TargetFacts, broken: &mut Vec<Broken>) {
    for (place, sli) in all(experiment) {
        let (Sli::DiskUsage { claims } | Sli::VolumeIops { claims }) = sli else { continue };
        for claim in claims.iter().filter(|claim| !target.claims.contains(claim)) {
            let (name, known) = (&target.name, listed(&target.claims));
            let message = format!("`{name}` has no claim template `{claim}`: it has {known}");
            broken.push((place.clone(), message));
        }
    }
}
