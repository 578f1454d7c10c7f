//! etcd 3.4 and later, through the JSON gateway of its v3 API.
//!
//! The gateway is gRPC spelled as JSON: bytes are base64, 64-bit numbers are strings, and what has its default value is
//! left out. Values of the workload are decimal numbers. Members are told apart by their ids; an id is known to be an
//! ordinal's because that ordinal said so itself, or by the member's name (see [`ordinals`]).
//!
//! Where a user is named, every request carries that user's token (see [`session`]). The gateway takes no user from the
//! common name of a client's certificate, and where etcd has users it refuses certificates that have one.

mod change;
mod failure;
mod ordinals;
mod range;
mod session;
mod term;
mod wire;

use std::sync::Arc;

use async_trait::async_trait;
use hyper::{Method, StatusCode};
use serde::Serialize;
use serde::de::DeserializeOwned;
use tokio::time::Instant;

use self::change::{Compare, Put, RequestOp, Txn, TxnDone};
use self::ordinals::Ordinals;
use self::range::{DeleteRange, Range, Ranged};
use self::session::{Sessions, Token, User};
use self::term::Terms;
use self::wire::{MemberList, Nothing, Status};
use super::http::{Answer, Call, Connection, SMALL_ANSWER};
use super::secrets::{SecretError, Secrets};
use super::tls::Tls;
use super::{Adapter, Client, Failure, Listing, ReadMode, Swap, changed_nothing};
use crate::api::{MemberSample, Role};
use crate::experiment::SecurePort;
use crate::platform::{Dial, Endpoint};

/// How many keys a page of a listing has.
const PAGE: u64 = 1000;
/// The largest page that is read: etcd itself refuses requests above 1.5 MiB, and our keys and values are short.
const PAGE_ANSWER: usize = 16 * 1024 * 1024;

/// An etcd cluster.
pub(super) struct Etcd {
    dial: Arc<dyn Dial>,
    port: u16,
    tls: Option<Tls>,
    sessions: Option<Arc<Sessions>>,
    ordinals: Arc<Ordinals>,
}

impl Etcd {
    /// Reaches members by `dial` on their client port, with what the Secrets hold.
    pub(super) fn open<const USUAL: u16>(
        at: &SecurePort<USUAL>,
        dial: Arc<dyn Dial>,
        secrets: &Secrets,
    ) -> Result<Self, SecretError> {
        let tls = at.tls.as_ref().map(|tls| Tls::load(tls, secrets)).transpose()?;
        let user = at.auth.as_ref().map(|auth| User::load(auth, secrets)).transpose()?;
        let sessions = user.map(|user| Sessions::new(user, Arc::clone(&dial), at.port, tls.clone()));
        let sessions = sessions.map(Arc::new);
        Ok(Self { dial, port: at.port, tls, sessions, ordinals: Arc::default() })
    }
}

impl Adapter for Etcd {
    fn client(&self, endpoint: Endpoint) -> Box<dyn Client> {
        Box::new(EtcdClient {
            connection: Connection::secured(Arc::clone(&self.dial), endpoint, self.port, self.tls.as_ref()),
            endpoint,
            sessions: self.sessions.clone(),
            ordinals: Arc::clone(&self.ordinals),
            terms: Terms::default(),
        })
    }
}

/// One client of the cluster.
struct EtcdClient {
    connection: Connection,
    endpoint: Endpoint,
    sessions: Option<Arc<Sessions>>,
    ordinals: Arc<Ordinals>,
    terms: Terms,
}

impl EtcdClient {
    async fn post<A: DeserializeOwned>(
        &mut self,
        path: &str,
        request: &(impl Serialize + Sync),
        answer_limit: usize,
        deadline: Instant,
    ) -> Result<A, Failure> {
        let body = serde_json::to_vec(request)
            .map_err(|error| Failure::NotApplied(format!("cannot be written as JSON: {error}")))?;
        let call = Call { method: Method::POST, path, body, authorization: None, answer_limit, deadline };
        let answer = match self.sessions.clone() {
            None => self.connection.call(call).await?,
            Some(sessions) => self.call_as_user(&sessions, call).await?,
        };
        if answer.status != StatusCode::OK {
            return Err(failure::classify(answer.status, &answer.body));
        }
        serde_json::from_slice(&answer.body)
            .map_err(|error| Failure::Unknown(format!("etcd's answer to {path} is not understood: {error}")))
    }

