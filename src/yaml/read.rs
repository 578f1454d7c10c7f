//! From text to a tree: any value, with the place that the parser gives it.

use std::fmt;

use serde::de::{Deserialize, Deserializer, Error as _, MapAccess, SeqAccess, Visitor};
use serde_saphyr::Spanned;
use serde_saphyr::budget::BudgetBreach;
use serde_saphyr::options::DuplicateKeyPolicy;

use super::tree::{Entry, Node, Place, Value};

/// Larger objects are refused by a cluster as well: etcd takes 1.5 MiB.
const MAX_BYTES: usize = 1536 * 1024;

/// Far more than any document has, and little enough to be read in a moment. Aliases count by what they stand for.
const MAX_NODES: usize = 50_000;

/// Deeper than any document of Kubernetes is, and little enough for a thread's stack: reading recurses.
const MAX_DEPTH: usize = 24;

/// Why a text is no tree.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Unreadable {
    /// Where the reading ended.
    pub place: Place,
    /// What is wrong, to be read after the document's name.
    pub message: String,
}

impl Node {
    /// Reads one document. Aliases are bounded by the parser's budget, so that a small file cannot grow into a large tree.
    pub fn read(text: &str) -> Result<Self, Unreadable> {
        if text.len() > MAX_BYTES {
            let message = format!(
                "is {} KiB long: an object of Kubernetes has at most {} KiB",
                text.len() / 1024,
                MAX_BYTES / 1024
            );
            return Err(Unreadable { place: Place::START, message });
        }
        serde_saphyr::from_str_with_options(text, options()).map_err(|error| Unreadable {
            place: error.location().map_or(Place::START, Place::from),
            message: reason(error.without_snippet()),
        })
    }
}

fn options() -> serde_saphyr::Options {
    serde_saphyr::options! {
        budget: serde_saphyr::budget! {
            max_nodes: MAX_NODES,
            max_events: 4 * MAX_NODES,
            max_documents: 1,
            max_depth: MAX_DEPTH,
        },
        alias_limits: serde_saphyr::alias_limits! { max_total_replayed_events: MAX_NODES },
        duplicate_keys: DuplicateKeyPolicy::Error,
        // Kubernetes reads YAML 1.1, in which permissions are written as 0400.
        legacy_octal_numbers: true,
        with_snippet: false,
    }
}

/// The parser's own words end with the place, which is told apart.
fn reason(error: &serde_saphyr::Error) -> String {
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
            // Its advice is for who calls the parser.
            let message = message.split(", set DuplicateKeyPolicy").next().unwrap_or_default();
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

impl<'de> Deserialize<'de> for Node {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let spanned = Spanned::<Value>::deserialize(deserializer)?;
        Ok(Self { place: spanned.referenced.into(), value: spanned.value })
    }
}

impl<'de> Deserialize<'de> for Value {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(AnyValue)
    }
}

/// A key: a text, or a number or truth value as a text, as JSON has it.
struct Key(String);

impl<'de> Deserialize<'de> for Key {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        match Value::deserialize(deserializer)? {
            Value::Text(text) => Ok(Self(text)),
            Value::Int(value) => Ok(Self(value.to_string())),
            Value::Float(value) => Ok(Self(value.to_string())),
            Value::Bool(value) => Ok(Self(value.to_string())),
            Value::Null | Value::List(_) | Value::Map(_) => Err(D::Error::custom("a key must be a text")),
        }
    }
}

struct AnyValue;

impl<'de> Visitor<'de> for AnyValue {
    type Value = Value;

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("a value")
    }

    fn visit_unit<E>(self) -> Result<Value, E> {
        Ok(Value::Null)
    }

    fn visit_none<E>(self) -> Result<Value, E> {
        Ok(Value::Null)
    }

    fn visit_bool<E>(self, value: bool) -> Result<Value, E> {
        Ok(Value::Bool(value))
    }

    fn visit_i64<E>(self, value: i64) -> Result<Value, E> {
        Ok(Value::Int(value.into()))
    }

    fn visit_u64<E>(self, value: u64) -> Result<Value, E> {
        Ok(Value::Int(value.into()))
    }

    fn visit_i128<E>(self, value: i128) -> Result<Value, E> {
        Ok(Value::Int(value))
    }

    fn visit_u128<E>(self, value: u128) -> Result<Value, E> {
        Ok(i128::try_from(value).map_or(Value::Float(value as f64), Value::Int))
    }

    fn visit_f64<E>(self, value: f64) -> Result<Value, E> {
        Ok(Value::Float(value))
    }

    fn visit_str<E: serde::de::Error>(self, text: &str) -> Result<Value, E> {
        self.visit_string(text.to_owned())
    }

    fn visit_string<E: serde::de::Error>(self, text: String) -> Result<Value, E> {
        if text.contains('\0') {
            return Err(E::custom("a text with a zero byte can be neither an argument nor a name"));
        }
        Ok(Value::Text(text))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Value, A::Error> {
        let mut list = Vec::new();
        while let Some(item) = items.next_element()? {
            list.push(item);
        }
        Ok(Value::List(list))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut entries: A) -> Result<Value, A::Error> {
        let mut map = Vec::new();
        while let Some((key, value)) = entries.next_entry::<Spanned<Key>, Node>()? {
            map.push(Entry { key: key.value.0, place: key.referenced.into(), value });
        }
        Ok(Value::Map(map))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn refuses_a_key_that_is_there_twice() {
        let unreadable = Node::read("a: 1\nb: 2\na: 3\n").expect_err("one of them would be lost");
        assert_eq!(unreadable.place, Place { line: 3, column: 1 });
        assert_eq!(unreadable.message, "is not valid YAML: duplicate mapping key: a");
    }

    #[test]
    fn keeps_the_value_of_large_numbers() {
        let tree = Node::read("a: 18446744073709551615").expect("a mapping");
        assert_eq!(tree.get("a").map(|node| &node.value), Some(&Value::Int(u64::MAX.into())));
    }
}
