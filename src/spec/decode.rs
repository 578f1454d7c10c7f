//! Reads a type from a tree, so that serde's errors know the node at which they arose.

use std::fmt;

use serde::de::value::StrDeserializer;
use serde::de::{
    self, DeserializeSeed, Deserializer, EnumAccess, IntoDeserializer, MapAccess, SeqAccess, VariantAccess,
    Visitor,
};

use crate::yaml::nearest;
use crate::yaml::tree::{Entry, Node, Segment, Value};

/// What a type said of a node.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DecodeError {
    /// From the root to the node, innermost last. Built from the inside out while the error travels.
    pub(super) path: Vec<Segment>,
    /// Whether the key is meant and not its value.
    pub(super) at_key: bool,
    /// What is wrong.
    pub(super) message: String,
    /// The field that is missing, where that is what is wrong.
    pub(super) missing: Option<&'static str>,
    /// The names of which one is asked for, where that is what is wrong.
    pub(super) forms: &'static [&'static str],
    /// The fields that there are, where the one that is written is none of them.
    pub(super) known: Option<&'static [&'static str]>,
}

impl DecodeError {
    fn new(message: String) -> Self {
        Self { path: Vec::new(), at_key: false, message, missing: None, forms: &[], known: None }
    }

    fn within(mut self, segment: Segment) -> Self {
        self.path.insert(0, segment);
        self
    }
}

impl fmt::Display for DecodeError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl std::error::Error for DecodeError {}

impl de::Error for DecodeError {
    fn custom<T: fmt::Display>(message: T) -> Self {
        Self::new(message.to_string())
    }

    fn invalid_type(found: de::Unexpected<'_>, expected: &dyn de::Expected) -> Self {
        Self::new(mismatch(found, expected))
    }

    fn invalid_value(found: de::Unexpected<'_>, expected: &dyn de::Expected) -> Self {
        Self::new(mismatch(found, expected))
    }

    fn unknown_field(field: &str, expected: &'static [&'static str]) -> Self {
        Self { known: Some(expected), ..Self::new(unknown_field(field, expected)) }
    }

    fn unknown_variant(variant: &str, expected: &'static [&'static str]) -> Self {
        let message = format!("`{variant}` is not known here{}", instead(variant, expected));
        Self { forms: expected, ..Self::new(message) }
    }

    fn missing_field(field: &'static str) -> Self {
        Self { missing: Some(field), ..Self::new(format!("`{field}` is missing")) }
    }
}

/// What is said of a field that is none of those that there are.
pub(super) fn unknown_field(field: &str, known: &[&str]) -> String {
    format!("unknown field `{field}`{}", instead(field, known))
}

fn mismatch(found: de::Unexpected<'_>, expected: &dyn de::Expected) -> String {
    let wanted = wanted(expected);
    let instead = match found {
        de::Unexpected::Bool(_)
        | de::Unexpected::Unsigned(_)
        | de::Unexpected::Signed(_)
        | de::Unexpected::Float(_)
            if wanted == TEXT =>
        {
            ": put it in quotes"
        }
        de::Unexpected::Str(text) if wanted.starts_with(NUMBER) && text.parse::<u64>().is_ok() => {
            ": leave the quotes out"
        }
        de::Unexpected::Str(text)
            if wanted.starts_with(NUMBER)
                && text.strip_suffix('%').is_some_and(|number| number.parse::<u64>().is_ok()) =>
        {
            ": leave the % out"
        }
        // A whole number that is too large for any type comes as one of these, too.
        de::Unexpected::Float(number) if wanted.starts_with(NUMBER) && number.abs() < 1e19 => {
            ": write it without a fraction"
        }
        de::Unexpected::Map if wanted == LIST => ": begin each item with a dash",
        de::Unexpected::Str(_) | de::Unexpected::Unsigned(_) if wanted == LIST => ": put it in brackets",
        _ => "",
    };
    format!("{} is not {wanted}{instead}", shown(found))
}

/// A found value in the words of YAML.
fn shown(found: de::Unexpected<'_>) -> String {
    match found {
        de::Unexpected::Unit | de::Unexpected::Option => "nothing".into(),
        de::Unexpected::Seq => LIST.into(),
        de::Unexpected::Map => MAPPING.into(),
        de::Unexpected::Str(text) => format!("the text `{text}`"),
        de::Unexpected::Bool(value) => format!("`{value}`"),
        de::Unexpected::Unsigned(value) => format!("the number {value}"),
        de::Unexpected::Signed(value) => format!("the number {value}"),
        // 3.0 is not to be told as 3.
        de::Unexpected::Float(value) => format!("the number {value:?}"),
        other => other.to_string(),
    }
}

/// What a type that takes any text expects.
const TEXT: &str = "a text";
/// What a type that takes items expects.
const LIST: &str = "a list";
/// What a type that takes fields expects.
const MAPPING: &str = "a mapping";
/// What begins the words of a type that counts.
const NUMBER: &str = "a whole number";

