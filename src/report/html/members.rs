//! What each member was over time: what it took itself for, whether its pod was Ready, when it was restarted.

use std::collections::{BTreeMap, BTreeSet};

use crate::api::{MemberSample, Members, Nanos, Ordinal, Pod, PodPhase, Role, Snapshot};
use crate::journal::entry::{Entry, Input};
use crate::journal::read::Journal;
use crate::judge::facts::{Facts, Occurrence};
use crate::judge::series::SILENCE;

/// A time in which something was as it is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Span<T> {
    pub(super) from: Nanos,
    pub(super) to: Nanos,
    pub(super) what: T,
}

/// What a member answered about itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Part {
    /// It leads.
    Leads { term: u64 },
    /// It takes itself for the leader, while another member leads a later term.
    LedBefore { term: u64, now: Ordinal },
    /// It follows somebody, or nobody that it knows.
    Follows { term: u64, leader: Option<Ordinal> },
    /// It is a candidate, or still learning.
    Neither { term: u64 },
    /// It did not answer.
    Silent,
    /// It was not asked.
    NotAsked,
}

/// How a member's pod stood.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum PodState {
    Ready,
    NotReady(PodPhase),
    Gone,
}

/// Something that happened to a pod at one moment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum PodEvent {
    /// A container was started again; so often altogether.
    Restarted(u32),
    /// It is another pod than before.
    Replaced,
}

/// One member's life.
#[derive(Debug, Clone, Default)]
pub(super) struct Lane {
    pub(super) name: String,
    pub(super) parts: Vec<Span<Part>>,
    pub(super) pod: Vec<Span<PodState>>,
    pub(super) events: Vec<(Nanos, PodEvent)>,
    last: Option<(String, u32)>,
}

impl Lane {
    /// Whether anything ever changed, after the pod was Ready for the first time.
    pub(super) fn changes(&self) -> usize {
        self.parts.len() + self.pod.len() + self.events.len()
    }

    fn part(&mut self, at: Nanos, part: Part) {
        // Looks that are too far apart say nothing about the time between them.
        match self.parts.last_mut() {
            Some(last) if at.saturating_sub(last.to) <= SILENCE => {
                last.to = at;
                if last.what != part {
                    self.parts.push(Span { from: at, to: at, what: part });
                }
            }
            Some(_) | None => self.parts.push(Span { from: at, to: at, what: part }),
        }
    }

    /// What was seen last was so to the end.
    fn end(&mut self, end: Nanos) {
        if let Some(last) = self.pod.last_mut() {
            last.to = end;
        }
        if let Some(last) = self.parts.last_mut() {
            last.to = last.to.saturating_add(SILENCE / 10).min(end).max(last.from);
        }
    }

    fn saw(&mut self, at: Nanos, pod: Option<&Pod>) {
        let state = match pod {
            None => PodState::Gone,
            Some(pod) if pod.ready => PodState::Ready,
            Some(pod) => PodState::NotReady(pod.phase),
        };
        match self.pod.last_mut() {
            Some(last) if last.what == state => last.to = at,
            last => {
                if let Some(last) = last {
                    last.to = at;
                }
                self.pod.push(Span { from: at, to: at, what: state });
            }
        }
        let Some(pod) = pod else { return };
        self.name.clone_from(&pod.name);
        let restarts = pod.containers.iter().map(|container| container.restarts).sum();
        match &self.last {
            Some((uid, _)) if *uid != pod.uid => self.events.push((at, PodEvent::Replaced)),
            Some((_, known)) if restarts > *known => self.events.push((at, PodEvent::Restarted(restarts))),
            Some(_) | None => {}
        }
        self.last = Some((pod.uid.clone(), restarts));
    }
}

/// The lives of those pods of further StatefulSets that faults hit: each by its StatefulSet and its ordinal.
pub(super) fn other_lanes(journal: &Journal, facts: &Facts) -> BTreeMap<(String, Ordinal), Lane> {
    let whom = |occurrence: &Occurrence| {
        let hit = occurrence.members.iter().chain(&occurrence.affected).copied();
        hit.collect::<BTreeSet<Ordinal>>()
    };
    let elsewhere = facts.occurrences.iter().filter_map(|found| Some((found.set.clone()?, whom(found))));
    let mut lanes: BTreeMap<(String, Ordinal), Lane> = BTreeMap::new();
    for (set, hit) in elsewhere {
        for ordinal in hit {
            let name = format!("{set}-{ordinal}");
            lanes.entry((set.clone(), ordinal)).or_insert_with(|| Lane { name, ..Lane::default() });
        }
    }
    let told = journal.lines.iter().filter_map(|line| match &line.entry {
        Entry::Input(Input::OtherPods(snapshot)) => Some((line.time, snapshot)),
        Entry::Header(_) | Entry::Input(_) | Entry::Effect { .. } | Entry::FinalRead { .. } => None,
    });
    for (at, snapshot) in journal.header.others.iter().map(|other| (0, other)).chain(told) {
        for ((_, ordinal), lane) in lanes.iter_mut().filter(|((set, _), _)| *set == snapshot.name) {
            lane.saw(at, snapshot.pod(*ordinal));
        }
    }
    for lane in lanes.values_mut() {
        lane.end(facts.end);
    }
    lanes
}

/// Every member's life, by ordinal.
pub(super) fn lanes(journal: &Journal, end: Nanos) -> BTreeMap<Ordinal, Lane> {
    let target = &journal.header.target;
    let name = |ordinal| Lane { name: format!("{}-{ordinal}", target.name), ..Lane::default() };
    let mut lanes: BTreeMap<Ordinal, Lane> =
        target.ordinals().map(|ordinal| (ordinal, name(ordinal))).collect();
    let mut saw = |at, snapshot: &Snapshot| {
        for ordinal in snapshot.ordinals() {
            lanes.entry(ordinal).or_insert_with(|| name(ordinal));
        }
        for (&ordinal, lane) in &mut lanes {
            lane.saw(at, snapshot.pod(ordinal));
        }
    };
    saw(0, target);
    for line in &journal.lines {
        if let Entry::Input(Input::Pods(snapshot)) = &line.entry {
            saw(line.time, snapshot);
        }
    }
    for line in &journal.lines {
        if let Entry::Input(Input::Members(members)) = &line.entry {
            for (ordinal, part) in parts(members) {
                lanes.entry(ordinal).or_insert_with(|| name(ordinal)).part(line.time, part);
            }
        }
    }
    for lane in lanes.values_mut() {
        lane.end(end);
    }
    lanes
}

/// What each member of one look is.
fn parts(members: &Members) -> impl Iterator<Item = (Ordinal, Part)> {
    let newest = members.leader();
    members.members.iter().map(move |member| {
        let part = match &member.sample {
            MemberSample::Answer { role: Role::Leader, term, .. } => match newest {
                Some(now) if now != member.ordinal => Part::LedBefore { term: *term, now },
                Some(_) | None => Part::Leads { term: *term },
            },
            MemberSample::Answer { role: Role::Follower, term, leader, .. } => {
                Part::Follows { term: *term, leader: *leader }
            }
            MemberSample::Answer { role: Role::Other, term, .. } => Part::Neither { term: *term },
            MemberSample::Unreachable(_) => Part::Silent,
            MemberSample::NotSampled(_) => Part::NotAsked,
        };
        (member.ordinal, part)
    })
}
