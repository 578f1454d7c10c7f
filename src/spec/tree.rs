//! A YAML document as values that know their places.

use std::fmt;

use serde::de::{Deserialize, Deserializer, MapAccess, SeqAccess, Visitor};
use serde_saphyr::Spanned;
use serde_saphyr::budget::BudgetBreach;

use super::document::Document;
use super::problem::{Place, Problem};

/// Deeper than any document of Kubernetes is, and little enough for a thread's stack: reading recurses.
const MAX_DEPTH: usize = 24;

/// Far more than any document has, and little enough to be read in a moment. Aliases count by what they stand for.
const MAX_NODES: usize = 50_000;

/// A value and where it stands in its file.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Node {
    /// Where it begins.
    pub(super) place: Place,
    /// What it is.
    pub(super) value: Value,
}

/// What YAML's core schema takes a node for.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Value {
    Null,
    Bool(bool),
    Signed(i64),
    Unsigned(u64),
    Float(f64),
    Text(String),
    List(Vec<Node>),
    Map(Vec<Entry>),
}

/// A key and its value.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Entry {
    /// Where the key begins.
    pub(super) place: Place,
    /// The key.
    pub(super) key: String,
    /// Its value.
    pub(super) value: Node,
}

impl Node {
    /// Reads a document. Aliases are bounded by the parser's budget, so that a small file cannot grow into a large tree.
    pub(super) fn read(document: &Document) -> Result<Self, Problem> {
        let spanned: Spanned<Raw> =
            serde_saphyr::from_str_with_options(&document.text, options()).map_err(|error| {
                let at = error.location();
                let place = at.map_or(Place { line: 1, column: 1 }, |at| Place {
                    line: usize::try_from(at.line()).unwrap_or(1),
                    column: usize::try_from(at.column()).unwrap_or(1),
                });
                Problem::new(document, place, String::new(), unreadable(error.without_snippet()))
            })?;
        Ok(node(spanned))
    }

    /// The value of a key, if this is a mapping that has it.
    pub(super) fn get(&self, key: &str) -> Option<&Self> {
        match &self.value {
            Value::Map(entries) => entries.iter().find(|entry| entry.key == key).map(|entry| &entry.value),
            Value::Null
            | Value::Bool(_)
            | Value::Signed(_)
            | Value::Unsigned(_)
            | Value::Float(_)
            | Value::Text(_)
            | Value::List(_) => None,
        }
    }

    /// The text, if this is one.
    pub(super) fn text(&self) -> Option<&str> {
        if let Value::Text(text) = &self.value { Some(text) } else { None }
    }

    /// The node at the end of `path`, or the deepest one that there is on the way to it.
    pub(super) fn nearest(&self, path: &[Segment]) -> &Self {
        let next = path.first().and_then(|segment| match (segment, &self.value) {
            (Segment::Key(key), Value::Map(_)) => self.get(key),
            (Segment::Item(index), Value::List(items)) => items.get(*index),
            (Segment::Key(_) | Segment::Item(_), _) => None,
        });
        next.map_or(self, |node| node.nearest(&path[1..]))
    }
}

fn options() -> serde_saphyr::Options {
    serde_saphyr::options! {
        budget: serde_saphyr::budget! {
            max_nodes: MAX_NODES,
            max_events: 4 * MAX_NODES,
            max_depth: MAX_DEPTH,
        },
        alias_limits: serde_saphyr::alias_limits! { max_total_replayed_events: MAX_NODES },
    }
}

/// Why a text is no tree. The parser's own words end with the place, which is told apart.
fn unreadable(error: &serde_saphyr::Error) -> String {
    match error {
        serde_saphyr::Error::Budget { breach: BudgetBreach::Depth { .. }, .. } => too_deep(),
        serde_saphyr::Error::Budget { .. } | serde_saphyr::Error::AliasReplayLimitExceeded { .. } => {
            format!(
                "is larger than {MAX_NODES} values, aliases counted by what they stand for: is this the right file?"
            )
        }
        other => {
            let message = other.to_string();
            let message = message.lines().next().unwrap_or_default();
            let message = message.split(" at line ").next().unwrap_or_default();
            // The scanner has a limit of its own, and comes first where everything stands on one line.
            if message.contains("recursion limit exceeded") {
                return too_deep();
            }
            format!("is not valid YAML: {message}")
        }
    }
}

