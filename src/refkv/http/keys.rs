//! Reading and writing keys.

use std::collections::BTreeMap;

use axum::body::Bytes;
use axum::extract::rejection::{BytesRejection, PathRejection, QueryRejection};
use axum::extract::{DefaultBodyLimit, Path, Query, State};
use axum::routing::{get, post};
use axum::{Json, Router};
use serde::{Deserialize, Serialize};
use serde_json::json;

use super::forward::LARGEST_BODY;
use crate::bugs::Bug;
use crate::member::Member;
use crate::outcome::Refusal;
use crate::replica::{Answer, Command, Id, LONGEST_KEY, Value};

/// The routes under `/v1/kv`.
pub fn routes() -> Router<Member> {
    Router::new()
        .route("/v1/kv", get(list).delete(delete))
        .route("/v1/kv/{*key}", get(read).put(put))
        .route("/v1/kv/{*key}", post(compare_and_set))
        .layer(DefaultBodyLimit::max(LARGEST_BODY))
}

/// What a read promises.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Promise {
    /// It sees every write that was acknowledged before it was asked.
    #[default]
    Linearizable,
    /// It sees what this member has.
    Local,
}

/// The query of a read.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Wanted {
    #[serde(default)]
    read: Promise,
    prefix: Option<String>,
}

#[derive(Debug, Serialize)]
struct Read {
    key: String,
    found: bool,
    value: Option<Value>,
    served_by: Id,
}

#[derive(Debug, Serialize)]
struct Listing {
    entries: BTreeMap<String, Value>,
    applied_index: Option<u64>,
    served_by: Id,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Put {
    value: Value,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct CompareAndSet {
    #[serde(deserialize_with = "Option::deserialize")]
    expect: Option<Value>,
    value: Value,
}

type Key = Result<Path<String>, PathRejection>;
type Text = Result<Bytes, BytesRejection>;
type Options = Result<Query<Wanted>, QueryRejection>;

fn key(path: Key) -> Result<String, Refusal> {
    let Path(key) =
        path.map_err(|error| Refusal::Bad(format!("the key cannot be read: {}", error.body_text())))?;
    if key.is_empty() || key.len() > LONGEST_KEY {
        return Err(Refusal::Bad(format!(
            "a key is 1 to {LONGEST_KEY} bytes long; this one has {}",
            key.len()
        )));
    }
    Ok(key)
}

fn body<Form: for<'de> Deserialize<'de>>(bytes: Text, form: &str) -> Result<Form, Refusal> {
    let bytes =
        bytes.map_err(|error| Refusal::Bad(format!("the body cannot be read: {}", error.body_text())))?;
    serde_json::from_slice(&bytes).map_err(|error| Refusal::Bad(format!("the body must be {form}: {error}")))
}

fn options(query: Options) -> Result<Wanted, Refusal> {
    let hint = "use read=linearizable or read=local, and prefix=P on lists";
    query.map(|Query(wanted)| wanted).map_err(|error| Refusal::Bad(format!("{}; {hint}", error.body_text())))
}

impl Member {
    /// Returns when this member's state is good enough for what the read promises.
    async fn ready_to_read(&self, promise: Promise) -> Result<(), Refusal> {
        match promise {
            Promise::Linearizable if self.bugs.has(Bug::StaleRead) => Ok(()),
            Promise::Linearizable if self.bugs.has(Bug::AckBeforeQuorum) => {
                let last = self.log.last_index();
                self.reads.confirm().await?;
                self.has_applied(last).await
            }
            Promise::Linearizable => self.reads.confirm().await,
            Promise::Local => Ok(()),
        }
    }

    /// Returns when the entry at `index` is applied. With the bug `ack-before-quorum` a read would else miss a write
    /// that was acknowledged a moment ago, and the bug would show without any fault.
    async fn has_applied(&self, index: Option<u64>) -> Result<(), Refusal> {
        let waiting = self.raft.wait(Some(self.request_timeout));
        let in_time = waiting.applied_index_at_least(index, "a read").await;
        in_time
            .map(|_| ())
            .map_err(|_| Refusal::Unavailable("the last writes are not applied yet".to_owned()))
    }

    /// Has the command written; the answer says what came of it.
    async fn change(&self, command: Command) -> Result<Json<serde_json::Value>, Refusal> {
        let outcome = match self.proposals.submit(command).await? {
            Answer::Put => json!({"applied": "yes"}),
            Answer::CompareAndSet { swapped, current } => {
                json!({"applied": "yes", "swapped": swapped, "current": current})
            }
            Answer::Deleted(count) => json!({"applied": "yes", "deleted": count}),
        };
        Ok(Json(outcome))
    }
}

async fn read(State(member): State<Member>, path: Key, query: Options) -> Result<Json<Read>, Refusal> {
    let (key, wanted) = (key(path)?, options(query)?);
    member.ready_to_read(wanted.read).await?;
    let value = member.machine.get(&key);
    Ok(Json(Read { key, found: value.is_some(), value, served_by: member.id }))
}

async fn list(State(member): State<Member>, query: Options) -> Result<Json<Listing>, Refusal> {
    let wanted = options(query)?;
    member.ready_to_read(wanted.read).await?;
    let entries = member.machine.list(wanted.prefix.as_deref().unwrap_or_default());
    let applied_index = member.machine.applied().map(|applied| applied.index);
    Ok(Json(Listing { entries, applied_index, served_by: member.id }))
}

async fn put(
    State(member): State<Member>,
    path: Key,
    text: Text,
) -> Result<Json<serde_json::Value>, Refusal> {
    let key = key(path)?;
    let Put { value } = body(text, r#"{"value": number or string}"#)?;
    member.change(Command::Put { key, value }).await
}

async fn compare_and_set(
    State(member): State<Member>,
    path: Key,
    text: Text,
) -> Result<Json<serde_json::Value>, Refusal> {
    let path = path.map(|Path(path)| path.strip_suffix("/cas").map(str::to_owned));
    let path = path.map(|key| key.map(Path)).transpose();
    let path =
        path.ok_or_else(|| Refusal::Bad("POST goes to /v1/kv/KEY/cas; use PUT to set a key".to_owned()))?;
    let key = key(path)?;
    let form = r#"{"expect": number, string or null, "value": number or string}"#;
    let CompareAndSet { expect, value } = body(text, form)?;
    member.change(Command::CompareAndSet { key, expect, value }).await
}

async fn delete(State(member): State<Member>, query: Options) -> Result<Json<serde_json::Value>, Refusal> {
    let prefix = options(query)?.prefix.filter(|prefix| !prefix.is_empty());
    let nothing = || Refusal::Bad("say which keys: DELETE /v1/kv?prefix=P".to_owned());
    member.change(Command::DeletePrefix { prefix: prefix.ok_or_else(nothing)? }).await
}
