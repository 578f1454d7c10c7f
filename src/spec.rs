//! The only door from text to an [`Experiment`].
//!
//! Everything that can be wrong with a document is found in one go and told with its place and what to write instead;
//! an unknown field is an error, because a typo must never widen a fault. Nothing that leaves this module is invalid.

mod decode;
pub mod document;
mod forms;
mod lints;
mod missing;
pub mod problem;
mod read;
pub mod resource;
mod rules;
pub mod schema;
mod secrets;

#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, BTreeSet};

use schemars::JsonSchema;
use serde::Deserialize;
use serde::de::DeserializeOwned;

use self::document::Document;
pub use self::lints::{ACCEPT_ANNOTATION, Warning, lint};
use self::problem::{Place, Problem};
pub use self::rules::{is_set_name, not_a_name};
use crate::api::Ordinal;
use crate::experiment::Experiment;
use crate::yaml::Unreadable;
use crate::yaml::tree::{self, Entry, Node, Segment, Value};

/// The API group of our documents.
pub const GROUP: &str = "seatrial.dev";
/// The version that this build reads.
pub const API_VERSION: &str = "seatrial.dev/v1alpha1";

/// What a document says it is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Kind {
    /// `apiVersion`.
    pub api_version: String,
    /// `kind`.
    pub kind: String,
}

impl Kind {
    /// Whether it is one of ours.
    pub fn is_ours(&self) -> bool {
        self.api_version.split('/').next() == Some(GROUP)
    }
}

/// Reads `apiVersion` and `kind` only.
pub fn kind(document: &Document) -> Result<Kind, Problem> {
    let tree = tree_of(document)?;
    let field = |name: &str| {
        tree.get(name).and_then(Node::text).map(str::to_owned).ok_or_else(|| {
            Problem::new(
                document,
                tree.place,
                name.into(),
                format!("`{name}` is missing: is this a Kubernetes document?"),
            )
        })
    };
    Ok(Kind { api_version: field("apiVersion")?, kind: field("kind")? })
}

/// What is wrong with a document that is one of ours and no Experiment.
pub fn no_experiment(document: &Document, found: &Kind) -> Problem {
    let (field, word, instead) = if found.api_version == API_VERSION {
        ("kind", &found.kind, "Experiment")
    } else {
        ("apiVersion", &found.api_version, API_VERSION)
    };
    let place = tree_of(document).ok().and_then(|tree| tree.get(field).map(|node| node.place));
    let message = format!("`{word}` is nothing that this version runs: write `{instead}`");
    Problem::new(document, place.unwrap_or(Place::START), field.into(), message)
}

/// `metadata` of an Experiment.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[expect(dead_code, reason = "labels and annotations are allowed and mean nothing here")]
struct Metadata {
    /// Lower-case letters, digits and hyphens. The run's folder is named after it.
    name: String,
    /// Where the target is, in a cluster.
    #[serde(default)]
    namespace: Option<String>,
    /// Anything.
    #[serde(default)]
    labels: BTreeMap<String, String>,
    /// Anything. `seatrial.dev/accept` names lints that are meant, with commas between them.
    #[serde(default)]
    annotations: BTreeMap<String, String>,
}

/// An experiment: what is broken, when, for how long, and what must hold.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[expect(dead_code, reason = "apiVersion and kind are read by `kind` and only allowed here")]
struct Envelope {
    /// The version of this document.
    api_version: String,
    /// What this document is.
    kind: String,
    /// What it is called.
    metadata: Metadata,
    /// What is broken, when, for how long, and what must hold.
    spec: Experiment,
}

/// Reads what Kubernetes has a type for, or says everything that is wrong with it.
pub fn object<T: DeserializeOwned>(document: &Document) -> Result<T, Vec<Problem>> {
    let tree = tree_of(document).map_err(|problem| vec![problem])?;
    let mut problems = Vec::new();
    let object = read::section(document, &tree, &[], &mut problems);
    object.ok_or(problems)
}

/// Reads an Experiment, or says everything that is wrong with it.
pub fn experiment(document: &Document) -> Result<Experiment, Vec<Problem>> {
    let mut tree = tree_of(document).map_err(|problem| vec![problem])?;
    read_experiment(document, &mut tree)
}

