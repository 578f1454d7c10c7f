//! From lines to the samples of every SLI. The judge and the running run share this code, so that what a run waits for
//! is what it is judged by.

mod attaches;
mod commits;
mod disks;
mod elections;
mod faulted;
mod lag;
mod pending;
mod quorum;
mod reclaims;
mod requests;
mod snapshots;
mod waits;

use std::collections::BTreeSet;

use super::judgement::Outage;
use super::series::{Kind, Measure, Point, Sample, Series, Window};
use crate::api::{Members, Nanos, Ordinal, Snapshot, Volumes};
use crate::experiment::Sli;
use crate::fault::Damage;
use crate::journal::entry::{Effect, Entry, Input, Line};
use crate::journal::op::{OpLine, Stage};

pub use commits::{Commits, Totals, nearest_rank, quantile};
use disks::What;
pub use elections::Elections;
pub(in crate::judge) use quorum::voters;
pub(in crate::judge) use waits::Waits;

/// All of a pod set, in millionths.
pub const ALL: u64 = 1_000_000;

/// Every SLI's samples so far.
#[derive(Debug, Clone)]
pub struct Signals {
    pods: Series,
    pending: pending::Pending,
    rollout: Series,
    requests: requests::Requests,
    attaches: attaches::Attaches,
    reclaims: reclaims::Reclaims,
    disks: disks::Disks,
    snapshots: snapshots::Snapshots,
    /// When claims and volumes were heard of.
    heard: Series,
    quorum: quorum::Quorum,
    lag: lag::Lag,
    /// Who led when.
    pub elections: Elections,
    /// What the clients wrote, and how long it took.
    pub commits: Commits,
    faulted: faulted::Faulted,
    /// Steps that act on a further StatefulSet: nothing here is about that.
    elsewhere: BTreeSet<String>,
    /// The newest snapshot, and the pods in it that no fault has.
    shown: Option<Snapshot>,
    unfaulted_pods: Series,
}

/// Whose samples count, of what is told of each member.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Whose {
    /// Those of all members.
    Everybody,
    /// Those of members that no fault of the run has at that time.
    Unfaulted,
}

impl Signals {
    /// Without samples. `voters` are members already known to vote.
    pub fn new(voters: BTreeSet<Ordinal>) -> Self {
        Self {
            pods: Series::new(Kind::Changes),
            pending: pending::Pending::default(),
            rollout: Series::new(Kind::Changes),
            requests: requests::Requests::default(),
            attaches: attaches::Attaches::default(),
            reclaims: reclaims::Reclaims::default(),
            disks: disks::Disks::default(),
            snapshots: snapshots::Snapshots::default(),
            heard: Series::new(Kind::Changes),
            quorum: quorum::Quorum::new(voters),
            lag: lag::Lag::default(),
            elections: Elections::default(),
            commits: Commits::default(),
            faulted: faulted::Faulted::default(),
            elsewhere: BTreeSet::new(),
            shown: None,
            unfaulted_pods: Series::new(Kind::Changes),
        }
    }

    /// Takes a line of the journal. Operations up to its time must have been taken before.
    pub fn line(&mut self, line: &Line) {
        match &line.entry {
            Entry::Header(header) => self.snapshot(line.time, &header.target),
            Entry::Input(Input::Pods(snapshot)) => self.snapshot(line.time, snapshot),
            Entry::Input(Input::Injection { name, status }) => self.snapshots.heard(line.time, name, status),
            Entry::Input(Input::Volumes(volumes)) => self.volumes(line.time, volumes),
            Entry::Input(Input::Disks { member, measured }) => {
                self.disks.take(line.time, *member, measured.as_ref());
            }
            Entry::Input(Input::Members(members)) => self.members(line.time, members),
            Entry::Effect { effect, .. } => self.effect(line.time, effect),
            Entry::Input(Input::Request { error }) => self.requests.take(line.time, error.is_some()),
            Entry::FinalRead { .. }
            | Entry::Input(
                Input::Unmet(_)
                | Input::OtherPods(_)
                | Input::Conditions(_)
                | Input::AbortCondition(_)
                | Input::Interrupted {}
                | Input::Stopped { .. }
                | Input::Answer { .. }
                | Input::Wake {},
            ) => {}
        }
    }

