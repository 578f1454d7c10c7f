//! A process of ours that works for one fault, and lives no longer than somebody holds its line.
//!
//! The line is the writing end of the pipe that is the process's standard input. The node and its guardian hold it: when both
//! are gone, the process reads the end of the file and ends, and the kernel takes back whatever it alone had open. It does
//! nothing before a byte in the line tells it to, so that its undo record can name it first.

use std::fs::File;
use std::io::{self, Read, Write};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::process::Child;
use std::time::Duration;

use nix::errno::Errno;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::signal::Signal;

use super::ProcessId;

/// The side of whoever started it, or has taken its line over.
#[derive(Debug)]
pub struct Tied {
    line: File,
    /// Who it is.
    pub process: ProcessId,
}

impl Tied {
    /// Takes a process that has just been started with a pipe as its standard input.
    pub fn new(mut child: Child) -> io::Result<Self> {
        let process = ProcessId::of(child.id().cast_signed())?.ok_or(io::ErrorKind::NotFound)?;
        let line = child.stdin.take().ok_or(io::ErrorKind::BrokenPipe)?;
        // Whoever it was that ended it: nobody waits for it in the moment in which it ends.
        let reaper = std::thread::Builder::new().name("reaper".to_owned());
        reaper.spawn(move || child.wait())?;
        Ok(Self { line: File::from(OwnedFd::from(line)), process })
    }

    /// One that an earlier process started, by its line.
    pub fn adopt(line: OwnedFd, process: ProcessId) -> Self {
        Self { line: line.into(), process }
    }

    /// Tells it to begin.
    pub fn go(&self) -> io::Result<()> {
        (&self.line).write_all(b"!")
    }

    /// The line, for a guardian to hold it too.
    pub fn line(&self) -> BorrowedFd<'_> {
        self.line.as_fd()
    }

    /// The line, without anything else.
    pub fn into_line(self) -> OwnedFd {
        self.line.into()
    }
}

/// Ends such a process and waits until the last of its threads has, and with it all that it had open, for at most `limit`.
/// One that is gone is no error.
pub fn end(process: ProcessId, limit: Duration) -> io::Result<()> {
    let Some(handle) = process.open_to_the_last_thread()? else {
        return Ok(());
    };
    handle.signal(Signal::SIGKILL)?;
    if handle.wait(limit)? { Ok(()) } else { Err(io::ErrorKind::TimedOut.into()) }
}

/// The side of the process itself: its standard input.
#[derive(Debug)]
pub struct Line(io::Stdin);

impl Default for Line {
    fn default() -> Self {
        Self(io::stdin())
    }
}

impl Line {
    /// Waits for the word to begin; whether it came, and not the end.
    pub fn is_told(&mut self) -> io::Result<bool> {
        Ok(self.0.read(&mut [0])? > 0)
    }

    /// Waits for `time`, for less where nobody holds the line any more; whether somebody does.
    pub fn is_held_for(&self, time: Duration) -> io::Result<bool> {
        let timeout = PollTimeout::try_from(time).unwrap_or(PollTimeout::MAX);
        let mut fds = [PollFd::new(self.0.as_fd(), PollFlags::empty())];
        loop {
            match poll(&mut fds, timeout) {
                // Without anything asked for, only the end of the last holder is told (poll(2)).
                Ok(told) => return Ok(told == 0),
                Err(Errno::EINTR) => {}
                Err(error) => return Err(error.into()),
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::process::{Command, Stdio};
    use std::time::Duration;

    use super::{Tied, end};
    use crate::host::process::{PidFd, headless};

    const SOON: Duration = Duration::from_secs(30);

    /// Ends at the end of its input, as all of them do.
    fn reader() -> Tied {
        let child = Command::new("cat").stdin(Stdio::piped()).stdout(Stdio::null()).spawn();
        Tied::new(child.expect("installed")).expect("it lives")
    }

    #[test]
    fn it_ends_with_the_last_who_holds_its_line_and_not_before() {
        let tied = reader();
        let process = tied.process;
        let handle = process.open().expect("readable").expect("it lives");
        let held = tied.line().try_clone_to_owned().expect("a descriptor");
        tied.go().expect("it listens");
        drop(tied);
        assert!(!handle.wait(Duration::from_millis(200)).expect("readable"), "somebody holds it still");
        let adopted = Tied::adopt(held, process);
        assert!(process.is_alive().expect("readable"));
        drop(adopted);
        assert!(handle.wait(SOON).expect("readable"));
    }

    #[test]
    fn it_can_be_ended_by_whoever_knows_it_and_again() {
        let tied = reader();
        end(tied.process, SOON).expect("it ends");
        end(tied.process, SOON).expect("it is gone");
        assert!(!tied.process.is_alive().expect("readable"));
    }

    #[test]
    fn it_has_ended_only_with_the_last_of_its_threads() {
        headless::be_where_asked();
        let test = "host::process::tied::tests::it_has_ended_only_with_the_last_of_its_threads";
        let child = headless::command(test).spawn();
        let process = Tied::new(child.expect("it can be started again")).expect("it lives");
        let (line, process) = (process.line().try_clone_to_owned().expect("a descriptor"), process.process);
        headless::wait_for(process);
        let handle = PidFd::open(process.pid).expect("readable").expect("a thread lives on");
        assert!(!handle.wait(Duration::ZERO).expect("readable"), "a thread lives on");
        end(process, SOON).expect("it ends");
        assert!(handle.wait(Duration::ZERO).expect("readable"), "no thread lives on");
        drop(line);
    }
}
