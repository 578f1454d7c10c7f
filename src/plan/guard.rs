//! The quorum guard: would a fault take more than the group can lose?
//!
//! The group is a graph: voters that are up are its nodes, and two of them are joined when packets pass in **both**
//! directions, because a request without its answer is worth nothing. The group can go on when some voter, itself
//! included, is joined to a majority of all voters: a star, not a clique.
//!
//! Why a star. A Raft candidate wins with votes from a majority, and an entry is committed once its leader has stored
//! it on a majority (Ongaro and Ousterhout, "In Search of an Understandable Consensus Algorithm", 2014, sections 5.2 and
//! 5.3); both are exchanges between *one* member and each of a majority, and followers never talk to each other. So with
//! no star there is no leader, however the members vote: that is what the guard refuses. With a star a leader is
//! possible; whether the store finds it is what an experiment is for ("Omni-Paxos: Breaking the Barriers of Partial
//! Connectivity", EuroSys 2023, shows stores that do not). Asking for a majority that is mutually connected would refuse
//! exactly those experiments. In a ring each member sees a majority: a star, allowed, though no three of five see each
//! other. In a bridge the member in the middle sees everyone: allowed. Two halves of an even group: refused.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;

use serde::{Deserialize, Serialize};

use super::View;
use crate::api::{MemberSample, Ordinal, PodPhase};
use crate::fault::Damage;

/// The field that allows what the guard refuses.
pub const ALLOWED_BY: &str = "spec.guards.allowQuorumLoss: true";

/// Who has a vote, and who of them is away whatever this run does.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Standing {
    set: String,
    voters: BTreeSet<Ordinal>,
    down: BTreeMap<Ordinal, String>,
    witness: Witness,
}

/// Who told.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Witness {
    Store,
    Platform,
}

impl Standing {
    /// What a view shows. A silent member counts as a voter, unless it is one of `learners`: those whose last answer
    /// was that they have no vote. A member that was not asked, by our doing, counts as the platform sees it; so does
    /// everyone where nobody was asked at all.
    pub fn of(view: View<'_>, learners: &BTreeSet<Ordinal>) -> Self {
        let mut standing = Self {
            set: view.snapshot.name.clone(),
            voters: BTreeSet::new(),
            down: BTreeMap::new(),
            witness: match view.members {
                Some(_) => Witness::Store,
                None => Witness::Platform,
            },
        };
        // Who was scaled away is a voter of its store all the same.
        let asked = view.members.iter().flat_map(|members| &members.members).map(|member| member.ordinal);
        let all: BTreeSet<Ordinal> = view.snapshot.ordinals().chain(asked).collect();
        for ordinal in all {
            let sample = view.members.and_then(|members| {
                let member = members.members.iter().find(|member| member.ordinal == ordinal)?;
                Some(&member.sample)
            });
            let (voter, down) = match sample {
                Some(MemberSample::Answer { voter, .. }) => (*voter, gone(view, ordinal)),
                Some(MemberSample::Unreachable(_)) => {
                    (!learners.contains(&ordinal), gone(view, ordinal).or(Some("unreachable")))
                }
                Some(MemberSample::NotSampled(_)) | None => {
                    (!learners.contains(&ordinal), not_ready(view, ordinal))
                }
            };
            if voter {
                standing.voters.insert(ordinal);
                if let Some(why) = down {
                    standing.down.insert(ordinal, why.into());
                }
            }
        }
        standing
    }

    /// The same with one more voter away.
    pub fn without(&mut self, ordinal: Ordinal, why: &str) {
        if self.voters.contains(&ordinal) {
            self.down.entry(ordinal).or_insert_with(|| why.into());
        }
    }

    /// The same with every voter up.
    #[must_use]
    pub fn as_if_all_were_up(self) -> Self {
        Self { down: BTreeMap::new(), ..self }
    }

    /// The smallest number of voters that is more than half of them.
    pub fn majority(&self) -> usize {
        self.voters.len() / 2 + 1
    }

    /// [`Self::widest`] when those that are taken one after the other are the ones that it hurts most. A member that is
    /// away already may be one of them: nobody takes the next one before it is back.
    fn widest_while_rolling(&self, damages: &[&Damage]) -> (usize, Option<Ordinal>) {
        let rolling: usize = damages.iter().map(|damage| damage.rolling as usize).sum();
        let is_held = |ordinal: &Ordinal| damages.iter().any(|damage| damage.down.contains(ordinal));
        let away = self.down.keys().filter(|&ordinal| !is_held(ordinal)).count();
        let mut worst = self.clone();
        let mut found = worst.widest(damages);
        for _ in away..rolling {
            let next =
                self.voters.iter().filter(|&ordinal| !worst.down.contains_key(ordinal) && !is_held(ordinal));
            let taken = next.map(|&ordinal| {
                let mut without = worst.clone();
                without.without(ordinal, "");
                (without.widest(damages), without)
            });
            let Some((least, without)) = taken.min_by_key(|((reach, _), _)| *reach) else {
                break;
            };
            (found, worst) = (least, without);
        }
        found
    }

