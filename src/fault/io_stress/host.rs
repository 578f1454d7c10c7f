//! Loads the disks of volumes on a host.
//!
//! Guarantees: one process, in the cgroup of one container and in no namespace of it, with one file without a name on each volume,
//! which takes no more room than was asked for; it is named in the record before it does anything, and ends with its container,
//! with its deadline, or when nobody holds its line any more. What others write is never touched.

use std::fs::{self, File};
use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd};
use std::time::{Duration, Instant};

use nix::errno::Errno;
use serde::{Deserialize, Serialize};

use crate::api::{HostFault, InjectionSpec, StressedDisk};
use crate::fault::host;
use crate::fault::host::volumes::{VolumeError, find, kernel as of_volume};
use crate::fault::host::{
    ContainerError, Effect, HostError, Look, Own, Prepared, Running, Undo, io_cgroup, kernel,
};
use crate::host::load::tally::{Entry, Tally};
use crate::host::load::{Load, Orders, SUBCOMMAND, file_in};
use crate::host::process::ProcessId;
use crate::host::process::held::Held;
use crate::host::process::tied::{self, Tied};
use crate::host::room::Room;
use crate::node::LocatedPod;
use crate::undo::guardian::LaunchError;

/// For how long what is under way may take when it is ended.
const PATIENCE: Duration = Duration::from_secs(10);
/// Over less time, a single write would look like many in a second.
const SHORTEST: Duration = Duration::from_millis(500);

/// What is loaded, and by whom.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Target {
    /// The container in whose cgroup it is done.
    pub container: Running,
    /// The claim templates' names.
    pub claims: Vec<String>,
    /// Who does it.
    pub load: ProcessId,
}

