//! What a tracer hears and answers: a line of JSON each, by standard input and output.

use std::fmt::Display;
use std::io;

use serde::{Deserialize, Serialize};

use super::Traced;
use crate::host::process::ProcessId;

/// Attach to the threads of these processes that are not traced yet, and say how things stand.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Order {
    pub(super) attach: Vec<ProcessId>,
}

/// How things stand.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Answer {
    pub(super) traced: Traced,
    /// Why a thread could not be attached to.
    pub(super) refused: Option<Refused>,
}

/// Why somebody could not be traced.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Refused {
    why: String,
    errno: Option<i32>,
}

impl Refused {
    pub(super) fn new(who: &impl Display, error: &io::Error) -> Self {
        Self { why: format!("{who}: {error}"), errno: error.raw_os_error() }
    }
}

impl From<Refused> for io::Error {
    /// Of the kind that the kernel's answer was.
    fn from(Refused { why, errno }: Refused) -> Self {
        let kind = errno.map_or(io::ErrorKind::Other, |errno| Self::from_raw_os_error(errno).kind());
        Self::new(kind, why)
    }
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
