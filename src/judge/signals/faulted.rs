//! Whom the run's faults have, from each decision to its verified end.

use std::collections::{BTreeMap, BTreeSet};

use crate::api::Ordinal;
use crate::fault::Damage;
use crate::judge::affected;

/// The faults that are there.
#[derive(Debug, Clone, Default)]
pub(super) struct Faulted {
    faults: BTreeMap<(String, u32), Fault>,
}

#[derive(Debug, Clone)]
struct Fault {
    members: Vec<Ordinal>,
    damage: Damage,
}

impl Faulted {
    pub(super) fn begin(&mut self, step: &str, occurrence: u32, members: &[Ordinal], damage: &Damage) {
        let fault = Fault { members: members.to_vec(), damage: damage.clone() };
        self.faults.insert((step.to_owned(), occurrence), fault);
    }

    pub(super) fn end(&mut self, step: &str, occurrence: u32) {
        self.faults.remove(&(step.to_owned(), occurrence));
    }

    /// Those of all members that are down or cut off by faults.
    pub(super) fn lost(&self, all: &BTreeSet<Ordinal>) -> BTreeSet<Ordinal> {
        let damages: Vec<&Damage> = self.faults.values().map(|fault| &fault.damage).collect();
        affected::members(all, &damages)
    }

    /// Those that faults have: whom they take away, and whom they hit where that is nobody. Of those that are taken one
    /// after the other nobody knows which one it is: none.
    pub(super) fn had(&self, all: &BTreeSet<Ordinal>) -> BTreeSet<Ordinal> {
        let mut had = self.lost(all);
        for fault in self.faults.values().filter(|fault| fault.damage.rolling == 0) {
            if affected::members(all, &[&fault.damage]).is_empty() {
                had.extend(&fault.members);
            }
        }
        had
    }
}
