//! `seatrial init`: a first experiment for a StatefulSet, for somebody who will change it.
//!
//! What is not said is asked where somebody sits at a terminal, with what would be taken otherwise as the answer to an
//! empty line. Where nobody does, that is taken and nothing waits.

mod ask;
#[cfg(feature = "kubernetes")]
mod cluster;

use std::fs::OpenOptions;
use std::io::Write;
use std::path::Path;

use super::args::Init;
#[cfg(feature = "kubernetes")]
use super::args::On;
use super::console;
use super::exit::Exit;
use super::input::{Documents, refuse};
use crate::draft::{self, Choice, Container, Found, Guess};
use crate::fault::{CATALOGUE, Listed};
use crate::spec;

/// `seatrial init MANIFEST`
pub(super) fn init(args: &Init) -> Exit {
    if let Some(file) = &args.output
        && !args.force
        && file.exists()
    {
        let exit = console::error(format_args!("{} is there already", file.display()), Exit::Usage);
        console::hint("--force replaces it");
        return exit;
    }
    written(args).unwrap_or_else(|exit| exit)
}

fn written(args: &Init) -> Result<Exit, Exit> {
    if let Some(why) = args.name.as_deref().and_then(spec::not_a_name) {
        return Err(console::error(why, Exit::Usage));
    }
    let found = found(args)?;
    let (container, store) = members(args, &found)?;
    let fault = fault(args, &found, store.as_ref())?;
    let name = args.name.clone().unwrap_or_else(|| name_of(&found, fault));
    let choice = Choice { name, container, store, fault };
    let text = draft::draft(&found, &choice).map_err(|why| {
        let exit =
            console::error(format_args!("there is no experiment of {}: {why}", fault.name), Exit::Usage);
        console::hint("seatrial faults lists what else can be broken");
        exit
    })?;
    let Some(file) = &args.output else {
        console::data(text);
        return Ok(Exit::Pass);
    };
    save(file, &text, args.force).map_err(|error| {
        console::error(format_args!("cannot write {}: {error}", file.display()), Exit::Unexpected)
    })?;
    console::say(format_args!("wrote {}", file.display()));
    let next = if fault.fault().needs_kubernetes() { "preflight" } else { "plan" };
    console::hint(format_args!(
        "read it, change it, and see what would happen: seatrial {next} {} …",
        file.display()
    ));
    Ok(Exit::Pass)
}

/// The StatefulSet that is meant.
fn found(args: &Init) -> Result<Found, Exit> {
    #[cfg(feature = "kubernetes")]
    if args.place.on == On::Kubernetes {
        return cluster::found(args);
    }
    let files = std::slice::from_ref(&args.manifest);
    let documents = Documents::read(files);
    if !documents.problems.is_empty() {
        return Err(refuse(files, documents.problems));
    }
    let is_set = |document: &&spec::document::Document| {
        spec::kind(document)
            .is_ok_and(|kind| kind.kind == "StatefulSet" && kind.api_version.starts_with("apps/"))
    };
    let sets: Vec<&spec::document::Document> = documents.manifests.iter().filter(is_set).collect();
    if sets.is_empty() {
        let exit =
            console::error(format_args!("{} holds no StatefulSet", args.manifest.display()), Exit::Usage);
        console::hint("give its manifest, or its name with --on kubernetes");
        return Err(exit);
    }
    let (mut found, mut problems) = (Vec::new(), Vec::new());
    for set in sets {
        match Found::read(set) {
            Ok(set) => found.push(set),
            Err(wrong) => problems.extend(wrong),
        }
    }
    if !problems.is_empty() {
        return Err(refuse(files, problems));
    }
    let names: Vec<&str> = found.iter().map(|set| set.name.as_str()).collect();
    let meant = match &args.set {
        Some(name) => name.clone(),
        None if names.len() > 1 => ask::one_of("Which StatefulSet is to be judged?", &names, names[0]),
        None => names[0].to_owned(),
    };
    let Some(place) = names.iter().position(|name| *name == meant) else {
        let known = names.join("`, `");
        let (file, meant) = (args.manifest.display(), &meant);
        let told = format_args!("{file} holds no StatefulSet `{meant}`: it has `{known}`");
        return Err(console::error(told, Exit::Usage));
    };
    Ok(found.swap_remove(place))
}

/// The container that is meant and the store in it: as they were named, as they are found, or as somebody says.
fn members<'a>(args: &Init, found: &'a Found) -> Result<(&'a Container, Option<Guess>), Exit> {
    let names: Vec<&str> = found.containers.iter().map(|container| container.name.as_str()).collect();
    let guessed = draft::guess(found);
    let usual = guessed.as_ref().map_or(&found.containers[0], |(container, _)| container);
    let container = match &args.container {
        Some(name) => found.container(name).ok_or_else(|| {
            console::error(
                format_args!("{} has no container `{name}`: it has `{}`", found.name, names.join("`, `")),
                Exit::Usage,
            )
        })?,
        None if names.len() > 1 && guessed.is_none() => {
            let answer = ask::one_of("Which container is the store?", &names, &usual.name);
            found.container(&answer).unwrap_or(usual)
        }
        None => usual,
    };
    let store = match args.store.as_deref() {
        Some("none") => None,
        Some(name) => draft::named(name, container),
        None => {
            let alone = Found { containers: vec![container.clone()], ..found.clone() };
            draft::guess(&alone).map(|(_, guess)| guess).or_else(|| {
                let mut known = crate::catalogue::store_names();
                known.push("none");
                draft::named(&ask::one_of("Which store is it?", &known, "none"), container)
            })
        }
    };
    Ok((container, store))
}

/// The fault that is meant.
fn fault(args: &Init, found: &Found, store: Option<&Guess>) -> Result<&'static Listed, Exit> {
    let usual = draft::usual_fault(store.map(|guess| &guess.store));
    let fitting = CATALOGUE.iter().filter(|listed| draft::obstacle(found, listed).is_none());
    let names: Vec<&str> = fitting.map(|listed| listed.name).collect();
    let usual = if names.contains(&usual) { usual } else { "podKill" };
    let name = match &args.fault {
        Some(name) => name.clone(),
        None => ask::one_of("What is to be broken? (seatrial faults explains each)", &names, usual),
    };
    let listed = CATALOGUE.iter().find(|listed| listed.name == name);
    listed.ok_or_else(|| console::error(format_args!("there is no fault `{name}`"), Exit::Usage))
}

/// The longest name that an experiment can have in a cluster, where its runs are named after it.
const LONGEST: usize = 54;

fn name_of(found: &Found, fault: &Listed) -> String {
    let name = format!("{}-{}", found.name.replace('.', "-"), crate::catalogue::step_name(fault.name));
    let short: String = name.chars().take(LONGEST).collect();
    short.trim_end_matches('-').to_owned()
}

/// Writes a file, which must not be there unless it is to be replaced.
fn save(file: &Path, text: &str, replace: bool) -> std::io::Result<()> {
    let mut options = OpenOptions::new();
    options.write(true);
    if replace {
        options.create(true).truncate(true);
    } else {
        options.create_new(true);
    }
    options.open(file)?.write_all(text.as_bytes())
}
