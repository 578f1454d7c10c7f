//! Everything that the parts of the page look at, taken out of the journal once.

use std::collections::{BTreeMap, BTreeSet};

use super::members::{self, Lane};
use super::operations::{self, Operation};
use crate::api::Ordinal;
use crate::journal::read::Journal;
use crate::judge::comeback::Comeback;
use crate::judge::facts::Facts;
use crate::judge::judgement::Judgement;

/// A run.
pub(super) struct Story<'a> {
    pub(super) journal: &'a Journal,
    pub(super) judgement: &'a Judgement,
    pub(super) facts: Facts,
    pub(super) lanes: BTreeMap<Ordinal, Lane>,
    /// Of pods of further StatefulSets that faults hit.
    pub(super) other_lanes: BTreeMap<(String, Ordinal), Lane>,
    pub(super) operations: Vec<Operation>,
    pub(super) comeback: Option<Comeback>,
}

impl<'a> Story<'a> {
    /// Whether members were asked what they are; of a target without a store nobody is.
    pub(super) fn was_anybody_asked(&self) -> bool {
        self.lanes.values().any(|lane| !lane.parts.is_empty())
    }

    /// What is said of a part of the recovery that members did not tell.
    pub(super) fn not_seen(&self) -> &'static str {
        if self.was_anybody_asked() { "not seen" } else { "no member was asked" }
    }

    /// The further StatefulSets that faults hit, in words; none where they hit none.
    pub(super) fn elsewhere(&self) -> Option<String> {
        let sets = self.facts.occurrences.iter().filter_map(|occurrence| occurrence.set.as_deref());
        let sets: BTreeSet<&str> = sets.collect();
        (!sets.is_empty()).then(|| sets.into_iter().collect::<Vec<_>>().join(" and "))
    }

    pub(super) fn of(journal: &'a Journal, judgement: &'a Judgement) -> Self {
        let facts = Facts::of(journal);
        Self {
            lanes: members::lanes(journal, facts.end),
            other_lanes: members::other_lanes(journal, &facts),
            operations: operations::all(journal),
            comeback: Comeback::of(journal, &facts),
            journal,
            judgement,
            facts,
        }
    }
}
