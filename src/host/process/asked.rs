//! Processes of ours that are asked, and answer each question with a line of JSON. What cannot wait for a question, because
//! they may be gone by then, they say unasked, in a line that begins with `!`.
//!
//! One ends when nobody can ask it any more, so with whoever started it.

use std::ffi::{OsStr, OsString};
use std::io::{self, Read, Write};
use std::os::fd::AsFd;
use std::process::{Child, ChildStdin, ChildStdout, ExitCode};
use std::time::{Duration, Instant};

use nix::errno::Errno;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use serde::Serialize;
use serde::de::DeserializeOwned;

use super::ProcessId;

/// For how long one may take to answer: to attach to thousands of threads takes some milliseconds each.
const PATIENCE: Duration = Duration::from_secs(10);

/// One that was started here, and ends with this value.
#[derive(Debug)]
pub struct Asked {
    child: Child,
    /// Taken when it is dropped.
    questions: Option<ChildStdin>,
    answers: ChildStdout,
    /// What has come and is no whole line yet.
    begun: Vec<u8>,
    /// The newest line that it said unasked.
    unasked: Option<Vec<u8>>,
    /// Who it is.
    pub process: ProcessId,
}

impl Asked {
    /// Has `launch` start one with these words, its standard input and output as pipes: a hidden subcommand, and its rules.
    pub fn start(
        subcommand: &str,
        rules: &impl Serialize,
        launch: impl FnOnce([&OsStr; 2]) -> io::Result<Child>,
    ) -> io::Result<Self> {
        let rules = serde_json::to_string(rules)?;
        let mut child = launch([subcommand.as_ref(), rules.as_ref()])?;
        let (Some(questions), Some(answers)) = (child.stdin.take(), child.stdout.take()) else {
            return Err(io::ErrorKind::BrokenPipe.into());
        };
        let process = ProcessId::of(child.id().cast_signed())?.ok_or(io::ErrorKind::NotFound)?;
        Ok(Self { child, questions: Some(questions), answers, begun: Vec::new(), unasked: None, process })
    }

    /// What it answers.
    ///
    /// # Errors
    /// That of the process itself, where it has ended with one.
    pub fn ask<A: DeserializeOwned>(&mut self, question: &[u8]) -> io::Result<A> {
        match self.questions.as_mut().ok_or(io::ErrorKind::BrokenPipe)?.write_all(question) {
            // It has ended; why is read where its answer would be.
            Err(error) if error.kind() == io::ErrorKind::BrokenPipe => {}
            written => written?,
        }
        let until = Instant::now() + PATIENCE;
        loop {
            if let Some(answer) = self.next_answer() {
                return Ok(serde_json::from_slice(&answer)?);
            }
            self.await_more(until)?;
            if self.read_more()? == 0 {
                let code = self.child.wait()?.code().filter(|&code| code != 0);
                return Err(code.map_or(io::ErrorKind::UnexpectedEof.into(), io::Error::from_raw_os_error));
            }
        }
    }

    /// What it said unasked, at last, also where it has been killed since.
    pub fn unasked<A: DeserializeOwned>(&mut self) -> Option<A> {
        while self.has_more().unwrap_or(false) && self.read_more().is_ok_and(|length| length > 0) {}
        // Nobody waits for an answer now.
        while self.next_answer().is_some() {}
        serde_json::from_slice(self.unasked.as_ref()?).ok()
    }

    /// The next whole line that is an answer.
    fn next_answer(&mut self) -> Option<Vec<u8>> {
        while let Some(end) = self.begun.iter().position(|&byte| byte == b'\n') {
            let line: Vec<u8> = self.begun.drain(..=end).collect();
            match line.strip_prefix(b"!") {
                Some(unasked) => self.unasked = Some(unasked.to_vec()),
                None => return Some(line),
            }
        }
        None
    }

    fn read_more(&mut self) -> io::Result<usize> {
        let mut some = [0; 512];
        let length = self.answers.read(&mut some)?;
        self.begun.extend_from_slice(&some[..length]);
        Ok(length)
    }

    fn has_more(&self) -> io::Result<bool> {
        Ok(poll(&mut [PollFd::new(self.answers.as_fd(), PollFlags::POLLIN)], PollTimeout::ZERO)? > 0)
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

impl Drop for Asked {
    /// It ends when nobody asks any more; SIGKILL is for one that hangs.
    fn drop(&mut self) {
        drop(self.questions.take());
        let handle = self.process.open().ok().flatten();
        if !handle.is_none_or(|handle| handle.wait(PATIENCE).unwrap_or(false)) {
            let _ = self.child.kill();
        }
        let _ = self.child.wait();
    }
}

/// Becomes one, by these rules in JSON; its exit code is the number of the error with which it ended.
pub(in crate::host) fn main<R: DeserializeOwned>(
    rules: Option<OsString>,
    run: impl FnOnce(R) -> io::Result<()>,
) -> ExitCode {
    let rules = rules.and_then(|text| serde_json::from_slice(text.as_encoded_bytes()).ok());
    match rules.ok_or_else(|| Errno::EINVAL.into()).and_then(run) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            let code = error.raw_os_error().and_then(|code| u8::try_from(code).ok());
            ExitCode::from(code.unwrap_or(Errno::EIO as u8))
        }
    }
}

/// Answers one question.
pub(in crate::host) fn answer(with: &impl Serialize) -> io::Result<()> {
    write_line("", with)
}

/// Says something unasked. Before this returns it is where whoever asks can read it; where nobody is left who could, this
/// process is about to end, too.
pub(in crate::host) fn tell_if_heard(what: &impl Serialize) {
    let _ = write_line("!", what);
}

fn write_line(mark: &str, what: &impl Serialize) -> io::Result<()> {
    let line = format!("{mark}{}\n", serde_json::to_string(what)?);
    let mut output = io::stdout();
    output.write_all(line.as_bytes())?;
    output.flush()
}

#[cfg(test)]
mod tests {
    use std::process::{Command, Stdio};

    use super::*;

    #[test]
    fn one_that_has_ended_says_why() {
        let launch = |_: [&OsStr; 2]| {
            Command::new("sh").args(["-c", "exit 22"]).stdin(Stdio::piped()).stdout(Stdio::piped()).spawn()
        };
        let mut asked = Asked::start("", &(), launch).expect("there is a shell");
        if let Some(handle) = asked.process.open().expect("readable") {
            assert!(handle.wait(PATIENCE).expect("it can be waited for"));
        }
        let error = asked.ask::<()>(b"?").expect_err("nobody answers");
        assert_eq!(error.raw_os_error(), Some(Errno::EINVAL as i32));
    }

    #[test]
    fn what_is_said_unasked_is_no_answer_and_outlives_who_said_it() {
        let launch = |_: [&OsStr; 2]| {
            let script = r"read question; printf '!1\n7\n!2\n!3'; kill -9 $$";
            Command::new("sh").args(["-c", script]).stdin(Stdio::piped()).stdout(Stdio::piped()).spawn()
        };
        let mut asked = Asked::start("", &(), launch).expect("there is a shell");
        assert_eq!(asked.unasked::<u8>(), None);
        assert_eq!(asked.ask::<u8>(b"?\n").expect("it answers"), 7);
        if let Some(handle) = asked.process.open().expect("readable") {
            assert!(handle.wait(PATIENCE).expect("it can be waited for"));
        }
        assert_eq!(asked.unasked::<u8>(), Some(2), "the last one is no whole line");
        assert_eq!(asked.unasked::<u8>(), Some(2));
    }
}
