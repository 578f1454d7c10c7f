//! Reads a journal: the one door for judging, reports and live views alike.
//!
//! Guarantees: never panics, whatever the bytes; a torn last line (without a line break, or cut off in the middle) is
//! left out and reported; any other damage is an error with its line, and so is a line that is missing, doubled or out of
//! order, which its number tells. In schema 1 only operations have numbers. Two threads parse a million operations in a
//! fraction of a second.

mod numbers;
mod part;

use std::path::{Path, PathBuf};

use serde::Deserialize;
use thiserror::Error;

use super::entry::{Entry, Header, Line, SCHEMA};
use super::op::OpLine;
use crate::api::Nanos;
use numbers::Numbered;
pub use part::Operation;
use part::Part;

/// A run's record in memory.
#[derive(Debug, Clone)]
pub struct Journal {
    /// The first line.
    pub header: Header,
    /// Every other line that is not a client's operation, in the order of the file.
    pub lines: Vec<Line>,
    /// Whether the last line was torn and is left out.
    pub torn: bool,
    operations: Vec<Operation>,
    keys: Vec<String>,
}

/// Why a journal cannot be read.
#[derive(Debug, Error)]
pub enum ReadError {
    /// The file could not be read.
    #[error("cannot read the journal {}", .path.display())]
    Open {
        /// Which.
        path: PathBuf,
        /// Why.
        #[source]
        source: std::io::Error,
    },
    /// There is not one whole line.
    #[error("this is no journal: it has no whole first line")]
    Empty,
    /// The first line is something else.
    #[error("this is no journal: its first line is not a header ({what})")]
    NoHeader {
        /// What is wrong with it.
        what: String,
    },
    /// Written by a version that knows more.
    #[error(
        "the journal has schema {found}, this version reads up to {SCHEMA}: use Seatrial {version} or later"
    )]
    UnknownSchema {
        /// The schema of the journal.
        found: u64,
        /// The version that wrote it.
        version: String,
    },
    /// A line is not what a run writes.
    #[error("the journal is damaged in line {line}: {what}")]
    Damaged {
        /// Counted from 1.
        line: usize,
        /// What is wrong with it.
        what: String,
    },
}

/// Just enough of a header to say why the rest of it cannot be read.
#[derive(Deserialize)]
struct FirstLine {
    entry: FirstEntry,
}

#[derive(Deserialize)]
struct FirstEntry {
    header: Version,
}

#[derive(Deserialize)]
struct Version {
    schema: u64,
    #[serde(default)]
    version: String,
}

impl Journal {
    /// Reads a file.
    pub fn read(path: &Path) -> Result<Self, ReadError> {
        let bytes =
            std::fs::read(path).map_err(|source| ReadError::Open { path: path.to_owned(), source })?;
        Self::parse(&bytes)
    }

    /// Reads a journal's bytes.
    pub fn parse(bytes: &[u8]) -> Result<Self, ReadError> {
        let whole = bytes.iter().rposition(|&byte| byte == b'\n').map_or(0, |end| end + 1);
        let mut torn = whole < bytes.len();
        let bytes = &bytes[..whole];
        let text = std::str::from_utf8(bytes).map_err(|error| ReadError::Damaged {
            line: line_at(bytes, error.valid_up_to()),
            what: "it is not UTF-8 text".into(),
        })?;
        let (first, rest) = text.split_once('\n').ok_or(ReadError::Empty)?;
        let (header, numbered) = header(first)?;
        let damaged = |(offset, what): part::Damage| ReadError::Damaged {
            line: line_at(bytes, first.len() + 1 + offset),
            what,
        };
        let mut part = Part::read(rest, numbered).map_err(damaged)?;
        if let Some(cut) = part.cut.take() {
            torn = true;
            // Only the last line may be cut off; anywhere else the file was damaged.
            if cut.offset + cut.length < rest.len() {
                return Err(damaged((cut.offset, cut.what)));
            }
        }
        Ok(Self { header, lines: part.lines, torn, operations: part.operations, keys: part.keys })
    }

    /// Every line of a client's operation, in the order of the file.
    pub fn operations(&self) -> impl ExactSizeIterator<Item = OpLine<'_>> {
        self.operations.iter().map(|operation| operation.line(&self.keys))
    }

    /// The moment of the last line.
    pub fn end(&self) -> Nanos {
        let lines = self.lines.iter().map(|line| line.time);
        let operations = self.operations.iter().map(|operation| operation.time);
        lines.chain(operations).max().unwrap_or(0)
    }
}

/// The number of the line at `offset`, from 1.
#[expect(clippy::naive_bytecount, reason = "it is counted once, for an error")]
fn line_at(bytes: &[u8], offset: usize) -> usize {
    1 + bytes[..offset.min(bytes.len())].iter().filter(|&&byte| byte == b'\n').count()
}

/// The header, and what has a number in the lines after it.
fn header(line: &str) -> Result<(Header, Numbered), ReadError> {
    let no_header = |error: serde_json::Error| ReadError::NoHeader { what: error.to_string() };
    let FirstLine { entry: FirstEntry { header: Version { schema, version } } } =
        serde_json::from_str(line).map_err(no_header)?;
    let Some(numbered) = Numbered::of(schema) else {
        return Err(ReadError::UnknownSchema { found: schema, version });
    };
    match serde_json::from_str::<Line>(line).map_err(no_header)?.entry {
        Entry::Header(header) => Ok((*header, numbered)),
        Entry::Input(_) | Entry::Effect { .. } | Entry::FinalRead { .. } => {
            Err(ReadError::NoHeader { what: "it is another entry".into() })
        }
    }
}

#[cfg(test)]
mod tests;
