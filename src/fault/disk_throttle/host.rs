//! Limits the I/O of containers on a host.
//!
//! Guarantees: only the containers' own cgroups are limited, and only for the disks below the chosen volumes; a limit of
//! somebody else that is as strict is no place for a fault, and one that is looser is there again afterwards; what somebody
//! sets meanwhile is left to them; a revert reaches only the cgroups that the record names, by inode, and may be repeated.
//! When one container ends, everything is lifted, while its cgroup may still be there. What the kernel has not written out yet
//! of a cgroup of version 2 that was removed before that stays limited, and nobody can reach it any more.

use std::collections::BTreeSet;
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use serde::{Deserialize, Serialize};

use crate::api::{HostFault, InjectionSpec, ThrottledDisk};
use crate::fault::host;
use crate::fault::host::volumes::{Volume, VolumeError, find, folder_on_disk, kernel as of_volume};
use crate::fault::host::{
    ContainerError, Effect, HostError, Look, Prepared, Running, Undo, io_cgroup, kernel,
};
use crate::host::block_device::Device;
use crate::host::freezer::CgroupId;
use crate::host::process::ProcessId;
use crate::host::process::held::Held;
use crate::host::throttle::{Rate, Throttle, reaching, word};
use crate::host::volume;
use crate::node::{LocatedPod, LocatedVolume};
use crate::undo::{Store, StoreError};

/// Over less time, a single write would look like many in a second.
const SHORTEST: Duration = Duration::from_millis(500);
/// From which part of a limit on something had to wait: the kernel shares a second out in slices, and what comes unevenly
/// fills not all of them.
const NEAR: f64 = 0.9;
/// Within which all containers come near a limit on all disks, so that all are slow together.
const TOGETHER: Duration = Duration::from_secs(10);

/// What is limited.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Target {
    /// Where records are, for those of others.
    pub undo_dir: PathBuf,
    /// The first process of each chosen container.
    pub first: Vec<ProcessId>,
    /// Every limit.
    pub limits: Vec<Limit>,
}

/// One limit of one cgroup for one disk.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Limit {
    /// The container's name.
    pub container: String,
    /// Its cgroup, or one below it.
    pub cgroup: CgroupId,
    /// The claim template's name.
    pub claim: String,
    /// The disk that the volume is on.
    pub disk: Device,
    /// What is limited.
    pub rate: Rate,
    /// To how much per second.
    pub to: u64,
    /// What it was before; nothing where there was no limit.
    pub before: Option<u64>,
}

/// Why I/O could not be limited, or a limit not be taken back.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// Not found, or the kernel refused.
    #[error(transparent)]
    Container(#[from] ContainerError),
    /// Not found, or not to be touched.
    #[error(transparent)]
    Volume(#[from] VolumeError),
    /// A limit is one of a disk.
    #[error("volumes {0} and {1} are partitions of the same disk, which has one limit for both of them")]
    SameDisk(String, String),
    /// Of a partition others would be limited as well.
    #[error(
        "volume {claim} is a partition of disk {disk}, which the node's own {folder} is on as well; a limit is one of the whole disk"
    )]
    DiskOfTheNode {
        /// Which.
        claim: String,
        /// Its disk.
        disk: Device,
        /// Which folder is there too.
        folder: String,
    },
    /// Nothing, or the end of somebody else's limit.
    #[error("{0}: a limit is 1/s at least, 0 stands for no limit")]
    Zero(String),
    /// It is as slow without us.
    #[error("{what} are limited to {now}/s already, no more than it shall be; nothing is to be limited")]
    StricterAlready {
        /// What.
        what: String,
        /// To how much.
        now: u64,
    },
    /// Two could not both put back what was before.
    #[error("Injection {0} limits it already; revert that first")]
    LimitedByUs(String),
    /// Somebody sets limits at the same time.
    #[error("{what}: the limit has just been changed by somebody else: expected {expected}, actual {actual}")]
    Changed {
        /// What.
        what: String,
        /// What it was.
        expected: String,
        /// What it is.
        actual: String,
    },
    /// The kernel took another one.
    #[error("{what}: expected a limit of {expected}/s, actual {actual}")]
    NotSet {
        /// What.
        what: String,
        /// What was written.
        expected: u64,
        /// What was read back.
        actual: String,
    },
    /// What else is limited is not known.
    #[error("cannot look for other limits of ours: {0}")]
    Records(#[from] StoreError),
}

