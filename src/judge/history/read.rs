//! From a journal's text to a history, on as many threads as asked.
//!
//! The text is taken slab by slab: the lines of a slab are parsed in parallel and paired in order, so that memory
//! holds the history and one slab's lines, never all lines.

use std::thread;

use thiserror::Error;

use super::{Builder, History, HistoryError};
use crate::journal::op::OpLine;

/// Bytes of text that are parsed before they are paired.
const SLAB: usize = 8 << 20;

/// Why a journal's operations cannot be read.
#[derive(Debug, Error)]
pub enum ReadError {
    /// A line begins like an operation and is none.
    #[error("operation line is not readable: {line:?}")]
    Line {
        /// Its beginning.
        line: String,
        /// What is wrong with it.
        #[source]
        source: serde_json::Error,
    },
    /// The lines do not fit together.
    #[error(transparent)]
    History(#[from] HistoryError),
}

/// Reads the operations out of a journal and passes over its other lines.
///
/// `keep` says which keys belong to the history: registers do, a ledger or a heartbeat does not. A torn last line is
/// the journal reader's to cut off before.
pub fn from_journal(
    journal: &str,
    threads: usize,
    keep: impl Fn(&str) -> bool + Sync,
) -> Result<History, ReadError> {
    let mut builder = Builder::default();
    for slab in parts(journal, SLAB) {
        let share = slab.len().div_ceil(threads.max(1)).max(1);
        let parsed: Vec<Result<Vec<OpLine<'_>>, ReadError>> = thread::scope(|scope| {
            let workers: Vec<_> = parts(slab, share).map(|part| scope.spawn(|| parse(part, &keep))).collect();
            workers
                .into_iter()
                .map(|worker| worker.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic)))
                .collect()
        });
        for lines in parsed {
            for line in lines? {
                builder.push(&line)?;
            }
        }
    }
    Ok(builder.finish())
}

fn parse<'a>(text: &'a str, keep: &impl Fn(&str) -> bool) -> Result<Vec<OpLine<'a>>, ReadError> {
    let mut lines = Vec::with_capacity(text.len() / 96);
    for line in text.lines().filter(|line| OpLine::is_one(line)) {
        let parsed = OpLine::parse(line)
            .map_err(|source| ReadError::Line { line: line.chars().take(120).collect(), source })?;
        if keep(&parsed.key) {
            lines.push(parsed);
        }
    }
    Ok(lines)
}

/// Cuts text into parts of about `size` bytes, at line breaks only.
fn parts(mut text: &str, size: usize) -> impl Iterator<Item = &str> {
    std::iter::from_fn(move || {
        if text.is_empty() {
            return None;
        }
        let bytes = text.as_bytes();
        let end = bytes
            .get(size..)
            .and_then(|rest| rest.iter().position(|&byte| byte == b'\n'))
            .map_or(bytes.len(), |offset| size + offset + 1);
        let (part, rest) = text.split_at(end);
        text = rest;
        Some(part)
    })
}
