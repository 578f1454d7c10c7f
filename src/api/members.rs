//! The target as the store's own members see it.

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};

use super::Ordinal;

/// One round of questions to every member.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Members {
    /// One entry for each ordinal of the StatefulSet, by ordinal.
    pub members: Vec<Member>,
}

/// What one member answered, or that it did not.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Member {
    /// Its ordinal.
    pub ordinal: Ordinal,
    /// Its answer.
    pub sample: MemberSample,
}

/// The answer of a member: a value, the target's silence, or our own failure to ask.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum MemberSample {
    /// The member answered.
    Answer {
        /// What it takes itself for.
        role: Role,
        /// The term, epoch or timeline in which it does so.
        term: u64,
        /// The ordinal that it takes for the leader, if any.
        leader: Option<Ordinal>,
        /// How far its state machine is, in the store's own unit (a log index, a revision, bytes).
        position: u64,
        /// The newest heartbeat value that it holds locally, if any.
        heartbeat: Option<u64>,
        /// Whether it has a vote.
        voter: bool,
        /// What its writes need, told by a leader whose store does not vote.
        #[serde(default, skip_serializing_if = "Option::is_none", rename = "writesNeed")]
        writes_need: Option<WriteNeeds>,
    },
    /// It did not answer: the target's doing. Carries the reason.
    Unreachable(String),
    /// We did not ask, or could not: our doing. Carries the reason.
    NotSampled(String),
}

/// Besides the leader itself: who must have a write before it is acknowledged.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct WriteNeeds {
    /// How many.
    pub acknowledgements: u32,
    /// Of these; the leader is none of them.
    pub of: BTreeSet<Ordinal>,
}

/// What a member does in its group.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Role {
    /// Leader, primary, master.
    Leader,
    /// Follower, replica, standby.
    Follower,
    /// Neither: a candidate, or one that is still learning.
    Other,
}

impl Members {
    /// Ordinals that answered with `role`, in order.
    pub fn with_role(&self, role: Role) -> impl Iterator<Item = Ordinal> {
        self.members
            .iter()
            .filter(move |member| matches!(member.sample, MemberSample::Answer { role: found, .. } if found == role))
            .map(|member| member.ordinal)
    }

    /// The leader of the highest term: an old leader that has not noticed yet is not the one.
    pub fn leader(&self) -> Option<Ordinal> {
        self.members
            .iter()
            .filter_map(|member| match member.sample {
                MemberSample::Answer { role: Role::Leader, term, .. } => Some((term, member.ordinal)),
                MemberSample::Answer { .. } | MemberSample::Unreachable(_) | MemberSample::NotSampled(_) => {
                    None
                }
            })
            .max_by_key(|&(term, _)| term)
            .map(|(_, ordinal)| ordinal)
    }
}