impl Limit {
    /// What is limited, for a person.
    fn what(&self) -> String {
        let what = match self.rate {
            Rate::ReadIops => "reads",
            Rate::WriteIops => "writes",
            Rate::ReadBandwidth => "bytes read",
            Rate::WriteBandwidth => "bytes written",
        };
        format!("{what} of container {} on volume {} (disk {})", self.container, self.claim, self.disk)
    }

    /// Whether both are the same limit of the kernel.
    fn is_same_as(&self, other: &Self) -> bool {
        (&self.cgroup, self.disk, self.rate) == (&other.cgroup, other.disk, other.rate)
    }

    /// Its cgroup, open; `None` where it is gone.
    fn open(&self) -> Result<Option<Throttle>, ContainerError> {
        Throttle::open(&self.cgroup).map_err(kernel("open the cgroup of", &self.container))
    }

    /// Its cgroup, which is there.
    fn opened(&self) -> Result<Throttle, Error> {
        Ok(self.open()?.ok_or_else(|| ContainerError::Gone(self.container.clone()))?)
    }

    fn read(&self, throttle: &Throttle) -> Result<Option<u64>, ContainerError> {
        throttle.limit(self.disk, self.rate).map_err(kernel("read the I/O limits of", &self.container))
    }

    /// Sets it where it is still as it was found, and reads it back.
    fn set(&self) -> Result<Slow, Error> {
        let throttle = self.opened()?;
        let now = self.read(&throttle)?;
        if now != self.before {
            let (expected, actual) = (word(self.before), word(now));
            return Err(Error::Changed { what: self.what(), expected, actual });
        }
        let set = throttle.set(self.disk, self.rate, Some(self.to));
        set.map_err(kernel("limit the I/O of", &self.container))?;
        let actual = self.read(&throttle)?;
        if actual != Some(self.to) {
            // A revert would take it for somebody else's.
            let restored = throttle.set(self.disk, self.rate, self.before);
            restored.map_err(kernel("take back the I/O limits of", &self.container))?;
            return Err(Error::NotSet { what: self.what(), expected: self.to, actual: word(actual) });
        }
        Ok(Slow::new(self.clone(), throttle)?)
    }

    /// Makes it what it was before. One that somebody has changed is theirs; the last look at it has said so.
    fn take_back(&self) -> Result<(), Error> {
        let failed = kernel("take back the I/O limits of", &self.container);
        let restored = match Throttle::open(&self.cgroup) {
            Ok(Some(throttle)) => throttle.restore(self.disk, self.rate, self.to, self.before),
            Ok(None) => Ok(()),
            // Whoever has taken the controller away has taken the limits away with it.
            Err(error) if error.kind() == io::ErrorKind::Unsupported => Ok(()),
            Err(error) => Err(error),
        };
        Ok(restored.map_err(failed)?)
    }
}

/// Limits that may be set and are not yet.
pub struct Ready {
    target: Target,
}

/// Finds the disks and the cgroups, and what is limited there already.
pub(in crate::fault) fn prepare(
    throttled: &ThrottledDisk,
    pod: &LocatedPod,
    container: Option<&str>,
    undo_dir: &Path,
) -> Result<Ready, HostError> {
    let disks = disks(throttled, pod, undo_dir)?;
    let mut target = Target { undo_dir: undo_dir.to_owned(), first: Vec::new(), limits: Vec::new() };
    for running in Running::find(pod, container).map_err(Error::from)? {
        for cgroup in cgroups(pod, &running)? {
            for (volume, disk) in &disks {
                for (rate, to) in rates(throttled) {
                    let (container, claim) = (running.name.clone(), volume.claim.clone());
                    let cgroup = cgroup.clone();
                    let limit = Limit { container, cgroup, claim, disk: *disk, rate, to, before: None };
                    let is_below = is_below(&limit, &target.limits);
                    target.limits.extend(unless_removed(is_below, with_before(limit))?);
                }
            }
        }
        target.first.push(running.first);
    }
    Ok(Ready { target })
}

