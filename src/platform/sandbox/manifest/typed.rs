//! From a tree to the Kubernetes types, whose own deserialization tells which fields they have.
//!
//! A wrong type or an unknown field does not end the reading: it is reported, the field takes its empty value, and the
//! reading goes on, so that all problems are told at once.

use std::cell::RefCell;
use std::fmt;

use serde::de::value::BorrowedStrDeserializer;
use serde::de::{self, DeserializeOwned, Deserializer, Expected, Visitor};
use serde::forward_to_deserialize_any;

use self::access::{Fields, Items};
use self::path::{Path, Step};
use super::report::Report;
use super::tree::{Entry, Node, Place, Value};
use crate::yaml::nearest;

mod access;
mod path;

/// Reads the document of `report` as `T`; `None` where not even the rest of it can be read.
pub(super) fn read<T: DeserializeOwned>(report: &mut Report<'_>) -> Option<T> {
    let wrong = RefCell::new(Vec::new());
    let path = Path { above: None, step: Step::Root };
    let result = T::deserialize(Typed { node: report.tree, path: &path, wrong: &wrong });
    for Wrong { place, path, message, hint } in wrong.into_inner() {
        report.refuse_at(place, &path, message, hint);
    }
    result
        .map_err(|Failed { message, at }| {
            let (place, path) = at.unwrap_or((Place::START, String::new()));
            report.refuse_at(place, &path, message, "");
        })
        .ok()
}

struct Wrong {
    place: Place,
    path: String,
    message: String,
    hint: String,
}

/// A value that a type refuses for a reason of its own; it ends the reading.
#[derive(Debug)]
struct Failed {
    message: String,
    at: Option<(Place, String)>,
}

impl fmt::Display for Failed {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.message)
    }
}

impl std::error::Error for Failed {}

impl de::Error for Failed {
    fn custom<T: fmt::Display>(message: T) -> Self {
        Self { message: message.to_string(), at: None }
    }
}

#[derive(Clone, Copy)]
struct Typed<'a, 'p> {
    node: &'a Node,
    path: &'p Path<'p>,
    wrong: &'p RefCell<Vec<Wrong>>,
}

impl<'a> Typed<'a, '_> {
    fn wrong(self, must_be: &str, hint: impl Into<String>) {
        self.wrong.borrow_mut().push(Wrong {
            place: self.node.place,
            path: self.path.to_string(),
            message: format!("must be {must_be}, is {}", self.node.kind()),
            hint: hint.into(),
        });
    }

    /// The failure with this place, unless it comes from a place within.
    fn placed(self, failed: Failed) -> Failed {
        Failed { at: failed.at.or_else(|| Some((self.node.place, self.path.to_string()))), ..failed }
    }

    fn integer(self, lowest: i64, highest: i64) -> i64 {
        match self.node.value {
            Value::Int(value) if (lowest.into()..=highest.into()).contains(&value) => value as i64,
            Value::Null => 0,
            Value::Bool(_)
            | Value::Int(_)
            | Value::Float(_)
            | Value::Text(_)
            | Value::List(_)
            | Value::Map(_) => {
                let hint = if matches!(self.node.value, Value::Float(number) if number.abs() < 1e19) {
                    "write it without a fraction"
                } else {
                    "write it without quotes and without a unit"
                };
                self.wrong("a whole number", hint);
                0
            }
        }
    }

    fn is_int_or_text(self) -> bool {
        match self.node.value {
            Value::Int(value) => i32::try_from(value).is_ok(),
            Value::Text(_) => true,
            Value::Null | Value::Bool(_) | Value::Float(_) | Value::List(_) | Value::Map(_) => false,
        }
    }

    fn entries(self, must_be: &str) -> &'a [Entry] {
        match &self.node.value {
            Value::Map(entries) => entries,
            Value::Null => &[],
            Value::Bool(_) | Value::Int(_) | Value::Float(_) | Value::Text(_) | Value::List(_) => {
                self.wrong(must_be, "");
                &[]
            }
        }
    }
}

impl<'a> Deserializer<'a> for Typed<'a, '_> {
    type Error = Failed;

