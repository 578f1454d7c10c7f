//! One client operation's line, in Jepsen's shape, so that other checkers read journals too.
//!
//! ```json
//! {"index":7,"time":1200,"process":3,"type":"invoke","f":"cas","key":"seatrial/r/7","value":[4,5],"member":1}
//! ```
//!
//! A line is written when an operation is invoked and another one when it ends: `ok` (it happened), `fail` (it
//! provably did not) or `info` (nobody knows). Numbers are integers; unknown fields are ignored, so that a journal of
//! a later release stays readable. Keys are borrowed from the text wherever they hold no escape.

mod value;

use std::borrow::Cow;

use serde::{Deserialize, Serialize};

use crate::api::{Nanos, Ordinal};

pub use value::{Current, OpValue};

/// How every operation's line begins when this crate writes it; nothing else in a journal begins so.
pub const PREFIX: &str = "{\"index\":";

/// One line of a client operation.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct OpLine<'a> {
    /// The number of the line in the journal; in schema 1 among the operations' lines, from 0. It must stay the first field,
    /// see [`PREFIX`].
    pub index: u64,
    /// When: stamped before the request is sent (`invoke`) and after its answer was received (all others).
    pub time: Nanos,
    /// The client, which has one operation in flight at most.
    pub process: u32,
    /// Whether the operation begins here or how it ended.
    #[serde(rename = "type")]
    pub stage: Stage,
    /// What the client asks for.
    pub f: Function,
    /// The key that it asks about.
    #[serde(borrow)]
    pub key: Cow<'a, str>,
    /// Of a read: nothing at `invoke`, what was read at `ok`. Of a write: the number. Of a compare-and-set: both.
    #[serde(default)]
    pub value: OpValue,
    /// The value that refused a compare-and-set, where the store told it; only on its `fail`.
    #[serde(default, skip_serializing_if = "Current::is_not_observed")]
    pub current: Current,
    /// The member to which the client is pinned; none when it goes through the service.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub member: Option<Ordinal>,
    /// When the operation should have begun, so that a stall is not hidden.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub intended: Option<Nanos>,
    /// Why it failed or why its outcome is unknown, for people; only at `fail` and `info`. Nothing is judged by it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub error: Option<Cow<'a, str>>,
}

/// Where in its life an operation is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Stage {
    /// It begins.
    Invoke,
    /// It happened.
    Ok,
    /// It provably did not happen.
    Fail,
    /// Nobody knows whether it happened, or will.
    Info,
}

/// What an operation asks for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Function {
    /// Read the key.
    Read,
    /// Write the key, whatever it holds.
    Write,
    /// Write the key if it holds the expected value.
    Cas,
}

impl<'a> OpLine<'a> {
    /// Whether a journal's line is one of these, without parsing it.
    pub fn is_one(line: &str) -> bool {
        line.starts_with(PREFIX)
    }

    /// Reads one line.
    pub fn parse(line: &'a str) -> Result<Self, serde_json::Error> {
        serde_json::from_str(line)
    }

    /// Appends the line, without its line break.
    pub fn write(&self, out: &mut Vec<u8>) {
        serde_json::to_writer(out, self)
            .expect("integers and strings always become JSON, and memory takes them");
    }
}

#[cfg(test)]
mod tests;
