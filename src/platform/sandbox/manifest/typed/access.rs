//! The items of a list and the fields of a mapping, each with its path.

use serde::de::value::BorrowedStrDeserializer;
use serde::de::{self, DeserializeSeed, MapAccess, SeqAccess};

use super::path::{Path, Step};
use super::{Failed, Typed};
use crate::platform::sandbox::manifest::tree::{Entry, Node};

pub(super) struct Items<'a, 'p> {
    pub of: Typed<'a, 'p>,
    pub items: std::iter::Enumerate<std::slice::Iter<'a, Node>>,
}

impl<'a> SeqAccess<'a> for Items<'a, '_> {
    type Error = Failed;

    fn next_element_seed<S: DeserializeSeed<'a>>(&mut self, seed: S) -> Result<Option<S::Value>, Failed> {
        let Some((index, node)) = self.items.next() else {
            return Ok(None);
        };
        let path = Path { above: Some(self.of.path), step: Step::Item(index) };
        seed.deserialize(Typed { node, path: &path, wrong: self.of.wrong }).map(Some)
    }
}

pub(super) struct Fields<'a, 'p> {
    pub of: Typed<'a, 'p>,
    pub entries: std::slice::Iter<'a, Entry>,
    /// The entry whose key was read last.
    pub value: Option<&'a Entry>,
}

impl<'a> MapAccess<'a> for Fields<'a, '_> {
    type Error = Failed;

    fn next_key_seed<S: DeserializeSeed<'a>>(&mut self, seed: S) -> Result<Option<S::Value>, Failed> {
        self.value = self.entries.next();
        let Some(entry) = self.value else { return Ok(None) };
        seed.deserialize(BorrowedStrDeserializer::new(&entry.key)).map(Some)
    }

    fn next_value_seed<S: DeserializeSeed<'a>>(&mut self, seed: S) -> Result<S::Value, Failed> {
        let Some(entry) = self.value.take() else {
            return Err(de::Error::custom("a value without a key"));
        };
        let path = Path { above: Some(self.of.path), step: Step::Field(&entry.key) };
        seed.deserialize(Typed { node: &entry.value, path: &path, wrong: self.of.wrong })
    }
}
