//! `leaderElections`: who was seen as leader, in which term.

use std::collections::BTreeMap;

use crate::api::{MemberSample, Members, Nanos, Ordinal, Role};
use crate::judge::judgement::Election;
use crate::judge::series::{Measure, Series, Window};

/// Terms older than this many are forgotten by a running run.
const TERMS_KEPT: usize = 1024;

/// Leaders by term.
#[derive(Debug, Clone, Default)]
pub struct Elections {
    /// Each member that was seen as leader of a term, when it was first seen as such. The first one of the run is here,
    /// too, but it is no change.
    seen: Vec<Election>,
    terms: BTreeMap<u64, Vec<Ordinal>>,
    newest_term: Option<u64>,
    first: Option<(Nanos, u64)>,
}

impl Elections {
    pub(super) fn take(&mut self, time: Nanos, members: &Members) {
        for member in &members.members {
            let MemberSample::Answer { role: Role::Leader, term, .. } = member.sample else {
                continue;
            };
            let leaders = self.terms.entry(term).or_default();
            if leaders.contains(&member.ordinal) {
                continue;
            }
            let beside = leaders.first().copied();
            leaders.push(member.ordinal);
            // A leader of an old term that was not seen before tells nothing new, unless its term had another one.
            let is_news = self.newest_term.is_none_or(|newest| term > newest) || beside.is_some();
            if is_news {
                self.first.get_or_insert((time, term));
                self.newest_term = self.newest_term.max(Some(term));
                self.seen.push(Election { at: time, term, leader: member.ordinal, beside });
            }
        }
    }

    /// The first leader that was seen, where nothing was forgotten yet.
    pub fn first(&self) -> Option<&Election> {
        self.seen.first()
    }

    /// Every change of leader or term: the first leader that was seen is none.
    pub fn changes(&self) -> impl Iterator<Item = &Election> {
        self.seen
            .iter()
            .filter(|election| self.first != Some((election.at, election.term)) || election.beside.is_some())
    }

    /// Members that were seen as leaders of a term that had another one.
    pub fn doubled(&self) -> impl Iterator<Item = &Election> {
        self.seen.iter().filter(|election| election.beside.is_some())
    }

    /// When a term's first leader was seen.
    pub fn first_seen(&self, term: u64) -> Option<&Election> {
        self.seen.iter().find(|election| election.term == term)
    }

    pub(super) fn measure(&self, windows: &[Window], looks: &Series) -> Measure {
        let measure = looks.measure(windows);
        let is_in = |election: &&Election| windows.iter().any(|window| window.contains(election.at));
        let count = self.changes().filter(is_in).count() as u64;
        Measure {
            value: (measure.samples > measure.not_sampled).then_some(count),
            lowest: None,
            highest: None,
            ..measure
        }
    }

    pub(super) fn forget(&mut self, before: Nanos) {
        while self.terms.len() > TERMS_KEPT {
            self.terms.pop_first();
        }
        self.seen.retain(|election| election.at >= before || election.beside.is_some());
    }
}