/// Each limit that is asked for.
fn rates(throttled: &ThrottledDisk) -> impl Iterator<Item = (Rate, u64)> {
    let ThrottledDisk { claims: _, read_iops, write_iops, read_bandwidth, write_bandwidth } = *throttled;
    let all = [
        (Rate::ReadIops, read_iops.map(u64::from)),
        (Rate::WriteIops, write_iops.map(u64::from)),
        (Rate::ReadBandwidth, read_bandwidth),
        (Rate::WriteBandwidth, write_bandwidth),
    ];
    all.into_iter().filter_map(|(rate, limit)| Some((rate, limit?)))
}

/// The volumes that are meant, each with its disk.
fn disks(
    throttled: &ThrottledDisk,
    pod: &LocatedPod,
    undo_dir: &Path,
) -> Result<Vec<(Volume, Device)>, Error> {
    let mut found: Vec<(Volume, Device)> = Vec::new();
    for (volume, _) in find(pod, &throttled.claims, undo_dir)? {
        let disk = Device::disk_of(volume.device).map_err(of_volume("find the disk of", &volume.claim))?;
        if let Some(other) = other_on(disk, &volume, pod) {
            return Err(Error::SameDisk(other, volume.claim));
        }
        if let Some(folder) = folder_on_disk(disk, undo_dir) {
            return Err(Error::DiskOfTheNode { claim: volume.claim, disk, folder });
        }
        found.push((volume, disk));
    }
    Ok(found)
}

/// Another volume of the pod on this disk, whether it is meant or not: its I/O would be limited and counted as well.
fn other_on(disk: Device, volume: &Volume, pod: &LocatedPod) -> Option<String> {
    let others = pod.volumes.iter().filter(|other| other.claim != volume.claim);
    let is_there = |other: &&LocatedVolume| {
        let device = volume::open(&other.path).and_then(|root| Ok(root.metadata()?.dev()));
        device.and_then(Device::disk_of).is_ok_and(|found| found == disk)
    };
    others.filter(is_there).map(|other| other.claim.clone()).next()
}

/// The cgroups whose limits reach every process of a container and nobody else.
fn cgroups(pod: &LocatedPod, running: &Running) -> Result<Vec<CgroupId>, Error> {
    let own = io_cgroup(pod, running)?;
    Ok(reaching(&own.path).map_err(kernel("find the cgroup of", &running.name))?)
}

/// Whether a limit is one of a cgroup below its container's own, which may come and go: the first of a container is its own.
fn is_below(limit: &Limit, all: &[Limit]) -> bool {
    let own = all.iter().find(|other| other.container == limit.container);
    own.is_some_and(|own| own.cgroup != limit.cgroup)
}

/// What was done to a limit; nothing where that is one of a cgroup below its container's own that has just been removed.
fn unless_removed<T>(is_below: bool, done: Result<T, Error>) -> Result<Option<T>, Error> {
    match done {
        Err(Error::Container(ContainerError::Gone(_))) if is_below => Ok(None),
        done => done.map(Some),
    }
}

/// What a limit is before it is set, where that makes a difference.
fn with_before(limit: Limit) -> Result<Limit, Error> {
    if limit.to == 0 {
        return Err(Error::Zero(limit.what()));
    }
    let throttle = limit.opened()?;
    match limit.read(&throttle)? {
        Some(now) if now <= limit.to => Err(Error::StricterAlready { what: limit.what(), now }),
        before => Ok(Limit { before, ..limit }),
    }
}