    /// Sends a request with a token. One that the member does not know has proven that nothing was changed, and is the one
    /// thing after which a request is sent again.
    async fn call_as_user(&mut self, sessions: &Arc<Sessions>, call: Call<'_>) -> Result<Answer, Failure> {
        let with = |token: &Token| Call { authorization: Some(token.header()), ..call.clone() };
        let token = sessions.token(self.endpoint, None, call.deadline).await?;
        let answer = self.connection.call(with(&token)).await?;
        if !failure::is_unknown_token(answer.status, &answer.body) {
            return Ok(answer);
        }
        let token = sessions.token(self.endpoint, Some(&token), call.deadline).await?;
        Ok(self.connection.call(with(&token)).await?)
    }

    async fn range(&mut self, range: &Range, limit: usize, deadline: Instant) -> Result<Ranged, Failure> {
        self.post("/v3/kv/range", range, limit, deadline).await.map_err(changed_nothing)
    }

    async fn status_and_heartbeat(
        &mut self,
        heartbeat: &str,
        deadline: Instant,
    ) -> Result<MemberSample, Failure> {
        let status: Status = self.post("/v3/maintenance/status", &Nothing {}, SMALL_ANSWER, deadline).await?;
        let own = status.header.member_id;
        if let Endpoint::Member(ordinal) = self.endpoint {
            self.ordinals.learn(own, ordinal);
        }
        if status.leader != 0 && self.ordinals.of(status.leader).is_none() {
            // A plain list is answered from what this member holds, so it does not need a quorum.
            let list: MemberList =
                self.post("/v3/cluster/member/list", &Nothing {}, SMALL_ANSWER, deadline).await?;
            self.ordinals.learn_names(&list);
        }
        let heartbeat = self.read(heartbeat, ReadMode::Local, deadline).await?;
        let leader =
            if self.terms.fit(status.leader, status.raft_term, Instant::now()) { status.leader } else { 0 };
        Ok(MemberSample::Answer {
            role: match leader {
                leader if leader == own => Role::Leader,
                0 => Role::Other,
                _ if status.is_learner => Role::Other,
                _ => Role::Follower,
            },
            term: status.raft_term,
            leader: self.ordinals.of(leader),
            position: status.raft_applied_index,
            heartbeat,
            voter: !status.is_learner,
            writes_need: None,
        })
    }
}

#[async_trait]
impl Client for EtcdClient {
    async fn member(&mut self, heartbeat: &str, deadline: Instant) -> MemberSample {
        self.status_and_heartbeat(heartbeat, deadline)
            .await
            .unwrap_or_else(|failure| MemberSample::Unreachable(failure.to_string()))
    }

    async fn read(&mut self, key: &str, mode: ReadMode, deadline: Instant) -> Result<Option<u64>, Failure> {
        let range = Range::key(key, mode);
        let found = self.range(&range, SMALL_ANSWER, deadline).await?;
        found.single().map_err(Failure::NotApplied)
    }

    async fn write(&mut self, key: &str, value: u64, deadline: Instant) -> Result<(), Failure> {
        let _: Nothing = self.post("/v3/kv/put", &Put::new(key, value), SMALL_ANSWER, deadline).await?;
        Ok(())
    }

    async fn cas(
        &mut self,
        key: &str,
        expect: Option<u64>,
        value: u64,
        deadline: Instant,
    ) -> Result<Swap, Failure> {
        let txn = Txn {
            compare: [Compare::value_is(key, expect)],
            success: [RequestOp::Put(Put::new(key, value))],
            failure: [RequestOp::Range(Range::key(key, ReadMode::Linearizable))],
        };
        let done: TxnDone = self.post("/v3/kv/txn", &txn, SMALL_ANSWER, deadline).await?;
        if done.succeeded {
            return Ok(Swap::Swapped);
        }
        // Nothing was set: the branch that etcd took only reads.
        let current = done.current().map_err(Failure::NotApplied)?;
        Ok(Swap::Mismatch { current })
    }

    async fn list(&mut self, prefix: &str, deadline: Instant) -> Result<Listing, Failure> {
        let mut listing = Listing::default();
        let mut page = Range::prefix(prefix, PAGE);
        loop {
            let found = self.range(&page, PAGE_ANSWER, deadline).await?;
            let next = found.next_page(page);
            found.add_to(&mut listing).map_err(Failure::NotApplied)?;
            match next {
                Some(next) => page = next,
                None => return Ok(listing),
            }
        }
    }

    async fn remove(&mut self, prefix: &str, deadline: Instant) -> Result<(), Failure> {
        let _: Nothing =
            self.post("/v3/kv/deleterange", &DeleteRange::prefix(prefix), SMALL_ANSWER, deadline).await?;
        Ok(())
    }
}
