//! Everything that the parts of the page look at, taken out of the journal once.

use std::collections::BTreeMap;

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
    pub(super) operations: Vec<Operation>,
    pub(super) comeback: Option<Comeback>,
}

impl<'a> Story<'a> {
    pub(super) fn of(journal: &'a Journal, judgement: &'a Judgement) -> Self {
        let facts = Facts::of(journal);
        Self {
            lanes: members::lanes(journal, facts.end),
            operations: operations::all(journal),
            comeback: Comeback::of(journal, &facts),
            journal,
            judgement,
            facts,
        }
    }
}