impl Target {
    /// Every limit that a record names, with the Injection that it is for: the record of each comes before its limits.
    fn recorded(&self) -> Result<Vec<(String, Limit)>, Error> {
        let mut found = Vec::new();
        for path in Store::open(&self.undo_dir)?.list()? {
            // One that has just been removed has been taken back; one that cannot be read is set aside when a node starts.
            let Ok(record) = Store::read(&path) else { continue };
            let host::Target::DiskThrottle(target) = record.target else { continue };
            found.extend(target.limits.into_iter().map(|limit| (record.spec.name.clone(), limit)));
        }
        Ok(found)
    }

    /// Who else of ours has limited the same, or is about to.
    fn other(&self, own: &str) -> Result<Option<String>, Error> {
        let is_same = |recorded: &Limit| self.limits.iter().any(|limit| limit.is_same_as(recorded));
        let mut others = self.recorded()?.into_iter().filter(|(name, _)| name != own);
        Ok(others.find(|(_, limit)| is_same(limit)).map(|(name, _)| name))
    }
}

impl Prepared for Ready {
    fn target(&self) -> host::Target {
        host::Target::DiskThrottle(self.target.clone())
    }

    fn inject(self: Box<Self>, spec: &InjectionSpec, _: Duration) -> Result<Box<dyn Effect>, HostError> {
        if let Some(other) = self.target.other(&spec.name)? {
            return Err(Error::LimitedByUs(other).into());
        }
        let mut slow = Vec::new();
        for limit in &self.target.limits {
            slow.extend(unless_removed(is_below(limit, &self.target.limits), limit.set())?);
        }
        Ok(Box::new(Throttled { slow, since: Instant::now(), has_slowed: false }))
    }
}

impl Undo for Target {
    fn anchors(&self) -> Vec<ProcessId> {
        self.first.clone()
    }

    /// When one container has ended: its runtime is about to remove a cgroup whose limit has to be lifted before.
    fn is_gone(&self) -> bool {
        self.first.iter().any(|process| matches!(process.is_alive(), Ok(false)))
    }

    fn revert(&self, _: &Held) -> Result<(), HostError> {
        let recorded = self.recorded().map_err(HostError::from)?;
        // To the same number, by another Injection, while this one was about to: the last record of it is whose limit it is.
        let is_own = |limit: &&Limit| {
            let is_it = |(_, other): &&(String, Limit)| limit.is_same_as(other) && limit.to == other.to;
            recorded.iter().filter(is_it).count() < 2
        };
        // One that cannot be taken back keeps no other one in force.
        let all: Vec<Result<(), Error>> = self.limits.iter().filter(is_own).map(Limit::take_back).collect();
        Ok(all.into_iter().collect::<Result<(), Error>>()?)
    }

    fn adopt(&self, _: &HostFault, _: Held) -> Result<Box<dyn Effect>, HostError> {
        let mut slow = Vec::new();
        for limit in &self.limits {
            let found = limit.opened().and_then(|throttle| Ok(Slow::new(limit.clone(), throttle)?));
            slow.extend(unless_removed(is_below(limit, &self.limits), found)?);
        }
        Ok(Box::new(Throttled { slow, since: Instant::now(), has_slowed: false }))
    }
}

/// Limits in force.
struct Throttled {
    slow: Vec<Slow>,
    /// When the kernel was asked last for what it has counted.
    since: Instant,
    /// Whether I/O of each container on each disk has come near a limit, all within [`TOGETHER`].
    has_slowed: bool,
}

/// One limit in force.
struct Slow {
    limit: Limit,
    throttle: Throttle,
    /// What the kernel had counted when it was asked last.
    counted: u64,
    /// How much that was in a second, before.
    measured: f64,
    /// When so much was going on last that some of it had to wait.
    near: Option<Instant>,
}

impl Slow {
    fn new(limit: Limit, throttle: Throttle) -> Result<Self, ContainerError> {
        let mut slow = Self { limit, throttle, counted: 0, measured: 0.0, near: None };
        slow.counted = slow.count()?;
        Ok(slow)
    }

