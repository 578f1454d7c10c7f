//! One logical client.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::watch;
use tokio::time::Instant;

use super::mix::{Choice, Mix};
use super::rates::Meter;
use super::record::{Action, Invocation, Outcome, Record};
use super::schedule::{Schedule, Slot};
use crate::api::{Nanos, Ordinal};
use crate::store::{self, Failure, ReadMode, Swap};

/// A client and its way to the store.
pub(super) struct Client {
    pub(super) store: Box<dyn store::Client>,
    pub(super) member: Option<Ordinal>,
    /// Its present number, and by how much it grows when an outcome is unknown.
    pub(super) process: u32,
    pub(super) stride: u32,
    pub(super) timeout: Duration,
    pub(super) prefix: String,
    pub(super) reads: ReadMode,
    pub(super) mix: Mix,
    pub(super) schedule: Schedule,
    pub(super) record: Arc<dyn Record>,
    pub(super) meter: Arc<Meter>,
}

impl Client {
    /// Works until it is told to stop; the operation that it is at then is finished.
    pub(super) async fn run(mut self, mut stopping: watch::Receiver<bool>) {
        while let Some(intended) = self.next_start(&mut stopping).await {
            self.operate(intended).await;
        }
    }

    /// Waits for the next slot; `None` when it is time to stop.
    async fn next_start(&mut self, stopping: &mut watch::Receiver<bool>) -> Option<Nanos> {
        let now = self.record.now();
        let (slot, missed) = self.schedule.take(now);
        self.meter.missed(missed);
        match slot {
            Slot::Due(_) if *stopping.borrow() => None,
            Slot::Due(intended) => Some(intended),
            Slot::Ahead(at) => tokio::select! {
                // Also when the sender is gone: nobody waits for this client any more.
                _ = stopping.wait_for(|&stop| stop) => None,
                () = tokio::time::sleep(Duration::from_nanos(at - now)) => Some(self.record.now().max(at)),
            },
        }
    }

    async fn operate(&mut self, intended: Nanos) {
        let choice = self.mix.next();
        let operation = Invocation {
            process: self.process,
            key: choice.key.clone(),
            action: choice.action,
            member: self.member,
            intended,
        };
        self.record.invoke(self.record.now(), &operation);
        let outcome = self.ask(&choice).await;
        let end = self.record.now();
        self.record.complete(end, &operation, &outcome);
        self.meter.count(&outcome, end.saturating_sub(intended));
        self.mix.learn(&choice, &outcome);
        if matches!(outcome, Outcome::Unknown(_)) {
            self.process += self.stride;
        }
    }

    async fn ask(&mut self, choice: &Choice) -> Outcome {
        let deadline = Instant::now() + self.timeout;
        let key = format!("{}{}", self.prefix, choice.key);
        let answer = match choice.action {
            Action::Read => self.store.read(&key, self.reads, deadline).await.map(Outcome::Ok),
            Action::Write(value) => self.store.write(&key, value, deadline).await.map(|()| Outcome::Ok(None)),
            Action::Cas { expect, value } => {
                let answer = self.store.cas(&key, expect, value, deadline).await;
                answer.map(|swap| match swap {
                    Swap::Swapped => Outcome::Ok(None),
                    Swap::Mismatch { current } => Outcome::Mismatch { current },
                })
            }
        };
        answer.unwrap_or_else(Outcome::from)
    }
}

impl From<Failure> for Outcome {
    fn from(failure: Failure) -> Self {
        match failure {
            Failure::NotApplied(reason) => Self::Fail(reason),
            Failure::Unknown(reason) => Self::Unknown(reason),
        }
    }
}
