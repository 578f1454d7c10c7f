//! `diskUsage` and `volumeIops`: what nodes read of the members' volumes, about once a second each.
//!
//! What is not heard of for some seconds is unknown, and so is every volume of a member of which nothing was heard. A volume
//! that no running pod has, or that no container of it uses, is as full as it was, and completes nothing: that is the
//! target's doing. It is as full as it is of bytes or of inodes, whichever is more. A rate is the mean between two looks at the same device for the same pod, by the node's clock. A window
//! counts each for the time between its looks; whether a volume is good at a moment is known by the newest one.

use std::collections::{BTreeMap, BTreeSet};

use super::{ALL, Whose};
use crate::api::{Measured, MeasuredVolume, Nanos, Ordinal, Seen, Snapshot, VolumeIo, VolumeRoom};
use crate::judge::judgement::Outage;
use crate::judge::series::{Kind, LONG_SILENCE, Measure, Point, Sample, Series, Window};
use crate::judge::words;

/// How far looks are apart.
const BETWEEN_LOOKS: Nanos = 1_000_000_000;

/// The volumes of every member.
#[derive(Debug, Clone, Default)]
pub(super) struct Disks {
    members: BTreeMap<Ordinal, Member>,
}

/// The volumes of one member.
#[derive(Debug, Clone)]
struct Member {
    /// When it was asked for; the last time may have no end yet.
    asked: Vec<Window>,
    /// When a fault had it, until something was heard of the time after it; the last time may have no end yet.
    faulted: Vec<Window>,
    /// When a fault that had it ended, where nothing was heard of the time after it yet.
    freed: Option<Nanos>,
    /// When its node said something.
    heard: Series,
    /// The node's newest look: statuses repeat.
    newest: Option<u64>,
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

fn rates() -> Series {
    Series::new(Kind::Rates)
}

impl Disks {
    /// A snapshot of the pods: who is asked for.
    pub(super) fn pods(&mut self, time: Nanos, snapshot: &Snapshot) {
        for (_, member) in self.members.iter_mut().filter(|(ordinal, _)| !snapshot.asks_for(**ordinal)) {
            if let Some(last) = member.asked.last_mut() {
                last.to = last.to.min(time);
            }
        }
        for ordinal in snapshot.ordinals() {
            let member = self.members.entry(ordinal).or_insert_with(Member::new);
            if member.asked.last().is_none_or(|last| last.to < Nanos::MAX) {
                member.asked.push(Window::new(time, Nanos::MAX));
            }
        }
    }

    /// Faults have these members from now on, and no others.
    pub(super) fn faulted(&mut self, time: Nanos, had: &BTreeSet<Ordinal>) {
        for (ordinal, member) in &mut self.members {
            let is_held = member.faulted.last().is_some_and(|last| last.to == Nanos::MAX);
            match (is_held, had.contains(ordinal)) {
                (false, true) => member.faulted.push(Window::new(time, Nanos::MAX)),
                (true, true) => member.freed = None,
                (true, false) => member.freed = member.freed.or(Some(time)),
                (false, false) => {}
            }
        }
    }

    /// What a node read; nothing where the member has no pod on a node.
    pub(super) fn take(&mut self, time: Nanos, ordinal: Ordinal, measured: Option<&Measured>) {
        self.members.entry(ordinal).or_insert_with(Member::new).take(time, ordinal, measured);
    }

    pub(super) fn forget(&mut self, before: Nanos) {
        for member in self.members.values_mut() {
            member.asked.retain(|asked| asked.to > before);
            member.faulted.retain(|faulted| faulted.to > before);
            member.heard.forget(before);
            for volume in member.volumes.values_mut() {
                volume.usage.forget(before);
                volume.rate.forget(before);
            }
        }
    }

