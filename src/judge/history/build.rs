//! From operations' lines, one after the other, to a history.

use std::collections::HashMap;

use thiserror::Error;

use super::{CasOutcome, History, KeyId, Kind, Operation, Register};
use crate::journal::op::{Current, Function, OpLine, OpValue, Stage};

/// Pairs invocations with their ends.
#[derive(Debug, Default)]
pub struct Builder {
    registers: Vec<Register>,
    keys: HashMap<String, KeyId>,
    open: HashMap<u32, Open>,
}

/// Lines that no run writes: the journal was damaged or altered.
#[derive(Debug, Error, PartialEq, Eq)]
pub enum HistoryError {
    /// A client began an operation while another one was open.
    #[error("operation {index}: process {process} invokes it while its operation {open} is still open")]
    StillOpen {
        /// Of the line.
        index: u64,
        /// The client.
        process: u32,
        /// The open operation's index.
        open: u64,
    },
    /// The end of an operation that never began.
    #[error("operation line {index}: process {process} ends an operation that it did not invoke")]
    NeverInvoked {
        /// Of the line.
        index: u64,
        /// The client.
        process: u32,
    },
    /// The end names another function or key than the beginning.
    #[error("operation line {index}: it ends operation {open}, but its function or key is another one")]
    OtherOperation {
        /// Of the line.
        index: u64,
        /// The open operation's index.
        open: u64,
    },
    /// The end is earlier than the beginning.
    #[error("operation line {index}: it ends operation {open} before that began")]
    EndsBeforeItBegins {
        /// Of the line.
        index: u64,
        /// The open operation's index.
        open: u64,
    },
    /// A value that the function cannot have.
    #[error("operation line {index}: a {function} cannot have this value: write {wanted}")]
    WrongValue {
        /// Of the line.
        index: u64,
        /// The function.
        function: &'static str,
        /// What it has instead.
        wanted: &'static str,
    },
}

#[derive(Debug, Clone, Copy)]
struct Open {
    operation: Operation,
    function: Function,
}

impl Builder {
    /// Takes the next line.
    pub fn push(&mut self, line: &OpLine<'_>) -> Result<(), HistoryError> {
        match line.stage {
            Stage::Invoke => self.invoke(line),
            Stage::Ok | Stage::Fail | Stage::Info => self.end(line),
        }
    }

    /// The history of all lines; what is still open has an unknown outcome.
    pub fn finish(mut self) -> History {
        let mut open: Vec<Open> = self.open.drain().map(|(_, open)| open).collect();
        open.sort_unstable_by_key(|open| open.operation.index);
        for Open { operation, function } in open {
            if function != Function::Read {
                self.keep(operation);
            }
        }
        for register in &mut self.registers {
            register.operations.sort_unstable_by_key(|operation| operation.index);
        }
        self.registers.retain(|register| !register.operations.is_empty());
        for (position, register) in self.registers.iter_mut().enumerate() {
            for operation in &mut register.operations {
                operation.key = KeyId(position as u32);
            }
        }
        History { registers: self.registers }
    }

    fn invoke(&mut self, line: &OpLine<'_>) -> Result<(), HistoryError> {
        let kind = match (line.f, line.value) {
            (Function::Read, _) => Kind::Read { value: None },
            (Function::Write, OpValue::Number(value)) => Kind::Write { value },
            (Function::Cas, OpValue::Pair(expect, value)) => {
                Kind::Cas { expect, value, outcome: CasOutcome::Unknown }
            }
            (Function::Write, OpValue::Null | OpValue::Pair(..)) => {
                return Err(wrong_value(line, "write", "a number"));
            }
            (Function::Cas, OpValue::Null | OpValue::Number(_)) => {
                return Err(wrong_value(line, "cas", "[expected, new]"));
            }
        };
        let operation = Operation {
            index: line.index,
            process: line.process,
            member: line.member,
            key: self.intern(&line.key),
            call: line.time,
            ret: None,
            kind,
        };
        match self.open.insert(line.process, Open { operation, function: line.f }) {
            None => Ok(()),
            Some(earlier) => Err(HistoryError::StillOpen {
                index: line.index,
                process: line.process,
                open: earlier.operation.index,
            }),
        }
    }

    fn end(&mut self, line: &OpLine<'_>) -> Result<(), HistoryError> {
        let Some(Open { mut operation, function }) = self.open.remove(&line.process) else {
            return Err(HistoryError::NeverInvoked { index: line.index, process: line.process });
        };
        let open = operation.index;
        if function != line.f || self.registers[operation.key.0 as usize].key != line.key {
            return Err(HistoryError::OtherOperation { index: line.index, open });
        }
        if line.time < operation.call {
            return Err(HistoryError::EndsBeforeItBegins { index: line.index, open });
        }
        if line.stage == Stage::Ok {
            operation.ret = Some(line.time);
            operation.kind = match operation.kind {
                Kind::Read { .. } => Kind::Read { value: read_value(line)? },
                Kind::Write { value } => Kind::Write { value },
                Kind::Cas { expect, value, .. } => Kind::Cas { expect, value, outcome: CasOutcome::Swapped },
            };
            self.keep(operation);
        } else if line.stage == Stage::Fail {
            if let (Kind::Cas { expect, value, .. }, Current::Observed(current)) =
                (operation.kind, line.current)
            {
                operation.ret = Some(line.time);
                operation.kind = Kind::Cas { expect, value, outcome: CasOutcome::Mismatch { current } };
                self.keep(operation);
            }
        } else if function != Function::Read {
            self.keep(operation);
        }
        Ok(())
    }

    fn keep(&mut self, operation: Operation) {
        self.registers[operation.key.0 as usize].operations.push(operation);
    }

    fn intern(&mut self, key: &str) -> KeyId {
        if let Some(&known) = self.keys.get(key) {
            return known;
        }
        let id = KeyId(self.registers.len() as u32);
        self.registers.push(Register { key: key.to_owned(), operations: Vec::new() });
        self.keys.insert(key.to_owned(), id);
        id
    }
}

fn read_value(line: &OpLine<'_>) -> Result<Option<u64>, HistoryError> {
    match line.value {
        OpValue::Null => Ok(None),
        OpValue::Number(value) => Ok(Some(value)),
        OpValue::Pair(..) => Err(wrong_value(line, "read", "a number or null")),
    }
}

fn wrong_value(line: &OpLine<'_>, function: &'static str, wanted: &'static str) -> HistoryError {
    HistoryError::WrongValue { index: line.index, function, wanted }
}
