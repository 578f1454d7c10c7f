//! What an experiment and its parts are called.

use std::collections::BTreeSet;

use super::{Broken, at};
use crate::experiment::Experiment;
use crate::yaml::tree::Segment;

/// What to write for a name of ours.
const WRITTEN: &str = "write lower-case letters, digits and hyphens, for example cut-leader";

/// Names that are no names, or not those of one thing alone.
pub(super) fn check(experiment: &Experiment, broken: &mut Vec<Broken>) {
    let steps = experiment.steps.iter().map(|step| step.name.as_str());
    let claims = experiment.hypothesis.iter().map(|hypothesis| hypothesis.name.as_str());
    for (list, index, name) in twice(steps)
        .map(|(index, name)| ("steps", index, name))
        .chain(twice(claims).map(|(index, name)| ("hypothesis", index, name)))
    {
        broken.push((
            at(list, index, &["name"]),
            format!("`{name}` is used twice: give each one a name of its own"),
        ));
    }
    // One that is missing is told already.
    if let Some(message) = not_a_name(&experiment.name).filter(|_| !experiment.name.is_empty()) {
        broken.push((["metadata", "name"].map(|key| Segment::Key(key.into())).to_vec(), message));
    }
    for (index, step) in experiment.steps.iter().enumerate().filter(|(_, step)| !is_label(&step.name)) {
        let message = format!("`{}` is not a step's name: {WRITTEN}", step.name);
        broken.push((at("steps", index, &["name"]), message));
    }
    sets(experiment, broken);
}

/// StatefulSets that there cannot be.
fn sets(experiment: &Experiment, broken: &mut Vec<Broken>) {
    let own = experiment
        .target
        .stateful_set()
        .map(|name| (["spec", "target", "statefulSet"].map(|key| Segment::Key(key.into())).to_vec(), name));
    let others = experiment.steps.iter().enumerate().filter_map(|(index, step)| {
        let name = step.target.as_ref()?.stateful_set.as_deref()?;
        Some((at("steps", index, &["target", "statefulSet"]), name))
    });
    let unnamed = own.into_iter().chain(others).filter(|(_, name)| !is_set_name(name));
    broken.extend(unnamed.map(|(place, name)| {
        let message = format!(
            "`{name}` cannot be the name of a StatefulSet: write lower-case letters, digits, hyphens and dots, for example \
             statefulSet: etcd"
        );
        (place, message)
    }));
}

/// Why an experiment cannot have this name, if so: its run's folder and what it leaves on a node are named after it.
pub fn not_a_name(name: &str) -> Option<String> {
    (!is_label(name)).then(|| format!("`{name}` is not an experiment's name: {WRITTEN}"))
}

/// Whether Kubernetes takes this for the name of a StatefulSet: a DNS subdomain (RFC 1123), whose parts it does not measure.
pub fn is_set_name(name: &str) -> bool {
    name.len() <= 253 && name.split('.').all(is_word)
}

/// Whether this is a DNS label, as most names of Kubernetes are (RFC 1123).
fn is_label(name: &str) -> bool {
    name.len() <= 63 && is_word(name)
}

/// Whether this is made as a DNS label is, however long it is.
fn is_word(name: &str) -> bool {
    let fits = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-';
    !name.is_empty() && name.chars().all(fits) && !name.starts_with('-') && !name.ends_with('-')
}

/// Items that were there before, with their index.
fn twice<'a>(names: impl Iterator<Item = &'a str>) -> impl Iterator<Item = (usize, &'a str)> {
    let mut seen = BTreeSet::new();
    names.enumerate().filter(move |(_, name)| !seen.insert(*name))
}
