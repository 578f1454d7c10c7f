//! Collects what is to be said about the documents.

use std::collections::{HashMap, HashSet};

use super::tree::{Node, Place, Unreadable};
use super::{Document, Note, Problem};
use crate::api::counted;

/// More problems than a person reads at once; the rest is counted.
const MAX_PROBLEMS: usize = 100;

/// What has been found so far, in all documents.
#[derive(Debug, Default)]
pub(super) struct Findings {
    pub problems: Vec<Problem>,
    pub notes: Vec<Note>,
    uncounted: usize,
}

/// A document with its tree: findings about it get their places here.
pub(super) struct Report<'a> {
    pub document: Document<'a>,
    pub tree: &'a Node,
    findings: &'a mut Findings,
    /// Paths whose values have been refused: a later finding there would be a consequence.
    refused: HashSet<String>,
}

impl Findings {
    /// A problem of a document that is no tree.
    pub(super) fn unreadable(&mut self, document: &Document<'_>, unreadable: &Unreadable) {
        self.push(Problem {
            file: document.file.to_owned(),
            line: document.line(unreadable.place),
            column: unreadable.place.column,
            path: String::new(),
            message: unreadable.message.clone(),
            hint: None,
        });
    }

    pub(super) fn push(&mut self, problem: Problem) {
        if self.problems.len() < MAX_PROBLEMS {
            self.problems.push(problem);
        } else {
            self.uncounted += 1;
        }
    }

    /// Brings all into the order of the files and their lines.
    pub(super) fn sort(&mut self, documents: &[Document<'_>]) {
        let mut order = HashMap::new();
        for (index, document) in documents.iter().enumerate() {
            order.entry(document.file).or_insert(index);
        }
        let rank = |file: &str| order.get(file).copied();
        self.problems.sort_by_key(|problem| (rank(&problem.file), problem.line, problem.column));
        self.notes.sort_by_key(|note| (rank(&note.file), note.line, note.column));
        // A Service is read for each set that it governs.
        self.notes.dedup();
    }

    /// All problems, with a last one that says how many are left out.
    pub(super) fn into_problems(mut self) -> Vec<Problem> {
        if let (Some(last), 1..) = (self.problems.last().cloned(), self.uncounted) {
            self.problems.push(Problem {
                path: String::new(),
                message: format!("and {}", counted(self.uncounted, "more problem")),
                hint: None,
                ..last
            });
        }
        self.problems
    }
}

impl<'a> Report<'a> {
    pub(super) fn new(document: Document<'a>, tree: &'a Node, findings: &'a mut Findings) -> Self {
        Self { document, tree, findings, refused: HashSet::new() }
    }

    /// Refuses what is at `path`, unless it, or what it is in, is refused already.
    pub(super) fn refuse(&mut self, path: &str, message: impl Into<String>, hint: impl Into<String>) {
        let place = self.tree.place_of(path);
        self.refuse_at(place, path, message, hint);
    }

    /// The same with a place that is known.
    pub(super) fn refuse_at(
        &mut self,
        place: Place,
        path: &str,
        message: impl Into<String>,
        hint: impl Into<String>,
    ) {
        if self.is_refused(path) {
            return;
        }
        self.refused.insert(path.to_owned());
        self.findings.push(Problem {
            file: self.document.file.to_owned(),
            line: self.document.line(place),
            column: place.column,
            path: path.to_owned(),
            message: message.into(),
            hint: Some(hint.into()).filter(|hint| !hint.is_empty()),
        });
    }

    /// Tells the user about what is at `path`.
    pub(super) fn note(&mut self, path: &str, message: impl Into<String>) {
        let place = self.tree.place_of(path);
        self.note_at(place, path, message);
    }

    /// The same with a place that is known.
    pub(super) fn note_at(&mut self, place: Place, path: &str, message: impl Into<String>) {
        self.findings.notes.push(Note {
            file: self.document.file.to_owned(),
            line: self.document.line(place),
            column: place.column,
            path: path.to_owned(),
            message: message.into(),
        });
    }

    fn is_refused(&self, path: &str) -> bool {
        let ends = path.match_indices(['.', '[']).map(|(end, _)| end);
        ends.chain([path.len()]).any(|end| self.refused.contains(&path[..end]))
    }
}

impl Document<'_> {
    fn line(&self, place: Place) -> usize {
        self.first_line.max(1).saturating_add(place.line - 1)
    }
}
