//! Lets a member that campaigned and did not win wait for a random time before it campaigns again.
//!
//! openraft chooses an election timeout once, when it starts, and asks once per heartbeat whether that is over. Two members that
//! chose about the same one and ask at about the same moment divide the votes in every term, for ever. Raft is sure to elect
//! somebody because each election has a timeout of its own (Ongaro and Ousterhout, "In Search of an Understandable Consensus
//! Algorithm", section 5.2).

use std::time::Duration;

use openraft::{BasicNode, RaftMetrics, ServerState};
use tokio::time::timeout;

use super::replica::{Id, Raft};

type Metrics = RaftMetrics<Id, BasicNode>;

/// Spaces campaigns out until consensus stops. `longest` is the longest timeout that openraft may have chosen.
pub async fn space_out(raft: Raft, longest: Duration) {
    let mut metrics = raft.metrics();
    let is_candidate = |now: &Metrics| now.state == ServerState::Candidate;
    loop {
        let Ok(term) = metrics.wait_for(is_candidate).await.map(|now| now.current_term) else { return };
        raft.runtime_config().elect(false);
        let wait = longest + longest.mul_f64(rand::random());
        // There is a leader, or the time is over.
        drop(timeout(wait, metrics.wait_for(|now| !is_candidate(now))).await);
        raft.runtime_config().elect(true);
        let is_decided = |now: &Metrics| !is_candidate(now) || now.current_term > term;
        if metrics.wait_for(is_decided).await.is_err() {
            return;
        }
    }
}
