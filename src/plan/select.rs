//! Turns a selection into ordinals, on a view of the target, with the run's seed.
//!
//! A choice is a function of (seed, step, occurrence) and the view. It draws one order of all ordinals and takes every
//! answer from that: whoever asks twice is told the same.

use rand::Rng;

use super::draw::{Purpose, generator};
use crate::api::{Members, Ordinal, Role, Snapshot};
use crate::experiment::{Count, Selection};
use crate::fault::Chooser;

/// The target as the platform and, where a store is named, its own members see it.
#[derive(Debug, Clone, Copy)]
pub struct View<'a> {
    /// As the platform sees it.
    pub snapshot: &'a Snapshot,
    /// As its members see it; nobody asked them where this is `None`.
    pub members: Option<&'a Members>,
}

impl View<'_> {
    /// The pod name that goes with an ordinal.
    pub fn name(&self, ordinal: Ordinal) -> String {
        match self.snapshot.pod(ordinal) {
            Some(pod) => pod.name.clone(),
            None => format!("{}-{ordinal}", self.snapshot.name),
        }
    }

    /// Pod names, as a list for a person.
    pub fn names(&self, ordinals: impl IntoIterator<Item = Ordinal>) -> String {
        let names: Vec<_> = ordinals.into_iter().map(|ordinal| self.name(ordinal)).collect();
        names.join(", ")
    }
}

/// The choices of one occurrence of one step.
#[derive(Debug)]
pub struct Choice<'a> {
    view: View<'a>,
    order: Vec<Ordinal>,
    seed: u32,
}

impl<'a> Choice<'a> {
    /// The choices that `seed` makes for this occurrence of `step`.
    pub fn new(view: View<'a>, seed: u64, step: &str, occurrence: u32) -> Self {
        let mut generator = generator(Purpose::Members, seed, step, occurrence);
        // Keys are sorted by draws instead of being shuffled by the rand crate, whose shuffle may differ from version to
        // version, because a seed must mean the same a year later.
        let mut drawn: Vec<(u64, Ordinal)> =
            view.snapshot.ordinals().map(|ordinal| (generator.next_u64(), ordinal)).collect();
        drawn.sort_unstable();
        let seed = generator.next_u32();
        Self { view, order: drawn.into_iter().map(|(_, ordinal)| ordinal).collect(), seed }
    }

    /// `count` of `eligible`, the first in the drawn order, ascending.
    fn take(&self, count: Count, eligible: &[Ordinal], what: &str) -> Result<Vec<Ordinal>, String> {
        let there = eligible.len() as u32;
        let wanted = count.of(there);
        if wanted == 0 {
            return Err(format!("{count} of {there} {what} is nobody"));
        }
        if wanted > there {
            return Err(format!("asks for {wanted} {what}, but there are {there}"));
        }
        let mut taken: Vec<_> = self
            .order
            .iter()
            .copied()
            .filter(|ordinal| eligible.contains(ordinal))
            .take(wanted as usize)
            .collect();
        taken.sort_unstable();
        Ok(taken)
    }
}

impl Chooser for Choice<'_> {
    fn all(&self) -> Vec<Ordinal> {
        self.view.snapshot.ordinals().collect()
    }

    fn seed(&self) -> u32 {
        self.seed
    }

    fn pick(&mut self, selection: &Selection) -> Result<Vec<Ordinal>, String> {
        let all = self.all();
        match selection {
            Selection::Ordinals(set) => match set.iter().find(|ordinal| !all.contains(ordinal)) {
                Some(stranger) => Err(no_such_ordinal(stranger, &all, &self.view)),
                None => Ok(set.iter().collect()),
            },
            Selection::Role { role, count } => {
                let members = self
                    .view
                    .members
                    .ok_or("nobody tells who has which role: name the store in spec.target.store")?;
                let (eligible, what): (Vec<_>, _) = match role {
                    Role::Leader => (members.leader().into_iter().collect(), "leader"),
                    Role::Follower => (members.with_role(Role::Follower).collect(), "follower"),
                    Role::Other => (members.with_role(Role::Other).collect(), "member without a role"),
                };
                if eligible.is_empty() {
                    return Err(format!("there is no {what} now"));
                }
                self.take(count.unwrap_or(Count::All), &eligible, &format!("{what}s"))
            }
            Selection::Count(count) => self.take(*count, &all, "members"),
        }
    }

    fn shuffled(&mut self) -> Vec<Ordinal> {
        self.order.clone()
    }

    fn leader(&self) -> Option<Ordinal> {
        self.view.members?.leader()
    }

    fn node(&self, ordinal: Ordinal) -> Option<String> {
        let node = &self.view.snapshot.pod(ordinal)?.node;
        (!node.is_empty()).then(|| node.clone())
    }
}

/// Says which ordinals there are.
fn no_such_ordinal(stranger: Ordinal, all: &[Ordinal], view: &View<'_>) -> String {
    match all {
        [] => format!("there is no ordinal {stranger}: {} has no replicas", view.snapshot.name),
        [only] => format!("there is no ordinal {stranger}: the only one is {only}"),
        [first, .., last] => format!("there is no ordinal {stranger}: write {first} to {last}"),
    }
}

#[cfg(test)]
mod tests;
