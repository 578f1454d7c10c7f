//! Where everything that happens is written down, and looked at while it happens.

use std::sync::{Mutex, MutexGuard, PoisonError};

use super::clock::Clock;
use crate::api::Nanos;
use crate::experiment::Experiment;
use crate::journal::entry::Line;
use crate::journal::op::OpLine;
use crate::journal::write::{WriteError, Writer};
use crate::judge::live::Live;
use crate::workload::{Invocation, Outcome, Record};

/// The journal, the clock, and the running judgement of budgets.
pub struct Recorder {
    writer: Writer,
    clock: Clock,
    live: Mutex<Live>,
    broken: Mutex<Option<WriteError>>,
}

impl Recorder {
    pub(super) fn new(writer: Writer, clock: Clock, experiment: &Experiment) -> Self {
        Self { writer, clock, live: Mutex::new(Live::new(experiment)), broken: Mutex::new(None) }
    }

    pub(super) fn clock(&self) -> Clock {
        self.clock
    }

    pub(super) fn entry(&self, line: &Line) -> Result<(), WriteError> {
        self.live().observe(line);
        self.writer.entry(line.time, &line.entry)
    }

    /// Which claims do not hold now.
    pub(super) fn unmet(&self, now: Nanos) -> Vec<String> {
        self.live().unmet(now)
    }

    /// Steps that wait for an SLI whose condition is true now.
    pub(super) fn conditions(&self, now: Nanos) -> Vec<String> {
        self.live().conditions(now)
    }

    /// The abort condition that is true now, in words.
    pub(super) fn abort_condition(&self, now: Nanos) -> Option<String> {
        self.live().abort_conditions(now)
    }

    /// Why an operation could not be written, if one could not.
    pub(super) fn broken(&self) -> Option<WriteError> {
        self.broken.lock().unwrap_or_else(PoisonError::into_inner).take()
    }

    pub(super) fn sync(&self) {
        if let Err(error) = self.writer.sync() {
            tracing::warn!(%error, "the journal may not survive a crash of this machine");
        }
    }

    fn live(&self) -> MutexGuard<'_, Live> {
        self.live.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn write(&self, line: OpLine<'_>) {
        self.live().observe_operation(&line);
        if let Err(error) = self.writer.operation(line) {
            let mut broken = self.broken.lock().unwrap_or_else(PoisonError::into_inner);
            if broken.as_ref().is_none_or(|first| matches!(first, WriteError::Ended)) {
                *broken = Some(error);
            }
        }
    }
}

impl Record for Recorder {
    fn now(&self) -> Nanos {
        self.clock.now()
    }

    fn invoke(&self, time: Nanos, operation: &Invocation) {
        self.write(operation.invoked(0, time));
    }

    fn complete(&self, time: Nanos, operation: &Invocation, outcome: &Outcome) {
        self.write(operation.ended(0, time, outcome));
    }
}