    fn count(&self) -> Result<u64, ContainerError> {
        let Limit { disk, rate, container, .. } = &self.limit;
        self.throttle.counted(*disk, *rate).map_err(kernel("read the I/O statistics of", container))
    }

    /// What contradicts the limit, if anything does.
    fn contradiction(&self) -> Result<Option<String>, ContainerError> {
        let Limit { to, .. } = self.limit;
        let now = self.limit.read(&self.throttle)?;
        Ok((now != Some(to)).then(|| {
            let what = self.limit.what();
            format!(
                "{what}: expected a limit of {to}/s, actual {}; whoever has changed it keeps that",
                word(now)
            )
        }))
    }

    fn measure(&mut self, counted: u64, over: Duration) {
        let more = counted.saturating_sub(std::mem::replace(&mut self.counted, counted));
        self.measured = more as f64 / over.as_secs_f64();
        if is_near(self.measured, self.limit.to) {
            self.near = Some(Instant::now());
        }
    }

    fn observed(&self) -> String {
        let (to, measured, counted) = (self.limit.to, self.measured, self.throttle.word_for_counted());
        let near = self.near.map_or("never near that".to_owned(), |near| {
            format!("near that {} s ago", near.elapsed().as_secs())
        });
        format!("{} limited to {to}/s, {measured:.1}/s {counted}, {near}", self.limit.what())
    }
}

impl Throttled {
    fn see(&mut self) -> Result<Option<String>, ContainerError> {
        for slow in &self.slow {
            if let Some(contradiction) = slow.contradiction()? {
                return Ok(Some(contradiction));
            }
        }
        if let Some(contradiction) = self.unlimited()? {
            return Ok(Some(contradiction));
        }
        let over = self.since.elapsed();
        if over >= SHORTEST {
            let counted = self.slow.iter().map(Slow::count).collect::<Result<Vec<_>, _>>()?;
            self.since = Instant::now();
            self.slow.iter_mut().zip(counted).for_each(|(slow, counted)| slow.measure(counted, over));
        }
        let lately = |slow: &Slow| slow.near.is_some_and(|near| near.elapsed() <= TOGETHER);
        let near: Vec<_> = self.slow.iter().map(|slow| (&slow.limit, lately(slow))).collect();
        self.has_slowed |= covers_all(&near);
        Ok(None)
    }

    /// Forgets cgroups below the containers' own that have been removed since, with their limits; whether there were any.
    fn forget_removed(&mut self) -> bool {
        let all: Vec<Limit> = self.slow.iter().map(|slow| slow.limit.clone()).collect();
        self.slow.retain(|slow| !(is_below(&slow.limit, &all) && matches!(slow.limit.open(), Ok(None))));
        self.slow.len() < all.len()
    }

    /// A cgroup below a container's own that was made after the limits were set, where those do not reach it.
    fn unlimited(&self) -> Result<Option<String>, ContainerError> {
        let mut looked_at = BTreeSet::new();
        for Slow { limit, .. } in &self.slow {
            // The first of a container is its own.
            if !looked_at.insert(&limit.container) {
                continue;
            }
            let now = reaching(&limit.cgroup.path);
            for cgroup in now.map_err(kernel("look for new cgroups of", &limit.container))? {
                if self.slow.iter().all(|known| known.limit.cgroup != cgroup) {
                    let (name, path) = (&limit.container, cgroup.path.display());
                    return Ok(Some(format!("container {name} has a new cgroup without a limit, {path}")));
                }
            }
        }
        Ok(None)
    }
}

/// Whether with so much in a second some of it had to wait for a limit.
fn is_near(measured: f64, limit: u64) -> bool {
    measured >= NEAR * limit as f64
}

/// Whether something came near a limit in each container on each disk: one of several limits is enough there.
fn covers_all(limits: &[(&Limit, bool)]) -> bool {
    limits.iter().all(|(limit, _)| {
        let place = (&limit.container, limit.disk);
        limits.iter().any(|(other, is_near)| *is_near && (&other.container, other.disk) == place)
    })
}

