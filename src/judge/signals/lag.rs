//! `replicationLag`: how far the slowest member is behind the acknowledged heartbeats.
//!
//! A member that holds the newest acknowledged heartbeat has no lag. One that does not is late since the oldest
//! acknowledged one that it lacks. Heartbeat values grow. One that does not answer is as late as its last answer, and by the
//! time since then at most, because it holds what it held: a single answer that comes too late makes nobody late for ever,
//! and long silence does. A member that a fault takes down or cuts off is left out as long as the fault is there, because
//! it is late by intention.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use crate::api::{Member, MemberSample, Members, Nanos, Ordinal};
use crate::judge::series::{Kind, Point, Sample, Series};
use crate::judge::words;

/// Samples of the lag.
#[derive(Debug, Clone)]
pub(super) struct Lag {
    pub(super) series: Series,
    /// Acknowledged heartbeats by value, with the time of their acknowledgement.
    acknowledged: VecDeque<(u64, Nanos)>,
    /// The last answer of each member: when it came, and how late the member was then.
    heard: BTreeMap<Ordinal, (Nanos, Nanos)>,
}

impl Default for Lag {
    fn default() -> Self {
        Self { series: Series::new(Kind::Looks), acknowledged: VecDeque::new(), heard: BTreeMap::new() }
    }
}

impl Lag {
    pub(super) fn acknowledged(&mut self, value: u64, time: Nanos) {
        let place = self.acknowledged.partition_point(|&(known, _)| known < value);
        self.acknowledged.insert(place, (value, time));
    }

    pub(super) fn take(&mut self, time: Nanos, members: &Members, faulted: &BTreeSet<Ordinal>) {
        let is_due = |&(_, acknowledged): &(u64, Nanos)| acknowledged < time;
        if !self.acknowledged.iter().any(is_due) {
            // Nothing was acknowledged yet, so nobody can be late.
            return;
        }
        let mut worst: Option<(Sample, String)> = None;
        for member in &members.members {
            let (sample, why) = self.member(time, member);
            if faulted.contains(&member.ordinal) {
                continue;
            }
            if worst.as_ref().is_none_or(|(known, _)| badness(sample) > badness(*known)) {
                worst = Some((sample, why));
            }
        }
        let (sample, why) =
            worst.unwrap_or_else(|| (Sample::NotSampled, "every member is under a fault".into()));
        self.series.push(Point { at: time, sample, why });
    }

    fn member(&mut self, time: Nanos, member: &Member) -> (Sample, String) {
        let name = member.ordinal;
        match &member.sample {
            MemberSample::Answer { heartbeat, .. } => {
                let first_lacking = heartbeat
                    .map_or(0, |held| self.acknowledged.partition_point(|&(known, _)| known <= held));
                let since = self
                    .acknowledged
                    .get(first_lacking)
                    .map_or(time, |&(_, acknowledged)| acknowledged.min(time));
                let late = time - since;
                self.heard.insert(name, (time, late));
                (Sample::Value(late), format!("member {name} is {} late", words::time(late)))
            }
            MemberSample::Unreachable(why) => {
                let silent = format!("member {name} does not answer: {why}");
                match self.heard.get(&name) {
                    Some(&(heard, late)) => (Sample::Value(late + time.saturating_sub(heard)), silent),
                    None => (Sample::Unreachable, silent),
                }
            }
            MemberSample::NotSampled(why) => {
                (Sample::NotSampled, format!("member {name} was not asked: {why}"))
            }
        }
    }

    pub(super) fn forget(&mut self, before: Nanos) {
        self.series.forget(before);
        // The newest one stays, so that a member without it is still late.
        while self.acknowledged.len() > 1 && self.acknowledged.front().is_some_and(|&(_, time)| time < before)
        {
            self.acknowledged.pop_front();
        }
    }
}

/// Orders samples by how bad they make a round: one that never answered is worse than any late one, and what we failed to ask
/// hides nothing that is known to be bad.
fn badness(sample: Sample) -> (u8, u64) {
    match sample {
        Sample::Value(0) => (0, 0),
        Sample::NotSampled => (1, 0),
        Sample::Value(late) => (2, late),
        Sample::Unreachable => (3, 0),
    }
}
