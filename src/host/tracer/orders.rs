//! What a tracer hears and answers: a line of JSON each, by standard input and output.

use std::io::{self, Read, Write};

use serde::{Deserialize, Serialize};

use super::Tally;
use crate::host::process::ProcessId;

/// Attach to the threads of these processes that are not traced yet, and say how things stand.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Order {
    pub(super) attach: Vec<ProcessId>,
}

/// How things stand.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Answer {
    pub(super) tally: Tally,
    /// Why a thread could not be attached to.
    pub(super) refused: Option<String>,
}

/// The lines that have come so far.
#[derive(Default)]
pub(super) struct Orders {
    begun: Vec<u8>,
}

impl Orders {
    /// What has come since, where standard input is readable; `None` when whoever gives orders is gone.
    pub(super) fn read(&mut self) -> io::Result<Option<Vec<Vec<ProcessId>>>> {
        let mut buffer = [0; 4096];
        // Locked for this one call, and never behind a buffer that poll(2) does not see.
        let length = nix::unistd::read(io::stdin(), &mut buffer)?;
        if length == 0 {
            return Ok(None);
        }
        self.begun.extend_from_slice(&buffer[..length]);
        let mut orders = Vec::new();
        while let Some(end) = self.begun.iter().position(|&byte| byte == b'\n') {
            let line: Vec<u8> = self.begun.drain(..=end).collect();
            orders.push(serde_json::from_slice::<Order>(&line)?.attach);
        }
        Ok(Some(orders))
    }
}

/// Answers one order.
pub(super) fn answer(tally: Tally, refused: Option<String>) -> io::Result<()> {
    send(&mut io::stdout(), &Answer { tally, refused })
}

/// Writes one line.
pub(super) fn send(to: &mut impl Write, what: &impl Serialize) -> io::Result<()> {
    let mut line = serde_json::to_vec(what)?;
    line.push(b'\n');
    to.write_all(&line)?;
    to.flush()
}

/// Reads one line byte by byte, so that nothing of the next one is taken.
pub(super) fn receive(from: &mut impl Read) -> io::Result<Answer> {
    let mut line = Vec::new();
    let mut byte = [0];
    loop {
        if from.read(&mut byte)? == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        if byte[0] == b'\n' {
            return Ok(serde_json::from_slice(&line)?);
        }
        line.push(byte[0]);
    }
}
