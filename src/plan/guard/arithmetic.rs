//! The sum behind an answer, in words: `3 voters, 1 already down (etcd-2: unreachable), this takes 1 (etcd-0): 1 of 3 left`.

use std::collections::BTreeSet;
use std::fmt::Write as _;

use super::standing::{Standing, Witness};
use super::{Group, Rule};
use crate::api::Ordinal;
use crate::fault::Damage;

/// What is left of a group, and from whose view.
pub(super) type Reach = (usize, Option<Ordinal>);

impl Standing {
    /// The sum for one group of members.
    pub(super) fn arithmetic(
        &self,
        group: &Group<'_>,
        held: &[&Damage],
        new: Option<&Damage>,
        reach: Reach,
    ) -> String {
        let (reach, center) = reach;
        let all = group.members.len();
        let mut text = group.head();
        let down: Vec<_> = self.down.iter().filter(|(ordinal, _)| group.members.contains(ordinal)).collect();
        if !down.is_empty() {
            let away: Vec<_> =
                down.iter().map(|(ordinal, why)| format!("{}-{ordinal}: {why}", self.set)).collect();
            let _ = write!(text, ", {} already down ({})", down.len(), away.join("; "));
        }
        self.tell_others(group, &mut text);
        let held_down: BTreeSet<_> = held.iter().flat_map(|damage| damage.down.iter()).collect();
        let held_cut: BTreeSet<_> = held.iter().flat_map(|damage| damage.cut.iter()).collect();
        let counted: Vec<_> = held_down
            .iter()
            .filter(|ordinal| !self.down.contains_key(ordinal) && group.members.contains(ordinal))
            .map(|&&ordinal| ordinal)
            .collect();
        if !counted.is_empty() {
            let _ = write!(text, ", {} held down by this run ({})", counted.len(), self.names(&counted));
        }
        if !held_cut.is_empty() {
            let _ = write!(text, ", {} cut by this run", links(held_cut.len()));
        }
        let held_rolling: u32 = held.iter().map(|damage| damage.rolling).sum();
        if held_rolling > 0 {
            let _ = write!(text, ", {held_rolling} at a time taken by this run");
        }
        if let Some(new) = new {
            let taken: Vec<_> = new.down.intersection(group.members).copied().collect();
            let mut parts = Vec::new();
            if new.rolling > 0 {
                parts.push(format!("takes {} at a time", new.rolling));
            }
            if !taken.is_empty() || (new.cut.is_empty() && new.rolling == 0) {
                let names = match taken.as_slice() {
                    [] => String::new(),
                    some => format!(" ({})", self.names(some)),
                };
                parts.push(format!("takes {}{names}", taken.len()));
            }
            if !new.cut.is_empty() {
                parts.push(format!("cuts {}", links(new.cut.len())));
            }
            let _ = write!(text, ", this {}", parts.join(" and "));
        }
        let is_cut_by_others = self.others.iter().any(|other| !other.damage.cut.is_empty());
        let cut = !held_cut.is_empty() || new.is_some_and(|new| !new.cut.is_empty()) || is_cut_by_others;
        match center.filter(|_| cut) {
            Some(center) => {
                let _ = write!(
                    text,
                    ": at most {reach} of {all} reach {} both ways ({}-{center})",
                    group.hub(),
                    self.set
                );
            }
            None => {
                let _ = write!(text, ": {reach} of {all} left");
            }
        }
        text.push_str(&group.tail(&self.set));
        match (group.rule, self.witness) {
            (Rule::Quorum, Witness::Platform) => text.push_str(
                " (members were not asked: every replica counts as a voter, every Ready pod as up)",
            ),
            (Rule::Quorum, Witness::Store) | (Rule::Budget, _) => {}
        }
        text
    }

    /// What other runs do, each by name.
    fn tell_others(&self, group: &Group<'_>, text: &mut String) {
        for other in &self.others {
            let down: Vec<_> = other.damage.down.intersection(group.members).copied().collect();
            let mut parts = Vec::new();
            if !down.is_empty() {
                parts.push(format!("{} held down ({})", down.len(), self.names(&down)));
            }
            if !other.damage.cut.is_empty() {
                parts.push(format!("{} cut", links(other.damage.cut.len())));
            }
            if other.damage.rolling > 0 {
                parts.push(format!("{} at a time taken", other.damage.rolling));
            }
            if !parts.is_empty() {
                let _ = write!(text, ", {} by {}", parts.join(" and "), other.by);
            }
        }
    }

    fn names(&self, ordinals: &[Ordinal]) -> String {
        let names: Vec<_> = ordinals.iter().map(|ordinal| format!("{}-{ordinal}", self.set)).collect();
        names.join(", ")
    }
}

impl Group<'_> {
    fn head(&self) -> String {
        let all = self.members.len();
        match self.rule {
            Rule::Quorum => match self.center {
                None => format!("{all} voter{}", if all == 1 { "" } else { "s" }),
                Some(_) => format!("{all} member{} for writes", if all == 1 { "" } else { "s" }),
            },
            Rule::Budget => format!("{all} pod{} under {}", if all == 1 { "" } else { "s" }, self.name()),
        }
    }

    fn hub(&self) -> &'static str {
        match self.rule {
            Rule::Quorum => "one leader",
            Rule::Budget => "one of them",
        }
    }

    fn tail(&self, set: &str) -> String {
        match self.rule {
            Rule::Quorum => match self.center {
                None => format!(", a majority is {}", self.needs),
                Some(leader) if self.needs == 1 => format!(", writes need {set}-{leader}"),
                Some(leader) => format!(", writes need {set}-{leader} and {} more", self.needs - 1),
            },
            Rule::Budget => format!(", the budget wants {}", self.needs),
        }
    }

    /// Of a budget: its kind and name.
    pub(super) fn name(&self) -> String {
        format!("PodDisruptionBudget {}", self.budget)
    }
}

fn links(count: usize) -> String {
    format!("{count} link{}", if count == 1 { "" } else { "s" })
}
