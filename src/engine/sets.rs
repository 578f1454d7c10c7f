//! Every StatefulSet of a run: the experiment's own target, which claims and roles are about, and those that steps act on
//! besides. They have the same ordinals, and nothing that is known of one is ever taken for the other.

use std::collections::BTreeMap;
use std::time::Duration;

use super::known::Known;
use crate::api::{Nanos, Ordinal, Snapshot};
use crate::experiment::{Condition, Experiment};
use crate::fault::{Damage, Resolved};
pub(super) use crate::plan::Which;
use crate::plan::losses;

/// What is known of each.
#[derive(Debug)]
pub(super) struct Sets {
    all: BTreeMap<Which, Known>,
}

impl Sets {
    /// Nothing yet, of each one that the experiment names.
    pub(super) fn of(experiment: &Experiment) -> Self {
        let own = (None, Known::new(experiment.target.store.is_some()));
        let others = experiment.other_sets().into_iter();
        let others = others.map(|name| (Some(name.to_owned()), Known::named(name)));
        Self { all: others.chain([own]).collect() }
    }

    /// The experiment's own.
    pub(super) fn own(&self) -> &Known {
        self.get(&None)
    }

    /// The same, to tell it something.
    pub(super) fn own_mut(&mut self) -> &mut Known {
        self.all.entry(None).or_default()
    }

    /// One of them.
    pub(super) fn get(&self, which: &Which) -> &Known {
        self.all.get(which).expect("every set of the experiment is there from the beginning")
    }

    /// All of them.
    pub(super) fn iter(&self) -> impl Iterator<Item = (&Which, &Known)> {
        self.all.iter()
    }

    /// The platform's view of a further one changed.
    pub(super) fn hear_other(&mut self, snapshot: &Snapshot) {
        if let Some(known) = self.all.get_mut(&Some(snapshot.name.clone())) {
            known.hear_pods(snapshot);
        }
    }

    /// See [`Known::took_down`].
    pub(super) fn took_down(&mut self, which: &Which, ordinal: Ordinal, step: &str, now: Nanos) {
        if let Some(known) = self.all.get_mut(which) {
            known.took_down(ordinal, step, now);
        }
    }

    /// See [`Known::notice_healed`].
    pub(super) fn notice_healed(&mut self, now: Nanos, stale: Duration) {
        self.all.values_mut().for_each(|known| known.notice_healed(now, stale));
    }

    /// See [`Known::timers`].
    pub(super) fn timers(&self, stale: Duration) -> impl Iterator<Item = Nanos> {
        self.all.values().flat_map(move |known| known.timers(stale))
    }

    /// Whether all of them are healthy; else what is missing.
    pub(super) fn healthy(&self) -> Result<(), String> {
        self.all.values().try_for_each(Known::healthy)
    }

    /// Whether the condition of a step that acts on one of them is true now: of pods it means those there, all else is the
    /// experiment's own.
    pub(super) fn is_true(&self, which: &Which, step: &str, condition: &Condition) -> bool {
        match condition {
            Condition::Pod { .. } => self.get(which).is_true(step, condition),
            Condition::Role { .. } | Condition::Sli(_) => self.own().is_true(step, condition),
        }
    }

    /// What each of them loses by what is done to one.
    pub(super) fn losses(&self, which: &Which, resolved: &Resolved) -> BTreeMap<Which, Damage> {
        let all = self.all.iter().map(|(which, known)| (which.as_deref(), known.view().snapshot));
        losses(which.as_deref(), resolved, all)
    }
}
