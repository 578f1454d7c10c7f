//! The StatefulSets that an experiment acts on, as they are; what each of them loses by a step, and what its guards say of
//! that.

use std::collections::{BTreeMap, BTreeSet};

use crate::api::Snapshot;
use crate::fault::{Damage, Resolved};
use crate::plan::guard::{Asked, Ruling, Standing};
use crate::plan::{View, Which, losses};

/// What each of them loses.
pub(super) type Losses = BTreeMap<Which, Damage>;

/// All of them.
#[derive(Debug, Clone, Copy)]
pub(super) struct Stage<'a> {
    /// The experiment's own target.
    pub(super) target: View<'a>,
    /// The further ones.
    pub(super) others: &'a [Snapshot],
}

impl<'a> Stage<'a> {
    /// One of them.
    pub(super) fn view(self, which: Option<&str>) -> Result<View<'a>, String> {
        let Some(name) = which else { return Ok(self.target) };
        let found = self.others.iter().find(|other| other.name == name);
        found
            .map(|snapshot| View { snapshot, members: None })
            .ok_or_else(|| format!("there is no StatefulSet {name}"))
    }

    /// What each of them loses by what is done to one.
    pub(super) fn losses(self, which: Option<&str>, resolved: &Resolved) -> Losses {
        let others = self.others.iter().map(|other| (Some(other.name.as_str()), other));
        losses(which, resolved, std::iter::once((None, self.target.snapshot)).chain(others))
    }

    /// What the guards of one of them say of a loss, while so much is `held`.
    pub(super) fn ruling(
        self,
        which: Option<&str>,
        loss: &Damage,
        held: &[&Damage],
        asked: Asked,
    ) -> Option<Ruling> {
        let view = self.view(which).ok()?;
        let standing = Standing::of(view, &BTreeSet::new());
        // Where nothing runs yet everyone is taken for healthy.
        let standing = if view.snapshot.pods.is_empty() { standing.as_if_all_were_up() } else { standing };
        Some(standing.judge(held, loss, asked))
    }

    /// The first of them whose guards are against it.
    pub(super) fn against<'d>(
        self,
        losses: &Losses,
        held: &dyn Fn(&Which) -> Vec<&'d Damage>,
        asked: Asked,
    ) -> Option<Ruling> {
        losses.iter().find_map(|(which, loss)| {
            let ruling = self.ruling(which.as_deref(), loss, &held(which), asked)?;
            (!ruling.holds).then_some(ruling)
        })
    }
}