    /// The largest number of voters that one of them reaches both ways, itself included, and which one that is.
    fn widest(&self, damages: &[&Damage]) -> (usize, Option<Ordinal>) {
        let up: Vec<Ordinal> = self
            .voters
            .iter()
            .copied()
            .filter(|ordinal| !self.down.contains_key(ordinal))
            .filter(|ordinal| !damages.iter().any(|damage| damage.down.contains(ordinal)))
            .collect();
        let open = |from, to| !damages.iter().any(|damage| damage.cut.contains(&(from, to)));
        let reached = |center: Ordinal| {
            up.iter()
                .filter(|&&other| other == center || (open(center, other) && open(other, center)))
                .count()
        };
        up.iter()
            .map(|&center| (reached(center), Some(center)))
            .max_by_key(|&(count, center)| (count, std::cmp::Reverse(center)))
            .unwrap_or((0, None))
    }

    /// Judges what is `held` by this run already together with what is `new`.
    pub fn judge(&self, held: &[&Damage], new: &Damage) -> Ruling {
        let mut all = held.to_vec();
        all.push(new);
        let (reach, center) = self.widest_while_rolling(&all);
        let healthy = self.clone().as_if_all_were_up();
        Ruling {
            holds: reach >= self.majority(),
            would_hold_if_all_were_up: healthy.widest_while_rolling(&all).0 >= self.majority(),
            arithmetic: self.arithmetic(held, Some(new), reach, center),
        }
    }

    /// The sum, in words.
    fn arithmetic(
        &self,
        held: &[&Damage],
        new: Option<&Damage>,
        reach: usize,
        center: Option<Ordinal>,
    ) -> String {
        let voters = self.voters.len();
        let mut text = format!("{voters} voter{}", if voters == 1 { "" } else { "s" });
        if !self.down.is_empty() {
            let away: Vec<_> =
                self.down.iter().map(|(ordinal, why)| format!("{}-{ordinal}: {why}", self.set)).collect();
            let _ = write!(text, ", {} already down ({})", self.down.len(), away.join("; "));
        }
        let held_down: BTreeSet<_> = held.iter().flat_map(|damage| damage.down.iter()).collect();
        let held_cut: BTreeSet<_> = held.iter().flat_map(|damage| damage.cut.iter()).collect();
        let counted: Vec<_> = held_down
            .iter()
            .filter(|ordinal| !self.down.contains_key(ordinal) && self.voters.contains(ordinal))
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
            let taken: Vec<_> = new.down.intersection(&self.voters).copied().collect();
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
        let cut = !held_cut.is_empty() || new.is_some_and(|new| !new.cut.is_empty());
        match center.filter(|_| cut) {
            Some(center) => {
                let _ = write!(
                    text,
                    ": at most {reach} of {voters} reach one leader both ways ({}-{center})",
                    self.set
                );
            }
            None => {
                let _ = write!(text, ": {reach} of {voters} left");
            }
        }
        let _ = write!(text, ", a majority is {}", self.majority());
        match self.witness {
            Witness::Store => {}
            Witness::Platform => text.push_str(
                " (members were not asked: every replica counts as a voter, every Ready pod as up)",
            ),
        }
        text
    }

    fn names(&self, ordinals: &[Ordinal]) -> String {
        let names: Vec<_> = ordinals.iter().map(|ordinal| format!("{}-{ordinal}", self.set)).collect();
        names.join(", ")
    }
}

/// Whether the group still has its majority while this run holds `held`; the reason where it has not. What the run
/// itself takes down is not blamed on the target, and does not count twice. Who is taken one after the other is seen to
/// be away when it is.
pub fn still_holds(standing: &Standing, held: &[&Damage]) -> Result<(), String> {
    let (reach, center) = standing.widest(held);
    if reach >= standing.majority() {
        return Ok(());
    }
    let mut foreign = standing.clone();
    foreign.down.retain(|ordinal, _| !held.iter().any(|damage| damage.down.contains(ordinal)));
    let arithmetic = foreign.arithmetic(held, None, reach, center);
    Err(format!("the fault leaves no quorum any more: {arithmetic}"))
}

/// What the guard says of one fault.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Ruling {
    /// Whether one leader can still reach a majority.
    pub holds: bool,
    /// Whether it could if no voter were down for reasons of its own: then waiting may help.
    pub would_hold_if_all_were_up: bool,
    /// `3 voters, 1 already down (etcd-2: unreachable), this takes 1 (etcd-0): 1 of 3 left, a majority is 2`
    pub arithmetic: String,
}

impl Ruling {
    /// The refusal with the field that allows it.
    pub fn refusal(&self) -> String {
        format!("{}; {ALLOWED_BY} allows it", self.arithmetic)
    }
}

fn links(count: usize) -> String {
    format!("{count} link{}", if count == 1 { "" } else { "s" })
}

/// Why a member whose store answered cannot be counted on all the same. Readiness is not asked: a readiness probe that
/// needs a leader fails everywhere during an election.
fn gone(view: View<'_>, ordinal: Ordinal) -> Option<&'static str> {
    match view.snapshot.pod(ordinal) {
        None => Some("no pod"),
        Some(pod) => match pod.phase {
            PodPhase::Pending => Some("not started"),
            PodPhase::Terminating => Some("terminating"),
            PodPhase::Running => None,
        },
    }
}

/// Why a member that nobody asked cannot be counted on.
fn not_ready(view: View<'_>, ordinal: Ordinal) -> Option<&'static str> {
    gone(view, ordinal).or_else(|| {
        let ready = view.snapshot.pod(ordinal).is_some_and(|pod| pod.ready);
        (!ready).then_some("not ready")
    })
}

#[cfg(test)]
mod tests;
