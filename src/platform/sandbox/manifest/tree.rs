//! A YAML document as a tree of values that know their places.

use serde_saphyr::options::DuplicateKeyPolicy;
use serde_saphyr::{Location, Options};

mod visit;

/// Larger objects are refused by a cluster as well: etcd takes 1.5 MiB.
const MAX_BYTES: usize = 1536 * 1024;

/// Far more than any StatefulSet has, and little enough to be read in a moment. Aliases count by what they stand for.
const MAX_NODES: usize = 50_000;

/// Deeper than any StatefulSet is, and little enough for a thread's stack.
const MAX_DEPTH: usize = 24;

/// A line and a column, from 1, within the document.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Place {
    pub line: usize,
    pub column: usize,
}

/// A value and where it is.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Node {
    pub place: Place,
    pub value: Value,
}

#[derive(Debug, Clone, PartialEq)]
pub(super) enum Value {
    Null,
    Bool(bool),
    Int(i64),
    Float(f64),
    Text(String),
    List(Vec<Node>),
    Map(Vec<Entry>),
}

/// A key with its value.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Entry {
    pub key: String,
    pub place: Place,
    pub value: Node,
}

/// Why a text is no tree.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Unreadable {
    pub place: Place,
    pub message: String,
}

impl Node {
    /// Reads one document. Time and memory are bounded whatever the text is.
    pub(super) fn read(text: &str) -> Result<Self, Unreadable> {
        if text.len() > MAX_BYTES {
            let message = format!(
                "is {} KiB long; an object of Kubernetes has at most {} KiB",
                text.len() / 1024,
                MAX_BYTES / 1024
            );
            return Err(Unreadable { place: Place::START, message });
        }
        serde_saphyr::from_str_with_options(text, options()).map_err(|error| {
            let place = error.location().map_or(Place::START, Place::from);
            let text = error.without_snippet().to_string();
            // The place is told apart; the text repeats it at its end.
            let message = text.split(" at line ").next().unwrap_or_default().to_owned();
            Unreadable { place, message }
        })
    }

    /// The value of `key`, where this is a mapping that has it.
    pub(super) fn get(&self, key: &str) -> Option<&Node> {
        self.entry(key).map(|entry| &entry.value)
    }

    /// The text of `key`, where it is a text.
    pub(super) fn text(&self, key: &str) -> Option<&str> {
        match &self.get(key)?.value {
            Value::Text(text) => Some(text),
            Value::Null
            | Value::Bool(_)
            | Value::Int(_)
            | Value::Float(_)
            | Value::List(_)
            | Value::Map(_) => None,
        }
    }

    /// Where `path` (`a.b[0].c`) is, or the last part of it that exists.
    pub(super) fn place_of(&self, path: &str) -> Place {
        let mut node = self;
        let mut place = self.place;
        for step in path.split('.').flat_map(|part| part.split('[')) {
            let index = step.strip_suffix(']').and_then(|index| index.parse::<usize>().ok());
            let next = match (&node.value, index) {
                (Value::List(items), Some(index)) => items.get(index).map(|item| (item.place, item)),
                (Value::Map(_), None) => node.entry(step).map(|entry| (entry.place, &entry.value)),
                _ => None,
            };
            let Some((next_place, next_node)) = next else {
                break;
            };
            place = next_place;
            node = next_node;
        }
        place
    }

    /// What kind of value this is, for a person.
    pub(super) fn kind(&self) -> String {
        match &self.value {
            Value::Null => "empty".to_owned(),
            Value::Bool(value) => format!("the truth value {value}"),
            Value::Int(value) => format!("the number {value}"),
            Value::Float(value) => format!("the number {value}"),
            Value::Text(text) => format!("the text {:?}", shortened(text)),
            Value::List(_) => "a list".to_owned(),
            Value::Map(_) => "a mapping".to_owned(),
        }
    }

    /// The value itself where it is a single one, for a person.
    pub(super) fn shown(&self) -> String {
        match &self.value {
            Value::Bool(value) => value.to_string(),
            Value::Text(text) => format!("{:?}", shortened(text)),
            Value::Null | Value::Int(_) | Value::Float(_) | Value::List(_) | Value::Map(_) => self.kind(),
        }
    }

    /// Whether this says nothing: null, or an empty list or mapping.
    pub(super) fn is_empty(&self) -> bool {
        match &self.value {
            Value::Null => true,
            Value::List(items) => items.is_empty(),
            Value::Map(entries) => entries.is_empty(),
            Value::Bool(_) | Value::Int(_) | Value::Float(_) | Value::Text(_) => false,
        }
    }

    fn entry(&self, key: &str) -> Option<&Entry> {
        match &self.value {
            Value::Map(entries) => entries.iter().find(|entry| entry.key == key),
            Value::Null
            | Value::Bool(_)
            | Value::Int(_)
            | Value::Float(_)
            | Value::Text(_)
            | Value::List(_) => None,
        }
    }
}

impl Place {
    pub(super) const START: Self = Self { line: 1, column: 1 };
}

impl From<Location> for Place {
    fn from(location: Location) -> Self {
        let at = |number: u64| usize::try_from(number).unwrap_or(usize::MAX).max(1);
        Self { line: at(location.line()), column: at(location.column()) }
    }
}

/// At most as much of a text as fits a message.
pub(super) fn shortened(text: &str) -> String {
    const MOST: usize = 60;
    if text.chars().count() <= MOST {
        return text.to_owned();
    }
    text.chars().take(MOST).chain(['…']).collect()
}

fn options() -> Options {
    serde_saphyr::options! {
        budget: serde_saphyr::budget! {
            max_nodes: MAX_NODES,
            max_events: 4 * MAX_NODES,
            max_documents: 1,
            max_depth: MAX_DEPTH,
        },
        alias_limits: serde_saphyr::alias_limits! { max_total_replayed_events: MAX_NODES },
        duplicate_keys: DuplicateKeyPolicy::Error,
        with_snippet: false,
    }
}
