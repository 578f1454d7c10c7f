//! What clients tell about their operations.

use std::borrow::Cow;

use crate::api::{Nanos, Ordinal};
use crate::journal::op::{Current, Function, OpLine, OpValue, Stage};

/// The longest reason on a line, in characters.
const LONGEST_REASON: usize = 200;

/// Where operations are written down, and whose clock they are timed by.
pub trait Record: Send + Sync {
    /// The run's clock, which never goes back.
    fn now(&self) -> Nanos;

    /// An operation begins; `time` was taken before its request is sent. Called before the request is sent, so that a
    /// record that ends early holds every request that the store may have seen.
    fn invoke(&self, time: Nanos, operation: &Invocation);

    /// It ended; `time` was taken after its answer was received.
    fn complete(&self, time: Nanos, operation: &Invocation, outcome: &Outcome);
}

/// One operation of one client.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Invocation {
    /// The client, under its present number.
    pub process: u32,
    /// The key, without the scope's prefix.
    pub key: String,
    /// What is asked for.
    pub action: Action,
    /// The member to which the client is pinned; none through the service.
    pub member: Option<Ordinal>,
    /// When it should have begun.
    pub intended: Nanos,
}

/// What an operation asks for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Action {
    /// Read the key.
    Read,
    /// Write the key.
    Write(u64),
    /// Write the key if it has the expected value.
    Cas {
        /// What it must have; `None`: it must not exist.
        expect: Option<u64>,
        /// What it has then.
        value: u64,
    },
}

/// How an operation ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Outcome {
    /// It happened. Of a read: what it found.
    Ok(Option<u64>),
    /// A compare-and-set found another value and changed nothing.
    Mismatch {
        /// That value.
        current: Option<u64>,
    },
    /// It provably changed nothing, for this reason.
    Fail(String),
    /// It may have happened or happen later, for this reason.
    Unknown(String),
}

impl Invocation {
    /// The line that says that it begins.
    pub fn invoked(&self, index: u64, time: Nanos) -> OpLine<'_> {
        let (f, value) = match self.action {
            Action::Read => (Function::Read, OpValue::Null),
            Action::Write(value) => (Function::Write, OpValue::Number(value)),
            Action::Cas { expect, value } => (Function::Cas, OpValue::Pair(expect, value)),
        };
        OpLine {
            index,
            time,
            process: self.process,
            stage: Stage::Invoke,
            f,
            key: Cow::Borrowed(&self.key),
            value,
            current: Current::NotObserved,
            member: self.member,
            intended: Some(self.intended),
            error: None,
        }
    }

    /// The line that says how it ended.
    pub fn ended<'a>(&'a self, index: u64, time: Nanos, outcome: &'a Outcome) -> OpLine<'a> {
        let mut line = self.invoked(index, time);
        match outcome {
            Outcome::Ok(found) => {
                line.stage = Stage::Ok;
                if let (Action::Read, Some(found)) = (self.action, *found) {
                    line.value = OpValue::Number(found);
                }
            }
            Outcome::Mismatch { current } => {
                line.stage = Stage::Fail;
                line.current = Current::Observed(*current);
            }
            Outcome::Fail(reason) => {
                line.stage = Stage::Fail;
                line.error = Some(shortened(reason));
            }
            Outcome::Unknown(reason) => {
                line.stage = Stage::Info;
                line.error = Some(shortened(reason));
            }
        }
        line
    }
}

/// A reason that fits on a line: a store's own words can be long.
fn shortened(reason: &str) -> Cow<'_, str> {
    match reason.char_indices().nth(LONGEST_REASON) {
        None => Cow::Borrowed(reason),
        Some((end, _)) => Cow::Owned(format!("{}…", &reason[..end])),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn written(line: &OpLine<'_>) -> String {
        let mut out = Vec::new();
        line.write(&mut out);
        String::from_utf8(out).expect("JSON is UTF-8")
    }

    #[test]
    fn a_line_says_why_and_never_at_length() {
        let operation =
            Invocation { process: 3, key: "r/7".into(), action: Action::Write(9), member: None, intended: 5 };
        assert_eq!(
            written(&operation.ended(1, 8, &Outcome::Fail("not sent: \"refused\"".into()))),
            r#"{"index":1,"time":8,"process":3,"type":"fail","f":"write","key":"r/7","value":9,"intended":5,"error":"not sent: \"refused\""}"#
        );
        let long = Outcome::Unknown("ü".repeat(70_000));
        let error = operation.ended(1, 8, &long).error.map(Cow::into_owned);
        assert_eq!(error, Some(format!("{}…", "ü".repeat(LONGEST_REASON))));
        assert_eq!(operation.ended(1, 8, &Outcome::Ok(None)).error, None);
    }

    #[test]
    fn lines_have_the_shape_that_checkers_read() {
        let operation = Invocation {
            process: 3,
            key: "r/7".into(),
            action: Action::Cas { expect: None, value: 9 },
            member: Some(1),
            intended: 5,
        };
        assert_eq!(
            written(&operation.invoked(0, 6)),
            r#"{"index":0,"time":6,"process":3,"type":"invoke","f":"cas","key":"r/7","value":[null,9],"member":1,"intended":5}"#
        );
        let mismatch = operation.ended(1, 8, &Outcome::Mismatch { current: Some(4) });
        assert_eq!(
            written(&mismatch),
            r#"{"index":1,"time":8,"process":3,"type":"fail","f":"cas","key":"r/7","value":[null,9],"current":4,"member":1,"intended":5}"#
        );
        let read = Invocation { action: Action::Read, ..operation };
        let found = read.ended(2, 9, &Outcome::Ok(Some(4)));
        assert_eq!((found.stage, found.value), (Stage::Ok, OpValue::Number(4)));
        let absent = read.ended(2, 9, &Outcome::Ok(None));
        assert_eq!((absent.stage, absent.value), (Stage::Ok, OpValue::Null));
    }
}
