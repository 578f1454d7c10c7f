//! What is said of a tree's values, and where they are by the paths of Kubernetes.

pub(super) use crate::yaml::tree::Entry;
pub(super) use crate::yaml::{Node, Place, Unreadable, Value};

impl Node {
    /// The text of `key`, where it is a text.
    pub(super) fn text_of(&self, key: &str) -> Option<&str> {
        self.get(key)?.text()
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
            // 3.0 is not to be told as 3.
            Value::Float(value) => format!("the number {value:?}"),
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
}

/// At most as much of a text as fits a message.
pub(super) fn shortened(text: &str) -> String {
    const MOST: usize = 60;
    if text.chars().count() <= MOST {
        return text.to_owned();
    }
    text.chars().take(MOST).chain(['…']).collect()
}
