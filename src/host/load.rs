//! The process that loads disks: it reads and writes one file without a name on each, past the kernel's memory (O_DIRECT of
//! open(2)), from several threads, and notes what that took.
//!
//! The room of a file comes back with its last descriptor, which this process has; it ends when it is killed, when nobody holds
//! its line, or when the process ends whose neighbour it is, so that it never keeps a cgroup busy that is to be removed.

use std::ffi::OsString;
use std::fs::{self, File, OpenOptions};
use std::io;
use std::os::fd::{AsRawFd, FromRawFd, RawFd};
use std::os::unix::fs::{FileExt, OpenOptionsExt};
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::{Duration, Instant};

use nix::fcntl::OFlag;
use nix::libc;
use rand::rngs::ChaCha12Rng;
use rand::{RngExt, SeedableRng};
use serde::{Deserialize, Serialize};

use crate::host::process::ProcessId;
use crate::host::process::tied::Line;

pub mod tally;

use tally::{Entry, Tally};

/// The hidden subcommand that runs [`main`].
pub const SUBCOMMAND: &str = "__load";

/// What every read and write begins and ends at a multiple of: no disk has larger sectors.
pub const ALIGNMENT: u64 = 4 << 10;
/// How much is written at once when the file is made.
const AT_ONCE: u64 = 1 << 20;
/// How often it looks whether it is still wanted.
const LOOK: Duration = Duration::from_millis(100);

/// What it is told on its command line. Descriptors are those that it inherits.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Orders {
    /// The memory for what it has done.
    pub tally: RawFd,
    /// The files, one on each filesystem.
    pub files: Vec<RawFd>,
    /// Whose neighbour it is.
    pub neighbour: ProcessId,
    /// What it does to each of them.
    pub load: Load,
}

/// A load on one file.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Load {
    /// How many reads and writes are under way at once.
    pub workers: u32,
    /// How many bytes each is about.
    pub block: u64,
    /// How large the file is.
    pub size: u64,
    /// How many of a hundred are writes.
    pub write_percent: u8,
    /// How many there are in a second, all together; as many as there can be where nothing is said.
    pub rate: Option<u32>,
    /// Decides where, and which are writes.
    pub seed: u64,
}

/// Why no load can be proven on this machine, if so.
pub fn obstacle() -> Option<String> {
    fs::read_to_string("/proc/self/io").err().map(|error| {
        format!("this kernel does not say what a process reads and writes, in /proc/PID/io: {error}")
    })
}

/// An unnamed file in an open folder, to be read and written past the kernel's memory.
pub fn file_in(folder: &File) -> io::Result<File> {
    let path = PathBuf::from(format!("/proc/self/fd/{}", folder.as_raw_fd()));
    let flags = OFlag::O_TMPFILE | OFlag::O_EXCL | OFlag::O_DIRECT;
    OpenOptions::new().read(true).write(true).custom_flags(flags.bits()).mode(0o600).open(path)
}

/// Becomes that process, by the word that follows [`SUBCOMMAND`].
pub fn main(orders: Option<OsString>) -> ExitCode {
    let orders: Option<Orders> = orders.and_then(|orders| serde_json::from_str(orders.to_str()?).ok());
    match orders.map(|orders| load(&orders)) {
        None => ExitCode::from(2),
        Some(Ok(())) => ExitCode::SUCCESS,
        Some(Err(_)) => ExitCode::FAILURE,
    }
}

fn load(orders: &Orders) -> io::Result<()> {
    let mut line = Line::default();
    if !line.is_told()? {
        return Ok(());
    }
    // Where memory is short, this process is the one to go; with it the whole neighbour, where its cgroup ends together
    // (memory.oom.group), as kubelet has it in version 2.
    fs::write("/proc/self/oom_score_adj", "1000")?;
    // SAFETY: whoever started this process let it inherit these descriptors, and nothing else here uses them.
    let inherited = |number| unsafe { File::from_raw_fd(number) };
    let tally = Tally::from(inherited(orders.tally));
    let files: Vec<File> = orders.files.iter().map(|&number| inherited(number)).collect();
    let is_wanted =
        || Ok(matches!(orders.neighbour.is_alive(), Ok(true)) && line.is_held_for(Duration::ZERO)?);
    let mut workers = Vec::new();
    for (number, file) in files.iter().enumerate() {
        for place in 0..orders.load.workers {
            let number = number as u32 * orders.load.workers + place;
            workers.push(Worker { file, number, tally: &tally, load: orders.load, entry: Entry::default() });
        }
    }
    for first in workers.iter_mut().step_by(orders.load.workers as usize) {
        if !first.make(&is_wanted)? {
            return Ok(());
        }
    }
    std::thread::scope(|threads| {
        for worker in workers {
            let (number, thread) = (worker.number, std::thread::Builder::new());
            if let Err(error) = thread.spawn_scoped(threads, move || worker.work()) {
                // The neighbour's limit of processes is one of threads, too. The others never come to an end by themselves.
                let _ = tally.note(number, &failed(&error));
                std::process::exit(1);
            }
        }
        loop {
            let is_over = |result: io::Result<bool>| !result.unwrap_or(false);
            if is_over(line.is_held_for(LOOK)) || is_over(is_wanted()) {
                // Its threads never come to an end by themselves.
                std::process::exit(0);
            }
        }
    })
}

