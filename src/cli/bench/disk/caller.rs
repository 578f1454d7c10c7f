//! A process that makes calls on a file and takes the time of each by its own clock, which is read without a call.

use std::fs::File;
use std::io::{self, BufRead, BufReader, Write};
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::process::{Child, ChildStdin, ChildStdout, Command, ExitCode, Stdio};
use std::time::{Duration, Instant};

use super::Times;
use crate::host::process::ProcessId;
use crate::host::tracer::Operation;

/// The hidden subcommand that runs [`main`].
pub(in crate::cli) const SUBCOMMAND: &str = "__caller";

/// A call, by the word that asks for it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Call {
    /// fdatasync(2), with nothing to write.
    Sync,
    /// pwrite(2) of 4 KiB, to memory.
    Write,
    /// pread(2) of 4 KiB, from memory.
    Read,
    /// openat(2).
    Open,
    /// getppid(2), which is about no file.
    Other,
}

impl Call {
    pub(super) const ALL: [Self; 5] = [Self::Sync, Self::Write, Self::Read, Self::Open, Self::Other];

    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Sync => "fdatasync",
            Self::Write => "pwrite",
            Self::Read => "pread",
            Self::Open => "openat",
            Self::Other => "getppid",
        }
    }

    /// What it does to a file, if anything.
    pub(super) fn operation(self) -> Option<Operation> {
        match self {
            Self::Sync => Some(Operation::Sync),
            Self::Write => Some(Operation::Write),
            Self::Read => Some(Operation::Read),
            Self::Open => Some(Operation::Open),
            Self::Other => None,
        }
    }

    fn time(self, path: &Path, file: &File) -> io::Result<Duration> {
        let mut bytes = [0; 4096];
        let since = Instant::now();
        match self {
            Self::Sync => file.sync_data()?,
            Self::Write => file.write_all_at(&bytes, 0)?,
            Self::Read => file.read_exact_at(&mut bytes, 0)?,
            Self::Open => {
                let opened = File::open(path);
                let took = since.elapsed();
                return opened.map(|_| took);
            }
            Self::Other => drop(nix::unistd::getppid()),
        }
        Ok(since.elapsed())
    }
}

/// Makes the calls that are asked for until nobody asks any more: a word, at most how many, and for how many milliseconds.
/// Answers each line with one of nanoseconds.
pub(in crate::cli) fn main(folder: &Path) -> ExitCode {
    match serve(folder) {
        Ok(()) => ExitCode::SUCCESS,
        Err(_) => ExitCode::FAILURE,
    }
}

fn serve(folder: &Path) -> io::Result<()> {
    let path = folder.join("calls");
    for order in io::stdin().lock().lines() {
        let order = order?;
        let unknown = || io::Error::from(io::ErrorKind::InvalidInput);
        let [word, count, limit] = order.split(' ').collect::<Vec<_>>()[..] else { return Err(unknown()) };
        let call = Call::ALL.into_iter().find(|call| call.name() == word).ok_or_else(unknown)?;
        let count: usize = count.parse().map_err(|_| unknown())?;
        let until = Instant::now() + Duration::from_millis(limit.parse().map_err(|_| unknown())?);
        // Opened anew, because a driver may see only what is opened after it came.
        let file = File::options().read(true).write(true).create(true).truncate(false).open(&path)?;
        if file.metadata()?.len() < 4096 {
            file.set_len(4096)?;
            file.sync_all()?;
        }
        let mut times = Vec::with_capacity(count);
        while times.len() < count && Instant::now() < until {
            times.push(call.time(&path, &file)?.as_nanos().to_string());
        }
        let mut output = io::stdout().lock();
        writeln!(output, "{}", times.join(" "))?;
        output.flush()?;
    }
    Ok(())
}

/// Such a process, which ends with this value.
pub(super) struct Caller {
    child: Child,
    orders: ChildStdin,
    answers: BufReader<ChildStdout>,
    pub(super) process: ProcessId,
}

impl Caller {
    pub(super) fn start(folder: &Path) -> Result<Self, String> {
        let failed = |error: io::Error| format!("cannot start a process that makes calls: {error}");
        let mut command = Command::new(std::env::current_exe().map_err(failed)?);
        command.arg(SUBCOMMAND).arg(folder).stdin(Stdio::piped()).stdout(Stdio::piped());
        let mut child = command.spawn().map_err(failed)?;
        let (Some(orders), Some(answers)) = (child.stdin.take(), child.stdout.take()) else {
            return Err(failed(io::ErrorKind::BrokenPipe.into()));
        };
        let process = ProcessId::of(child.id().cast_signed())
            .and_then(|found| found.ok_or_else(|| io::Error::from(io::ErrorKind::NotFound)));
        Ok(Self { child, orders, answers: BufReader::new(answers), process: process.map_err(failed)? })
    }

    /// Has it make a call at most so often, for at most so long.
    pub(super) fn time(&mut self, call: Call, count: usize, limit: Duration) -> Result<Times, String> {
        let failed = |error: io::Error| format!("the process that makes calls does not answer: {error}");
        writeln!(self.orders, "{} {count} {}", call.name(), limit.as_millis()).map_err(failed)?;
        let mut line = String::new();
        self.answers.read_line(&mut line).map_err(failed)?;
        Times::of(
            line.split_whitespace()
                .filter_map(|time| Some(Duration::from_nanos(time.parse().ok()?)))
                .collect(),
        )
    }
}

impl Drop for Caller {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