    /// The volumes of all members together: `lowest` and `highest` are of those that are lowest and highest. The value of
    /// a usage is the highest one there was, that of a rate the mean of the slowest volume.
    pub(super) fn measure(&self, what: What, whose: Whose, claims: &[String], windows: &[Window]) -> Measure {
        let mut all = Measure::default();
        for (member, asked) in
            self.members.values().filter_map(|member| Some((member, member.asked(whose, windows)?)))
        {
            let length: Nanos = asked.iter().map(|window| window.length()).sum();
            let unheard = member.heard.measure(&asked).unknown_time;
            for series in member.series(what, claims) {
                let mut measure = series.measure(&asked);
                match what {
                    What::Usage => measure.unknown_time = measure.unknown_time.max(unheard),
                    What::Rate => {
                        let (mean, known) = series.mean_before(&asked);
                        (measure.lowest, measure.highest) = (mean, mean);
                        measure.unknown_time = length.saturating_sub(known);
                    }
                }
                all.samples += measure.samples;
                all.not_sampled += measure.not_sampled;
                all.unknown_time = all.unknown_time.max(measure.unknown_time);
                all.lowest = [all.lowest, measure.lowest].into_iter().flatten().min();
                all.highest = all.highest.max(measure.highest);
            }
            if member.lack(claims).is_some() {
                all.unknown_time = all.unknown_time.max(length);
            }
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
        whose: Whose,
        claims: &[String],
        windows: &[Window],
        bad: &dyn Fn(u64) -> bool,
    ) -> Vec<Outage> {
        let mut found: Vec<Outage> = Vec::new();
        for (member, asked) in
            self.members.values().flat_map(|member| member.times(whose).map(move |asked| (member, asked)))
        {
            let parts: Vec<Window> = windows.iter().filter_map(|window| common(*window, asked)).collect();
            let outages = member.series(what, claims).flat_map(|series| series.outages(&parts, bad));
            // What nobody asks for any more is not bad any more.
            found.extend(outages.map(|outage| Outage { to: outage.to.min(asked.to), ..outage }));
        }
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
            let unknown =
                |series: &Series| series.last().is_none_or(|point| point.sample == Sample::NotSampled);
            let mut volumes = member.chosen(claims).filter(|volume| unknown(volume.series(what)));
            let why = volumes.find_map(|volume| volume.why.as_ref()).or(member.why.as_ref());
            let lack = || member.lack(claims).filter(|_| !member.heard.is_empty());
            why.map(|why| format!("member {ordinal}: {why}"))
                .or_else(|| lack().map(|lack| format!("member {ordinal} {lack}")))
        })
    }
}

impl Member {
    fn new() -> Self {
        Self {
            asked: Vec::new(),
            faulted: Vec::new(),
            freed: None,
            heard: looks(),
            newest: None,
            volumes: BTreeMap::new(),
            why: None,
        }
    }

    /// When it counts: while it is asked for, and no fault has it where such times are left out.
    fn times(&self, whose: Whose) -> impl Iterator<Item = Window> {
        let left_out = match whose {
            Whose::Everybody => &[][..],
            Whose::Unfaulted => &self.faulted[..],
        };
        self.asked.iter().flat_map(move |asked| {
            let mut from = asked.from;
            let mut times = Vec::new();
            for faulted in left_out {
                times.push(Window::new(from, faulted.from.clamp(from, asked.to.max(from))));
                from = from.max(faulted.to);
            }
            times.push(Window::new(from, asked.to));
            times.retain(|time| time.length() > 0);
            times
        })
    }

    /// The parts of some windows in which it counts; nothing where it never does.
    fn asked(&self, whose: Whose, windows: &[Window]) -> Option<Vec<Window>> {
        let parts =
            windows.iter().flat_map(|window| self.times(whose).map(move |time| common(*window, time)));
        let parts: Vec<Window> = parts.flatten().collect();
        (!parts.is_empty()).then_some(parts)
    }

    /// Of which volume that is meant nothing was ever seen, if so.
    fn lack(&self, claims: &[String]) -> Option<String> {
        if claims.is_empty() && self.volumes.is_empty() {
            return Some("has no volume from a claim".into());
        }
        let claim = claims.iter().find(|claim| !self.volumes.contains_key(*claim))?;
        Some(format!("has no volume from a claim template {claim}"))
    }

    fn chosen<'a>(&'a self, claims: &'a [String]) -> impl Iterator<Item = &'a Volume> + Clone {
        let is_meant = |claim: &String| claims.is_empty() || claims.contains(claim);
        self.volumes.iter().filter(move |(claim, _)| is_meant(claim)).map(|(_, volume)| volume)
    }

    fn series<'a>(&'a self, what: What, claims: &'a [String]) -> impl Iterator<Item = &'a Series> {
        self.chosen(claims).map(move |volume| volume.series(what))
    }

