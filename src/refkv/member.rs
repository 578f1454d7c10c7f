//! One running member, as its handlers and tasks see it.

use std::sync::Arc;
use std::time::Duration;

use super::bugs::Bugs;
use super::disk::fresh::Fresh;
use super::disk::log::Log;
use super::machine::Machine;
use super::peers::sender::Network;
use super::proposals::Proposals;
use super::reads::Reads;
use super::replica::{Id, Raft};

/// Everything a handler may need. Clones share it.
#[derive(Clone)]
pub struct Member {
    /// Its number.
    pub id: Id,
    /// The consensus.
    pub raft: Raft,
    /// The keys and values.
    pub machine: Machine,
    /// The log.
    pub log: Log,
    /// Whether it still has to catch up before it votes.
    pub fresh: Arc<Fresh>,
    /// The ways to the others.
    pub network: Network,
    /// Takes writes.
    pub proposals: Proposals,
    /// Confirms reads.
    pub reads: Reads,
    /// The bugs that are on.
    pub bugs: Arc<Bugs>,
    /// After this time an open request is answered with an unknown outcome.
    pub request_timeout: Duration,
}

impl Member {
    /// The member that this one believes to lead.
    pub fn leader(&self) -> Option<Id> {
        self.raft.metrics().borrow().current_leader
    }
}
