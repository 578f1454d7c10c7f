//! Asks a type for all fields that it reads: a deserializer that gives each field a value, and writes down its path.

use std::cell::RefCell;
use std::fmt;

use serde::de::value::BorrowedStrDeserializer;
use serde::de::{self, DeserializeOwned, DeserializeSeed, Deserializer, MapAccess, SeqAccess, Visitor};
use serde::forward_to_deserialize_any;

/// What a field holds, through options and lists.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Shape {
    Structure,
    Plain,
}

/// The paths of all fields of `T`, with `[]` behind those of lists, and what they hold.
pub(super) fn of<T: DeserializeOwned>() -> Vec<(String, Shape)> {
    let found = RefCell::new(Vec::new());
    T::deserialize(Asker { path: String::new(), found: &found }).expect("every value is of the wanted type");
    found
        .into_inner()
        .into_iter()
        .map(|(path, shape)| (path.trim_end_matches("[]").to_owned(), shape))
        .collect()
}

#[derive(Clone)]
struct Asker<'f> {
    path: String,
    found: &'f RefCell<Vec<(String, Shape)>>,
}

#[derive(Debug)]
struct Impossible(String);

impl fmt::Display for Impossible {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.0)
    }
}

impl std::error::Error for Impossible {}

impl de::Error for Impossible {
    fn custom<T: fmt::Display>(message: T) -> Self {
        Self(message.to_string())
    }
}

impl Asker<'_> {
    fn path_of(&self, field: &str) -> String {
        if self.path.is_empty() { field.to_owned() } else { format!("{}.{field}", self.path) }
    }

    fn found(&self, shape: Shape) {
        self.found.borrow_mut().push((self.path.clone(), shape));
    }
}

impl<'de> Deserializer<'de> for Asker<'_> {
    type Error = Impossible;

    fn deserialize_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Impossible> {
        self.found(Shape::Plain);
        visitor.visit_i64(1)
    }

    fn deserialize_bool<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Impossible> {
        self.found(Shape::Plain);
        visitor.visit_bool(true)
    }

    fn deserialize_str<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Impossible> {
        self.found(Shape::Plain);
        visitor.visit_str("2020-01-01T00:00:00Z")
    }

    fn deserialize_string<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Impossible> {
        self.deserialize_str(visitor)
    }

    fn deserialize_option<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Impossible> {
        visitor.visit_some(self)
    }

    fn deserialize_newtype_struct<V: Visitor<'de>>(
        self,
        _: &'static str,
        visitor: V,
    ) -> Result<V::Value, Impossible> {
        visitor.visit_newtype_struct(self)
    }

    fn deserialize_seq<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Impossible> {
        let item = Asker { path: format!("{}[]", self.path), ..self };
        visitor.visit_seq(One(Some(item)))
    }

    fn deserialize_map<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Impossible> {
        self.found(Shape::Plain);
        visitor.visit_map(Fields { of: self, of_type: "", names: [].iter(), name: "" })
    }

    fn deserialize_struct<V: Visitor<'de>>(
        self,
        of_type: &'static str,
        fields: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Impossible> {
        if !self.path.is_empty() {
            self.found(Shape::Structure);
        }
        visitor.visit_map(Fields { of: self, of_type, names: fields.iter(), name: "" })
    }

    forward_to_deserialize_any! {
        i8 i16 i32 i64 i128 u8 u16 u32 u64 u128 f32 f64 char bytes byte_buf unit unit_struct tuple tuple_struct enum
        identifier ignored_any
    }
}

struct One<T>(Option<T>);

impl<'de> SeqAccess<'de> for One<Asker<'_>> {
    type Error = Impossible;

    fn next_element_seed<S: DeserializeSeed<'de>>(
        &mut self,
        seed: S,
    ) -> Result<Option<S::Value>, Impossible> {
        self.0.take().map(|item| seed.deserialize(item)).transpose()
    }
}

/// The types that are objects of their own.
const OBJECTS: [&str; 5] = ["StatefulSet", "Service", "Secret", "ConfigMap", "PersistentVolumeClaim"];

struct Fields<'f> {
    of: Asker<'f>,
    of_type: &'static str,
    names: std::slice::Iter<'static, &'static str>,
    name: &'static str,
}

impl<'de> MapAccess<'de> for Fields<'_> {
    type Error = Impossible;

    fn next_key_seed<S: DeserializeSeed<'de>>(&mut self, seed: S) -> Result<Option<S::Value>, Impossible> {
        let (of, of_type) = (&self.of, self.of_type);
        let Some(name) = self.names.find(|name| {
            // An object's own version and kind are compared by its type, which refuses any other text.
            let is_compared = OBJECTS.contains(&of_type) && ["apiVersion", "kind"].contains(name);
            if is_compared {
                of.found.borrow_mut().push((of.path_of(name), Shape::Plain));
            }
            !is_compared
        }) else {
            return Ok(None);
        };
        self.name = name;
        seed.deserialize(BorrowedStrDeserializer::new(name)).map(Some)
    }

    fn next_value_seed<S: DeserializeSeed<'de>>(&mut self, seed: S) -> Result<S::Value, Impossible> {
        let value = Asker { path: self.of.path_of(self.name), ..self.of.clone() };
        seed.deserialize(value)
    }
}
