//! The quorum guard and the budget guard: would a fault take more than the group can lose?
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
//!
//! Some stores do not vote: one member takes every write, and says whose acknowledgement it needs. Then the star's center
//! is that member, and its width is what the writes need. Whether somebody else takes over is not this store's doing, so
//! it is not counted on.
//!
//! PodDisruptionBudgets are asked beside that, with the same arithmetic on the pods that they cover: what is healthy is
//! what one of them still reaches. Where no store says who votes, a budget is the plain answer and takes the place of the
//! majority, because whoever wrote it knew the store. A step that says `budgets: ignore` is not held to them.
//!
//! Everybody counts: members that are down already, what this run holds already, and what the Injections of other runs do
//! to the same pods.

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};

use crate::api::Ordinal;
use crate::experiment::{Guards, Step, Work};
use crate::fault::Damage;

mod arithmetic;
mod reach;
mod standing;

use standing::Witness;
pub use standing::{Standing, Writes};

/// The field that allows what the quorum guard refuses.
pub const ALLOWED_BY: &str = "spec.guards.allowQuorumLoss: true";

/// The field that allows what the budget guard refuses.
pub const BUDGETS_IGNORED_BY: &str = "budgets: ignore in the step";

/// Which of the guards a step is held to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Asked {
    /// Whether a majority must be left.
    pub quorum: bool,
    /// Whether PodDisruptionBudgets must be kept.
    pub budgets: bool,
}

impl Asked {
    /// What these guards ask of a step that does this.
    pub fn of(guards: &Guards, step: &Step, work: &Work) -> Self {
        Self { quorum: !guards.allow_quorum_loss, budgets: !step.ignores_budgets(work) }
    }
}

/// Which guard speaks.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Rule {
    /// A majority of voters must be left.
    #[default]
    Quorum,
    /// A PodDisruptionBudget must be kept.
    Budget,
}

/// Members of whom some must be left.
struct Group<'a> {
    rule: Rule,
    members: &'a BTreeSet<Ordinal>,
    needs: usize,
    /// The member that has to be one of them and reach the others, where no other can.
    center: Option<Ordinal>,
    /// The name of the budget; empty for the quorum.
    budget: &'a str,
}

/// What the guards say of one fault.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Ruling {
    /// Whether enough is left.
    pub holds: bool,
    /// Whether it would be if no member were down for reasons of its own or of others: then waiting may help.
    pub would_hold_if_all_were_up: bool,
    /// Which guard it is.
    #[serde(default, skip_serializing_if = "is_quorum")]
    pub rule: Rule,
    /// `3 voters, 1 already down (etcd-2: unreachable), this takes 1 (etcd-0): 1 of 3 left, a majority is 2`
    pub arithmetic: String,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde calls it with a reference")]
fn is_quorum(rule: &Rule) -> bool {
    *rule == Rule::Quorum
}

impl Ruling {
    /// The refusal with the field that allows it.
    pub fn refusal(&self) -> String {
        let allowed_by = match self.rule {
            Rule::Quorum => ALLOWED_BY,
            Rule::Budget => BUDGETS_IGNORED_BY,
        };
        format!("{}; {allowed_by} allows it", self.arithmetic)
    }
}

impl Standing {
    fn quorum(&self) -> Group<'_> {
        let (members, needs, center) = match &self.writes {
            Some(writes) => (&writes.members, writes.needs, Some(writes.leader)),
            None => (&self.voters, self.majority(), None),
        };
        Group { rule: Rule::Quorum, members, needs, center, budget: "" }
    }

    /// The groups of whom enough must be left. A budget speaks for a store that nobody can ask.
    fn groups(&self, asked: Asked) -> Vec<Group<'_>> {
        let is_told_by_budgets =
            self.witness == Witness::Platform && asked.budgets && !self.budgets.is_empty();
        let quorum = (asked.quorum && !is_told_by_budgets).then(|| self.quorum());
        let budgets = self.budgets.iter().filter(|_| asked.budgets).map(|budget| Group {
            rule: Rule::Budget,
            members: &budget.covers,
            needs: budget.wants as usize,
            center: None,
            budget: &budget.name,
        });
        quorum.into_iter().chain(budgets).collect()
    }

    /// Judges what is `held` by this run already together with what is `new`.
    pub fn judge(&self, held: &[&Damage], new: &Damage, asked: Asked) -> Ruling {
        let now = self.for_something_new();
        let undisturbed = self.undisturbed();
        let mut ours = held.to_vec();
        ours.push(new);
        let all = now.with_others(&ours);
        let rule = |group: &Group<'_>| {
            let reach = now.widest_while_rolling(group, &all);
            let at_best = undisturbed.widest_while_rolling(group, &ours).0;
            Ruling {
                holds: reach.0 >= group.needs,
                would_hold_if_all_were_up: at_best >= group.needs,
                rule: group.rule,
                arithmetic: now.arithmetic(group, held, Some(new), reach),
            }
        };
        let rulings: Vec<Ruling> = now.groups(asked).iter().map(rule).collect();
        let against = rulings.iter().find(|ruling| !ruling.holds).or(rulings.first()).cloned();
        against.unwrap_or_else(|| Ruling {
            holds: true,
            would_hold_if_all_were_up: true,
            ..rule(&now.quorum())
        })
    }
}

/// Whether enough is left while this run holds `held`; the reason where it is not. What the run itself takes down is not
/// blamed on the target, and does not count twice. Who is taken one after the other is seen to be away when it is.
pub fn still_holds(standing: &Standing, held: &[&Damage], asked: Asked) -> Result<(), String> {
    let all = standing.with_others(held);
    for group in standing.groups(asked) {
        let reach = standing.widest(&group, &all);
        if reach.0 >= group.needs {
            continue;
        }
        let mut foreign = standing.clone();
        foreign.down.retain(|ordinal, _| !held.iter().any(|damage| damage.down.contains(ordinal)));
        let arithmetic = foreign.arithmetic(&group, held, None, reach);
        return Err(match group.rule {
            Rule::Quorum => format!("the fault leaves no quorum any more: {arithmetic}"),
            Rule::Budget => {
                format!("the fault leaves less than {} wants: {arithmetic}", group.name())
            }
        });
    }
    Ok(())
}

#[cfg(test)]
mod tests;