    /// Takes a line of an operation.
    pub fn operation(&mut self, line: &OpLine<'_>) {
        let written = self.commits.take(line);
        if !line.key.ends_with("heartbeat") {
            return;
        }
        if line.stage == Stage::Invoke {
            self.lag.begun(line.time);
        }
        if let Some(value) = written {
            self.lag.acknowledged(value, line.time);
        }
    }

    /// A snapshot of the pods.
    pub fn snapshot(&mut self, time: Nanos, snapshot: &Snapshot) {
        self.pending.take(time, snapshot);
        self.attaches.pods(time, snapshot);
        self.reclaims.pods(snapshot);
        self.disks.pods(time, snapshot);
        self.rollout.push(rollout(time, snapshot));
        self.shown = Some(snapshot.clone());
        self.look_at_unfaulted(time);
        let ready = snapshot.ready() as u64;
        let (sample, why) = match (ready * ALL).checked_div(u64::from(snapshot.replicas)) {
            Some(share) => (Sample::Value(share), format!("{ready} of {} pods are ready", snapshot.replicas)),
            // What there was before says nothing of it.
            None => (Sample::NotSampled, "no pod is asked for".into()),
        };
        self.pods.push(Point { at: time, sample, why });
    }

    /// Who is there now of those that no fault has.
    fn look_at_unfaulted(&mut self, time: Nanos) {
        let Some(snapshot) = &self.shown else { return };
        let all: BTreeSet<Ordinal> = snapshot.ordinals().collect();
        let had = self.faulted.had(&all);
        let left: Vec<Ordinal> = all.difference(&had).copied().collect();
        let is_ready = |ordinal: &&Ordinal| snapshot.pod(**ordinal).is_some_and(|pod| pod.ready);
        let ready = left.iter().filter(is_ready).count() as u64;
        let (sample, why) = match (ready * ALL).checked_div(left.len() as u64) {
            Some(share) => {
                (Sample::Value(share), format!("{ready} of {} pods that no fault has are ready", left.len()))
            }
            None => (Sample::NotSampled, "every member is under a fault".into()),
        };
        self.unfaulted_pods.push(Point { at: time, sample, why });
        self.disks.faulted(time, &had);
    }

    fn volumes(&mut self, time: Nanos, volumes: &Volumes) {
        self.attaches.volumes(time, volumes);
        self.reclaims.take(time, volumes);
        let sample = if volumes.unheard { Sample::NotSampled } else { Sample::Value(ALL) };
        self.heard.push(Point { at: time, sample, why: String::new() });
    }

    /// For how long of some windows claims and volumes were not heard of.
    fn unheard(&self, windows: &[Window]) -> Nanos {
        self.heard.measure(windows).unknown_time
    }

    fn members(&mut self, time: Nanos, members: &Members) {
        let all = members.members.iter().map(|member| member.ordinal).collect();
        self.quorum.take(time, members);
        self.lag.take(time, members, &self.faulted.lost(&all), &self.faulted.had(&all));
        self.elections.take(time, members);
    }

    fn effect(&mut self, time: Nanos, effect: &Effect) {
        match effect {
            Effect::Chosen { step, occurrence, set: Some(_), along, .. } => {
                self.elsewhere.insert(step.clone());
                if !along.is_empty() {
                    let damage = Damage { down: along.iter().copied().collect(), ..Damage::default() };
                    self.faulted.begin(step, *occurrence, along, &damage);
                    self.look_at_unfaulted(time);
                }
            }
            Effect::Chosen { step, occurrence, members, damage, picked: _, set: None, along: _ } => {
                self.faulted.begin(step, *occurrence, members, damage);
                self.look_at_unfaulted(time);
            }
            Effect::Ended { step, occurrence, .. } => {
                self.faulted.end(step, *occurrence);
                self.look_at_unfaulted(time);
            }
            Effect::Apply(spec) if self.elsewhere.contains(&spec.step) => {}
            Effect::Apply(spec) => self.snapshots.asked(time, spec),
            Effect::Refused { .. } | Effect::Abort { .. } => self.snapshots.cut_short(),
            Effect::Phase(_)
            | Effect::Began { .. }
            | Effect::DeletePod { .. }
            | Effect::Forget { .. }
            | Effect::StartWorkload {}
            | Effect::StopWorkload {}
            | Effect::ReadLedger {}
            | Effect::Doubt { .. }
            | Effect::RevertFailed { .. }
            | Effect::Finish {} => {}
        }
    }