impl Effect for Throttled {
    /// Before everybody came near a limit there is no proof; after it there is one for as long as the limits are there,
    /// also when nobody has anything to do, as of held calls. When each was near last is told.
    fn look(&mut self, _: Option<&LocatedPod>) -> Look {
        let mut seen = self.see();
        if seen.is_err() && self.forget_removed() {
            seen = self.see();
        }
        match seen {
            Err(error) => Look::Fails(error.to_string()),
            Ok(Some(contradiction)) => Look::Fails(contradiction),
            Ok(None) if self.has_slowed => {
                let observed: Vec<String> = self.slow.iter().map(Slow::observed).collect();
                Look::Holds(observed.join("; "))
            }
            Ok(None) => Look::NotYet,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{
        CgroupId, Device, Limit, ProcessId, Rate, Target, ThrottledDisk, covers_all, is_near, rates,
        with_before,
    };
    use crate::fault::host::Undo;

    fn limit(container: &str, minor: u32, rate: Rate) -> Limit {
        let cgroup = CgroupId { path: "/none".into(), inode: 1 };
        let (container, claim) = (container.to_owned(), "data".to_owned());
        Limit { container, cgroup, claim, disk: Device { major: 8, minor }, rate, to: 20, before: None }
    }

    #[test]
    fn nothing_waits_well_below_a_limit() {
        assert!(is_near(18.0, 20) && is_near(40.0, 20));
        assert!(!is_near(17.9, 20) && !is_near(0.0, 1));
    }

    #[test]
    fn every_container_has_to_come_near_one_of_its_limits_on_every_disk() {
        let all = [
            limit("main", 0, Rate::ReadIops),
            limit("main", 0, Rate::WriteIops),
            limit("main", 16, Rate::WriteIops),
            limit("other", 0, Rate::WriteIops),
        ];
        let covers = |near: [bool; 4]| covers_all(&all.iter().zip(near).collect::<Vec<_>>());
        assert!(covers([false, true, true, true]) && covers([true, false, true, true]));
        for missing in [[false, false, true, true], [true, true, false, true], [true, true, true, false]] {
            assert!(!covers(missing), "{missing:?}");
        }
    }

    #[test]
    fn all_limits_are_lifted_when_one_container_has_ended() {
        let living = ProcessId::of(std::process::id().cast_signed()).expect("readable").expect("it lives");
        let ended = ProcessId { start: living.start + 1, ..living };
        let is_gone = |first: &[ProcessId]| {
            Target { undo_dir: std::path::PathBuf::new(), first: first.to_vec(), limits: Vec::new() }
                .is_gone()
        };
        assert!(is_gone(&[living, ended]) && is_gone(&[ended]));
        assert!(!is_gone(&[living]) && !is_gone(&[]));
    }

    #[test]
    fn refuses_a_limit_of_nothing_which_would_take_away_somebody_elses() {
        let zero = Limit { to: 0, ..limit("main", 0, Rate::WriteIops) };
        let why = with_before(zero).expect_err("refused").to_string();
        assert!(why.contains("a limit is 1/s at least"), "{why}");
    }

    #[test]
    fn a_limit_whose_controller_was_taken_away_is_gone_and_cannot_be_set() {
        let folder = tempfile::tempdir().expect("a folder");
        std::fs::write(folder.path().join("cgroup.procs"), "").expect("writable");
        let cgroup = CgroupId::at(folder.path()).expect("there");
        let limit = Limit { cgroup, ..limit("main", 0, Rate::WriteIops) };
        limit.take_back().expect("nothing is left");
        let why = limit.set().err().expect("nothing can be set").to_string();
        assert!(why.contains("cgroup.subtree_control"), "{why}");
    }

    #[test]
    fn what_is_not_named_is_not_limited() {
        let asked =
            ThrottledDisk { write_iops: Some(20), read_bandwidth: Some(1 << 20), ..ThrottledDisk::default() };
        let expected = [(Rate::WriteIops, 20), (Rate::ReadBandwidth, 1 << 20)];
        assert_eq!(rates(&asked).collect::<Vec<_>>(), expected);
    }
}
