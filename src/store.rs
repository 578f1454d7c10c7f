//! Store adapters: members, roles, terms, positions, reads and writes.
//!
//! An [`Adapter`] is one store; it opens [`Client`]s, each with a connection of its own and one request in flight. What
//! a client promises:
//!
//! - a request is sent once: there are no retries, and a connection that failed in any way is never used again;
//! - the outcome of a request that changes something is told apart: done, [`Failure::NotApplied`] (it can be proven that
//!   it changed nothing and never will), or [`Failure::Unknown`] (it may have been applied, or may be applied later).
//!   A verdict about lost writes is only as good as this difference, so whatever is not known for certain is unknown;
//! - a call returns by its deadline, whatever the store does;
//! - an answer of any size costs bounded memory.

mod etcd;
mod http;
mod postgres;
mod refkv;
mod secrets;
mod tls;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use tokio::time::{Instant, sleep};

pub use self::secrets::{SecretError, Secrets};
use crate::api::{MemberSample, Ordinal};
use crate::experiment;
use crate::platform::{Dial, Endpoint};

/// Why a request has no answer that counts.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Failure {
    /// It changed nothing and never will: it was not sent, or the store says so.
    #[error("{0}")]
    NotApplied(String),
    /// It was sent, and whether it was or will be applied cannot be known.
    #[error("{0}")]
    Unknown(String),
}

impl Failure {
    /// The reason, for a person.
    pub fn reason(&self) -> &str {
        match self {
            Self::NotApplied(reason) | Self::Unknown(reason) => reason,
        }
    }
}

/// Which state a read may show.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ReadMode {
    /// Everything that was acknowledged before the read began.
    Linearizable,
    /// What the member that answers holds, however old.
    Local,
}

impl From<experiment::Reads> for ReadMode {
    fn from(promise: experiment::Reads) -> Self {
        match promise {
            experiment::Reads::Linearizable => Self::Linearizable,
            experiment::Reads::Local => Self::Local,
        }
    }
}

/// The answer to a compare-and-set.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Swap {
    /// The key had the expected value and has the new one now.
    Swapped,
    /// The key had another value; nothing was changed.
    Mismatch {
        /// The value that it had, `None` where it did not exist.
        current: Option<u64>,
    },
}

/// What a listing found, by whole key.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Listing {
    /// Keys whose values are numbers.
    pub values: BTreeMap<String, u64>,
    /// Keys whose values are not: no workload of ours wrote them.
    pub foreign: Vec<String>,
}

/// One store.
pub trait Adapter: Send + Sync {
    /// A client that reaches the store by `endpoint`; it connects at its first request. A client of one member keeps its
    /// connection; a client of the service makes a new one for each request, so that each may reach another member.
    fn client(&self, endpoint: Endpoint) -> Box<dyn Client>;
}

/// One client of a store, with one request in flight.
#[async_trait]
pub trait Client: Send {
    /// How the member that answers sees itself and the group. `heartbeat` is the key whose local value is reported.
    async fn member(&mut self, heartbeat: &str, deadline: Instant) -> MemberSample;

    /// Why the member that answers would not take the connections that so many clients of a group of so many members may
    /// need. None where they have room, where it does not answer, and of a store that tells no limit.
    async fn lacks_room(&mut self, _clients: u32, _members: u32, _deadline: Instant) -> Option<String> {
        None
    }

    /// The value of `key`. A read changes nothing, so its failure is always [`Failure::NotApplied`].
    async fn read(&mut self, key: &str, mode: ReadMode, deadline: Instant) -> Result<Option<u64>, Failure>;

    /// Sets `key`.
    async fn write(&mut self, key: &str, value: u64, deadline: Instant) -> Result<(), Failure>;

    /// Sets `key` if it has the value `expect`, or does not exist where that is `None`.
    async fn cas(
        &mut self,
        key: &str,
        expect: Option<u64>,
        value: u64,
        deadline: Instant,
    ) -> Result<Swap, Failure>;

    /// Every key that starts with `prefix`, as the member that answers holds it.
    async fn list(&mut self, prefix: &str, deadline: Instant) -> Result<Listing, Failure>;

    /// Removes every key that starts with `prefix`.
    async fn remove(&mut self, prefix: &str, deadline: Instant) -> Result<(), Failure>;
}

/// The adapter for the store that an experiment names, with what its Secrets hold.
pub fn open(
    store: &experiment::Store,
    dial: Arc<dyn Dial>,
    secrets: &Secrets,
) -> Result<Arc<dyn Adapter>, SecretError> {
    Ok(match store {
        experiment::Store::Etcd(at) => Arc::new(etcd::Etcd::open(at, dial, secrets)?),
        experiment::Store::Postgres(at) => Arc::new(postgres::Postgres::open(at, dial, secrets)?),
        experiment::Store::Refkv(at) => Arc::new(refkv::Refkv::new(dial, at.port)),
    })
}

/// How long a question before a run may take, and the pause after one that nobody answered.
const QUESTION: Duration = Duration::from_secs(5);
const PAUSE: Duration = Duration::from_millis(500);

/// Asks members in turn until one answers; after `limit` says why none does. A run cannot begin before that, and waits in
/// vain where a password is wrong.
pub async fn answers(
    adapter: &dyn Adapter,
    members: &[Ordinal],
    heartbeat: &str,
    limit: Duration,
) -> Result<(), String> {
    let until = Instant::now() + limit;
    loop {
        let mut why = Vec::new();
        for &member in members {
            let mut client = adapter.client(Endpoint::Member(member));
            match client.member(heartbeat, Instant::now() + QUESTION).await {
                MemberSample::Answer { .. } => return Ok(()),
                MemberSample::Unreachable(reason) | MemberSample::NotSampled(reason) => {
                    why.push(format!("member {member}: {reason}"));
                }
            }
        }
        if Instant::now() >= until {
            return Err(format!("no member answers within {} s: {}", limit.as_secs(), why.join("; ")));
        }
        sleep(PAUSE).await;
    }
}

/// The failure of a request that only reads: however it failed, it changed nothing.
fn changed_nothing(failure: Failure) -> Failure {
    match failure {
        Failure::NotApplied(reason) | Failure::Unknown(reason) => Failure::NotApplied(reason),
    }
}