/// What a type expects, in the words of YAML.
fn wanted(expected: &dyn de::Expected) -> String {
    let expected = expected.to_string();
    match expected.as_str() {
        "u8" => format!("{NUMBER} from 0 to {}", u8::MAX),
        "u16" => format!("{NUMBER} from 0 to {}", u16::MAX),
        "u32" => format!("{NUMBER} from 0 to {}", u32::MAX),
        "u64" => format!("{NUMBER} from 0 on"),
        // Types of Kubernetes.
        "i32" => format!("{NUMBER} up to {}", i32::MAX),
        "i64" => NUMBER.into(),
        "IntOrString" => "a number or a name".into(),
        "Quantity" => "a quantity, for example 1Gi, 100M or 500m".into(),
        "a string" => TEXT.into(),
        "a boolean" => "true or false".into(),
        "a sequence" => LIST.into(),
        other if other.starts_with("struct ") => MAPPING.into(),
        _ => expected,
    }
}

/// What could have been written: the nearest name first.
fn instead(written: &str, expected: &[&str]) -> String {
    if expected.is_empty() {
        return ": nothing is expected here".into();
    }
    let list = listed(expected);
    match nearest(written, expected.iter().copied()) {
        Some(name) => format!(": did you mean `{name}`? Known are {list}"),
        None => format!(": known are {list}"),
    }
}

fn listed(names: &[&str]) -> String {
    names.iter().map(|name| format!("`{name}`")).collect::<Vec<_>>().join(", ")
}

/// A mapping with these fields, or what to write in the place of something else.
fn structure<'de, V: Visitor<'de>>(
    node: &'de Node,
    fields: &'static [&'static str],
    visitor: V,
) -> Result<V::Value, DecodeError> {
    let error = match node.value {
        Value::Map(_) => return node.deserialize_any(visitor),
        // serde would take the items for the fields, one after the other.
        Value::List(_) => <DecodeError as de::Error>::invalid_type(de::Unexpected::Seq, &MAPPING),
        Value::Null | Value::Bool(_) | Value::Int(_) | Value::Float(_) | Value::Text(_) => {
            match node.deserialize_any(visitor) {
                Ok(value) => return Ok(value),
                Err(error) => error,
            }
        }
    };
    let instead = match fields {
        [] => String::from("write {}"),
        known => format!("write {{NAME: VALUE}}, known are {}", listed(known)),
    };
    Err(DecodeError { message: format!("{}: {instead}", error.message), ..error })
}

impl<'de> Deserializer<'de> for &'de Node {
    type Error = DecodeError;

    fn deserialize_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, DecodeError> {
        match &self.value {
            Value::Null => visitor.visit_unit(),
            Value::Bool(value) => visitor.visit_bool(*value),
            Value::Int(value) => match (u64::try_from(*value), i64::try_from(*value)) {
                (Ok(value), _) => visitor.visit_u64(value),
                (Err(_), Ok(value)) => visitor.visit_i64(value),
                (Err(_), Err(_)) => visitor.visit_f64(*value as f64),
            },
            Value::Float(value) => visitor.visit_f64(*value),
            Value::Text(value) => visitor.visit_str(value),
            Value::List(items) => visitor.visit_seq(Items { items: items.iter().enumerate() }),
            Value::Map(entries) => visitor.visit_map(Entries { entries: entries.iter(), current: None }),
        }
    }

    fn deserialize_option<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, DecodeError> {
        match self.value {
            Value::Null => visitor.visit_none(),
            Value::Bool(_)
            | Value::Int(_)
            | Value::Float(_)
            | Value::Text(_)
            | Value::List(_)
            | Value::Map(_) => visitor.visit_some(self),
        }
    }

    fn deserialize_newtype_struct<V: Visitor<'de>>(
        self,
        _name: &'static str,
        visitor: V,
    ) -> Result<V::Value, DecodeError> {
        visitor.visit_newtype_struct(self)
    }

    fn deserialize_enum<V: Visitor<'de>>(
        self,
        _name: &'static str,
        variants: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, DecodeError> {
        match &self.value {
            Value::Text(text) => visitor.visit_enum(Word(text)),
            Value::Map(entries) if entries.len() == 1 => visitor.visit_enum(Variant { entry: &entries[0] }),
            Value::Map(entries) if entries.len() > 1 => {
                let names =
                    entries.iter().map(|entry| format!("`{}`", entry.key)).collect::<Vec<_>>().join(" and ");
                Err(DecodeError::new(format!("says {names} at once: keep one of them")))
            }
            Value::Null
            | Value::Bool(_)
            | Value::Int(_)
            | Value::Float(_)
            | Value::List(_)
            | Value::Map(_) => {
                let message = format!("needs a name here: write one of {}", listed(variants));
                Err(DecodeError { forms: variants, ..DecodeError::new(message) })
            }
        }
    }

    fn deserialize_struct<V: Visitor<'de>>(
        self,
        _name: &'static str,
        fields: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, DecodeError> {
        structure(self, fields, visitor)
    }

    serde::forward_to_deserialize_any! {
        bool i8 i16 i32 i64 i128 u8 u16 u32 u64 u128 f32 f64 char str string bytes byte_buf unit unit_struct seq tuple
        tuple_struct map identifier ignored_any
    }
}

