//! `diskUsage` and `volumeIops`: what nodes read of the members' volumes, about once a second each.
//!
//! What is not heard of for some seconds is unknown, and so is every volume of a member of which nothing was heard. A volume
//! that no running pod has is as full as it was, and completes nothing: that is the target's doing. A rate is the mean
//! between two looks at the same device for the same pod, by the node's clock. The mean of a window counts each for the time
//! between its looks; whether a volume is good at a moment is known by the newest one.

use std::collections::BTreeMap;

use super::ALL;
use crate::api::{Measured, MeasuredVolume, Nanos, Ordinal, Seen, Snapshot, VolumeIo};
use crate::judge::judgement::Outage;
use crate::judge::series::{Kind, Measure, Point, Sample, Series, Window};
use crate::judge::words;

/// The volumes of every member.
#[derive(Debug, Clone, Default)]
pub(super) struct Disks {
    members: BTreeMap<Ordinal, Member>,
}

/// The volumes of one member.
#[derive(Debug, Clone)]
struct Member {
    /// When it was first asked for.
    since: Nanos,
    /// When it was asked for no longer.
    until: Option<Nanos>,
    /// When its node said something.
    heard: Series,
    /// The newest look and whose volumes that were: statuses repeat.
    newest: Option<(String, u64)>,
    /// Volumes by claim template.
    volumes: BTreeMap<String, Volume>,
    /// Why nothing is known of it, if so.
    why: Option<String>,
}

#[derive(Debug, Clone)]
struct Volume {
    usage: Series,
    rate: Series,
    /// The newest look at its device: whose it was, when by the node's clock, and what it had done.
    counted: Option<(String, u64, VolumeIo)>,
    /// Why something of it is not known, if so.
    why: Option<String>,
}

/// Which of the two is asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum What {
    Usage,
    Rate,
}

fn looks() -> Series {
    Series::new(Kind::RareLooks)
}

impl Disks {
    /// A snapshot of the pods: who is asked for.
    pub(super) fn pods(&mut self, time: Nanos, snapshot: &Snapshot) {
        for (_, member) in self.members.iter_mut().filter(|(ordinal, _)| !snapshot.asks_for(**ordinal)) {
            member.until.get_or_insert(time);
        }
        for ordinal in snapshot.ordinals() {
            self.members.entry(ordinal).or_insert_with(|| Member::since(time)).until = None;
        }
    }

    /// What a node read.
    pub(super) fn take(&mut self, time: Nanos, ordinal: Ordinal, measured: &Measured) {
        let member = self.members.entry(ordinal).or_insert_with(|| Member::since(time));
        member.take(time, ordinal, measured);
    }

    pub(super) fn forget(&mut self, before: Nanos) {
        for member in self.members.values_mut() {
            member.heard.forget(before);
            for volume in member.volumes.values_mut() {
                volume.usage.forget(before);
                volume.rate.forget(before);
            }
        }
    }

    /// The volumes of all members together: `lowest` and `highest` are of those that are lowest and highest. The value of
    /// a usage is the highest one there was, that of a rate the mean of the slowest volume.
    pub(super) fn measure(&self, what: What, claims: &[String], windows: &[Window]) -> Measure {
        let mut all = Measure::default();
        for (member, asked) in
            self.members.values().filter_map(|member| Some((member, member.asked(windows)?)))
        {
            let length: Nanos = asked.iter().map(|window| window.length()).sum();
            let mut unknown = member.heard.measure(&asked).unknown_time;
            let mut has_any = false;
            for series in member.series(what, claims) {
                has_any = true;
                let measure = series.measure(&asked);
                all.samples += measure.samples;
                all.not_sampled += measure.not_sampled;
                unknown = unknown.max(measure.unknown_time);
                let (lowest, highest) = match what {
                    What::Usage => (measure.lowest, measure.highest),
                    What::Rate => {
                        let mean = series.mean_before(&asked);
                        (mean, mean)
                    }
                };
                all.lowest = [all.lowest, lowest].into_iter().flatten().min();
                all.highest = all.highest.max(highest);
            }
            all.unknown_time = all.unknown_time.max(if has_any { unknown } else { length });
        }
        all.value = match what {
            What::Usage => all.highest,
            What::Rate => all.lowest,
        };
        all
    }

    /// The times in which a volume was bad, without counting one twice.
    pub(super) fn outages(
        &self,
        what: What,
        claims: &[String],
        windows: &[Window],
        bad: &dyn Fn(u64) -> bool,
    ) -> Vec<Outage> {
        let members = self.members.values().filter_map(|member| Some((member, member.asked(windows)?)));
        let mut found: Vec<Outage> = members
            .flat_map(|(member, asked)| {
                member.series(what, claims).flat_map(|series| series.outages(&asked, bad)).collect::<Vec<_>>()
            })
            .collect();
        found.sort_by_key(|outage| outage.from);
        let mut all: Vec<Outage> = Vec::new();
        for outage in found {
            match all.last_mut() {
                Some(last) if outage.from < last.to => last.to = last.to.max(outage.to),
                Some(_) | None => all.push(outage),
            }
        }
        all
    }

    /// When something was heard of a volume.
    pub(super) fn moments(&self, what: What, claims: &[String], window: Window) -> Vec<Nanos> {
        let series = self.members.values().flat_map(|member| member.series(what, claims));
        let mut moments: Vec<Nanos> = series.flat_map(|series| series.moments(window)).collect();
        moments.push(window.from);
        moments.sort_unstable();
        moments.dedup();
        moments
    }