    /// Forgets what no window from `before` on can see.
    pub fn forget(&mut self, before: Nanos) {
        self.pods.forget(before);
        self.unfaulted_pods.forget(before);
        self.pending.forget(before);
        self.rollout.forget(before);
        self.requests.forget(before);
        self.attaches.forget(before);
        self.reclaims.forget(before);
        self.disks.forget(before);
        self.snapshots.forget(before);
        self.heard.forget(before);
        self.quorum.series.forget(before);
        self.lag.forget(before);
        self.elections.forget(before);
        self.commits.forget(before);
    }

    /// What the samples in some windows say together. `now` is the moment up to which open operations have waited.
    pub fn measure(&self, sli: &Sli, windows: &[Window], now: Nanos) -> Measure {
        self.measure_of(sli, Whose::Everybody, windows, now)
    }

    /// The same of these members' samples.
    pub(super) fn measure_of(&self, sli: &Sli, whose: Whose, windows: &[Window], now: Nanos) -> Measure {
        match sli {
            Sli::PodAvailability {} => self.pods_of(whose).measure(windows),
            Sli::SchedulerPending {} => self.pending.waits().measure(windows, now),
            Sli::RolloutSuccess {} => self.rollout.measure(windows),
            Sli::ApiErrors {} => self.requests.measure(windows),
            Sli::AttachSuccess {} => {
                Measure { unknown_time: self.unheard(windows), ..self.attaches.success(windows, now) }
            }
            Sli::AttachLatency {} => {
                Measure { unknown_time: self.unheard(windows), ..self.attaches.waits().measure(windows, now) }
            }
            Sli::ClaimsReclaimed {} => {
                Measure { unknown_time: self.unheard(windows), ..self.reclaims.measure(windows) }
            }
            Sli::SnapshotSuccess {} => self.snapshots.success(windows),
            Sli::RestoreTime {} => self.snapshots.restore_time(windows),
            Sli::DiskUsage { claims } => self.disks.measure(What::Usage, whose, claims, windows),
            Sli::VolumeIops { claims } => self.disks.measure(What::Rate, whose, claims, windows),
            Sli::Quorum {} => self.quorum.series.measure(windows),
            Sli::ReplicationLag {} => {
                let measure = self.lag.of(whose).measure(windows);
                Measure {
                    value: if measure.unreachable > 0 { Some(u64::MAX) } else { measure.highest },
                    ..measure
                }
            }
            Sli::LeaderElections {} => self.elections.measure(windows, &self.quorum.series),
            Sli::CommitLatency { quantile } => self.commits.measure(windows, quantile.thousandths(), now),
            Sli::Durability {} | Sli::Linearizability {} => Measure::default(),
        }
    }

    fn pods_of(&self, whose: Whose) -> &Series {
        match whose {
            Whose::Everybody => &self.pods,
            Whose::Unfaulted => &self.unfaulted_pods,
        }
    }

    /// The times in some windows in which values were bad.
    pub fn outages(
        &self,
        sli: &Sli,
        windows: &[Window],
        now: Nanos,
        bad: &dyn Fn(u64) -> bool,
    ) -> Vec<Outage> {
        self.outages_of(sli, Whose::Everybody, windows, now, bad)
    }