struct Items<'de> {
    items: std::iter::Enumerate<std::slice::Iter<'de, Node>>,
}

impl<'de> SeqAccess<'de> for Items<'de> {
    type Error = DecodeError;

    fn next_element_seed<T: DeserializeSeed<'de>>(
        &mut self,
        seed: T,
    ) -> Result<Option<T::Value>, DecodeError> {
        let Some((index, node)) = self.items.next() else {
            return Ok(None);
        };
        seed.deserialize(node).map(Some).map_err(|error| error.within(Segment::Item(index)))
    }
}

struct Entries<'de> {
    entries: std::slice::Iter<'de, Entry>,
    current: Option<&'de Entry>,
}

impl<'de> MapAccess<'de> for Entries<'de> {
    type Error = DecodeError;

    fn next_key_seed<K: DeserializeSeed<'de>>(&mut self, seed: K) -> Result<Option<K::Value>, DecodeError> {
        self.current = self.entries.next();
        let Some(entry) = self.current else {
            return Ok(None);
        };
        let key: StrDeserializer<'_, DecodeError> = entry.key.as_str().into_deserializer();
        seed.deserialize(key)
            .map(Some)
            .map_err(|error| DecodeError { at_key: true, ..error }.within(Segment::Key(entry.key.clone())))
    }

    fn next_value_seed<S: DeserializeSeed<'de>>(&mut self, seed: S) -> Result<S::Value, DecodeError> {
        let entry = self.current.expect("serde asks for a value only after its key");
        seed.deserialize(&entry.value).map_err(|error| error.within(Segment::Key(entry.key.clone())))
    }
}

/// A variant that is written as its name alone.
struct Word<'de>(&'de str);

impl<'de> EnumAccess<'de> for Word<'de> {
    type Error = DecodeError;
    type Variant = Self;

    fn variant_seed<S: DeserializeSeed<'de>>(self, seed: S) -> Result<(S::Value, Self), DecodeError> {
        let name: StrDeserializer<'_, DecodeError> = self.0.into_deserializer();
        Ok((seed.deserialize(name)?, self))
    }
}

impl Word<'_> {
    fn lacks_parameters<T>(&self) -> Result<T, DecodeError> {
        Err(DecodeError::new(format!("takes parameters: write {{{}: {{}}}}", self.0)))
    }
}

impl<'de> VariantAccess<'de> for Word<'de> {
    type Error = DecodeError;

    fn unit_variant(self) -> Result<(), DecodeError> {
        Ok(())
    }

    fn newtype_variant_seed<T: DeserializeSeed<'de>>(self, _seed: T) -> Result<T::Value, DecodeError> {
        self.lacks_parameters()
    }

    fn tuple_variant<V: Visitor<'de>>(self, _len: usize, _visitor: V) -> Result<V::Value, DecodeError> {
        self.lacks_parameters()
    }

    fn struct_variant<V: Visitor<'de>>(
        self,
        _fields: &'static [&'static str],
        _visitor: V,
    ) -> Result<V::Value, DecodeError> {
        self.lacks_parameters()
    }
}

/// A variant that is written with its parameters.
struct Variant<'de> {
    entry: &'de Entry,
}

impl<'de> EnumAccess<'de> for Variant<'de> {
    type Error = DecodeError;
    type Variant = Self;

    fn variant_seed<S: DeserializeSeed<'de>>(self, seed: S) -> Result<(S::Value, Self), DecodeError> {
        let key: StrDeserializer<'_, DecodeError> = self.entry.key.as_str().into_deserializer();
        let value = seed.deserialize(key).map_err(|error| {
            DecodeError { at_key: true, ..error }.within(Segment::Key(self.entry.key.clone()))
        })?;
        Ok((value, self))
    }
}

impl<'de> Variant<'de> {
    fn inside<T>(self, read: impl FnOnce(&'de Node) -> Result<T, DecodeError>) -> Result<T, DecodeError> {
        read(&self.entry.value).map_err(|error| error.within(Segment::Key(self.entry.key.clone())))
    }
}

impl<'de> VariantAccess<'de> for Variant<'de> {
    type Error = DecodeError;

    fn unit_variant(self) -> Result<(), DecodeError> {
        Err(DecodeError::new(format!("takes no parameters: write just `{}`", self.entry.key)))
    }

    fn newtype_variant_seed<T: DeserializeSeed<'de>>(self, seed: T) -> Result<T::Value, DecodeError> {
        self.inside(|node| seed.deserialize(node))
    }

    fn tuple_variant<V: Visitor<'de>>(self, _len: usize, visitor: V) -> Result<V::Value, DecodeError> {
        self.inside(|node| node.deserialize_any(visitor))
    }

    fn struct_variant<V: Visitor<'de>>(
        self,
        fields: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, DecodeError> {
        self.inside(|node| structure(node, fields, visitor))
    }
}
