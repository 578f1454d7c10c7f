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
use crate::host::cgroup::memory;
use crate::host::freezer::cgroup_of;
use crate::host::load::tally::{Entry, Tally};
use crate::host::load::{ALIGNMENT, Load, Orders, SUBCOMMAND, file_in};
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

/// What the program of the load takes of memory, with all that it needs to make its files.
const PROGRAM: u64 = 8 << 20;

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
    /// The kernel would end the container, or the load.
    #[error(
        "container {container} has {left} bytes of memory left (memory.max, less memory.current without inactive_file), and the load takes up to {needed} of the container's: write fewer `workers`, or a smaller `blockSize`"
    )]
    NoMemory {
        /// Which.
        container: String,
        /// What is left.
        left: u64,
        /// What would be taken.
        needed: u64,
    },
    /// Nobody could do it.
    #[error(transparent)]
    Launch(#[from] LaunchError),
    /// The disk, or the kernel.
    #[error("a read or write of the load failed: {0}")]
    Failed(Errno),
    /// Each of the workers is one.
    #[error(
        "the load cannot start its threads: {0}; they count against the limit of processes of the container and its pod (pids.max): write fewer `workers`"
    )]
    Threads(Errno),
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

/// How much memory a load takes at most, in bytes: what its workers read and write, and the program itself.
fn memory_of(stressed: &StressedDisk, volumes: usize) -> u64 {
    let each = stressed.block_size.saturating_add(ALIGNMENT).saturating_mul(u64::from(stressed.workers));
    each.saturating_mul(volumes as u64).saturating_add(PROGRAM)
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
    let name = &running.name;
    let whole = io_cgroup(pod, running)?;
    // Some runtimes keep its processes in a cgroup below its own.
    let cgroup = cgroup_of(running.first.pid, &whole.path).map_err(kernel("find the cgroup of", name))?;
    let cgroup = cgroup.ok_or_else(|| ContainerError::Gone(name.clone()))?;
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
    let needed = memory_of(stressed, files.len());
    let left = memory::left(&cgroup).map_err(kernel("read the memory limits of", name))?;
    if let Some(left) = left.filter(|left| *left < needed) {
        return Err(Error::NoMemory { container: name.clone(), left, needed });
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
    let child = own.launch.worker(words, &inherited, Some(&cgroup))?;
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
    /// By its own word, on each volume.
    done: Vec<Entry>,
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
        if over < SHORTEST {
            return Ok(Look::NotYet);
        }
        let done: Vec<Entry> =
            now.done.iter().zip(&self.seen.done).map(|(now, before)| now.since(before)).collect();
        let bytes = now.counted.saturating_sub(self.seen.counted);
        let look = if is_loaded(&done, bytes) {
            Look::Holds(self.observed(&done, bytes, over))
        } else {
            Look::NotYet
        };
        // While nothing has come back, nothing is known: a disk may take longer than from one look to the next, and one
        // longer than another.
        if matches!(look, Look::Holds(_)) || done.iter().all(|done| done.count() == 0) {
            self.seen = now;
        }
        Ok(look)
    }

    fn observed(&self, done: &[Entry], bytes: u64, over: Duration) -> String {
        let all = done.iter().copied().fold(Entry::default(), Entry::with);
        let per_second = |count: u64| count as f64 / over.as_secs_f64();
        let milliseconds = |nanos: u64| Duration::from_nanos(nanos).as_secs_f64() * 1000.0;
        format!(
            "{} in the cgroup of container {}: {:.1} reads/s and {:.1} writes/s on volumes {}, {:.2} ms each in the mean, {:.2} ms at most so far; {:.0} bytes/s to and from disks (/proc/PID/io)",
            self.target.load,
            self.target.container.name,
            per_second(all.reads),
            per_second(all.writes),
            self.target.claims.join(", "),
            milliseconds(all.took / all.count()),
            milliseconds(all.longest),
            per_second(bytes)
        )
    }
}

/// Whether every volume was loaded, and what was done got to a disk.
fn is_loaded(done: &[Entry], bytes: u64) -> bool {
    bytes > 0 && done.iter().all(|done| done.count() > 0)
}

impl Seen {
    /// What it has done by now.
    fn now(target: &Target, tally: &Tally) -> Result<Self, Error> {
        let failed = || kernel("look at the load in the cgroup of", &target.container.name);
        let done = || -> Result<Vec<Entry>, Error> {
            let done = tally.read(target.claims.len()).map_err(failed())?;
            match done.iter().find(|done| done.errno != 0).map(|done| Errno::from_raw(done.errno)) {
                // It waits for whatever it reads and writes: only who wants to be more is told to try again.
                Some(errno @ Errno::EAGAIN) => Err(Error::Threads(errno)),
                Some(errno) => Err(Error::Failed(errno)),
                None => Ok(done),
            }
        };
        let counted_so_far = done()?;
        let text = fs::read_to_string(format!("/proc/{}/io", target.load.pid));
        // Read first, so that it was this process if it still is.
        if !target.load.is_alive().map_err(failed())? {
            // It may have said why since.
            return done().and(Err(Error::Gone));
        }
        let text = text.map_err(failed())?;
        let counted = bytes(&text).ok_or_else(|| failed()(io::ErrorKind::InvalidData.into()))?;
        Ok(Self { at: Instant::now(), done: counted_so_far, counted })
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
    use super::{Entry, bytes, is_loaded};

    #[test]
    fn one_volume_proves_nothing_for_another_and_nothing_is_proven_that_gets_to_no_disk() {
        let (busy, idle) = (Entry { reads: 1, ..Entry::default() }, Entry::default());
        assert!(is_loaded(&[busy, busy], 1));
        assert!(!is_loaded(&[busy, idle], 1) && !is_loaded(&[busy, busy], 0));
    }

    #[test]
    fn only_what_gets_to_a_disk_is_counted() {
        let text = "rchar: 900\nwchar: 800\nsyscr: 7\nsyscw: 6\nread_bytes: 4096\nwrite_bytes: 8192\ncancelled_write_bytes: 4096\n";
        assert_eq!(bytes(text), Some(12_288));
        assert_eq!(bytes("rchar: 900\n"), None);
    }
}
