//! Who there is, who is away whatever this run does, and what others ask and do.

use std::collections::{BTreeMap, BTreeSet};

use crate::api::{DisruptionBudget, MemberSample, Members, Ordinal, PodPhase};
use crate::fault::Damage;
use crate::plan::View;

/// Who has a vote, who is away whatever this run does, and what others do to the group.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Standing {
    pub(super) set: String,
    pub(super) voters: BTreeSet<Ordinal>,
    /// What writes need, where the store does not vote.
    pub(super) writes: Option<Writes>,
    /// Members that are away, with the reason; also those without a vote.
    pub(super) down: BTreeMap<Ordinal, String>,
    /// Members that answer, and whose pods are not Ready all the same.
    pub(super) unready: BTreeSet<Ordinal>,
    pub(super) others: Vec<Other>,
    pub(super) budgets: Vec<DisruptionBudget>,
    pub(super) witness: Witness,
}

/// What the writes of a store that does not vote need.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Writes {
    pub(super) leader: Ordinal,
    /// The leader and whoever may acknowledge.
    pub(super) members: BTreeSet<Ordinal>,
    /// How many of them.
    pub(super) needs: usize,
}

impl Writes {
    /// What the leader says of it; none where nobody leads, or where members vote. Whoever it waits for without being a
    /// member is not counted on.
    pub fn told(members: &Members) -> Option<Self> {
        let leader = members.leader()?;
        let is_member = |ordinal: &Ordinal| members.members.iter().any(|member| member.ordinal == *ordinal);
        members.members.iter().find(|member| member.ordinal == leader).and_then(|member| {
            match &member.sample {
                MemberSample::Answer { writes_need, .. } => writes_need.as_ref().map(|need| Self {
                    leader,
                    members: need.of.iter().copied().filter(is_member).chain([leader]).collect(),
                    needs: need.acknowledgements as usize + 1,
                }),
                MemberSample::Unreachable(_) | MemberSample::NotSampled(_) => None,
            }
        })
    }
}

/// What somebody else does to the group.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Other {
    /// Who, in words.
    pub(super) by: String,
    pub(super) damage: Damage,
}

/// Who told.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Witness {
    Store,
    Platform,
}

impl Standing {
    /// What a view shows. A silent member counts as a voter, unless it is one of `learners`: those whose last answer
    /// was that they have no vote. A member that was not asked, by our doing, counts as the platform sees it; so does
    /// everyone where nobody was asked at all.
    pub fn of(view: View<'_>, learners: &BTreeSet<Ordinal>) -> Self {
        let others = view.snapshot.disturbances.iter().map(|disturbance| Other {
            by: disturbance.by.clone(),
            damage: Damage {
                down: disturbance.down.clone(),
                cut: disturbance.cut.clone(),
                rolling: disturbance.rolling,
            },
        });
        let mut standing = Self {
            set: view.snapshot.name.clone(),
            voters: BTreeSet::new(),
            writes: view.members.and_then(Writes::told),
            down: BTreeMap::new(),
            unready: BTreeSet::new(),
            others: others.collect(),
            budgets: view.snapshot.budgets.clone(),
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
            }
            match down {
                Some(why) => {
                    standing.down.insert(ordinal, why.into());
                }
                None if not_ready(view, ordinal).is_some() => {
                    standing.unready.insert(ordinal);
                }
                None => {}
            }
        }
        standing
    }

    /// The same where a leader that is silent now has said this before.
    #[must_use]
    pub fn remembering(self, writes: Option<&Writes>) -> Self {
        Self { writes: self.writes.or_else(|| writes.cloned()), ..self }
    }

    /// The same with one more member away.
    pub fn without(&mut self, ordinal: Ordinal, why: &str) {
        self.down.entry(ordinal).or_insert_with(|| why.into());
    }

    /// The same with every member up.
    #[must_use]
    pub fn as_if_all_were_up(self) -> Self {
        Self { down: BTreeMap::new(), unready: BTreeSet::new(), ..self }
    }

    /// The same where nobody else does anything, and every member is up.
    pub(super) fn undisturbed(&self) -> Self {
        Self { others: Vec::new(), ..self.clone().as_if_all_were_up() }
    }

    /// For something new: a member that answers without being Ready is not counted on. While a fault lasts it is, because
    /// a readiness probe that needs a leader fails everywhere during an election.
    pub(super) fn for_something_new(&self) -> Self {
        let mut strict = self.clone();
        for &ordinal in &self.unready {
            strict.without(ordinal, "not ready");
        }
        strict
    }

    /// The smallest number of voters that is more than half of them.
    pub fn majority(&self) -> usize {
        self.voters.len() / 2 + 1
    }

    /// What others do, with what this run does.
    pub(super) fn with_others<'a>(&'a self, damages: &[&'a Damage]) -> Vec<&'a Damage> {
        damages.iter().copied().chain(self.others.iter().map(|other| &other.damage)).collect()
    }
}

/// Why a member whose store answered cannot be counted on all the same.
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