fn too_deep() -> String {
    format!("is nested deeper than {MAX_DEPTH} levels: no document of Kubernetes is")
}

/// A step on the way from the root to a node.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Segment {
    /// Into a mapping.
    Key(String),
    /// Into a list.
    Item(usize),
}

/// A path as people write it: `spec.steps[0].for`.
pub(super) fn display(path: &[Segment]) -> String {
    let mut text = String::new();
    for segment in path {
        match segment {
            Segment::Key(key) => {
                if !text.is_empty() {
                    text.push('.');
                }
                text.push_str(key);
            }
            Segment::Item(index) => text.push_str(&format!("[{index}]")),
        }
    }
    text
}

/// What the parser gives, before it is made into nodes.
enum Raw {
    Scalar(Value),
    List(Vec<Spanned<Raw>>),
    Map(Vec<(Spanned<String>, Spanned<Raw>)>),
}

fn node(spanned: Spanned<Raw>) -> Node {
    let value = match spanned.value {
        Raw::Scalar(value) => value,
        Raw::List(items) => Value::List(items.into_iter().map(node).collect()),
        Raw::Map(entries) => Value::Map(
            entries
                .into_iter()
                .map(|(key, value)| Entry { place: place(&key), key: key.value, value: node(value) })
                .collect(),
        ),
    };
    Node { place: Place::from(spanned.referenced), value }
}

fn place<T>(spanned: &Spanned<T>) -> Place {
    Place::from(spanned.referenced)
}

impl From<serde_saphyr::Location> for Place {
    fn from(at: serde_saphyr::Location) -> Self {
        Self {
            line: usize::try_from(at.line()).unwrap_or(1).max(1),
            column: usize::try_from(at.column()).unwrap_or(1).max(1),
        }
    }
}

impl<'de> Deserialize<'de> for Raw {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(RawVisitor)
    }
}

struct RawVisitor;

impl<'de> Visitor<'de> for RawVisitor {
    type Value = Raw;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a YAML value")
    }

    fn visit_unit<E>(self) -> Result<Raw, E> {
        Ok(Raw::Scalar(Value::Null))
    }

    fn visit_none<E>(self) -> Result<Raw, E> {
        Ok(Raw::Scalar(Value::Null))
    }

    fn visit_some<D: Deserializer<'de>>(self, deserializer: D) -> Result<Raw, D::Error> {
        Raw::deserialize(deserializer)
    }

    fn visit_bool<E>(self, value: bool) -> Result<Raw, E> {
        Ok(Raw::Scalar(Value::Bool(value)))
    }

    fn visit_i64<E>(self, value: i64) -> Result<Raw, E> {
        Ok(Raw::Scalar(u64::try_from(value).map_or(Value::Signed(value), Value::Unsigned)))
    }

    fn visit_u64<E>(self, value: u64) -> Result<Raw, E> {
        Ok(Raw::Scalar(Value::Unsigned(value)))
    }

    fn visit_f64<E>(self, value: f64) -> Result<Raw, E> {
        Ok(Raw::Scalar(Value::Float(value)))
    }

    fn visit_str<E>(self, value: &str) -> Result<Raw, E> {
        Ok(Raw::Scalar(Value::Text(value.to_owned())))
    }

    fn visit_string<E>(self, value: String) -> Result<Raw, E> {
        Ok(Raw::Scalar(Value::Text(value)))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut access: A) -> Result<Raw, A::Error> {
        let mut items = Vec::new();
        while let Some(item) = access.next_element()? {
            items.push(item);
        }
        Ok(Raw::List(items))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut access: A) -> Result<Raw, A::Error> {
        let mut entries = Vec::new();
        while let Some(entry) = access.next_entry()? {
            entries.push(entry);
        }
        Ok(Raw::Map(entries))
    }
}
