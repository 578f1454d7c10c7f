//! The same calls made and timed by fio, where it is installed: a figure that is not ours.

use std::io::{self, Write};
use std::path::Path;
use std::process::{Child, ChildStdin, Command, Stdio};
use std::time::Duration;

use super::Figures;
use crate::host::process::ProcessId;
use crate::host::tracer::Operation;

/// What fio does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Job {
    /// Reads.
    Read,
    /// Writes.
    Write,
    /// Writes, and fsync(2) after each, of which the time is taken.
    Sync,
}

impl Job {
    pub(super) const ALL: [Self; 3] = [Self::Sync, Self::Write, Self::Read];

    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Read => "pread",
            Self::Write => "pwrite",
            Self::Sync => "fsync",
        }
    }

    pub(super) fn operation(self) -> Operation {
        match self {
            Self::Read => Operation::Read,
            Self::Write => Operation::Write,
            Self::Sync => Operation::Sync,
        }
    }

    /// Where its report has what this job is timed by.
    fn times(self) -> &'static str {
        match self {
            Self::Read => "/jobs/0/read/lat_ns",
            Self::Write => "/jobs/0/write/lat_ns",
            Self::Sync => "/jobs/0/sync/lat_ns",
        }
    }
}

/// Whether there is a fio.
pub(super) fn is_installed() -> bool {
    Command::new("fio").arg("--version").stdout(Stdio::null()).status().is_ok_and(|status| status.success())
}

/// A fio that waits for its turn, so that a driver can be there before it makes a call.
pub(super) struct Started {
    job: Job,
    child: Child,
    go: ChildStdin,
    pub(super) process: ProcessId,
}

impl Started {
    pub(super) fn new(job: Job, folder: &Path, count: usize) -> Result<Self, String> {
        let failed = |error: io::Error| format!("cannot start fio: {error}");
        let mut command = Command::new("sh");
        command.args(["-c", "read go && exec fio \"$@\"", "sh", "--name=calls", "--thread", "--bs=4k"]);
        command.args(["--ioengine=psync", "--fallocate=none", "--unlink=1", "--randrepeat=1"]);
        command.args(["--output-format=json", "--lat_percentiles=1", "--percentile_list=50:99"]);
        command.arg(format!("--directory={}", folder.display()));
        command.args([format!("--size={}", count * 4096), format!("--number_ios={count}")]);
        command.args(match job {
            Job::Read => ["--rw=read", "--invalidate=0"],
            Job::Write => ["--rw=write", "--invalidate=0"],
            Job::Sync => ["--rw=write", "--fsync=1"],
        });
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::null());
        let mut child = command.spawn().map_err(failed)?;
        let go = child.stdin.take().ok_or_else(|| failed(io::ErrorKind::BrokenPipe.into()))?;
        let process = ProcessId::of(child.id().cast_signed()).map_err(failed)?;
        let process = process.ok_or_else(|| failed(io::ErrorKind::NotFound.into()))?;
        Ok(Self { job, child, go, process })
    }

    /// Lets it make its calls, and reads its report.
    pub(super) fn finish(mut self) -> Result<Figures, String> {
        let failed = |error: io::Error| format!("fio does not answer: {error}");
        self.go.write_all(b"go\n").map_err(failed)?;
        drop(self.go);
        let output = self.child.wait_with_output().map_err(failed)?;
        let unread = || format!("fio ended with {} and no report of its calls", output.status);
        let report: serde_json::Value = serde_json::from_slice(&output.stdout).map_err(|_| unread())?;
        let times = report.pointer(self.job.times()).ok_or_else(unread)?;
        let nanos = |name: &str| times["percentile"][name].as_u64().map(Duration::from_nanos);
        let (median, slowest) = nanos("50.000000").zip(nanos("99.000000")).ok_or_else(unread)?;
        let calls = times["N"].as_u64().ok_or_else(unread)? as usize;
        Ok(Figures { calls, median, slowest })
    }
}
