//! `quorum`: a majority of the voters answers and agrees on one leader in one term, and that leader answers as leader. In a
//! store that does not vote: a leader answers as leader, and as many as its writes need follow it in its term.

use std::collections::BTreeSet;

use super::ALL;
use crate::api::{Member, MemberSample, Members, Nanos, Ordinal, Role};
use crate::judge::series::{Kind, Point, Sample, Series};

/// Samples of the quorum.
#[derive(Debug, Clone)]
pub(super) struct Quorum {
    pub(super) series: Series,
    /// Every member that ever answered with a vote: a majority is one of them, whoever answers now.
    voters: BTreeSet<Ordinal>,
}

impl Quorum {
    pub(super) fn new(voters: BTreeSet<Ordinal>) -> Self {
        Self { series: Series::new(Kind::Looks), voters }
    }

    pub(super) fn take(&mut self, time: Nanos, members: &Members) {
        self.voters.extend(voters(members));
        let (sample, why) = self.sample(members);
        self.series.push(Point { at: time, sample, why });
    }

    fn sample(&self, members: &Members) -> (Sample, String) {
        if let Some(told) = of_writes(members) {
            return told;
        }
        let voters = self.voters.len();
        let majority = voters / 2 + 1;
        let (mut answering, mut unasked, mut best) = (0, 0, 0);
        for member in &members.members {
            match &member.sample {
                MemberSample::Answer { voter, role, term, .. } => {
                    answering += usize::from(*voter);
                    if *role == Role::Leader {
                        best = usize::max(best, agreeing(members, member.ordinal, *term));
                    }
                }
                MemberSample::Unreachable(_) => {}
                MemberSample::NotSampled(_) => unasked += 1,
            }
        }
        if voters > 0 && best >= majority {
            return (Sample::Value(ALL), String::new());
        }
        let sample = if members.members.is_empty() || answering + unasked >= majority.max(1) && unasked > 0 {
            // Those that we failed to ask could have made the majority.
            Sample::NotSampled
        } else {
            Sample::Value(0)
        };
        let why = if voters == 0 {
            "no member leads".to_owned()
        } else if answering < majority {
            format!("{answering} of {voters} voters answer, {majority} are needed")
        } else if best == 0 {
            format!("{answering} of {voters} voters answer, none leads")
        } else {
            format!("{best} of {voters} voters agree on a leader, {majority} are needed")
        };
        (sample, why)
    }
}

/// Whether enough members follow a leader whose store does not vote; none where nobody is such a leader.
fn of_writes(members: &Members) -> Option<(Sample, String)> {
    let leader = members.leader()?;
    let (needs, term) = members.members.iter().find_map(|member| match &member.sample {
        MemberSample::Answer { writes_need: Some(needs), term, .. } if member.ordinal == leader => {
            Some((needs, *term))
        }
        MemberSample::Answer { .. } | MemberSample::Unreachable(_) | MemberSample::NotSampled(_) => None,
    })?;
    let wanted = needs.acknowledgements as usize;
    let (mut following, mut unasked) = (0, 0);
    for member in members.members.iter().filter(|member| needs.of.contains(&member.ordinal)) {
        following += usize::from(takes_for_leader(member, leader, term));
        unasked += usize::from(matches!(member.sample, MemberSample::NotSampled(_)));
    }
    Some(if following >= wanted {
        (Sample::Value(ALL), String::new())
    } else {
        // Those that we failed to ask could have made it enough.
        let sample = if following + unasked >= wanted { Sample::NotSampled } else { Sample::Value(0) };
        (
            sample,
            format!("{following} of {} members follow the leader, its writes need {wanted}", needs.of.len()),
        )
    })
}

/// How many voters take `leader` for the leader of `term`.
fn agreeing(members: &Members, leader: Ordinal, term: u64) -> usize {
    let agrees = |member: &&Member| {
        matches!(member.sample, MemberSample::Answer { voter: true, .. })
            && takes_for_leader(member, leader, term)
    };
    members.members.iter().filter(agrees).count()
}

fn takes_for_leader(member: &Member, leader: Ordinal, in_term: u64) -> bool {
    match member.sample {
        MemberSample::Answer { leader: seen, term, .. } => seen == Some(leader) && term == in_term,
        MemberSample::Unreachable(_) | MemberSample::NotSampled(_) => false,
    }
}

/// The members that answered with a vote.
pub(in crate::judge) fn voters(members: &Members) -> impl Iterator<Item = Ordinal> {
    members.members.iter().filter_map(|member| match member.sample {
        MemberSample::Answer { voter: true, .. } => Some(member.ordinal),
        MemberSample::Answer { voter: false, .. }
        | MemberSample::Unreachable(_)
        | MemberSample::NotSampled(_) => None,
    })
}
