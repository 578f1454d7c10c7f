//! Writes a run's journal: one line at a time, each one handed to the kernel before the call returns.
//!
//! Guarantees: a line is whole or the last one; lines of different tasks never mix; each line carries its number in the
//! file, also where another process goes on with it; a journal that exists is never written over; after a write has
//! failed nothing more is written, so that a damaged line can only be the last one. A killed run loses nothing that
//! was written; a killed machine loses what the kernel had not stored since [`Writer::sync`].

use std::fs::File;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

use serde::Serialize;
use thiserror::Error;

use super::entry::{Entry, Header};
use super::op::OpLine;
use crate::api::Nanos;

/// Why a line is not in the journal.
#[derive(Debug, Error)]
pub enum WriteError {
    /// The file could not be made.
    #[error("cannot create the journal {}", .path.display())]
    Create {
        /// Which.
        path: PathBuf,
        /// Why.
        #[source]
        source: std::io::Error,
    },
    /// The file of a writer that is gone could not be opened.
    #[error("cannot go on with the journal {}", .path.display())]
    Resume {
        /// Which.
        path: PathBuf,
        /// Why.
        #[source]
        source: std::io::Error,
    },
    /// A line could not be written.
    #[error("cannot write to the journal")]
    Append(#[source] std::io::Error),
    /// An earlier line could not be written.
    #[error("the journal has ended: an earlier line could not be written")]
    Ended,
    /// The file could not be stored.
    #[error("cannot store the journal on disk")]
    Sync(#[source] std::io::Error),
}

/// The journal's only writer, shared by all tasks of a run.
#[derive(Debug)]
pub struct Writer {
    state: Mutex<State>,
}

#[derive(Debug)]
struct State {
    file: File,
    line: Vec<u8>,
    /// The number of the next line.
    next: u64,
    ended: bool,
}

/// An entry's line, without owning the entry.
#[derive(Serialize)]
struct LineRef<'a> {
    time: Nanos,
    index: u64,
    entry: EntryRef<'a>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
enum EntryRef<'a> {
    Header(&'a Header),
    #[serde(untagged)]
    Other(&'a Entry),
}

impl Writer {
    /// Begins a journal with its header. The file must not exist.
    pub fn create(path: &Path, header: &Header) -> Result<Self, WriteError> {
        let file =
            File::create_new(path).map_err(|source| WriteError::Create { path: path.to_owned(), source })?;
        let writer =
            Self { state: Mutex::new(State { file, line: Vec::with_capacity(4096), next: 1, ended: false }) };
        writer.append(0, EntryRef::Header(header))?;
        Ok(writer)
    }

    /// Goes on with a journal whose writer is gone: a torn last line is cut off, and lines are numbered on.
    #[expect(clippy::naive_bytecount, reason = "it is counted once, before anything is written")]
    pub fn resume(path: &Path) -> Result<Self, WriteError> {
        let told = |source| WriteError::Resume { path: path.to_owned(), source };
        let bytes = std::fs::read(path).map_err(told)?;
        let whole = bytes.iter().rposition(|&byte| byte == b'\n').map_or(0, |end| end + 1);
        let file = File::options().append(true).open(path).map_err(told)?;
        file.set_len(whole as u64).map_err(told)?;
        let next = 1 + bytes[..whole].iter().filter(|&&byte| byte == b'\n').count() as u64;
        Ok(Self { state: Mutex::new(State { file, line: Vec::new(), next, ended: false }) })
    }

    /// Writes what happened at `time`.
    pub fn entry(&self, time: Nanos, entry: &Entry) -> Result<(), WriteError> {
        self.append(time, EntryRef::Other(entry))
    }

    /// Writes a line of an operation, whose own index is replaced by the line's.
    pub fn operation(&self, mut operation: OpLine<'_>) -> Result<(), WriteError> {
        self.with(|line, index| {
            operation.index = index;
            operation.write(line);
        })
    }

    /// Waits until everything written so far survives a crash of the machine.
    pub fn sync(&self) -> Result<(), WriteError> {
        let state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        state.file.sync_all().map_err(WriteError::Sync)
    }

    fn append(&self, time: Nanos, entry: EntryRef<'_>) -> Result<(), WriteError> {
        self.with(|line, index| {
            serde_json::to_writer(line, &LineRef { time, index, entry })
                .expect("an entry has only string keys, and memory takes every byte");
        })
    }

    /// Lets `fill` make the line of a number and writes it as a whole.
    fn with(&self, fill: impl FnOnce(&mut Vec<u8>, u64)) -> Result<(), WriteError> {
        // A task that panicked while it held the lock left at most a half-made line in memory, which is cleared here.
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        let State { file, line, next, ended } = &mut *state;
        if *ended {
            return Err(WriteError::Ended);
        }
        line.clear();
        fill(line, *next);
        line.push(b'\n');
        *next += 1;
        file.write_all(line).map_err(|source| {
            *ended = true;
            WriteError::Append(source)
        })
    }
}
