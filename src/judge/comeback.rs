//! How the target came back after the last fault, part by part: every fault reverted, then every pod Ready, then every
//! member in the group again, then every member caught up.
//!
//! Each part is the first moment, not before that of the part before it, from which something holds without a break for
//! [`STABLE_FOR`]; of pods, or until the record ends, because a run that waits for nothing else ends as soon as they are
//! Ready. A part that is not on record is none, and so are those after it: nothing is guessed. All of it is told by what
//! the platform and the members said, whatever the hypotheses ask.

use std::collections::BTreeSet;
use std::iter;

use super::defaults::STABLE_FOR;
use super::facts::Facts;
use super::limits::nanos;
use super::series::SILENCE;
use crate::api::{MemberSample, Members, Nanos, Snapshot};
use crate::journal::entry::{Entry, Input, Phase};
use crate::journal::read::Journal;

/// The moments at which the parts of a recovery were over.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Comeback {
    /// The last revert was verified.
    pub reverted: Nanos,
    /// Every pod was Ready.
    pub ready: Option<Nanos>,
    /// Every member answered, and all of them named the same leader in the same term.
    pub rejoined: Option<Nanos>,
    /// Every member had, at each look, what any member had at the look before.
    pub caught_up: Option<Nanos>,
    /// Beside these parts: every pod was Ready of the further StatefulSets that faults hit; the last revert where they hit
    /// none.
    pub elsewhere: Option<Nanos>,
}

/// Something that is true or not from a moment on.
type Look = (Nanos, bool);

impl Comeback {
    /// The parts; none where nothing was broken, or where the end of a fault is not on record.
    pub fn of(journal: &Journal, facts: &Facts) -> Option<Self> {
        let reverted = last_revert(facts)?;
        let until = over(facts);
        let members = looks_at_members(journal);
        let ready = back(journal, None, reverted, until);
        let rejoined = ready.and_then(|ready| {
            let looks: Vec<Look> = members.iter().map(|(at, members)| (*at, agree(members))).collect();
            first_stable(&looks, ready, until, Some(SILENCE))
        });
        let caught_up = rejoined.and_then(|rejoined| {
            let looks: Vec<Look> = members
                .windows(2)
                .map(|pair| (pair[1].0, lowest(pair[1].1).is_some_and(|lowest| lowest >= highest(pair[0].1))))
                .collect();
            first_stable(&looks, rejoined, until, Some(SILENCE))
        });
        let elsewhere = further(facts)
            .into_iter()
            .try_fold(reverted, |latest, set| Some(latest.max(back(journal, Some(set), reverted, until)?)));
        Some(Self { reverted, ready, rejoined, caught_up, elsewhere })
    }
}

/// Of the target and each further StatefulSet that faults hit, those whose pods were not all Ready again after the last
/// revert, in words. Their faults were taken back; what is missing is what they did not do by themselves.
pub fn not_back(journal: &Journal, facts: &Facts) -> Vec<String> {
    let Some(reverted) = last_revert(facts) else { return Vec::new() };
    let until = over(facts);
    let sets = iter::once(None).chain(further(facts).into_iter().map(Some));
    let away = sets.filter(|set| back(journal, *set, reverted, until).is_none());
    let told = away.filter_map(|set| {
        let (_, last) = snapshots(journal, set).filter(|(at, _)| *at <= until).last()?;
        let why = last.why_not_ready().map(|why| format!(": {why}")).unwrap_or_default();
        let (ready, replicas, name) = (last.ready(), last.replicas, &last.name);
        Some(format!("only {ready} of {replicas} pods of {name} were Ready when the record ended{why}"))
    });
    told.collect()
}

/// When the last fault was over; none where nothing was broken, or where the end of one is not on record.
fn last_revert(facts: &Facts) -> Option<Nanos> {
    let ends: Option<Vec<Nanos>> = facts.occurrences.iter().map(|occurrence| occurrence.ended).collect();
    ends?.into_iter().max()
}