fn read_experiment(document: &Document, tree: &mut Node) -> Result<Experiment, Vec<Problem>> {
    let mut problems = Vec::new();
    carry_name(document, tree, &mut problems);
    let envelope: Option<Envelope> = read::section(document, tree, &[], &mut problems);
    let Some(envelope) = envelope else {
        return Err(problems);
    };
    problems.extend(told(document, tree, rules::check(&envelope.spec)));
    if problems.is_empty() { Ok(envelope.spec) } else { Err(problems) }
}

/// What an experiment has to know of the StatefulSet that it will meet.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TargetFacts {
    /// Its name.
    pub name: String,
    /// Its first ordinal.
    pub first: Ordinal,
    /// How many members it has.
    pub replicas: u32,
    /// Its containers' names.
    pub containers: Vec<String>,
    /// Its claim templates' names.
    pub claims: Vec<String>,
}

/// Checks an experiment against the StatefulSet that it will meet, and against all others that are there with it, where
/// those are known: steps may act on one of them.
pub fn against_target(
    document: &Document,
    experiment: &Experiment,
    target: &TargetFacts,
    others: Option<&[TargetFacts]>,
) -> Result<(), Vec<Problem>> {
    let tree = tree_of(document).map_err(|problem| vec![problem])?;
    against(document, &tree, experiment, target, others)
}

fn against(
    document: &Document,
    tree: &Node,
    experiment: &Experiment,
    target: &TargetFacts,
    others: Option<&[TargetFacts]>,
) -> Result<(), Vec<Problem>> {
    let problems = told(document, tree, rules::against_target(experiment, target, others));
    if problems.is_empty() { Ok(()) } else { Err(problems) }
}

/// Checks that an experiment means one of several StatefulSets.
pub fn against_names(
    document: &Document,
    experiment: &Experiment,
    sets: &[&str],
) -> Result<(), Vec<Problem>> {
    let tree = tree_of(document).map_err(|problem| vec![problem])?;
    let problems = told(document, &tree, rules::against_names(experiment, sets));
    if problems.is_empty() { Ok(()) } else { Err(problems) }
}

/// The keys of each Secret that there is.
pub type SecretKeys = BTreeMap<String, BTreeSet<String>>;

/// Checks an experiment against what a sandbox can do, and the Secrets that it has.
pub fn against_sandbox(
    document: &Document,
    experiment: &Experiment,
    secrets: &SecretKeys,
) -> Result<(), Vec<Problem>> {
    let tree = tree_of(document).map_err(|problem| vec![problem])?;
    let mut broken = rules::against_sandbox(experiment);
    broken.extend(secrets::against_secrets(experiment, secrets));
    let problems = told(document, &tree, broken);
    if problems.is_empty() { Ok(()) } else { Err(problems) }
}

fn tree_of(document: &Document) -> Result<Node, Problem> {
    Node::read(&document.text)
        .map_err(|Unreadable { place, message }| Problem::new(document, place, String::new(), message))
}

/// Broken rules with their places.
fn told(document: &Document, tree: &Node, broken: Vec<rules::Broken>) -> Vec<Problem> {
    broken
        .into_iter()
        .map(|(path, message)| {
            Problem::new(document, tree.nearest(&path).place, tree::display(&path), message)
        })
        .collect()
}

/// An Experiment's name is `metadata.name`; inside, it belongs to the experiment.
fn carry_name(document: &Document, tree: &mut Node, problems: &mut Vec<Problem>) {
    let name = tree.get("metadata").and_then(|metadata| metadata.get("name"));
    // One that is no text is told where it stands, and only there.
    let name = name.filter(|name| name.text().is_some()).cloned();
    let Value::Map(entries) = &mut tree.value else {
        return;
    };
    let Some(spec) = entries.iter_mut().find(|entry| entry.key == "spec") else {
        return;
    };
    let Value::Map(fields) = &mut spec.value.value else {
        return;
    };
    if let Some(index) = fields.iter().position(|field| field.key == "name") {
        let written = fields.remove(index);
        let path = [Segment::Key("spec".into()), Segment::Key("name".into())];
        let message = "unknown field `name`: an Experiment's name is metadata.name".into();
        problems.push(Problem::new(document, written.place, tree::display(&path), message));
    }
    let place = spec.value.place;
    let value = name.unwrap_or(Node { place, value: Value::Text(String::new()) });
    fields.push(Entry { place, key: "name".into(), value });
}
