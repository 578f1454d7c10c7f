//! The keys that belong to the workload.

use std::time::Duration;

use futures::future::join_all;
use tokio::time::Instant;

use crate::api::Ordinal;
use crate::experiment;
use crate::platform::Endpoint;
use crate::store::{Adapter, Failure};

/// The heartbeat's key, without the prefix.
pub(super) const HEARTBEAT: &str = "heartbeat";
/// What every ledger key starts with, without the prefix.
pub(super) const LEDGER: &str = "ledger/";

/// How long one removal may take.
const REQUEST: Duration = Duration::from_secs(5);
/// How long one look may take, so that a member that hangs leaves time for another.
const LOOK: Duration = Duration::from_secs(2);
/// How long members may take to say for how many clients they have room.
const ROOM: Duration = Duration::from_secs(1);
/// How long emptying the scope before the first operation may take in all; the run wants an answer within 10 seconds.
const EMPTY: Duration = Duration::from_secs(8);
/// How long the store may take to come back before the scope is left as it is.
const CLEAN_UP: Duration = Duration::from_secs(15);

/// Why a workload cannot begin, or its scope could not be emptied.
#[derive(Debug, thiserror::Error)]
pub enum ScopeError {
    /// The clients could keep everybody else out of the store.
    #[error("{clients} clients are too many for the store: {reason}")]
    Crowded {
        /// How many there would be.
        clients: u32,
        /// What the store says of it.
        reason: String,
    },
    /// The prefix is empty: the scope would be everything.
    #[error(
        "`scope.prefix` is empty, so the workload would own every key of the store: write for example seatrial/"
    )]
    Everything,
    /// Somebody else's data is there.
    #[error(
        "{count} keys below `{prefix}` (for example `{example}`) have values that no workload wrote, and they will not be \
         touched: choose another `scope.prefix`"
    )]
    Foreign {
        /// The scope.
        prefix: String,
        /// How many.
        count: usize,
        /// One of them.
        example: String,
    },
    /// No member could list or remove it.
    #[error("cannot empty `{prefix}`: {reason}")]
    Refused {
        /// The scope.
        prefix: String,
        /// What the last member said.
        reason: String,
    },
    /// The removal may still happen, and would then take what the workload writes.
    #[error(
        "it is not known whether `{prefix}` was emptied ({reason}): run again when the store answers quickly"
    )]
    Unknown {
        /// The scope.
        prefix: String,
        /// Why it is not known.
        reason: String,
    },
}

/// The whole key of the heartbeat.
pub fn heartbeat_key(prefix: &str) -> String {
    format!("{prefix}{HEARTBEAT}")
}

/// Refuses clients that could take every connection that a member has.
pub(super) async fn refuse_a_crowd(
    adapter: &dyn Adapter,
    members: &[Ordinal],
    clients: u32,
) -> Result<(), ScopeError> {
    let (number, deadline) = (members.len() as u32, Instant::now() + ROOM);
    let asked = members.iter().map(|&member| {
        let mut client = adapter.client(Endpoint::Member(member));
        async move { client.lacks_room(clients, number, deadline).await }
    });
    match join_all(asked).await.into_iter().flatten().next() {
        Some(reason) => Err(ScopeError::Crowded { clients, reason }),
        None => Ok(()),
    }
}

/// Removes what an earlier run left, before the first operation, so that every key is known not to exist. A removal is
/// sent again only if it provably did not happen: one that happens late would take new keys with it. Returns within
/// 8 seconds.
pub(super) async fn empty(
    adapter: &dyn Adapter,
    members: &[Ordinal],
    prefix: &str,
) -> Result<(), ScopeError> {
    let until = Instant::now() + EMPTY;
    refuse_foreign(adapter, members, prefix, until).await?;
    let mut turns = members.iter().cycle();
    let mut last = "the target has no members".to_owned();
    while let Some(&member) = turns.next().filter(|_| Instant::now() < until) {
        let mut client = adapter.client(Endpoint::Member(member));
        match client.remove(prefix, (Instant::now() + REQUEST).min(until)).await {
            Ok(()) => return Ok(()),
            Err(Failure::NotApplied(reason)) => last = format!("member {member}: {reason}"),
            Err(Failure::Unknown(reason)) => {
                return Err(ScopeError::Unknown {
                    prefix: prefix.into(),
                    reason: format!("member {member}: {reason}"),
                });
            }
        }
        // An election may be on its way.
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    Err(ScopeError::Refused { prefix: prefix.into(), reason: last })
}

/// Removes every key of the scope after the last operation and the last read, unless it is to be kept. Sends the
/// removal again, through one member after the other, until one says that it is done. Returns within 15 seconds.
pub async fn clean_up(
    adapter: &dyn Adapter,
    members: &[Ordinal],
    scope: &experiment::Scope,
) -> Result<(), ScopeError> {
    if scope.keep {
        return Ok(());
    }
    let prefix = &scope.prefix;
    let until = Instant::now() + CLEAN_UP;
    refuse_foreign(adapter, members, prefix, until).await?;
    let mut turns = members.iter().cycle();
    let mut last = "the target has no members".to_owned();
    while let Some(&member) = turns.next().filter(|_| Instant::now() < until) {
        let mut client = adapter.client(Endpoint::Member(member));
        let deadline = (Instant::now() + REQUEST).min(until);
        match client.remove(prefix, deadline).await {
            Ok(()) => return Ok(()),
            Err(failure) => last = format!("member {member}: {failure}"),
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    Err(ScopeError::Refused { prefix: prefix.clone(), reason: last })
}

/// Looks, until then, at the scope before anything of it is removed, as the first member that answers holds it.
async fn refuse_foreign(
    adapter: &dyn Adapter,
    members: &[Ordinal],
    prefix: &str,
    until: Instant,
) -> Result<(), ScopeError> {
    if prefix.is_empty() {
        return Err(ScopeError::Everything);
    }
    let mut last = "the target has no members".to_owned();
    for &member in members {
        let mut client = adapter.client(Endpoint::Member(member));
        match client.list(prefix, (Instant::now() + LOOK).min(until)).await {
            Ok(found) => {
                return match found.foreign.first() {
                    None => Ok(()),
                    Some(example) => Err(ScopeError::Foreign {
                        prefix: prefix.into(),
                        count: found.foreign.len(),
                        example: example.clone(),
                    }),
                };
            }
            Err(failure) => last = format!("member {member}: {failure}"),
        }
    }
    Err(ScopeError::Refused { prefix: prefix.into(), reason: last })
}
