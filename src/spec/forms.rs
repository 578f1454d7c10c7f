//! What a value that stands alone was meant to be, where one of several forms with a name is asked for.

use serde::de::DeserializeOwned;

use super::decode::DecodeError;
use crate::yaml::tree::{Entry, Node, Segment, Value};

/// More forms than these are kinds of something, as faults are, of which none is a value with a name.
const MOST: usize = 8;

/// What is wrong and the forms that a `T` reads with this very value, if `error` is about a value without a form.
///
/// They are found by reading: `root`, which is what `error` was told of, is read once with each of them.
pub(super) fn instead<T: DeserializeOwned>(root: &Node, error: &DecodeError) -> Option<String> {
    if error.at_key || error.forms.is_empty() || error.forms.len() > MOST {
        return None;
    }
    let mut tree = root.clone();
    let node = at(&mut tree, &error.path)?;
    let (place, written) = (node.place, node.value.clone());
    let (shown, value) = alone(&written)?;
    let is_share = shown.ends_with('%');
    let mut fitting = Vec::new();
    for form in error.forms.iter().copied() {
        // A share is counted in percent, and in nothing else.
        if is_share && !form.to_lowercase().ends_with("percent") {
            continue;
        }
        let entry = Entry { place, key: form.into(), value: Node { place, value: value.clone() } };
        at(&mut tree, &error.path)?.value = Value::Map(vec![entry]);
        let fits = T::deserialize(&tree).map_or_else(|other| !other.path.starts_with(&error.path), |_| true);
        if fits {
            fitting.push(format!("{{{form}: {}}}", shown.trim_end_matches('%')));
        }
    }
    let (last, others) = fitting.split_last()?;
    let fitting = if others.is_empty() { last.clone() } else { format!("{} or {last}", others.join(", ")) };
    let known = error.forms.iter().map(|form| format!("`{form}`")).collect::<Vec<_>>().join(", ");
    Some(format!("`{shown}` does not stand alone here: write {fitting}; known are {known}"))
}

/// A single value as it is written, and as what it counts.
fn alone(value: &Value) -> Option<(String, Value)> {
    match value {
        Value::Text(text) => {
            let percent = text.strip_suffix('%').and_then(|number| number.parse().ok());
            Some((text.clone(), percent.map_or_else(|| value.clone(), Value::Int)))
        }
        Value::Int(number) => Some((number.to_string(), value.clone())),
        Value::Float(number) => Some((number.to_string(), value.clone())),
        Value::Null | Value::Bool(_) | Value::List(_) | Value::Map(_) => None,
    }
}

/// The node at the end of `path`.
fn at<'a>(tree: &'a mut Node, path: &[Segment]) -> Option<&'a mut Node> {
    let Some((first, rest)) = path.split_first() else {
        return Some(tree);
    };
    let next = match (first, &mut tree.value) {
        (Segment::Key(key), Value::Map(entries)) => {
            &mut entries.iter_mut().find(|entry| &entry.key == key)?.value
        }
        (Segment::Item(index), Value::List(items)) => items.get_mut(*index)?,
        (Segment::Key(_) | Segment::Item(_), _) => return None,
    };
    at(next, rest)
}
