//! A first experiment for a StatefulSet, written for the person who will change it.
//!
//! What it asks of a store is found in the manifest, what it breaks is the fault's own example, and whether that takes
//! more than the store can lose is what the guards say. Nothing here reads files or asks anybody.

mod claims;
mod guess;
mod set;
mod step;
mod text;

#[cfg(test)]
mod tests;

use crate::api::{Ordinal, Pod, PodPhase, Snapshot};
use crate::experiment::Store;
use crate::fault::Listed;
use crate::plan;
use crate::spec::{self, TargetFacts, document};

pub use guess::{Guess, guess, named};
pub use set::{Container, Found};

/// What a draft is about.
#[derive(Debug, Clone)]
pub struct Choice<'a> {
    /// Of the experiment.
    pub name: String,
    /// Of the StatefulSet's.
    pub container: &'a Container,
    /// How its members are asked, and how that is known.
    pub store: Option<Guess>,
    /// What is broken.
    pub fault: &'a Listed,
}

/// The fault that says most about a group at first: a lost leader, a member that stands still, a killed pod.
pub fn usual_fault(store: Option<&Store>) -> &'static str {
    match store {
        Some(store) if store.votes() => "networkPartition",
        Some(_) => "processPause",
        None => "podKill",
    }
}

/// Why a fault makes no sense for a StatefulSet, if so.
pub fn obstacle(found: &Found, fault: &Listed) -> Option<String> {
    let example = fault.fault();
    let needs_claims = !example.claims().is_empty()
        || example.denies().into_iter().any(crate::api::DeniedResource::is_told_by_claims);
    if needs_claims && found.claims.is_empty() {
        return Some(format!(
            "{} is about volumes of claim templates, and StatefulSet {} has none",
            fault.name, found.name
        ));
    }
    let fewest = example.fewest_members();
    (found.replicas < fewest).then(|| {
        format!(
            "{} needs at least {fewest} members, and StatefulSet {} has {}",
            fault.name, found.name, found.replicas
        )
    })
}

/// The experiment as text, or why there is none.
///
/// Members are those of the fault's example. Where the guards refuse them, members who can be spared are taken; where
/// nobody can be spared, the experiment says that it means that.
pub fn draft(found: &Found, choice: &Choice<'_>) -> Result<String, String> {
    if let Some(why) = obstacle(found, choice.fault) {
        return Err(why);
    }
    let mut why_not = String::new();
    for loss in [text::Loss::Guarded, text::Loss::Allowed] {
        for members in step::candidates(found, choice) {
            let text = text::of(found, choice, &members, loss);
            match refusals(&text, found)? {
                refusals if refusals.is_empty() => return Ok(text),
                refusals => why_not = refusals.join("; "),
            }
        }
    }
    Err(why_not)
}

/// What the guards have against it, on the StatefulSet as it is written.
fn refusals(text: &str, found: &Found) -> Result<Vec<String>, String> {
    let document =
        document::split("draft", text.as_bytes()).map_err(|error| error.to_string())?.swap_remove(0);
    let told = |problems: Vec<spec::problem::Problem>| {
        problems.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n")
    };
    let experiment = spec::experiment(&document).map_err(told)?;
    spec::against_target(&document, &experiment, &found.facts(), None).map_err(told)?;
    let snapshot = Snapshot {
        name: found.name.clone(),
        namespace: "default".into(),
        replicas: found.replicas,
        first_ordinal: found.first,
        pods: (found.first..found.first + found.replicas).map(|ordinal| pod(found, ordinal)).collect(),
        ..Snapshot::default()
    };
    Ok(plan::preview(&experiment, &snapshot, &[], None, 0).refusals)
}

/// A member as it is when all is well, on a node of its own.
fn pod(found: &Found, ordinal: Ordinal) -> Pod {
    Pod {
        name: format!("{}-{ordinal}", found.name),
        ordinal,
        uid: String::new(),
        ip: None,
        node: format!("node-{ordinal}"),
        phase: PodPhase::Running,
        ready: true,
        revision: None,
        containers: Vec::new(),
    }
}

impl Found {
    /// What an experiment is checked against.
    pub fn facts(&self) -> TargetFacts {
        TargetFacts {
            name: self.name.clone(),
            first: self.first,
            replicas: self.replicas,
            containers: self.containers.iter().map(|container| container.name.clone()).collect(),
            claims: self.claims.clone(),
        }
    }
}
