//! `replicationLag`: how far the slowest member is behind the acknowledged heartbeats.
//!
//! A member that holds the newest acknowledged heartbeat has no lag. One that does not is late since the oldest
//! acknowledged one that it lacks. Heartbeat values grow. One that does not answer is as late as its last answer, and by the
//! time since then at most, because it holds what it held: a single answer that comes too late makes nobody late for ever,
//! and long silence does. Where no heartbeat was begun for long, by our doing, nobody knows whether a member that holds the
//! newest one is late. A member that a fault takes down or cuts off is left out as long as the fault is there, because
//! it is late by intention; members that faults hit otherwise are left out where a budget asks for that.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use crate::api::{Member, MemberSample, Members, Nanos, Ordinal};
use crate::judge::series::{Kind, Point, Sample, Series, Window};
use crate::judge::signals::{ALL, Whose};
use crate::judge::words;

/// Samples of the lag.
#[derive(Debug, Clone)]
pub(super) struct Lag {
    series: Series,
    /// Without members that faults have.
    unfaulted: Series,
    /// When heartbeats were begun.
    beats: Series,
    /// Acknowledged heartbeats by value, with the time of their acknowledgement.
    acknowledged: VecDeque<(u64, Nanos)>,
    /// The last answer of each member: when it came, and how late the member was then.
    heard: BTreeMap<Ordinal, (Nanos, Nanos)>,
}

impl Default for Lag {
    fn default() -> Self {
        Self {
            series: Series::new(Kind::Looks),
            unfaulted: Series::new(Kind::Looks),
            beats: Series::new(Kind::Looks),
            acknowledged: VecDeque::new(),
            heard: BTreeMap::new(),
        }
    }
}

impl Lag {
    /// A heartbeat is being written, whatever comes of it.
    pub(super) fn begun(&mut self, time: Nanos) {
        self.beats.push(Point { at: time, sample: Sample::Value(ALL), why: String::new() });
    }

    pub(super) fn acknowledged(&mut self, value: u64, time: Nanos) {
        let place = self.acknowledged.partition_point(|&(known, _)| known < value);
        self.acknowledged.insert(place, (value, time));
    }

    pub(super) fn of(&self, whose: Whose) -> &Series {
        match whose {
            Whose::Everybody => &self.series,
            Whose::Unfaulted => &self.unfaulted,
        }
    }

    /// A round of questions, while faults have `lost` members, and `had` others besides.
    pub(super) fn take(
        &mut self,
        time: Nanos,
        members: &Members,
        lost: &BTreeSet<Ordinal>,
        had: &BTreeSet<Ordinal>,
    ) {
        let is_due = |&(_, acknowledged): &(u64, Nanos)| acknowledged < time;
        if !self.acknowledged.iter().any(is_due) {
            // Nothing was acknowledged yet, so nobody can be late.
            return;
        }
        let samples: Vec<_> =
            members.members.iter().map(|member| (member.ordinal, self.member(time, member))).collect();
        let is_beating = self.beats.measure(&[Window::new(time, time.saturating_add(1))]).unknown_time == 0;
        let known = |point: Point| match point.sample {
            Sample::Value(0) if !is_beating => {
                Point { sample: Sample::NotSampled, why: "no heartbeat was written".into(), ..point }
            }
            Sample::Value(_) | Sample::Unreachable | Sample::NotSampled => point,
        };
        self.series.push(known(worst(time, &samples, lost)));
        self.unfaulted.push(known(worst(time, &samples, had)));
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
        self.unfaulted.forget(before);
        self.beats.forget(before);
        // The newest one stays, so that a member without it is still late.
        while self.acknowledged.len() > 1 && self.acknowledged.front().is_some_and(|&(_, time)| time < before)
        {
            self.acknowledged.pop_front();
        }
    }
}

/// The worst sample of all members but those that are left out.
fn worst(time: Nanos, samples: &[(Ordinal, (Sample, String))], left_out: &BTreeSet<Ordinal>) -> Point {
    let mut worst: Option<&(Sample, String)> = None;
    for (_, told) in samples.iter().filter(|(ordinal, _)| !left_out.contains(ordinal)) {
        if worst.is_none_or(|known| badness(told.0) > badness(known.0)) {
            worst = Some(told);
        }
    }
    let (sample, why) =
        worst.cloned().unwrap_or_else(|| (Sample::NotSampled, "every member is under a fault".into()));
    Point { at: time, sample, why }
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
