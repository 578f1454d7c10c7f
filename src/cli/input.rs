//! The files of a command line: one Experiment, and the manifests that it meets.

use std::io::Read;
use std::path::{Path, PathBuf};

#[cfg(any(feature = "kubernetes", feature = "sandbox"))]
use super::console;
#[cfg(any(feature = "kubernetes", feature = "sandbox"))]
use super::exit::Exit;
use crate::experiment::Experiment;
use crate::spec::document::{self, Document, list};
use crate::spec::problem::Problem;
use crate::spec::{self, Kind};

/// What the files of a command hold, before anything of it is believed.
#[derive(Debug, Default)]
pub struct Documents {
    /// Ours, with their kind.
    pub experiments: Vec<Document>,
    /// Everything else.
    pub manifests: Vec<Document>,
    /// What could not be read at all.
    pub problems: Vec<Problem>,
}

impl Documents {
    /// Reads every document of every file; `-` is standard input.
    pub fn read(files: &[PathBuf]) -> Self {
        let mut all = Self::default();
        for file in files {
            let name = if file == Path::new("-") { "<stdin>".into() } else { file.display().to_string() };
            match bytes(file) {
                Ok(bytes) => match document::split(&name, &bytes) {
                    Ok(documents) => documents.into_iter().for_each(|document| all.sort(document)),
                    Err(error) => all.problems.push(Problem::of_file(name, error.to_string())),
                },
                Err(error) => all.problems.push(Problem::of_file(name, format!("cannot be read: {error}"))),
            }
        }
        all
    }

    /// What a List holds is taken for documents of their own.
    fn sort(&mut self, document: Document) {
        match list::items(&document) {
            Ok(Some(items)) => items.into_iter().for_each(|item| self.sort(item)),
            Ok(None) => self.sort_one(document),
            Err(problem) => self.problems.push(problem),
        }
    }

    fn sort_one(&mut self, document: Document) {
        match spec::kind(&document) {
            Ok(kind) if !kind.is_ours() => self.manifests.push(document),
            Ok(Kind { api_version, kind }) if api_version == spec::API_VERSION && kind == "Experiment" => {
                self.experiments.push(document);
            }
            Ok(kind) => self.problems.push(spec::no_experiment(&document, &kind)),
            Err(problem) => self.problems.push(problem),
        }
    }

    /// The one experiment, or what is wrong. Problems of all files are told together.
    pub fn experiment(&mut self) -> Option<(Document, Experiment)> {
        let mut read = Vec::new();
        for document in &self.experiments {
            match spec::experiment(document) {
                Ok(experiment) => read.push((document.clone(), experiment)),
                Err(problems) => self.problems.extend(problems),
            }
        }
        if let [first, second, ..] = &self.experiments[..] {
            let told = format!("is a second Experiment beside the one in {}: run one at a time", first.file);
            self.problems.push(Problem::of_document(second, told));
        }
        (self.experiments.len() == 1).then(|| read.pop()).flatten()
    }
}

/// Tells problems in the order in which a person reads the files.
#[cfg(any(feature = "kubernetes", feature = "sandbox"))]
pub fn refuse(files: &[PathBuf], mut problems: Vec<Problem>) -> Exit {
    problems.sort_by_key(|problem| {
        let file = files.iter().position(|file| file.display().to_string() == problem.file);
        (file, problem.place)
    });
    console::problems(&problems)
}

/// A file's bytes, but never more than a document may have and one more.
fn bytes(file: &Path) -> std::io::Result<Vec<u8>> {
    let limit = document::LARGEST_FILE as u64 + 1;
    let mut bytes = Vec::new();
    if file == Path::new("-") {
        std::io::stdin().lock().take(limit).read_to_end(&mut bytes)?;
    } else {
        std::fs::File::open(file)?.take(limit).read_to_end(&mut bytes)?;
    }
    Ok(bytes)
}
