//! The key that holds the run's clock.
//!
//! Every 100 ms the clock is written through the last member that took it. A member that does not is left for the next
//! one, so that the beat goes on while any member works; where none does, the beats that are missing are in the record.
//! How old the newest beat is that a member holds is its replication lag, and needs no unit of the store's own.
//! The value is in nanoseconds, which JSON's numbers hold exactly for the first 104 days of a run.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::watch;
use tokio::time::{Instant, MissedTickBehavior};

use super::record::{Action, Invocation, Outcome, Record};
use super::scope::HEARTBEAT;
use crate::api::Ordinal;
use crate::experiment::Workload;
use crate::platform::Endpoint;
use crate::store::{Adapter, Client};

/// A beat that takes longer is of no use; the next member may be quicker.
const PATIENCE: Duration = Duration::from_millis(500);

/// The writer of the key.
pub(super) struct Heartbeat {
    pub(super) adapter: Arc<dyn Adapter>,
    pub(super) members: Vec<Ordinal>,
    /// The whole key.
    pub(super) key: String,
    /// Its present number, and by how much it grows when an outcome is unknown.
    pub(super) process: u32,
    pub(super) stride: u32,
    pub(super) timeout: Duration,
    pub(super) record: Arc<dyn Record>,
}

impl Heartbeat {
    /// Beats until it is told to stop.
    pub(super) async fn run(mut self, mut stopping: watch::Receiver<bool>) {
        let mut ways: Vec<(Ordinal, Box<dyn Client>)> = self
            .members
            .iter()
            .map(|&member| (member, self.adapter.client(Endpoint::Member(member))))
            .collect();
        if ways.is_empty() {
            return;
        }
        let mut turn = 0;
        let mut ticks = tokio::time::interval(Workload::HEARTBEAT);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            tokio::select! {
                // Also when the sender is gone: nobody waits for this writer any more.
                _ = stopping.wait_for(|&stop| stop) => return,
                _ = ticks.tick() => {}
            }
            let (member, client) = &mut ways[turn];
            if !self.beat(*member, client.as_mut()).await {
                turn = (turn + 1) % ways.len();
            }
        }
    }

    /// Writes the clock once, and says whether that worked.
    async fn beat(&mut self, member: Ordinal, client: &mut dyn Client) -> bool {
        let now = self.record.now();
        let operation = Invocation {
            process: self.process,
            key: HEARTBEAT.into(),
            action: Action::Write(now),
            member: Some(member),
            intended: now,
        };
        self.record.invoke(now, &operation);
        let deadline = Instant::now() + self.timeout.min(PATIENCE);
        let outcome = match client.write(&self.key, now, deadline).await {
            Ok(()) => Outcome::Ok(None),
            Err(failure) => failure.into(),
        };
        self.record.complete(self.record.now(), &operation, &outcome);
        match outcome {
            Outcome::Ok(_) => true,
            Outcome::Mismatch { .. } | Outcome::Fail(_) => false,
            Outcome::Unknown(_) => {
                self.process += self.stride;
                false
            }
        }
    }
}
