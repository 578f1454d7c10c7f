//! What this member asks of the others on openraft's behalf.

use std::collections::BTreeMap;
use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use openraft::error::{
    Fatal, InstallSnapshotError, NetworkError, RPCError, RaftError, RemoteError, ReplicationClosed,
    StreamingError, Unreachable,
};
use openraft::network::{Backoff, RPCOption, RaftNetwork, RaftNetworkFactory};
use openraft::raft::{
    AppendEntriesRequest, AppendEntriesResponse, InstallSnapshotRequest, InstallSnapshotResponse,
    SnapshotResponse, VoteRequest, VoteResponse,
};
use openraft::{AnyError, BasicNode, OptionalSend, Snapshot};
use serde::Serialize;
use serde::de::DeserializeOwned;

use super::link::{Link, LinkError, Message};
use crate::disk::record;
use crate::replica::{Id, Types, Vote};

/// How long to wait before the next try when a member cannot be reached.
const BACKOFF: Duration = Duration::from_millis(100);

/// The ways to all members. What this process was told on its start holds, not what the log says.
#[derive(Debug, Clone)]
pub struct Network {
    links: Arc<BTreeMap<Id, Arc<Link>>>,
    connect_timeout: Duration,
}

impl Network {
    /// Ways to `members`, on which connecting may take as long as `connect_timeout`.
    pub fn new(members: &BTreeMap<Id, String>, connect_timeout: Duration) -> Self {
        let link = |address: &String| Arc::new(Link::new(address.clone(), connect_timeout));
        let links = members.iter().map(|(id, address)| (*id, link(address))).collect();
        Self { links: Arc::new(links), connect_timeout }
    }

    /// The way to one member.
    pub fn link(&self, id: Id) -> Option<&Arc<Link>> {
        self.links.get(&id)
    }

    /// The ways to all members but `id`.
    pub fn others(&self, id: Id) -> impl Iterator<Item = &Arc<Link>> {
        self.links.iter().filter(move |(other, _)| **other != id).map(|(_, link)| link)
    }
}

impl RaftNetworkFactory<Types> for Network {
    type Network = Sender;

    async fn new_client(&mut self, target: Id, node: &BasicNode) -> Sender {
        let unknown = || Arc::new(Link::new(node.addr.clone(), self.connect_timeout));
        Sender { target, link: self.link(target).map_or_else(unknown, Arc::clone) }
    }
}

/// Speaks openraft's part of the conversation with one member.
#[derive(Debug)]
pub struct Sender {
    target: Id,
    link: Arc<Link>,
}

type Failure<E> = RPCError<Id, BasicNode, E>;

impl Sender {
    async fn ask<Answer, E>(&self, path: &str, question: &impl Serialize) -> Result<Answer, Failure<E>>
    where
        Answer: DeserializeOwned,
        E: DeserializeOwned + std::error::Error,
    {
        let body = serde_json::to_vec(question).map_err(|error| NetworkError::new(&error))?;
        self.exchange(Message::post(path, body)).await
    }

    async fn exchange<Answer, E>(&self, message: Message) -> Result<Answer, Failure<E>>
    where
        Answer: DeserializeOwned,
        E: DeserializeOwned + std::error::Error,
    {
        let (_, answer) = self.link.send(message).await.map_err(|error| match error {
            LinkError::Connect { .. } => RPCError::Unreachable(Unreachable::new(&error)),
            LinkError::Request { .. } | LinkError::Lost { .. } => {
                RPCError::Network(NetworkError::new(&error))
            }
        })?;
        let answer: Result<Answer, E> =
            serde_json::from_slice(&answer).map_err(|error| NetworkError::new(&error))?;
        answer.map_err(|error| RPCError::RemoteError(RemoteError::new(self.target, error)))
    }
}

impl RaftNetwork<Types> for Sender {
    async fn append_entries(
        &mut self,
        rpc: AppendEntriesRequest<Types>,
        _: RPCOption,
    ) -> Result<AppendEntriesResponse<Id>, Failure<RaftError<Id>>> {
        self.ask("/raft/append", &rpc).await
    }

    async fn vote(
        &mut self,
        rpc: VoteRequest<Id>,
        _: RPCOption,
    ) -> Result<VoteResponse<Id>, Failure<RaftError<Id>>> {
        self.ask("/raft/vote", &rpc).await
    }

    async fn install_snapshot(
        &mut self,
        _: InstallSnapshotRequest<Types>,
        _: RPCOption,
    ) -> Result<InstallSnapshotResponse<Id>, Failure<RaftError<Id, InstallSnapshotError>>> {
        let error = AnyError::error("snapshots are sent as a whole, never in pieces");
        Err(RPCError::Network(NetworkError::from(error)))
    }

    /// Sends a snapshot as one message: vote and meta as one record, the state as it is.
    async fn full_snapshot(
        &mut self,
        vote: Vote,
        snapshot: Snapshot<Types>,
        cancel: impl Future<Output = ReplicationClosed> + OptionalSend + 'static,
        option: RPCOption,
    ) -> Result<SnapshotResponse<Id>, StreamingError<Types, Fatal<Id>>> {
        let mut body = Vec::new();
        let head = serde_json::to_vec(&(vote, &snapshot.meta)).map_err(|error| NetworkError::new(&error))?;
        record::write(&mut body, &head);
        body.extend_from_slice(snapshot.snapshot.get_ref());
        let sending = self.exchange::<SnapshotResponse<Id>, Fatal<Id>>(Message::post("/raft/snapshot", body));
        let sending = tokio::time::timeout(option.hard_ttl(), sending);
        tokio::select! {
            closed = cancel => Err(closed.into()),
            sent = sending => match sent {
                Ok(answer) => answer.map_err(|error| match error {
                    RPCError::RemoteError(remote) => StreamingError::RemoteError(remote),
                    RPCError::Timeout(timeout) => StreamingError::Timeout(timeout),
                    RPCError::Unreachable(unreachable) => StreamingError::Unreachable(unreachable),
                    RPCError::Network(network) => StreamingError::Network(network),
                    RPCError::PayloadTooLarge(large) => StreamingError::Network(NetworkError::new(&large)),
                }),
                Err(elapsed) => Err(NetworkError::new(&elapsed).into()),
            },
        }
    }

    fn backoff(&self) -> Backoff {
        Backoff::new(std::iter::repeat(BACKOFF))
    }
}
