//! The first start of a cluster.
//!
//! All members are told the same fixed membership. The one with the lowest number writes it as the first entry of
//! the log and asks for votes, but only after every other member has answered that it has no log. So a restart
//! changes nothing, and neither does the loss of its disk: it finds the cluster at the others, waits to be told the
//! log, and votes again once it has caught up (see [`super::disk::fresh`]). If a majority has lost their disks
//! nothing is elected any more: acknowledged writes may be gone, and a store that went on would hide it.
//!
//! All members must be up once for a cluster to form. They look for each other, so a StatefulSet needs `podManagementPolicy: Parallel`, and its Service
//! `publishNotReadyAddresses: true`, if `/readyz` is its readiness probe.

use std::collections::BTreeMap;
use std::time::Duration;

use openraft::error::{InitializeError, RaftError};
use openraft::{BasicNode, ServerState};
use tokio::time::{sleep, timeout};

use super::member::Member;
use super::peers::link::{Link, Message};
use super::replica::Id;

const BETWEEN_ROUNDS: Duration = Duration::from_millis(200);
const PATIENCE: Duration = Duration::from_secs(1);

/// Forms the cluster if this member is the one to do it; returns when this member has a log or another has that task.
pub async fn form_cluster(member: Member, members: BTreeMap<Id, String>) {
    if members.keys().next() != Some(&member.id) {
        return;
    }
    let nodes: BTreeMap<_, _> =
        members.into_iter().map(|(id, address)| (id, BasicNode::new(address))).collect();
    while matches!(member.raft.is_initialized().await, Ok(false)) {
        let answers =
            futures::future::join_all(member.network.others(member.id).map(|link| has_cluster(link))).await;
        if answers.iter().all(|answer| *answer == Some(false)) {
            match member.raft.initialize(nodes.clone()).await {
                Ok(()) | Err(RaftError::APIError(InitializeError::NotAllowed(_))) => return,
                Err(error) => tracing::error!(%error, "cannot form the cluster"),
            }
        }
        sleep(BETWEEN_ROUNDS).await;
    }
}

async fn has_cluster(link: &Link) -> Option<bool> {
    let answer = timeout(PATIENCE, link.send(Message::get("/raft/initialized"))).await.ok()?;
    serde_json::from_slice(&answer.ok()?.1).ok()
}

/// Ends the time with an empty disk for a member that leads: what it has committed in its own term is all there is.
/// (A follower's time ends when it has caught up with a leader.)
pub async fn catch_up_by_leading(member: Member) {
    let mut metrics = member.raft.metrics();
    while member.fresh.is_fresh() && metrics.changed().await.is_ok() {
        let now = metrics.borrow_and_update().clone();
        let has_committed =
            now.last_applied.is_some_and(|applied| applied.leader_id.term == now.current_term);
        if now.state == ServerState::Leader
            && has_committed
            && let Err(error) = member.fresh.clear()
        {
            tracing::warn!(%error, "cannot remove the marker of an empty disk; this member does not vote yet");
        }
    }
}