    fn deserialize_any<V: Visitor<'a>>(self, visitor: V) -> Result<V::Value, Failed> {
        // The type takes these only, and says no more about itself than its name.
        if (&visitor as &dyn Expected).to_string() == "IntOrString" && !self.is_int_or_text() {
            self.wrong("a number or a name", "");
            return visitor.visit_i64(1);
        }
        match &self.node.value {
            Value::Null => visitor.visit_unit(),
            Value::Bool(value) => visitor.visit_bool(*value),
            Value::Int(value) => match i64::try_from(*value) {
                Ok(value) => visitor.visit_i64(value),
                Err(_) => visitor.visit_f64(*value as f64),
            },
            Value::Float(value) => visitor.visit_f64(*value),
            Value::Text(text) => visitor.visit_str(text),
            Value::List(_) => self.deserialize_seq(visitor),
            Value::Map(_) => self.deserialize_map(visitor),
        }
        .map_err(|failed| self.placed(failed))
    }

    fn deserialize_option<V: Visitor<'a>>(self, visitor: V) -> Result<V::Value, Failed> {
        match self.node.value {
            Value::Null => visitor.visit_none(),
            Value::Bool(_)
            | Value::Int(_)
            | Value::Float(_)
            | Value::Text(_)
            | Value::List(_)
            | Value::Map(_) => visitor.visit_some(self),
        }
    }

    fn deserialize_bool<V: Visitor<'a>>(self, visitor: V) -> Result<V::Value, Failed> {
        match self.node.value {
            Value::Bool(value) => visitor.visit_bool(value),
            Value::Null
            | Value::Int(_)
            | Value::Float(_)
            | Value::Text(_)
            | Value::List(_)
            | Value::Map(_) => {
                self.wrong("true or false", "");
                visitor.visit_bool(false)
            }
        }
    }

    fn deserialize_i32<V: Visitor<'a>>(self, visitor: V) -> Result<V::Value, Failed> {
        visitor.visit_i64(self.integer(i64::from(i32::MIN), i64::from(i32::MAX)))
    }

    fn deserialize_i64<V: Visitor<'a>>(self, visitor: V) -> Result<V::Value, Failed> {
        visitor.visit_i64(self.integer(i64::MIN, i64::MAX))
    }

    fn deserialize_str<V: Visitor<'a>>(self, visitor: V) -> Result<V::Value, Failed> {
        match &self.node.value {
            Value::Text(text) => visitor.visit_str(text),
            Value::Null => visitor.visit_str(""),
            Value::Bool(_) | Value::Int(_) | Value::Float(_) => {
                self.wrong("a text", "put it in quotes");
                visitor.visit_str("")
            }
            Value::List(_) | Value::Map(_) => {
                self.wrong("a text", "");
                visitor.visit_str("")
            }
        }
    }

    fn deserialize_string<V: Visitor<'a>>(self, visitor: V) -> Result<V::Value, Failed> {
        self.deserialize_str(visitor)
    }

    fn deserialize_newtype_struct<V: Visitor<'a>>(
        self,
        name: &'static str,
        visitor: V,
    ) -> Result<V::Value, Failed> {
        let is_scalar = match &self.node.value {
            Value::Text(_) | Value::Int(_) | Value::Float(_) => true,
            Value::Null | Value::Bool(_) | Value::List(_) | Value::Map(_) => false,
        };
        if name == "Quantity" && !is_scalar {
            self.wrong("a quantity", "write for example 1Gi, 100M or 500m");
            return visitor.visit_newtype_struct(BorrowedStrDeserializer::new(""));
        }
        if name == "Time" {
            // A cluster writes times and nothing here reads them, so that their form does not matter.
            return visitor.visit_newtype_struct(BorrowedStrDeserializer::new("1970-01-01T00:00:00Z"));
        }
        visitor.visit_newtype_struct(self).map_err(|failed| self.placed(failed))
    }

    fn deserialize_seq<V: Visitor<'a>>(self, visitor: V) -> Result<V::Value, Failed> {
        let items = match &self.node.value {
            Value::List(items) => items.as_slice(),
            Value::Null => &[],
            Value::Bool(_) | Value::Int(_) | Value::Float(_) | Value::Text(_) | Value::Map(_) => {
                self.wrong("a list", "begin each item with a dash");
                &[]
            }
        };
        visitor.visit_seq(Items { of: self, items: items.iter().enumerate() })
    }

    fn deserialize_map<V: Visitor<'a>>(self, visitor: V) -> Result<V::Value, Failed> {
        let entries = self.entries("a mapping");
        visitor.visit_map(Fields { of: self, entries: entries.iter(), value: None })
    }

    fn deserialize_struct<V: Visitor<'a>>(
        self,
        name: &'static str,
        fields: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Failed> {
        let entries = self.entries(&format!("a mapping with the fields of {name}"));
        for entry in entries.iter().filter(|entry| !fields.contains(&entry.key.as_str())) {
            let path = Path { above: Some(self.path), step: Step::Field(&entry.key) };
            let hint = match nearest(&entry.key, fields.iter().copied()) {
                Some(near) => format!("did you mean {near}?"),
                None => format!("{name} has {}", fields.join(", ")),
            };
            self.wrong.borrow_mut().push(Wrong {
                place: entry.place,
                path: path.to_string(),
                message: format!("there is no such field in {name}"),
                hint,
            });
        }
        visitor
            .visit_map(Fields { of: self, entries: entries.iter(), value: None })
            .map_err(|failed| self.placed(failed))
    }

    forward_to_deserialize_any! {
        <V: Visitor<'a>>
        i8 i16 i128 u8 u16 u32 u64 u128 f32 f64 char bytes byte_buf unit unit_struct tuple tuple_struct enum
        identifier ignored_any
    }
}