/// Why a volume could not be loaded.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// Not found, or the kernel refused.
    #[error(transparent)]
    Container(#[from] ContainerError),
    /// Not found, or not to be touched.
    #[error(transparent)]
    Volume(#[from] VolumeError),
    /// In which of them?
    #[error(
        "the pod has containers {0}: name the one whose cgroup it is done in, by the target's `container`"
    )]
    WhichContainer(String),
    /// It would fill the volume.
    #[error(
        "volume {claim} has {left} bytes left, and a load takes half of that at most: expected a file of {size}; write a smaller `size`"
    )]
    NoRoom {
        /// Which.
        claim: String,
        /// What is left.
        left: u64,
        /// What was asked for.
        size: u64,
    },
    /// Nobody could do it.
    #[error(transparent)]
    Launch(#[from] LaunchError),
    /// Whoever did it has ended.
    #[error("the process that loads the volumes has ended")]
    Gone,
    /// What it needs.
    #[error("cannot prepare a load: {0}")]
    Prepare(#[source] io::Error),
    /// It is still there.
    #[error("cannot end {0}, which loads the volumes: {1}")]
    End(ProcessId, #[source] io::Error),
}

/// A process that has not done anything yet.
pub struct Ready {
    target: Target,
    load: Tied,
    tally: Tally,
}

/// Finds the volumes and the cgroup, makes the files, which take nothing yet, and starts who shall do it.
pub(in crate::fault) fn prepare(
    stressed: &StressedDisk,
    pod: &LocatedPod,
    container: Option<&str>,
    own: Own<'_>,
) -> Result<Ready, HostError> {
    Ok(start(stressed, pod, container, own)?)
}

fn start(
    stressed: &StressedDisk,
    pod: &LocatedPod,
    container: Option<&str>,
    own: Own<'_>,
) -> Result<Ready, Error> {
    let found = Running::find(pod, container)?;
    let [running] = found.as_slice() else {
        let names: Vec<&str> = found.iter().map(|running| running.name.as_str()).collect();
        return Err(Error::WhichContainer(names.join(", ")));
    };
    let cgroup = io_cgroup(pod, running)?;
    let (mut claims, mut files) = (Vec::new(), Vec::new());
    for (volume, root) in find(pod, &stressed.claims, own.undo_dir)? {
        let claim = volume.claim;
        let left = Room::at(&root).map_err(of_volume("look at", &claim))?.available;
        if stressed.size > left / 2 {
            return Err(Error::NoRoom { claim, left, size: stressed.size });
        }
        files.push(file_in(&root).map_err(of_volume("make a file on", &claim))?);
        claims.push(claim);
    }
    let load = Load {
        workers: stressed.workers,
        block: stressed.block_size,
        size: stressed.size,
        write_percent: stressed.write_percent,
        rate: stressed.rate,
        seed: u64::from(stressed.seed),
    };
    let tally = Tally::new(load.workers * files.len() as u32).map_err(Error::Prepare)?;
    let orders = Orders {
        tally: tally.as_fd().as_raw_fd(),
        files: files.iter().map(AsRawFd::as_raw_fd).collect(),
        neighbour: running.first,
        load,
    };
    let orders = serde_json::to_string(&orders).map_err(|error| Error::Prepare(error.into()))?;
    let inherited: Vec<BorrowedFd<'_>> =
        std::iter::once(tally.as_fd()).chain(files.iter().map(File::as_fd)).collect();
    let words = [SUBCOMMAND.as_ref(), orders.as_ref()];
    let child = own.launch.worker(words, &inherited, Some(&cgroup.path))?;
    let load = Tied::new(child).map_err(Error::Prepare)?;
    let target = Target { container: running.clone(), claims, load: load.process };
    Ok(Ready { target, load, tally })
}

impl Prepared for Ready {
    fn target(&self) -> host::Target {
        host::Target::IoStress(self.target.clone())
    }

    fn descriptors(&self) -> Vec<BorrowedFd<'_>> {
        vec![self.load.line(), self.tally.as_fd()]
    }

    fn inject(self: Box<Self>, _: &InjectionSpec, _: Duration) -> Result<Box<dyn Effect>, HostError> {
        let Self { target, load, tally } = *self;
        let loaded = Loaded::new(target, load, tally)?;
        loaded.load.go().map_err(Error::Prepare)?;
        Ok(Box::new(loaded))
    }
}

impl Undo for Target {
    fn anchors(&self) -> Vec<ProcessId> {
        vec![self.container.first]
    }

    fn helpers(&self) -> Vec<ProcessId> {
        vec![self.load]
    }

    fn revert(&self, _: &Held) -> Result<(), HostError> {
        Ok(tied::end(self.load, PATIENCE).map_err(|error| Error::End(self.load, error))?)
    }

    fn adopt(&self, _: &HostFault, held: Held) -> Result<Box<dyn Effect>, HostError> {
        let mut held = held.into_iter();
        let (Some(line), Some(tally)) = (held.next(), held.next()) else { return Err(Error::Gone.into()) };
        let load = Tied::adopt(line, self.load);
        Ok(Box::new(Loaded::new(self.clone(), load, Tally::from(File::from(tally)))?))
    }
}

/// Volumes under load.
struct Loaded {
    target: Target,
    load: Tied,
    tally: Tally,
    /// What it had done at the last look.
    seen: Seen,
}

/// What a load has done.
struct Seen {
    at: Instant,
    /// By its own word.
    done: Entry,
    /// How many bytes the kernel had it read from disks and write to them.
    counted: u64,
}

impl Loaded {
    fn new(target: Target, load: Tied, tally: Tally) -> Result<Self, Error> {
        let seen = Seen::now(&target, &tally)?;
        Ok(Self { target, load, tally, seen })
    }

    fn see(&mut self) -> Result<Look, Error> {
        let now = Seen::now(&self.target, &self.tally)?;
        let over = now.at.duration_since(self.seen.at);
        if now.done.errno != 0 {
            let why = Errno::from_raw(now.done.errno);
            return Ok(Look::Fails(format!("a read or write of the load failed: {why}")));
        }
        if over < SHORTEST {
            return Ok(Look::NotYet);
        }
        let observed = self.observed(&now, over);
        self.seen = now;
        // While nothing has come back, nothing is known: a disk may take longer than from one look to the next.
        Ok(observed.map_or(Look::NotYet, Look::Holds))
    }

    /// What was done since the last look; nothing where nothing was, or nothing that got to a disk.
    fn observed(&self, now: &Seen, over: Duration) -> Option<String> {
        let reads = now.done.reads - self.seen.done.reads;
        let writes = now.done.writes - self.seen.done.writes;
        let bytes = now.counted.saturating_sub(self.seen.counted);
        if reads + writes == 0 || bytes == 0 {
            return None;
        }
        let per_second = |count: u64| count as f64 / over.as_secs_f64();
        let mean = (now.done.took - self.seen.done.took) / (reads + writes);
        let milliseconds = |nanos: u64| Duration::from_nanos(nanos).as_secs_f64() * 1000.0;
        Some(format!(
            "{} in the cgroup of container {}: {:.1} reads/s and {:.1} writes/s on volumes {}, {:.2} ms each in the mean, {:.2} ms at most so far; {:.0} bytes/s to and from disks (/proc/PID/io)",
            self.target.load,
            self.target.container.name,
            per_second(reads),
            per_second(writes),
            self.target.claims.join(", "),
            milliseconds(mean),
            milliseconds(now.done.longest),
            per_second(bytes)
        ))
    }
}

impl Seen {
    /// What it has done by now.
    fn now(target: &Target, tally: &Tally) -> Result<Self, Error> {
        let failed = || kernel("look at the load in the cgroup of", &target.container.name);
        let done = tally.read().map_err(failed())?;
        let text = fs::read_to_string(format!("/proc/{}/io", target.load.pid));
        // Read first, so that it was this process if it still is.
        if !target.load.is_alive().map_err(failed())? {
            return Err(Error::Gone);
        }
        let text = text.map_err(failed())?;
        let counted = bytes(&text).ok_or_else(|| failed()(io::ErrorKind::InvalidData.into()))?;
        Ok(Self { at: Instant::now(), done, counted })
    }
}

/// What went to disks and came from them (proc_pid_io(5)).
fn bytes(text: &str) -> Option<u64> {
    let field =
        |name: &str| text.lines().find_map(|line| line.strip_prefix(name)?.trim().parse::<u64>().ok());
    field("read_bytes:")?.checked_add(field("write_bytes:")?)
}

impl Effect for Loaded {
    fn look(&mut self, _: Option<&LocatedPod>) -> Look {
        self.see().unwrap_or_else(|error| Look::Fails(error.to_string()))
    }

    fn descriptors(&self) -> Vec<BorrowedFd<'_>> {
        vec![self.load.line(), self.tally.as_fd()]
    }

    fn into_held(self: Box<Self>) -> Held {
        [self.load.into_line(), self.tally.into()].into_iter().collect()
    }
}

#[cfg(test)]
mod tests {
    use super::bytes;

    #[test]
    fn only_what_gets_to_a_disk_is_counted() {
        let text = "rchar: 900\nwchar: 800\nsyscr: 7\nsyscw: 6\nread_bytes: 4096\nwrite_bytes: 8192\ncancelled_write_bytes: 4096\n";
        assert_eq!(bytes(text), Some(12_288));
        assert_eq!(bytes("rchar: 900\n"), None);
    }
}