    /// The same of these members' values.
    pub(super) fn outages_of(
        &self,
        sli: &Sli,
        whose: Whose,
        windows: &[Window],
        now: Nanos,
        bad: &dyn Fn(u64) -> bool,
    ) -> Vec<Outage> {
        match sli {
            Sli::PodAvailability {} => self.pods_of(whose).outages(windows, bad),
            Sli::SchedulerPending {} => self.pending.waits().outages(windows, now, bad),
            Sli::RolloutSuccess {} => self.rollout.outages(windows, bad),
            Sli::AttachSuccess {} => self.attaches.failures(windows, now),
            Sli::AttachLatency {} => self.attaches.waits().outages(windows, now, bad),
            Sli::ClaimsReclaimed {} => self.reclaims.events(windows),
            Sli::SnapshotSuccess {} => self.snapshots.failures(windows),
            Sli::RestoreTime {} => self.snapshots.slow(windows, bad),
            Sli::DiskUsage { claims } => self.disks.outages(What::Usage, whose, claims, windows, bad),
            Sli::VolumeIops { claims } => self.disks.outages(What::Rate, whose, claims, windows, bad),
            Sli::Quorum {} => self.quorum.series.outages(windows, bad),
            Sli::ReplicationLag {} => self.lag.of(whose).outages(windows, bad),
            Sli::CommitLatency { quantile } => {
                self.commits.series(windows, quantile.thousandths(), now, bad).outages(windows, bad)
            }
            Sli::LeaderElections {} | Sli::ApiErrors {} | Sli::Durability {} | Sli::Linearizability {} => {
                Vec::new()
            }
        }
    }

    /// Why an SLI's value is not known, where whoever was asked for it said so.
    pub(super) fn obstacle(&self, sli: &Sli) -> Option<String> {
        match sli {
            Sli::DiskUsage { claims } => self.disks.obstacle(What::Usage, claims),
            Sli::VolumeIops { claims } => self.disks.obstacle(What::Rate, claims),
            _ => None,
        }
    }

    /// The waits that an SLI measures, where it measures waits.
    pub(super) fn waits(&self, sli: &Sli) -> Option<Waits<'_>> {
        match sli {
            Sli::SchedulerPending {} => Some(self.pending.waits()),
            Sli::AttachLatency {} => Some(self.attaches.waits()),
            Sli::PodAvailability {}
            | Sli::RolloutSuccess {}
            | Sli::ApiErrors {}
            | Sli::AttachSuccess {}
            | Sli::ClaimsReclaimed {}
            | Sli::SnapshotSuccess {}
            | Sli::RestoreTime {}
            | Sli::DiskUsage { .. }
            | Sli::VolumeIops { .. }
            | Sli::Quorum {}
            | Sli::ReplicationLag {}
            | Sli::LeaderElections {}
            | Sli::CommitLatency { .. }
            | Sli::Durability {}
            | Sli::Linearizability {} => None,
        }
    }

    /// The moments in a window at which the answer about an SLI can change, where it is asked about the time of `reach`
    /// after each of them.
    pub fn moments(&self, sli: &Sli, window: Window, reach: Nanos) -> Vec<Nanos> {
        match sli {
            Sli::PodAvailability {} => self.pods.moments(window),
            Sli::SchedulerPending {} => self.pending.waits().moments(window, reach),
            Sli::RolloutSuccess {} => self.rollout.moments(window),
            Sli::AttachLatency {} => self.attaches.waits().moments(window, reach),
            Sli::DiskUsage { claims } => self.disks.moments(What::Usage, claims, window),
            Sli::VolumeIops { claims } => self.disks.moments(What::Rate, claims, window),
            Sli::Quorum {} => self.quorum.series.moments(window),
            Sli::ReplicationLag {} => self.lag.of(Whose::Everybody).moments(window),
            Sli::CommitLatency { .. } => self.commits.moments(window, reach),
            Sli::LeaderElections {}
            | Sli::AttachSuccess {}
            | Sli::ClaimsReclaimed {}
            | Sli::SnapshotSuccess {}
            | Sli::RestoreTime {}
            | Sli::ApiErrors {}
            | Sli::Durability {}
            | Sli::Linearizability {} => Vec::new(),
        }
    }
}

/// Whether every pod is what the rollout asks for.
fn rollout(time: Nanos, snapshot: &Snapshot) -> Point {
    let (sample, why) = match snapshot.behind() {
        None => (Sample::NotSampled, String::new()),
        Some(behind) if behind.is_empty() => (Sample::Value(ALL), String::new()),
        Some(behind) => {
            let why = format!("{} not Ready with the new revision", super::words::members(&behind));
            (Sample::Value(0), why)
        }
    };
    Point { at: time, sample, why }
}