/// When nothing more was looked at.
fn over(facts: &Facts) -> Nanos {
    facts.entered(Phase::Judged).or(facts.finished).unwrap_or(facts.end)
}

/// The further StatefulSets that faults hit.
fn further(facts: &Facts) -> BTreeSet<&str> {
    facts.occurrences.iter().filter_map(|occurrence| occurrence.set.as_deref()).collect()
}

/// When every pod of the target was Ready again, or of a further StatefulSet.
///
/// Whoever is told of changes and is told of none until the end is told of none after it. What comes of it is for the
/// reader: no claim is judged by a moment that is so late.
fn back(journal: &Journal, set: Option<&str>, reverted: Nanos, until: Nanos) -> Option<Nanos> {
    first_stable(&looks_at_pods(journal, set), reverted, until.saturating_add(nanos(STABLE_FOR)), None)
}

/// The first moment from `from` on from which every look says yes for [`STABLE_FOR`]. What is looked at from time to time
/// says nothing beyond `silence`; what is told when it changes stays as it is.
fn first_stable(looks: &[Look], from: Nanos, until: Nanos, silence: Option<Nanos>) -> Option<Nanos> {
    let mut since: Option<Nanos> = None;
    let mut last: Option<Nanos> = None;
    let stable = nanos(STABLE_FOR);
    for &(at, holds) in looks.iter().filter(|(at, _)| *at <= until) {
        if let (Some(before), Some(last)) = (since, last) {
            let known = silence.map_or(at, |silence| at.min(last.saturating_add(silence)));
            if known.saturating_sub(before.max(from)) >= stable && known > from {
                return Some(before.max(from));
            }
            if known < at {
                since = None;
            }
        }
        since = if holds { since.or(Some(at)) } else { None };
        last = Some(at);
    }
    let known = silence.map_or(until, |_| last.unwrap_or(0));
    since.map(|since| since.max(from)).filter(|&since| known.saturating_sub(since) >= stable)
}

/// Whether every pod of the target is Ready, or of a further StatefulSet.
fn looks_at_pods(journal: &Journal, set: Option<&str>) -> Vec<Look> {
    let all_ready =
        |snapshot: &Snapshot| snapshot.replicas > 0 && snapshot.ready() == snapshot.replicas as usize;
    snapshots(journal, set).map(|(at, snapshot)| (at, all_ready(snapshot))).collect()
}

/// The pods of the target, or of a further StatefulSet, whenever they were told.
fn snapshots<'a>(journal: &'a Journal, set: Option<&'a str>) -> impl Iterator<Item = (Nanos, &'a Snapshot)> {
    let first = match set {
        None => Some(&journal.header.target),
        Some(name) => journal.header.others.iter().find(|other| other.name == name),
    };
    let told = journal.lines.iter().filter_map(move |line| match (&line.entry, set) {
        (Entry::Input(Input::Pods(snapshot)), None) => Some((line.time, snapshot)),
        (Entry::Input(Input::OtherPods(snapshot)), Some(name)) if snapshot.name == name => {
            Some((line.time, snapshot))
        }
        (Entry::Header(_) | Entry::Input(_) | Entry::Effect { .. } | Entry::FinalRead { .. }, _) => None,
    });
    first.map(|snapshot| (0, snapshot)).into_iter().chain(told)
}

fn looks_at_members(journal: &Journal) -> Vec<(Nanos, &Members)> {
    let told = journal.lines.iter().filter_map(|line| match &line.entry {
        Entry::Input(Input::Members(members)) => Some((line.time, members)),
        Entry::Header(_) | Entry::Input(_) | Entry::Effect { .. } | Entry::FinalRead { .. } => None,
    });
    told.collect()
}