    /// Why something is not known, if a node said so.
    pub(super) fn obstacle(&self, what: What, claims: &[String]) -> Option<String> {
        self.members.iter().find_map(|(ordinal, member)| {
            let mut volumes = member.chosen(claims);
            let unknown =
                |series: &Series| series.last().is_none_or(|point| point.sample == Sample::NotSampled);
            let why =
                volumes.clone().find(|volume| unknown(volume.series(what))).map(|volume| volume.why.clone());
            match why {
                Some(why) => why.map(|why| format!("member {ordinal}: {why}")),
                None if member.why.is_some() => {
                    member.why.as_ref().map(|why| format!("member {ordinal}: {why}"))
                }
                None if volumes.next().is_none() && !member.heard.is_empty() => Some(match claims {
                    [] => format!("member {ordinal} has no volume from a claim"),
                    [claim, ..] => {
                        format!("member {ordinal} has no volume from a claim template {claim}")
                    }
                }),
                None => None,
            }
        })
    }
}

impl Member {
    fn since(since: Nanos) -> Self {
        Self { since, until: None, heard: looks(), newest: None, volumes: BTreeMap::new(), why: None }
    }

    /// The parts of some windows in which it is asked for; nothing where it never is.
    fn asked(&self, windows: &[Window]) -> Option<Vec<Window>> {
        let until = self.until.unwrap_or(Nanos::MAX);
        let part = |window: &Window| Window::new(window.from.max(self.since), window.to.min(until));
        let parts: Vec<Window> = windows.iter().map(part).filter(|part| part.length() > 0).collect();
        (!parts.is_empty()).then_some(parts)
    }

    fn chosen<'a>(&'a self, claims: &'a [String]) -> impl Iterator<Item = &'a Volume> + Clone {
        let is_meant = |claim: &String| claims.is_empty() || claims.contains(claim);
        self.volumes.iter().filter(move |(claim, _)| is_meant(claim)).map(|(_, volume)| volume)
    }

    fn series<'a>(&'a self, what: What, claims: &'a [String]) -> impl Iterator<Item = &'a Series> {
        self.chosen(claims).map(move |volume| volume.series(what))
    }

    fn take(&mut self, time: Nanos, ordinal: Ordinal, measured: &Measured) {
        let mut sample = Sample::Value(ALL);
        self.why = None;
        match measured.seen() {
            Seen::Volumes(pod, volumes) => {
                let newest = (pod.to_owned(), measured.at);
                if self.newest.as_ref() == Some(&newest) {
                    return;
                }
                self.newest = Some(newest);
                for (claim, volume) in &mut self.volumes {
                    if volumes.iter().all(|seen| seen.claim != *claim) {
                        volume.rest(time, &format!("volume {claim} of member {ordinal}"));
                    }
                }
                for seen in volumes {
                    let volume = self.volumes.entry(seen.claim.clone()).or_insert_with(Volume::new);
                    let name = format!("volume {} of member {ordinal}", seen.claim);
                    volume.take(time, &name, (pod, measured.at), seen);
                }
            }
            Seen::NoPod => {
                for (claim, volume) in &mut self.volumes {
                    volume.rest(time, &format!("volume {claim} of member {ordinal}"));
                }
            }
            Seen::Unknown(why) => {
                sample = Sample::NotSampled;
                self.why = Some(why.to_owned());
            }
        }
        self.heard.push(Point { at: time, sample, why: String::new() });
    }
}

impl Volume {
    fn new() -> Self {
        Self { usage: looks(), rate: looks(), counted: None, why: None }
    }

    fn series(&self, what: What) -> &Series {
        match what {
            What::Usage => &self.usage,
            What::Rate => &self.rate,
        }
    }

    fn take(&mut self, time: Nanos, name: &str, (pod, at): (&str, u64), seen: &MeasuredVolume) {
        self.why.clone_from(&seen.why);
        let usage = seen.room.map(|room| share(room.taken, room.taken.saturating_add(room.available)));
        self.usage.push(Point {
            at: time,
            sample: usage.map_or(Sample::NotSampled, Sample::Value),
            why: usage.map_or_else(String::new, |usage| format!("{name} is {} full", words::ratio(usage))),
        });
        let before = self.counted.take();
        let rate = seen.io.as_ref().and_then(|io| {
            self.counted = Some((pod.to_owned(), at, io.clone()));
            let (owner, since, before) = before?;
            let is_same = owner == pod && before.device == io.device;
            let took = at.checked_sub(since).filter(|&took| took > 0 && is_same)?;
            let done = u128::from(io.operations.checked_sub(before.operations)?) * 1_000_000_000;
            u64::try_from(done / u128::from(took)).ok()
        });
        self.rate.push(Point {
            at: time,
            sample: rate.map_or(Sample::NotSampled, Sample::Value),
            why: rate
                .map_or_else(String::new, |rate| format!("{name} completed {rate} operations per second")),
        });
    }

    /// No running pod has it.
    fn rest(&mut self, time: Nanos, name: &str) {
        self.counted = None;
        if let Some(last) = self.usage.last().cloned() {
            self.usage.push(Point { at: time, ..last });
        }
        let why = format!("{name} is in no running pod");
        self.rate.push(Point { at: time, sample: Sample::Value(0), why });
    }
}

/// In millionths.
fn share(part: u64, whole: u64) -> u64 {
    let share = u128::from(part) * u128::from(ALL) / u128::from(whole.max(1));
    u64::try_from(share).unwrap_or(ALL)
}