/// One of those that read and write.
struct Worker<'a> {
    file: &'a File,
    number: u32,
    tally: &'a Tally,
    load: Load,
    entry: Entry,
}

impl Worker<'_> {
    /// Writes the whole file once: what was never written would be read from nowhere. That is no load yet, and noted only
    /// where it fails. Whether it was done.
    fn make(&mut self, is_wanted: &impl Fn() -> io::Result<bool>) -> io::Result<bool> {
        let mut buffer = Buffer::new(AT_ONCE.min(self.load.size));
        let mut random = ChaCha12Rng::seed_from_u64(self.load.seed);
        let mut at = 0;
        while at < self.load.size {
            if !is_wanted()? {
                return Ok(false);
            }
            let bytes = buffer.aligned(AT_ONCE.min(self.load.size - at));
            random.fill(bytes);
            if let Err(error) = self.file.write_all_at(bytes, at) {
                self.tally.note(self.number, &failed(&error))?;
                return Ok(false);
            }
            at += bytes.len() as u64;
        }
        Ok(true)
    }

    /// Reads and writes until it fails.
    fn work(mut self) {
        let Load { block, size, write_percent, seed, .. } = self.load;
        let mut buffer = Buffer::new(block);
        let bytes = buffer.aligned(block);
        let mut random = ChaCha12Rng::seed_from_u64(seed.wrapping_add(u64::from(self.number) + 1));
        random.fill(bytes);
        let mut pace = Pace::of(&self.load);
        loop {
            pace.wait();
            let at = random.random_range(0..size / block) * block;
            let is_write = random.random_range(0..100) < write_percent;
            let done = self.timed(is_write, |file| {
                if is_write { file.write_all_at(bytes, at) } else { file.read_exact_at(bytes, at) }
            });
            // Why is in the tally; without that nobody could be told anything.
            if !matches!(done, Ok(true)) {
                return;
            }
        }
    }

    /// Does it once and notes how long it took, or why it failed; whether it was done.
    fn timed(&mut self, is_write: bool, once: impl FnOnce(&File) -> io::Result<()>) -> io::Result<bool> {
        let since = Instant::now();
        let done = once(self.file);
        match &done {
            Ok(()) => self.entry.add(is_write, since.elapsed()),
            Err(error) => self.entry.errno = failed(error).errno,
        }
        self.tally.note(self.number, &self.entry)?;
        Ok(done.is_ok())
    }
}

/// What is noted of whoever has done nothing.
fn failed(error: &io::Error) -> Entry {
    Entry { errno: error.raw_os_error().unwrap_or(libc::EIO), ..Entry::default() }
}

/// Bytes that begin where direct I/O may.
struct Buffer(Vec<u8>);

impl Buffer {
    fn new(length: u64) -> Self {
        Self(vec![0; (length + ALIGNMENT) as usize])
    }

    fn aligned(&mut self, length: u64) -> &mut [u8] {
        let from = self.0.as_ptr().align_offset(ALIGNMENT as usize);
        &mut self.0[from..from + length as usize]
    }
}

/// When a worker begins the next one.
struct Pace {
    every: Duration,
    next: Instant,
}

impl Pace {
    fn of(load: &Load) -> Self {
        let every =
            load.rate.map_or(Duration::ZERO, |rate| Duration::from_secs(1) * load.workers / rate.max(1));
        Self { every, next: Instant::now() }
    }

    /// What was late is not made up for.
    fn wait(&mut self) {
        std::thread::sleep(self.next.saturating_duration_since(Instant::now()));
        self.next = Instant::now() + self.every;
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::{ALIGNMENT, Buffer, Load, Pace};

    #[test]
    fn a_buffer_begins_where_direct_io_may() {
        for length in [ALIGNMENT, 1 << 20] {
            let mut buffer = Buffer::new(length);
            let bytes = buffer.aligned(length);
            assert_eq!((bytes.as_ptr() as u64 % ALIGNMENT, bytes.len() as u64), (0, length));
        }
    }

    #[test]
    fn a_rate_is_shared_by_all_workers() {
        let load =
            Load { workers: 4, block: 4096, size: 1 << 20, write_percent: 50, rate: Some(200), seed: 1 };
        assert_eq!(Pace::of(&load).every, Duration::from_millis(20));
        assert_eq!(Pace::of(&Load { rate: None, ..load }).every, Duration::ZERO);
    }
}
