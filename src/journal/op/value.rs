//! The values on an operation's line, which are a number, a pair or null, as its function asks.

use std::fmt;

use serde::de::{self, Deserialize, Deserializer, SeqAccess, Visitor};
use serde::ser::{Serialize, SerializeTuple, Serializer};

/// The `value` of an operation's line.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash)]
pub enum OpValue {
    /// `null`: nothing yet, or an absent key.
    #[default]
    Null,
    /// `5`
    Number(u64),
    /// `[4, 5]`: what a compare-and-set expects (`null` for an absent key) and what it writes.
    Pair(Option<u64>, u64),
}

/// The `current` of a refused compare-and-set's line.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash)]
pub enum Current {
    /// Not on the line: the store did not tell what the key holds.
    #[default]
    NotObserved,
    /// The key holds this, or is absent.
    Observed(Option<u64>),
}

impl Current {
    /// Whether the store did not tell.
    pub fn is_not_observed(&self) -> bool {
        matches!(self, Self::NotObserved)
    }
}

impl Serialize for OpValue {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match *self {
            Self::Null => serializer.serialize_none(),
            Self::Number(number) => serializer.serialize_u64(number),
            Self::Pair(expect, value) => {
                let mut pair = serializer.serialize_tuple(2)?;
                pair.serialize_element(&expect)?;
                pair.serialize_element(&value)?;
                pair.end()
            }
        }
    }
}

impl<'de> Deserialize<'de> for OpValue {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(OpValueVisitor)
    }
}

struct OpValueVisitor;

impl<'de> Visitor<'de> for OpValueVisitor {
    type Value = OpValue;

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("null, a whole number, or [expected, new]")
    }

    fn visit_unit<E: de::Error>(self) -> Result<OpValue, E> {
        Ok(OpValue::Null)
    }

    fn visit_u64<E: de::Error>(self, number: u64) -> Result<OpValue, E> {
        Ok(OpValue::Number(number))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut pair: A) -> Result<OpValue, A::Error> {
        let expect: Option<u64> = pair.next_element()?.ok_or_else(|| de::Error::invalid_length(0, &self))?;
        let value: u64 = pair.next_element()?.ok_or_else(|| de::Error::invalid_length(1, &self))?;
        if pair.next_element::<de::IgnoredAny>()?.is_some() {
            return Err(de::Error::invalid_length(3, &self));
        }
        Ok(OpValue::Pair(expect, value))
    }
}

impl Serialize for Current {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match *self {
            Self::NotObserved | Self::Observed(None) => serializer.serialize_none(),
            Self::Observed(Some(number)) => serializer.serialize_u64(number),
        }
    }
}

impl<'de> Deserialize<'de> for Current {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Option::<u64>::deserialize(deserializer).map(Self::Observed)
    }
}