    fn take(&mut self, time: Nanos, ordinal: Ordinal, measured: Option<&Measured>) {
        if let Some(measured) = measured {
            if self.newest == Some(measured.at) {
                return;
            }
            self.newest = Some(measured.at);
        }
        // Looks are a second apart: one that comes sooner may be about the time of the fault.
        if self.freed.is_some_and(|freed| time >= freed.saturating_add(BETWEEN_LOOKS)) {
            self.freed = None;
            if let Some(last) = self.faulted.last_mut() {
                last.to = time;
            }
        }
        let mut sample = Sample::Value(ALL);
        self.why = None;
        let name = |claim: &str| format!("volume {claim} of member {ordinal}");
        match measured.map(|measured| (measured.at, measured.seen())) {
            Some((at, Seen::Volumes(pod, volumes))) => {
                for (claim, volume) in &mut self.volumes {
                    if volumes.iter().all(|seen| seen.claim != *claim) {
                        volume.rest(time, &name(claim));
                    }
                }
                for seen in volumes {
                    let volume = self.volumes.entry(seen.claim.clone()).or_insert_with(Volume::new);
                    if seen.is_at_rest() {
                        volume.rest(time, &name(&seen.claim));
                    } else {
                        volume.take(time, &name(&seen.claim), (pod, at), seen);
                    }
                }
            }
            Some((_, Seen::NoPod)) | None => {
                for (claim, volume) in &mut self.volumes {
                    volume.rest(time, &name(claim));
                }
            }
            Some((_, Seen::Unknown(why))) => {
                sample = Sample::NotSampled;
                self.why = Some(why.to_owned());
            }
        }
        self.heard.push(Point { at: time, sample, why: String::new() });
    }
}

impl Volume {
    fn new() -> Self {
        Self { usage: looks(), rate: rates(), counted: None, why: None }
    }

    fn series(&self, what: What) -> &Series {
        match what {
            What::Usage => &self.usage,
            What::Rate => &self.rate,
        }
    }

    fn take(&mut self, time: Nanos, name: &str, (pod, at): (&str, u64), seen: &MeasuredVolume) {
        self.why.clone_from(&seen.why);
        let usage = seen.room.map(usage);
        self.usage.push(Point {
            at: time,
            sample: usage.map_or(Sample::NotSampled, |(share, _)| Sample::Value(share)),
            why: usage.map_or_else(String::new, |(share, of)| {
                format!("{name} is {} full{of}", words::ratio(share))
            }),
        });
        // One that rested did so until it was seen again.
        if let Some(last) = self.rate.last().filter(|last| {
            self.counted.is_none()
                && matches!(last.sample, Sample::Value(_))
                && time.saturating_sub(last.at) <= LONG_SILENCE
        }) {
            self.rate.push(Point { at: time, ..last.clone() });
        }
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

    /// Nothing that runs has it.
    fn rest(&mut self, time: Nanos, name: &str) {
        self.counted = None;
        self.why = Some("a volume of it is in no running container".into());
        if let Some(last) = self.usage.last().cloned() {
            self.usage.push(Point { at: time, ..last });
        }
        if self.rate.last().is_some_and(|last| time.saturating_sub(last.at) > LONG_SILENCE) {
            // It rests now; who knows for how long.
            self.rate.push(Point { at: time, sample: Sample::NotSampled, why: String::new() });
        }
        let why = format!("{name} is in no running container");
        self.rate.push(Point { at: time, sample: Sample::Value(0), why });
    }
}

/// What two windows share, if anything.
fn common(one: Window, other: Window) -> Option<Window> {
    let both = Window::new(one.from.max(other.from), one.to.min(other.to));
    (both.length() > 0).then_some(both)
}

/// How full a volume is, and of what, where that is not of bytes: whoever lacks either can write no new file.
fn usage(room: VolumeRoom) -> (u64, &'static str) {
    let bytes = share(room.taken, room.taken.saturating_add(room.available));
    let inodes =
        room.inodes.map_or(0, |inodes| share(inodes.taken, inodes.taken.saturating_add(inodes.free)));
    if inodes > bytes { (inodes, " of inodes") } else { (bytes, "") }
}

/// In millionths.
fn share(part: u64, whole: u64) -> u64 {
    let share = u128::from(part) * u128::from(ALL) / u128::from(whole.max(1));
    u64::try_from(share).unwrap_or(ALL)
}
