//! Lines of a journal, parsed on two threads and put together in order.

use std::collections::HashMap;
use std::thread;

use serde::Deserialize;
use serde::de::Error as _;

use super::numbers::{Numbered, Numbers};
use crate::api::{Nanos, Ordinal};
use crate::journal::entry::{Entry, Line};
use crate::journal::op::{Current, Function, OpLine, OpValue, Stage};

/// Below this many bytes a second thread costs more than it saves.
const WORTH_A_THREAD: usize = 256 * 1024;

/// A line of a client's operation, with its key's place in a table instead of its text.
#[derive(Debug, Clone, Copy)]
pub struct Operation {
    pub(super) time: Nanos,
    index: u64,
    intended: Option<Nanos>,
    value: OpValue,
    current: Current,
    key: u32,
    process: u32,
    member: Option<Ordinal>,
    stage: Stage,
    f: Function,
}

impl Operation {
    /// The line again, without the reason, which only people read.
    pub(super) fn line(self, keys: &[String]) -> OpLine<'_> {
        OpLine {
            index: self.index,
            time: self.time,
            process: self.process,
            stage: self.stage,
            f: self.f,
            key: keys[self.key as usize].as_str().into(),
            value: self.value,
            current: self.current,
            member: self.member,
            intended: self.intended,
            error: None,
        }
    }
}

/// A line that is not an operation's. In schema 1 it has no number.
#[derive(Deserialize)]
struct EntryLine {
    time: Nanos,
    index: Option<u64>,
    entry: Entry,
}

/// Where a part's text is damaged, and how.
pub(super) type Damage = (usize, String);

/// A line that ends too early, which only the last one may.
#[derive(Debug)]
pub(super) struct Cut {
    pub(super) offset: usize,
    /// With its line break.
    pub(super) length: usize,
    pub(super) what: String,
}

/// Some lines in a row.
#[derive(Debug, Default)]
pub(super) struct Part {
    pub(super) lines: Vec<Line>,
    pub(super) operations: Vec<Operation>,
    pub(super) keys: Vec<String>,
    /// The first one; nothing after it is read.
    pub(super) cut: Option<Cut>,
    numbers: Numbers,
}

impl Part {
    /// Reads everything after the header.
    pub(super) fn read(text: &str, numbered: Numbered) -> Result<Self, Damage> {
        let half = text.len() / 2;
        let middle = text.as_bytes()[half..]
            .iter()
            .position(|&byte| byte == b'\n')
            .map_or(text.len(), |offset| half + offset + 1);
        let (left, right) = text.split_at(middle);
        let first = Some(numbered.first());
        let part = if text.len() < WORTH_A_THREAD {
            Self::parse(text, numbered, first)?
        } else {
            let (left, right) = thread::scope(|scope| {
                let right = scope.spawn(|| Self::parse(right, numbered, None));
                let left = Self::parse(left, numbered, first);
                let right = right.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic));
                (left, right)
            });
            left?.followed_by(right.map_err(|(offset, what)| (middle + offset, what))?, middle)
        };
        match part.numbers.damage(numbered) {
            Some(damage) => Err(damage),
            None => Ok(part),
        }
    }

    /// Reads lines of which the first one that has a number has `first`, if that is known.
    fn parse(text: &str, numbered: Numbered, first: Option<u64>) -> Result<Self, Damage> {
        let mut part = Self {
            operations: Vec::with_capacity(text.len() / 128),
            numbers: Numbers::beginning_with(first),
            ..Self::default()
        };
        let mut keys: HashMap<String, u32> = HashMap::new();
        let mut offset = 0;
        for line in text.split_inclusive('\n') {
            let (start, content) = (offset, line.trim_end_matches(['\n', '\r']));
            offset += line.len();
            let parsed = if OpLine::is_one(content) {
                OpLine::parse(content).map(|line| Some(part.operation(&mut keys, &line)))
            } else {
                part.entry(content, numbered)
            };
            match parsed {
                Ok(None) => {}
                Ok(Some(number)) => part.numbers.see(start, number),
                Err(error) if error.is_eof() => {
                    part.cut = Some(Cut { offset: start, length: line.len(), what: error.to_string() });
                    return Ok(part);
                }
                Err(error) => return Err((start, error.to_string())),
            }
            if let Some(Line { entry: Entry::Header(_), .. }) = part.lines.last() {
                return Err((start, "a second header: two journals in one file".into()));
            }
        }
        Ok(part)
    }

    /// Takes an entry's line. Returns its number, where it has to have one.
    fn entry(&mut self, text: &str, numbered: Numbered) -> Result<Option<u64>, serde_json::Error> {
        let EntryLine { time, index, entry } = serde_json::from_str(text)?;
        let number = match numbered {
            Numbered::Operations => None,
            Numbered::Lines => Some(index.ok_or_else(|| serde_json::Error::missing_field("index"))?),
        };
        self.lines.push(Line { time, entry });
        Ok(number)
    }

    /// Takes an operation's line. Returns its number.
    fn operation(&mut self, keys: &mut HashMap<String, u32>, line: &OpLine<'_>) -> u64 {
        let key = if let Some(&known) = keys.get(line.key.as_ref()) {
            known
        } else {
            let new = self.keys.len() as u32;
            self.keys.push(line.key.clone().into_owned());
            keys.insert(line.key.clone().into_owned(), new);
            new
        };
        self.operations.push(Operation {
            time: line.time,
            index: line.index,
            intended: line.intended,
            value: line.value,
            current: line.current,
            key,
            process: line.process,
            member: line.member,
            stage: line.stage,
            f: line.f,
        });
        line.index
    }

    /// Both parts as one; the right one began `shift` bytes later.
    fn followed_by(mut self, right: Self, shift: usize) -> Self {
        if self.cut.is_some() {
            return self;
        }
        let mut known: HashMap<String, u32> =
            self.keys.iter().enumerate().map(|(place, key)| (key.clone(), place as u32)).collect();
        let moved: Vec<u32> = right
            .keys
            .into_iter()
            .map(|key| {
                *known.entry(key).or_insert_with_key(|key| {
                    self.keys.push(key.clone());
                    (self.keys.len() - 1) as u32
                })
            })
            .collect();
        self.lines.extend(right.lines);
        self.operations.extend(
            right
                .operations
                .into_iter()
                .map(|operation| Operation { key: moved[operation.key as usize], ..operation }),
        );
        self.cut = right.cut.map(|cut| Cut { offset: shift + cut.offset, ..cut });
        self.numbers = self.numbers.followed_by(right.numbers, shift);
        self
    }
}
