//! Finds every problem of a document in one go.
//!
//! serde stops at the first error. So the offending node is noted, pruned from the tree, and the rest is read again,
//! until nothing is left to complain about. What is missing only because it was pruned is not reported.

use serde::de::DeserializeOwned;

use super::decode::{DecodeError, unknown_field};
use super::document::Document;
use super::problem::{Place, Problem};
use super::{forms, missing};
use crate::yaml::tree::{Entry, Node, Segment, Value, display};

/// More problems than this are not listed: the file is something else altogether.
const MOST_PROBLEMS: usize = 50;

/// Reads a `T` from `root`, whose own path in the document is `base`. On failure every problem is in `problems`.
pub(super) fn section<T: DeserializeOwned>(
    document: &Document,
    root: &Node,
    base: &[Segment],
    problems: &mut Vec<Problem>,
) -> Option<T> {
    let mut tree = root.clone();
    let mut pruned: Vec<Vec<Segment>> = Vec::new();
    // The same, by the places that the tree has by now.
    let mut gone: Vec<Vec<Segment>> = Vec::new();
    loop {
        let error = match T::deserialize(&tree) {
            Ok(value) => return pruned.is_empty().then_some(value),
            Err(error) => error,
        };
        let follows = match error.missing {
            Some(field) => {
                let mut missing = error.path.clone();
                missing.push(Segment::Key(field.into()));
                gone.contains(&missing)
            }
            // Said of a node that is no longer what the person wrote.
            None => gone.iter().any(|gone| gone.len() > error.path.len() && gone.starts_with(&error.path)),
        };
        if !follows {
            let place = place_of(&tree, &error.path, error.at_key);
            let path: Vec<Segment> = base.iter().chain(&original(&error.path, &pruned)).cloned().collect();
            let message = told(&path, &error).or_else(|| forms::instead::<T>(&tree, &error));
            let message = message.unwrap_or_else(|| error.message.clone());
            problems.push(Problem::new(document, place, display(&path), message));
        }
        if error.path.is_empty() || problems.len() >= MOST_PROBLEMS {
            return None;
        }
        pruned.push(error.path.clone());
        close_up(&mut gone, &error.path);
        gone.push(error.path.clone());
        prune(&mut tree, &error.path);
    }
}

/// More than a type can say, which does not know where in the document it stands.
fn told(path: &[Segment], error: &DecodeError) -> Option<String> {
    if let Some(field) = error.missing {
        let example = missing::example(path, field)?;
        return Some(format!("{}: write for example {example}", error.message));
    }
    match path {
        [Segment::Key(spec), Segment::Key(field)] if spec == "spec" => {
            // An Experiment's name is that of its metadata.
            let known: Vec<&str> = error.known?.iter().copied().filter(|known| *known != "name").collect();
            Some(unknown_field(field, &known))
        }
        _ => None,
    }
}

/// Where the offending key or value stands.
fn place_of(tree: &Node, path: &[Segment], at_key: bool) -> Place {
    if let (true, Some((Segment::Key(key), above))) = (at_key, path.split_last())
        && let Value::Map(entries) = &tree.nearest(above).value
        && let Some(entry) = entries.iter().find(|entry| &entry.key == key)
    {
        return entry.place;
    }
    tree.nearest(path).place
}

/// Takes a node out.
fn prune(tree: &mut Node, path: &[Segment]) {
    let Some((first, rest)) = path.split_first() else {
        return;
    };
    match (first, &mut tree.value) {
        (Segment::Key(key), Value::Map(entries)) => {
            let Some(index) = entries.iter().position(|entry: &Entry| &entry.key == key) else {
                return;
            };
            if rest.is_empty() {
                entries.remove(index);
            } else {
                prune(&mut entries[index].value, rest);
            }
        }
        (Segment::Item(index), Value::List(items)) if *index < items.len() => {
            if rest.is_empty() {
                items.remove(*index);
            } else {
                prune(&mut items[*index], rest);
            }
        }
        (Segment::Key(_) | Segment::Item(_), _) => {}
    }
}

/// Where an item of a list goes, those behind it take its place, and what was gone within it is of no more use.
fn close_up(gone: &mut Vec<Vec<Segment>>, path: &[Segment]) {
    let Some((Segment::Item(index), list)) = path.split_last() else {
        return;
    };
    gone.retain(|other| !other.starts_with(path));
    for other in gone.iter_mut().filter(|other| other.starts_with(list)) {
        if let Some(Segment::Item(here)) = other.get_mut(list.len())
            && *here > *index
        {
            *here -= 1;
        }
    }
}

/// The path that a node had before earlier items of its lists were pruned.
fn original(path: &[Segment], pruned: &[Vec<Segment>]) -> Vec<Segment> {
    let mut path = path.to_vec();
    for gone in pruned.iter().rev() {
        let Some((Segment::Item(index), list)) = gone.split_last() else {
            continue;
        };
        if path.len() > list.len()
            && path[..list.len()] == *list
            && let Segment::Item(here) = &mut path[list.len()]
            && *here >= *index
        {
            *here += 1;
        }
    }
    path
}
