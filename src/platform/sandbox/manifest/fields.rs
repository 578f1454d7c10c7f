//! The table of all fields: which are honoured, noted or refused.
//!
//! A field that is not in the table is refused; that the table has all fields of the Kubernetes types is a test.

use std::collections::HashMap;
use std::sync::LazyLock;

mod container;
mod keyed;
mod pod;
mod probe;
mod service;
mod set;

#[cfg(test)]
mod tests;

/// What becomes of a field.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Treatment {
    /// Its own fields are in the table; those of each item, where it is a list.
    Within,
    /// The reading that follows honours it.
    Honoured,
    /// The same, and only these values are accepted, of each item where it is a list.
    Only {
        /// The values as YAML writes them.
        values: &'static [&'static str],
        /// Why, and what to do.
        hint: &'static str,
    },
    /// These values mean what the sandbox does anyway; others are noted.
    Usual {
        /// The values as YAML writes them.
        values: &'static [&'static str],
        /// What the sandbox does instead.
        note: &'static str,
    },
    /// Left out, because that changes nothing that a test can tell.
    Noted(&'static str),
    /// Not left out, because that would change what the test means.
    Refused {
        /// Why.
        why: &'static str,
        /// What to do.
        hint: &'static str,
    },
}

/// The fields of a type at each of the places where it stands.
struct Section {
    /// Paths without indexes, for example `spec.template.spec.containers[]`; empty for the document.
    at: &'static [&'static str],
    fields: &'static [(&'static str, Treatment)],
}

/// The treatments of all fields of one kind of document, by path without indexes.
pub(super) struct Table(HashMap<String, Treatment>);

/// The fields of a StatefulSet.
pub(super) static STATEFUL_SET: LazyLock<Table> = LazyLock::new(|| {
    Table::new([set::SECTIONS, pod::SECTIONS, container::SECTIONS, container::CAPABILITIES, probe::SECTIONS])
});

/// The fields of the governing Service.
pub(super) static SERVICE: LazyLock<Table> = LazyLock::new(|| Table::new([service::SECTIONS]));

/// The fields of a Secret.
pub(super) static SECRET: LazyLock<Table> = LazyLock::new(|| Table::new([keyed::SECRET, keyed::METADATA]));

/// The fields of a ConfigMap.
pub(super) static CONFIG_MAP: LazyLock<Table> =
    LazyLock::new(|| Table::new([keyed::CONFIG_MAP, keyed::METADATA]));

impl Table {
    fn new<const N: usize>(parts: [&[Section]; N]) -> Self {
        let mut treatments = HashMap::new();
        for section in parts.into_iter().flatten() {
            for at in section.at {
                for (field, treatment) in section.fields {
                    let path = if at.is_empty() { (*field).to_owned() } else { format!("{at}.{field}") };
                    treatments.insert(path, *treatment);
                }
            }
        }
        Self(treatments)
    }

    /// What becomes of the field at `path`, which has `[]` in the place of indexes.
    pub(super) fn get(&self, path: &str) -> Option<Treatment> {
        self.0.get(path).copied()
    }

    /// All paths, for the tests.
    #[cfg(test)]
    fn paths(&self) -> impl Iterator<Item = (&str, Treatment)> {
        self.0.iter().map(|(path, treatment)| (path.as_str(), *treatment))
    }
}

/// What a cluster writes into an object, and a person copies out of it.
const WRITTEN_BY_A_CLUSTER: Treatment = Treatment::Noted("written by a cluster; not read here");

const UNREAD_LABELS: Treatment = Treatment::Noted("nothing in the sandbox reads it");

const NO_API_SERVER: Treatment = Treatment::Noted("the sandbox has no API server that acts on it");
