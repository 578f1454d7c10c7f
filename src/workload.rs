//! Clients that read and write while faults happen.
//!
//! - Each logical client has **one operation in flight** and never retries. Every value that is ever written is unique,
//!   so that a read tells which write it saw. A client whose operation has an unknown outcome goes on under a new
//!   process number, because for a checker the old one is still in that operation (Jepsen's rule).
//! - The load is **open**: each client has a fixed schedule and does not wait for the store to set its pace (see
//!   [`schedule`]). Latencies count from the intended start, so a stall is not hidden.
//! - **Registers** (`r/N`) are read, written and compared-and-set, for linearizability; the **ledger** (`ledger/N`) has
//!   keys that are written once and never again, for durability; the **heartbeat** holds the run's clock, for
//!   replication lag.
//! - Clients that a store cannot take are refused before the first one connects.
//! - It writes below the scope's prefix only, refuses a scope that holds what no workload wrote, and removes the scope
//!   afterwards unless it is to be kept.
//! - Killed, it leaves the scope's keys behind; the next run with the same scope removes them before it starts.

mod client;
mod final_read;
mod heartbeat;
mod mix;
mod rates;
mod record;
mod schedule;
mod scope;

use std::sync::Arc;

use tokio::sync::watch;
use tokio::task::JoinSet;

use crate::api::Ordinal;
use crate::experiment::{self, Through};
use crate::platform::Endpoint;
use crate::store::Adapter;

pub use final_read::{CATCH_UP, read_ledger};
pub use rates::{Rates, Totals};
pub use record::{Action, Invocation, Outcome, Record};
pub use scope::{ScopeError, clean_up, heartbeat_key};

use client::Client;
use heartbeat::Heartbeat;
use mix::{Mix, Seen};
use rates::Meter;
use schedule::Schedule;

/// Everything that a workload needs.
pub struct Workload {
    /// How to reach the store.
    pub adapter: Arc<dyn Adapter>,
    /// The ordinals of its members; at least one.
    pub members: Vec<Ordinal>,
    /// What was asked for.
    pub spec: experiment::Workload,
    /// Every choice of operations comes from this.
    pub seed: u64,
    /// Where operations are written down.
    pub record: Arc<dyn Record>,
}

/// A workload at work. Dropping it without [`Running::stop`] gives its operations up where they are.
pub struct Running {
    stop: watch::Sender<bool>,
    clients: JoinSet<()>,
    meter: Arc<Meter>,
    rates: watch::Receiver<Rates>,
    ticker: JoinSet<()>,
}

impl Workload {
    /// Empties the scope and lets the clients begin, if the store has room for them.
    pub async fn start(self) -> Result<Running, ScopeError> {
        scope::refuse_a_crowd(&*self.adapter, &self.members, self.spec.clients).await?;
        scope::empty(&*self.adapter, &self.members, &self.spec.scope.prefix).await?;
        let (stop, stopping) = watch::channel(false);
        let meter = Arc::new(Meter::default());
        let mut clients = JoinSet::new();
        let begin = self.record.now();
        let seen = Arc::new(Seen::new(self.spec.registers));
        for number in 0..self.spec.clients {
            let endpoint = endpoint(self.spec.through, number, &self.members);
            let client = Client {
                store: self.adapter.client(endpoint),
                member: member_of(endpoint),
                process: number,
                stride: self.spec.clients + 1,
                timeout: self.spec.timeout,
                prefix: self.spec.scope.prefix.clone(),
                reads: self.spec.reads.into(),
                mix: Mix::new(self.seed, number, Arc::clone(&seen)),
                schedule: Schedule::new(begin, number, &self.spec),
                record: Arc::clone(&self.record),
                meter: Arc::clone(&meter),
            };
            clients.spawn(client.run(stopping.clone()));
        }
        let heartbeat = Heartbeat {
            adapter: Arc::clone(&self.adapter),
            members: self.members,
            key: heartbeat_key(&self.spec.scope.prefix),
            process: self.spec.clients,
            stride: self.spec.clients + 1,
            timeout: self.spec.timeout,
            record: self.record,
        };
        clients.spawn(heartbeat.run(stopping));

        let (publish, rates) = watch::channel(Rates::default());
        let mut ticker = JoinSet::new();
        ticker.spawn(rates::publish_every_second(Arc::clone(&meter), publish));
        Ok(Running { stop, clients, meter, rates, ticker })
    }
}

/// Which way client `number` goes.
fn endpoint(through: Through, number: u32, members: &[Ordinal]) -> Endpoint {
    let pinned = match through {
        Through::Members => Some(number),
        Through::Service => None,
        // Half of the clients is pinned; these are spread over all members.
        Through::Both => number.is_multiple_of(2).then_some(number / 2),
    };
    match pinned {
        Some(turn) if !members.is_empty() => Endpoint::Member(members[turn as usize % members.len()]),
        Some(_) | None => Endpoint::Service,
    }
}

fn member_of(endpoint: Endpoint) -> Option<Ordinal> {
    match endpoint {
        Endpoint::Member(ordinal) => Some(ordinal),
        Endpoint::Service => None,
    }
}

impl Running {
    /// What happened in the last whole second, for a live view.
    pub fn rates(&self) -> watch::Receiver<Rates> {
        self.rates.clone()
    }

    /// Lets operations in flight end, each by its own timeout, and starts no more. What was started is written down with
    /// its end when this returns.
    pub async fn stop(mut self) -> Totals {
        self.stop.send_replace(true);
        while self.clients.join_next().await.is_some() {}
        self.ticker.shutdown().await;
        self.meter.totals()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pinned_clients_are_spread_over_all_members() {
        let ways =
            |through| [0, 1, 2, 3, 4, 5].map(|number| member_of(endpoint(through, number, &[3, 4, 5])));
        assert_eq!(ways(Through::Members), [3, 4, 5, 3, 4, 5].map(Some));
        assert_eq!(ways(Through::Service), [None; 6]);
        assert_eq!(ways(Through::Both), [Some(3), None, Some(4), None, Some(5), None]);
    }
}
