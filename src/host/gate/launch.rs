//! The side of whoever starts a gate.

use std::io::{self, Read, Write};
use std::os::fd::AsFd;
use std::path::Path;
use std::process::{Child, ChildStdin, ChildStdout};
use std::time::{Duration, Instant};

use nix::errno::Errno;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};

use super::{Rules, SUBCOMMAND, Tally};
use crate::host::process::ProcessId;
use crate::host::process::launch::detached;

/// For how long it may take to answer.
const PATIENCE: Duration = Duration::from_secs(10);

/// A process that the kernel asks, which was started here and ends with this value.
#[derive(Debug)]
pub struct Gate {
    child: Child,
    /// Taken when it is dropped.
    questions: Option<ChildStdin>,
    answers: ChildStdout,
    /// Who it is.
    pub process: ProcessId,
}

impl Gate {
    /// Starts one that is asked nothing yet. `program` knows the hidden subcommand.
    pub fn start(program: &Path, rules: &Rules) -> io::Result<Self> {
        let rules = serde_json::to_string(rules)?;
        let mut child = detached(program, [SUBCOMMAND.as_ref(), rules.as_ref()], &[], &[])?;
        let (Some(questions), Some(answers)) = (child.stdin.take(), child.stdout.take()) else {
            return Err(io::ErrorKind::BrokenPipe.into());
        };
        let process = ProcessId::of(child.id().cast_signed())?.ok_or(io::ErrorKind::NotFound)?;
        Ok(Self { child, questions: Some(questions), answers, process })
    }

    /// How things stand; the first time, the kernel is told to ask it from now on.
    pub fn tally(&mut self) -> io::Result<Tally> {
        self.questions.as_mut().ok_or(io::ErrorKind::BrokenPipe)?.write_all(b"?")?;
        let until = Instant::now() + PATIENCE;
        let mut line = Vec::new();
        while !line.ends_with(b"\n") {
            self.await_more(until)?;
            let mut some = [0; 512];
            match self.answers.read(&mut some)? {
                // Its exit code is the error's number.
                0 => {
                    return Err(self
                        .child
                        .wait()?
                        .code()
                        .map_or(io::ErrorKind::UnexpectedEof.into(), io::Error::from_raw_os_error));
                }
                length => line.extend_from_slice(&some[..length]),
            }
        }
        Ok(serde_json::from_slice(&line)?)
    }

    fn await_more(&mut self, until: Instant) -> io::Result<()> {
        loop {
            let left = until.saturating_duration_since(Instant::now());
            let limit = PollTimeout::try_from(left).unwrap_or(PollTimeout::MAX);
            match poll(&mut [PollFd::new(self.answers.as_fd(), PollFlags::POLLIN)], limit) {
                Err(Errno::EINTR) => {}
                Ok(0) => {
                    // What it answers later would be taken for the answer to the next question.
                    self.questions = None;
                    return Err(io::Error::new(io::ErrorKind::TimedOut, "it does not answer"));
                }
                waited => return Ok(waited.map(drop)?),
            }
        }
    }
}

impl Drop for Gate {
    /// It ends when nobody asks any more; SIGKILL is for one that hangs, and lets everybody go on as well.
    fn drop(&mut self) {
        drop(self.questions.take());
        let handle = self.process.open().ok().flatten();
        if !handle.is_none_or(|handle| handle.wait(PATIENCE).unwrap_or(false)) {
            let _ = self.child.kill();
        }
        let _ = self.child.wait();
    }
}
