//! The built-in replicated key-value store, over its own HTTP interface.
//!
//! A member's id is its ordinal. An error says itself whether the change may have been applied (`"applied":"no"` or
//! `"unknown"`); an error that does not say so is taken as unknown.

mod wire;

use std::sync::Arc;

use async_trait::async_trait;
use hyper::{Method, StatusCode};
use serde::de::{DeserializeOwned, IgnoredAny};
use tokio::time::Instant;

use self::wire::{Cas, Done, Entries, Found, Problem, Put, View, encoded};
use super::http::{Call, Connection, SMALL_ANSWER};
use super::{Adapter, Client, Failure, Listing, ReadMode, Swap, changed_nothing};
use crate::api::{MemberSample, Role};
use crate::platform::{Dial, Endpoint};

/// The largest listing that is read; it comes as one answer.
const LISTING_ANSWER: usize = 64 * 1024 * 1024;

/// A group of refkv members.
pub(super) struct Refkv {
    dial: Arc<dyn Dial>,
    port: u16,
}

impl Refkv {
    /// Reaches members by `dial` on `port`.
    pub(super) fn new(dial: Arc<dyn Dial>, port: u16) -> Self {
        Self { dial, port }
    }
}

impl Adapter for Refkv {
    fn client(&self, endpoint: Endpoint) -> Box<dyn Client> {
        Box::new(RefkvClient { connection: Connection::new(Arc::clone(&self.dial), endpoint, self.port) })
    }
}

/// One client of the group.
struct RefkvClient {
    connection: Connection,
}

impl RefkvClient {
    async fn ask<A: DeserializeOwned>(&mut self, call: Call<'_>) -> Result<A, Failure> {
        let answer = self.connection.call(call).await?;
        if answer.status != StatusCode::OK {
            return Err(Problem::classify(answer.status, &answer.body));
        }
        serde_json::from_slice(&answer.body)
            .map_err(|error| Failure::Unknown(format!("refkv's answer is not understood: {error}")))
    }

    async fn get<A: DeserializeOwned>(
        &mut self,
        path: &str,
        answer_limit: usize,
        deadline: Instant,
    ) -> Result<A, Failure> {
        let call =
            Call { method: Method::GET, path, body: Vec::new(), authorization: None, answer_limit, deadline };
        self.ask(call).await.map_err(changed_nothing)
    }

    async fn view(&mut self, heartbeat: &str, deadline: Instant) -> Result<MemberSample, Failure> {
        let view: View = self.get("/v1/members", SMALL_ANSWER, deadline).await?;
        let heartbeat = self.read(heartbeat, ReadMode::Local, deadline).await?;
        Ok(MemberSample::Answer {
            role: match view.role.as_str() {
                "leader" => Role::Leader,
                "follower" => Role::Follower,
                _ => Role::Other,
            },
            term: view.term,
            leader: view.leader,
            position: view.applied.unwrap_or(0),
            heartbeat,
            voter: view.voter,
            writes_need: None,
        })
    }
}

#[async_trait]
impl Client for RefkvClient {
    async fn member(&mut self, heartbeat: &str, deadline: Instant) -> MemberSample {
        self.view(heartbeat, deadline)
            .await
            .unwrap_or_else(|failure| MemberSample::Unreachable(failure.to_string()))
    }

    async fn read(&mut self, key: &str, mode: ReadMode, deadline: Instant) -> Result<Option<u64>, Failure> {
        let mode = match mode {
            ReadMode::Linearizable => "linearizable",
            ReadMode::Local => "local",
        };
        let path = format!("/v1/kv/{}?read={mode}", encoded(key));
        let found: Found = self.get(&path, SMALL_ANSWER, deadline).await?;
        wire::number(found.value).map_err(Failure::NotApplied)
    }

    async fn write(&mut self, key: &str, value: u64, deadline: Instant) -> Result<(), Failure> {
        let call = Call {
            method: Method::PUT,
            path: &format!("/v1/kv/{}", encoded(key)),
            body: wire::json(&Put { value })?,
            authorization: None,
            answer_limit: SMALL_ANSWER,
            deadline,
        };
        self.ask(call).await.map(|_: IgnoredAny| ())
    }

    async fn cas(
        &mut self,
        key: &str,
        expect: Option<u64>,
        value: u64,
        deadline: Instant,
    ) -> Result<Swap, Failure> {
        let call = Call {
            method: Method::POST,
            path: &format!("/v1/kv/{}/cas", encoded(key)),
            body: wire::json(&Cas { expect, value })?,
            authorization: None,
            answer_limit: SMALL_ANSWER,
            deadline,
        };
        let done: Done = self.ask(call).await?;
        if done.swapped {
            return Ok(Swap::Swapped);
        }
        let current = wire::number(done.current).map_err(Failure::NotApplied)?;
        Ok(Swap::Mismatch { current })
    }

    async fn list(&mut self, prefix: &str, deadline: Instant) -> Result<Listing, Failure> {
        let path = format!("/v1/kv?prefix={}&read=local", encoded(prefix));
        let found: Entries = self.get(&path, LISTING_ANSWER, deadline).await?;
        let mut listing = Listing::default();
        for (key, value) in found.entries {
            match value.as_u64() {
                Some(value) => {
                    listing.values.insert(key, value);
                }
                None => listing.foreign.push(key),
            }
        }
        Ok(listing)
    }

    async fn remove(&mut self, prefix: &str, deadline: Instant) -> Result<(), Failure> {
        let call = Call {
            method: Method::DELETE,
            path: &format!("/v1/kv?prefix={}", encoded(prefix)),
            body: Vec::new(),
            authorization: None,
            answer_limit: SMALL_ANSWER,
            deadline,
        };
        self.ask(call).await.map(|_: IgnoredAny| ())
    }
}
