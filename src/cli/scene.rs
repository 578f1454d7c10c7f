//! What the files of a command mean together: an experiment and the StatefulSets that it meets here.

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

/// The StatefulSets of a command.
pub enum Set {
    /// Those that the files hold, with notes for the person; the target of an experiment is the first one.
    Manifest(Box<Accepted>),
    /// The files hold none.
    Absent,
}

/// Reads an experiment and, if the files hold some, its StatefulSets. `known` are StatefulSets that run already. All
/// problems of all files are told at once.
pub fn experiment(files: &Files, known: &[&SetSpec]) -> Result<Scene, Exit> {
    let Files { files, images } = files;
    let mut documents = Documents::read(files);
    let experiment = documents.experiment();
    let mut set = manifest_of(&mut documents, images);
    if let (Set::Manifest(accepted), Some((_, experiment))) = (&mut set, &experiment) {
        accepted.put_first(&experiment.target.name());
    }
    let sets: Vec<&SetSpec> = match &set {
        Set::Manifest(accepted) => accepted.sets().collect(),
        Set::Absent => known.to_vec(),
    };
    if let Some((document, experiment)) = &experiment
        && let Err(problems) = against(document, experiment, &sets)
    {
        documents.problems.extend(problems);
    }
    if !documents.problems.is_empty() {
        return Err(refuse(files, documents.problems));
    }
    if let Some((document, experiment)) = experiment {
        let target = target(&experiment, &sets).map(facts);
        let warnings = spec::lint(&document, &experiment, target.as_ref());
        let given = Given { experiment: document, manifests: documents.manifests };
        Ok(Scene { experiment, set, given, warnings })
    } else {
        let exit = console::error("the files hold no Experiment", Exit::Usage);
        console::hint("give the experiment's file, for example experiments/quickstart.yaml");
        Err(exit)
    }
}

/// The set of `sets` that the experiment is about. One alone is it whatever its name is, so that whoever has mistaken the
/// name is told what else does not fit.
pub fn target<'a>(experiment: &Experiment, sets: &[&'a SetSpec]) -> Option<&'a SetSpec> {
    match sets {
        [one] => Some(one),
        several => several.iter().find(|set| set.name == experiment.target.name()).copied(),
    }
}

/// Holds an experiment against the sets that there are, if there are any.
fn against(document: &Document, experiment: &Experiment, sets: &[&SetSpec]) -> Result<(), Vec<Problem>> {
    let Some(any) = sets.first() else { return Ok(()) };
    let fits = if let Some(set) = target(experiment, sets) {
        let others: Vec<_> =
            sets.iter().filter(|other| other.name != set.name).map(|other| facts(other)).collect();
        spec::against_target(document, experiment, &facts(set), Some(&others))
    } else {
        let names: Vec<&str> = sets.iter().map(|set| set.name.as_str()).collect();
        spec::against_names(document, experiment, &names)
    };
    // Secrets are those of the namespace, which all sets have together.
    let can_be = spec::against_sandbox(document, experiment, &secrets(any));
    let problems: Vec<Problem> = [fits, can_be].into_iter().filter_map(Result::err).flatten().collect();
    if problems.is_empty() { Ok(()) } else { Err(problems) }
}

/// Reads StatefulSets alone; an experiment beside them is ignored.
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
    // Items of a List may share a line, of which each has a part: nobody knows then whose part is meant.
    let has_line = |document: &&Document| {
        let end = document.first_line + document.text.lines().count();
        document.file == problem.file && (document.first_line..end).contains(&problem.line)
    };
    let there = documents.iter().filter(has_line);
    let mut parts = there.map(|document| document.excerpt(problem.line - document.first_line + 1));
    let first = parts.next().flatten();
    let excerpt = first.filter(|first| parts.all(|part| part.as_ref() == Some(first)));
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::spec::document::{list, split};

    #[test]
    fn no_item_of_a_list_is_shown_in_the_place_of_another_one() {
        let shown = |text: &str, line| {
            let list = split("f", text.as_bytes()).expect("it is YAML").swap_remove(0);
            let items = list::items(&list).expect("it can be taken apart").expect("it is a List");
            let (path, message) = (String::new(), String::new());
            let problem = manifest::Problem { file: "f".into(), line, column: 10, path, message, hint: None };
            told(&items, problem).excerpt
        };
        assert_eq!(shown("{kind: List, items: [{kind: A}, {kind: B}]}", 1), None);
        assert_eq!(shown("{kind: List, items: [{kind: A,\n a: 1}, {kind: B}]}", 2), None);
        assert_eq!(shown("{kind: List, items: [{kind: A}]}", 1).as_deref(), Some("{kind: A}"));
        let apart = "kind: List\nitems:\n- kind: A\n  a: 1\n- kind: B\n";
        assert_eq!(shown(apart, 4).as_deref(), Some("  a: 1"));
        assert_eq!(shown(apart, 5).as_deref(), Some("  kind: B"));
    }
}
