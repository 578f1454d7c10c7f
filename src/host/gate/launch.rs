//! The side of whoever starts a gate.

use std::ffi::OsStr;
use std::io;
use std::process::Child;

use super::{Rules, SUBCOMMAND};
use crate::host::process::ProcessId;
use crate::host::process::asked::Asked;
use crate::host::tally::Tally;

/// A process that the kernel asks, which was started here and ends with this value. The kernel then lets everybody go on.
#[derive(Debug)]
pub struct Gate(Asked);

impl Gate {
    /// Has `launch` start one with these words, its standard input and output as pipes, which is asked nothing yet.
    pub fn start(rules: &Rules, launch: impl FnOnce([&OsStr; 2]) -> io::Result<Child>) -> io::Result<Self> {
        Ok(Self(Asked::start(SUBCOMMAND, rules, launch)?))
    }

    /// Who it is.
    pub fn process(&self) -> ProcessId {
        self.0.process
    }

    /// How things stand; the first time, the kernel is told to ask it from now on.
    pub fn tally(&mut self) -> io::Result<Tally> {
        self.0.ask(b"?")
    }

    /// How things stood when it answered the first read or write with an error, if it did, also where it has ended since.
    pub fn first_failure(&mut self) -> Option<Tally> {
        self.0.unasked()
    }
}
