//! What the files of a command mean together: an experiment and the StatefulSet that it meets here.

use super::args::{Files, ImageArchive};
use super::console;
use super::exit::Exit;
use super::folder::Given;
use super::input::{Documents, refuse};
use crate::experiment::Experiment;
use crate::platform::sandbox::image;
use crate::platform::sandbox::manifest::{self, Accepted, Programs};
use crate::platform::sandbox::pod_spec::{Keyed, SetSpec};
use crate::spec::document::Document;
use crate::spec::problem::{Place, Problem};
use crate::spec::{self, SecretKeys, TargetFacts, Warning};

/// An experiment with its manifest, both valid and fitting each other.
pub struct Scene {
    /// What is done and claimed.
    pub experiment: Experiment,
    /// What it is done to.
    pub set: Set,
    /// Both, as they were given.
    pub given: Given,
    /// What is valid and probably not meant.
    pub warnings: Vec<Warning>,
}

/// The StatefulSet of a command.
pub enum Set {
    /// One that the files hold, with notes for the person.
    Manifest(Box<Accepted>),
    /// The files hold none.
    Absent,
}

/// Reads an experiment and, if the files hold one, its StatefulSet. `known` is a StatefulSet that runs already. All
/// problems of all files are told at once.
pub fn experiment(files: &Files, known: Option<&SetSpec>) -> Result<Scene, Exit> {
    let Files { files, images } = files;
    let mut documents = Documents::read(files);
    let experiment = documents.experiment();
    let set = manifest_of(&mut documents, images);
    if let Some((document, experiment)) = &experiment {
        let manifest = match &set {
            Set::Manifest(accepted) => Some(&accepted.set),
            Set::Absent => known,
        };
        if let Some(manifest) = manifest
            && let Err(problems) = spec::against_target(document, experiment, &facts(manifest))
        {
            documents.problems.extend(problems);
        }
        if let Some(manifest) = manifest
            && let Err(problems) = spec::against_sandbox(document, experiment, &secrets(manifest))
        {
            documents.problems.extend(problems);
        }
    }
    if !documents.problems.is_empty() {
        return Err(refuse(files, documents.problems));
    }
    if let Some((document, experiment)) = experiment {
        let manifest = match &set {
            Set::Manifest(accepted) => Some(&accepted.set),
            Set::Absent => known,
        };
        let warnings = spec::lint(&document, &experiment, manifest.map(facts).as_ref());
        let given = Given { experiment: document, manifests: documents.manifests };
        Ok(Scene { experiment, set, given, warnings })
    } else {
        let exit = console::error("the files hold no Experiment", Exit::Usage);
        console::hint("give the experiment's file, for example experiments/quickstart.yaml");
        Err(exit)
    }
}

/// Reads a StatefulSet alone; an experiment beside it is ignored.
pub fn manifest(files: &Files) -> Result<Accepted, Exit> {
    let Files { files, images } = files;
    let mut documents = Documents::read(files);
    let set = manifest_of(&mut documents, images);
    if !documents.problems.is_empty() {
        return Err(refuse(files, documents.problems));
    }
    match set {
        Set::Manifest(accepted) => Ok(*accepted),
        Set::Absent => Err(console::error("the files hold no StatefulSet", Exit::Usage)),
    }
}

/// Says what the sandbox does otherwise than a cluster would.
pub fn tell_notes(accepted: &Accepted) {
    for note in &accepted.notes {
        console::say(format_args!("note: {}:{}: {}: {}", note.file, note.line, note.path, note.message));
    }
}

fn manifest_of(documents: &mut Documents, images: &[ImageArchive]) -> Set {
    if documents.manifests.is_empty() {
        return Set::Absent;
    }
    let mut unreadable = Vec::new();
    let borrowed: Vec<_> = documents.manifests.iter().map(borrow).collect();
    let given = given(images, &mut unreadable);
    let programs = Programs { images: &given, find: &manifest::on_this_machine };
    let read = manifest::read_with(&borrowed, &programs);
    documents.problems.append(&mut unreadable);
    match read {
        Ok(accepted) => Set::Manifest(Box::new(accepted)),
        Err(problems) => {
            let problems =
                problems.into_iter().map(|problem| told(&documents.manifests, problem)).collect::<Vec<_>>();
            documents.problems.extend(problems);
            Set::Absent
        }
    }
}

/// The images of a command line; an archive that is none is told as a file that cannot be read.
fn given(images: &[ImageArchive], problems: &mut Vec<Problem>) -> Vec<image::Given> {
    let mut all: Vec<image::Given> = Vec::new();
    for ImageArchive { name, file } in images {
        match image::Given::read(name, file) {
            Ok(_) if all.iter().any(|known| known.name == *name) => {
                let message = format!("is a second archive for the image {name}: give one of them");
                problems.push(Problem::of_file(file.display().to_string(), message));
            }
            Ok(image) => all.push(image),
            Err(error) => {
                let message = format!("image {name}: {error}");
                problems.push(Problem::of_file(file.display().to_string(), message));
            }
        }
    }
    all
}

fn borrow(document: &Document) -> manifest::Document<'_> {
    manifest::Document { file: &document.file, first_line: document.first_line, text: &document.text }
}

/// A manifest's problem in the same shape as an experiment's.
fn told(documents: &[Document], problem: manifest::Problem) -> Problem {
    let message = match problem.hint {
        Some(hint) => format!("{}: {hint}", problem.message),
        None => problem.message,
    };
    let excerpt = documents
        .iter()
        .filter(|document| document.file == problem.file && document.first_line <= problem.line)
        .max_by_key(|document| document.first_line)
        .and_then(|document| document.excerpt(problem.line - document.first_line + 1));
    Problem {
        file: problem.file,
        place: Some(Place { line: problem.line, column: problem.column }),
        field: problem.path,
        message,
        excerpt,
    }
}

fn secrets(set: &SetSpec) -> SecretKeys {
    let keys = |secret: &Keyed| secret.keys.iter().map(|key| key.name.clone()).collect();
    set.secrets.iter().map(|secret| (secret.name.clone(), keys(secret))).collect()
}

fn facts(set: &SetSpec) -> TargetFacts {
    TargetFacts {
        name: set.name.clone(),
        first: set.first_ordinal,
        replicas: set.replicas,
        containers: set.pod.containers.iter().map(|container| container.name.clone()).collect(),
        claims: set.claims.iter().map(|claim| claim.name.clone()).collect(),
    }
}
