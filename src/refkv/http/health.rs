//! What this member says about itself. None of it waits for the disk or for another member.

use axum::extract::State;
use axum::http::StatusCode;
use axum::routing::get;
use axum::{Json, Router};
use openraft::ServerState;
use serde::{Deserialize, Serialize};

use crate::member::Member;
use crate::outcome::Refusal;
use crate::replica::Id;

/// The routes.
pub fn routes() -> Router<Member> {
    Router::new()
        .route("/v1/members", get(members))
        .route("/healthz", get(async || "ok\n"))
        .route("/readyz", get(ready))
}

/// The part that a member plays, in its own view.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Role {
    /// It takes writes.
    Leader,
    /// It follows a leader or waits for one.
    Follower,
    /// It campaigns.
    Candidate,
    /// It is not a voter, or not yet.
    Learner,
}

/// A member's own view.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct View {
    /// Its number.
    pub id: Id,
    /// Its part.
    pub role: Role,
    /// The highest term that it has heard of.
    pub term: u64,
    /// Who leads in that term, if it knows.
    pub leader: Option<Id>,
    /// The index of the last entry of its log.
    pub last_log: Option<u64>,
    /// The highest index that it knows to be committed.
    pub committed: Option<u64>,
    /// The highest index that its state holds.
    pub applied: Option<u64>,
    /// Whether it has a vote.
    pub voter: bool,
}

impl Member {
    /// What this member thinks. Role, term and leader come from one report: pieced together from two moments they
    /// could show a deposed leader in the term of the next.
    pub fn view(&self) -> View {
        let metrics = self.raft.metrics().borrow().clone();
        let role = match metrics.state {
            ServerState::Leader => Role::Leader,
            ServerState::Follower => Role::Follower,
            ServerState::Candidate => Role::Candidate,
            ServerState::Learner | ServerState::Shutdown => Role::Learner,
        };
        let applied = self.machine.applied();
        View {
            id: self.id,
            role,
            term: metrics.current_term,
            leader: metrics.current_leader,
            last_log: self.log.last_index(),
            committed: self.log.committed().max(applied).map(|committed| committed.index),
            applied: applied.map(|applied| applied.index),
            voter: metrics.membership_config.membership().voter_ids().any(|voter| voter == self.id),
        }
    }
}

async fn members(State(member): State<Member>) -> Json<View> {
    Json(member.view())
}

async fn ready(State(member): State<Member>) -> Result<(StatusCode, &'static str), Refusal> {
    // Whoever takes members down waits for readiness, and one that refuses to vote is not there for an election.
    if member.fresh.is_fresh() {
        return Err(Refusal::Unavailable(
            "this member came with an empty disk and has not caught up".to_owned(),
        ));
    }
    let view = member.view();
    if view.leader.is_none() {
        return Err(Refusal::Unavailable("this member knows no leader".to_owned()));
    }
    if view.applied < view.committed {
        return Err(Refusal::Unavailable(format!(
            "this member has applied {:?} of {:?}",
            view.applied, view.committed
        )));
    }
    Ok((StatusCode::OK, "ready\n"))
}
