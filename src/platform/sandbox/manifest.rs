//! From ordinary StatefulSet manifests to what the sandbox runs.
//!
//! Every field of a StatefulSet, its pods, claims and governing Service is **honoured**, **noted** (its absence changes
//! nothing that a test of this set can tell, and the user is told so) or **refused** (leaving it out would change what
//! the test means). Nothing is dropped in silence: a field that this module does not know is refused, and a test walks
//! all fields of the Kubernetes types to see that each has its treatment.
//!
//! All problems of all documents are reported at once, each with its place. No text, however large, nested or broken,
//! makes this module panic or work for long.

use std::path::PathBuf;
use std::{iter, mem};

use self::report::{Findings, Report};
use super::image;
use super::pod_spec::{KeyedKind, SetSpec};

mod fields;
mod find;
mod keyed;
mod kinds;
mod names;
mod pod;
mod program;
mod report;
mod service;
mod set;
mod sets;
mod signal;
mod treatments;
mod tree;
mod typed;

pub use find::on_this_machine;

#[cfg(test)]
mod tests;

/// One YAML document of a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Document<'a> {
    /// The file's name, as the user wrote it.
    pub file: &'a str,
    /// The line of the file at which `text` begins; the first line is 1.
    pub first_line: usize,
    /// The document.
    pub text: &'a str,
}

/// Something of a manifest that cannot be run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Problem {
    /// The file's name; empty where there is no document at all.
    pub file: String,
    /// The line in the file, from 1.
    pub line: usize,
    /// The column in characters, from 1.
    pub column: usize,
    /// The field, for example `spec.template.spec.containers[0].image`; empty for the document itself.
    pub path: String,
    /// What is wrong.
    pub message: String,
    /// What to do about it.
    pub hint: Option<String>,
}

/// A field that is left out, or met in another way than a cluster would, without a change for the test.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Note {
    /// The file's name.
    pub file: String,
    /// The line in the file, from 1.
    pub line: usize,
    /// The column in characters, from 1.
    pub column: usize,
    /// The field.
    pub path: String,
    /// What the sandbox does instead.
    pub message: String,
}

/// A manifest that can be run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Accepted {
    /// What to run: the first StatefulSet.
    pub set: SetSpec,
    /// What to run beside it: the others.
    pub others: Vec<SetSpec>,
    /// What the user has to know about it.
    pub notes: Vec<Note>,
}

impl Accepted {
    /// Every StatefulSet.
    pub fn sets(&self) -> impl Iterator<Item = &SetSpec> {
        iter::once(&self.set).chain(&self.others)
    }

    /// Makes the set of this name the first one, if there is one.
    pub fn put_first(&mut self, name: &str) {
        if let Some(other) = self.others.iter_mut().find(|other| other.name == name) {
            mem::swap(&mut self.set, other);
        }
    }
}

/// How a program is found on this machine: the absolute path of an executable file, from a name (by `PATH`) or from an
/// absolute path (itself, if it is there).
pub type FindProgram<'a> = dyn Fn(&str) -> Option<PathBuf> + 'a;

/// Where the programs of containers come from.
pub struct Programs<'a> {
    /// Images from archives.
    pub images: &'a [image::Given],
    /// What this machine has, for all others; [`on_this_machine`] is the usual one.
    pub find: &'a FindProgram<'a>,
}

/// Reads the manifest in `documents`, which must hold a StatefulSet and its governing headless Service, and may hold
/// several. `find` says which programs there are; [`on_this_machine`] is the usual one.
///
/// The error holds all problems of all documents, in their order.
pub fn read(documents: &[Document<'_>], find: &FindProgram<'_>) -> Result<Accepted, Vec<Problem>> {
    read_with(documents, &Programs { images: &[], find })
}

/// The same, with images. Each of them must be that of a container.
pub fn read_with(documents: &[Document<'_>], programs: &Programs<'_>) -> Result<Accepted, Vec<Problem>> {
    let mut findings = Findings::default();
    let trees = kinds::sort(documents, &mut findings);
    let keyed = keyed(&trees, &mut findings);
    // A document that cannot be read, or is of another kind by mistake, may be the one that is missing.
    if trees.sets.is_empty() && findings.problems.is_empty() {
        findings.push(no_set(documents));
    }
    let sets = sets::read(&trees.sets, &keyed, programs, &mut findings);
    let is_complete = !sets.is_empty() && sets.len() == trees.sets.len();
    let governed = sets::govern(sets, &trees.services, &mut findings);
    if is_complete && governed.len() == trees.sets.len() {
        refuse_unused(programs.images, &governed, &mut findings);
    }
    // Several documents are read one after the other and some twice; a person reads them from above.
    findings.sort(documents);
    let mut governed = governed.into_iter();
    match governed.next() {
        Some(set) if findings.problems.is_empty() => {
            Ok(Accepted { set, others: governed.collect(), notes: findings.notes })
        }
        Some(_) | None => Err(findings.into_problems()),
    }
}

/// Reads every Secret and every ConfigMap.
fn keyed(trees: &kinds::Sorted<'_>, findings: &mut Findings) -> Vec<keyed::Found> {
    let mut all: Vec<keyed::Found> = Vec::new();
    for (kind, document, tree) in &trees.keyed {
        let mut report = Report::new(**document, tree, findings);
        treatments::apply(
            &mut report,
            match kind {
                KeyedKind::Secret => &fields::SECRET,
                KeyedKind::ConfigMap => &fields::CONFIG_MAP,
            },
        );
        let found = keyed::read(*kind, &mut report);
        let is_there = |other: &keyed::Found| {
            (other.kind, &other.namespace, &other.keyed.name) == (*kind, &found.namespace, &found.keyed.name)
        };
        if all.iter().any(is_there) {
            let message = format!("is the second {kind} {}", found.keyed.name);
            report.refuse("metadata.name", message, "leave one of them out");
        }
        all.push(found);
    }
    all
}

/// An image that no container has is given under a wrong name.
fn refuse_unused(images: &[image::Given], sets: &[SetSpec], findings: &mut Findings) {
    for image in images {
        if !sets.iter().flat_map(|set| &set.images).any(|used| used.name == image.name) {
            findings.push(Problem {
                file: image.file.display().to_string(),
                line: 1,
                column: 1,
                path: String::new(),
                message: format!(
                    "no container has the image {}, which this archive is given for",
                    image.name
                ),
                hint: Some("write --image NAME=FILE with the name that the manifest has".to_owned()),
            });
        }
    }
}

fn no_set(documents: &[Document<'_>]) -> Problem {
    let first = documents.first();
    Problem {
        file: first.map(|document| document.file.to_owned()).unwrap_or_default(),
        line: first.map_or(1, |document| document.first_line),
        column: 1,
        path: String::new(),
        message: "there is no StatefulSet to run".to_owned(),
        hint: Some("add a document with apiVersion: apps/v1 and kind: StatefulSet".to_owned()),
    }
}
