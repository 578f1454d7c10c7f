//! What this member answers to the others.

use std::io::Cursor;

use axum::body::Bytes;
use axum::extract::{DefaultBodyLimit, State};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use axum::{Json, Router};
use openraft::error::RaftError;
use openraft::raft::{AppendEntriesRequest, AppendEntriesResponse, VoteRequest, VoteResponse};
use openraft::{BasicNode, Snapshot, SnapshotMeta};
use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::disk::record;
use crate::member::Member;
use crate::outcome::Refusal;
use crate::replica::{Id, Types, Vote};

/// The routes under `/raft/`.
pub fn routes() -> Router<Member> {
    Router::new()
        .route("/raft/append", post(append))
        .route("/raft/vote", post(vote))
        .route("/raft/snapshot", post(snapshot))
        .route("/raft/initialized", get(initialized))
        .layer(DefaultBodyLimit::disable())
}

fn read<Question: DeserializeOwned>(body: &[u8]) -> Result<Question, Refusal> {
    serde_json::from_slice(body).map_err(|error| Refusal::Bad(error.to_string()))
}

fn answer(answer: &impl Serialize) -> Response {
    Json(answer).into_response()
}

async fn append(State(member): State<Member>, body: Bytes) -> Result<Response, Refusal> {
    let request: AppendEntriesRequest<Types> = read(&body)?;
    let term = request.vote.leader_id.term;
    let settled = request.leader_commit.filter(|commit| commit.leader_id.term == term);
    let outcome = member.raft.append_entries(request).await;
    if matches!(outcome, Ok(AppendEntriesResponse::Success)) && member.fresh.is_fresh() {
        // Only what a leader has committed in its own term tells that nothing older is missing.
        let has_caught_up = settled.is_some_and(|settled| member.machine.applied() >= Some(settled));
        if has_caught_up && let Err(error) = member.fresh.clear() {
            tracing::warn!(%error, "cannot remove the marker of an empty disk; this member does not vote yet");
        }
    }
    Ok(answer(&outcome))
}

async fn vote(State(member): State<Member>, body: Bytes) -> Result<Response, Refusal> {
    let request: VoteRequest<Id> = read(&body)?;
    let has_log = request.last_log_id.is_some_and(|last| last.index > 0);
    if has_log && member.fresh.is_fresh() {
        let own = member.raft.metrics().borrow().vote;
        tracing::info!(candidate = %request.vote, "refuse to vote: this member came with an empty disk");
        return Ok(answer(&Ok::<_, RaftError<Id>>(VoteResponse::<Id>::new(own, None, false))));
    }
    Ok(answer(&member.raft.vote(request).await))
}

async fn snapshot(State(member): State<Member>, body: Bytes) -> Result<Response, Refusal> {
    let Some((head, state)) = record::read(&body) else {
        return Err(Refusal::Bad("the head of the snapshot is damaged".to_owned()));
    };
    let (vote, meta): (Vote, SnapshotMeta<Id, BasicNode>) = read(head)?;
    let snapshot = Snapshot { meta, snapshot: Box::new(Cursor::new(state.to_vec())) };
    Ok(answer(&member.raft.install_full_snapshot(vote, snapshot).await))
}

async fn initialized(State(member): State<Member>) -> Response {
    answer(&member.raft.is_initialized().await.unwrap_or(true))
}