/// Whether every member answers and all name one leader in one term.
fn agree(members: &Members) -> bool {
    let mut named = members.members.iter().map(|member| match &member.sample {
        MemberSample::Answer { term, leader: Some(leader), .. } => Some((*term, *leader)),
        MemberSample::Answer { leader: None, .. }
        | MemberSample::Unreachable(_)
        | MemberSample::NotSampled(_) => None,
    });
    let Some(Some(first)) = named.next() else { return false };
    named.all(|other| other == Some(first))
}

/// How far the member is that is behind all others; none where one does not tell.
fn lowest(members: &Members) -> Option<u64> {
    let positions: Option<Vec<u64>> = members.members.iter().map(|member| position(&member.sample)).collect();
    positions?.into_iter().min()
}

/// How far any member is.
fn highest(members: &Members) -> u64 {
    members.members.iter().filter_map(|member| position(&member.sample)).max().unwrap_or(0)
}

fn position(sample: &MemberSample) -> Option<u64> {
    match sample {
        MemberSample::Answer { position, .. } => Some(*position),
        MemberSample::Unreachable(_) | MemberSample::NotSampled(_) => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::judge::tests::story::{MS, S, Story, healthy, member, read, silent};
    use serde_json::json;

    fn comeback(change: impl FnOnce(&mut Story)) -> Option<Comeback> {
        let mut story = Story::claiming(json!({"name": "pods", "sli": {"podAvailability": {}}}));
        change(&mut story);
        let journal = read(&story.lines());
        Comeback::of(&journal, &Facts::of(&journal))
    }

    const REVERTED: Nanos = 11_050 * MS;

    #[test]
    fn what_was_never_away_is_back_at_once() {
        let parts = comeback(|_| {}).expect("a fault ended");
        assert_eq!((parts.reverted, parts.ready), (REVERTED, Some(REVERTED)));
        assert_eq!((parts.rejoined, parts.caught_up), (Some(REVERTED), Some(REVERTED)));
    }

    #[test]
    fn each_part_begins_where_the_one_before_it_is_over() {
        let parts = comeback(|story| {
            story.ready = vec![(8 * S, 2), (12 * S, 3)];
            story.members = |now| {
                let mut members = healthy(now);
                if now < 13 * S {
                    members.members[2] = silent(2);
                } else if now < 14 * S {
                    members.members[0] = member(0, 0, 1, now);
                    if let MemberSample::Answer { position, .. } = &mut members.members[2].sample {
                        *position = 0;
                    }
                }
                members
            };
        });
        let parts = parts.expect("a fault ended");
        assert_eq!(
            (parts.ready, parts.rejoined, parts.caught_up),
            (Some(12 * S), Some(13 * S), Some(14 * S))
        );
    }

    #[test]
    fn a_member_that_follows_another_term_has_not_rejoined() {
        let parts = comeback(|story| {
            story.members = |now| {
                let mut members = healthy(now);
                members.members[1] = member(1, 1, 2, now);
                members
            };
        });
        let parts = parts.expect("a fault ended");
        assert_eq!((parts.ready, parts.rejoined, parts.caught_up), (Some(REVERTED), None, None));
    }

    #[test]
    fn what_is_good_for_a_moment_only_is_not_back() {
        let parts = comeback(|story| story.ready = vec![(8 * S, 2), (12 * S, 3), (13 * S, 2)]);
        assert_eq!(parts.expect("a fault ended").ready, None);
    }

    #[test]
    fn pods_that_are_ready_when_the_record_ends_are_back() {
        let parts =
            comeback(|story| story.ready = vec![(8 * S, 2), (12 * S, 3), (13 * S, 2), (15_500 * MS, 3)]);
        let parts = parts.expect("a fault ended");
        assert_eq!((parts.ready, parts.rejoined), (Some(15_500 * MS), None));
    }

    #[test]
    fn nothing_came_back_where_nothing_was_broken() {
        assert_eq!(comeback(|story| story.injects = false), None);
    }
}
