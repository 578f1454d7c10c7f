//! PostgreSQL 11 and later: a primary and its streaming standbys, by its own protocol.
//!
//! Members do not vote. The one that is not in recovery is the primary and takes every write; a write is acknowledged
//! once the primary has it and, where `synchronous_standby_names` says so, enough standbys as well (see
//! [`synchronous`]). The timeline is the term: a promotion begins a new one. A position is a place in the write-ahead log,
//! in bytes.
//!
//! A client that is pinned to a member asks that member for what it holds, and sends writes and linearizable reads to
//! the primary that is known (see [`primaries`]), as libpq does with several hosts and `target_session_attrs=primary`. One of
//! the Service takes whom it gets: a write to a standby is refused by PostgreSQL, and so is a linearizable read by us,
//! because a standby may be behind. Local reads are answered by whoever is asked.
//!
//! Keys are rows of one table of ours, `seatrial_workload`, in the first schema of the user's search path. It is made by
//! the first write that misses it, and dropped when its last row is removed. Every request is one statement and one
//! transaction by itself.

mod connection;
mod failure;
mod primaries;
mod room;
mod synchronous;
mod table;
mod tls;
mod view;

use std::sync::Arc;

use async_trait::async_trait;
use tokio::time::Instant;
use tokio_postgres::error::SqlState;
use tokio_postgres::types::Type;

use self::connection::{Connection, Door, Parameter, Refusal, Rows};
use self::primaries::Primaries;
use self::view::View;
use super::secrets::{SecretError, Secrets};
use super::{Adapter, Client, Failure, Listing, ReadMode, Swap, changed_nothing};
use crate::api::{MemberSample, Ordinal};
use crate::experiment;
use crate::platform::{Dial, Endpoint};

/// A primary and its standbys.
pub(super) struct Postgres {
    door: Arc<Door>,
    primaries: Arc<Primaries>,
}

impl Postgres {
    /// Reaches members by `dial`, with what the Secrets hold.
    pub(super) fn open(
        at: &experiment::Postgres,
        dial: Arc<dyn Dial>,
        secrets: &Secrets,
    ) -> Result<Self, SecretError> {
        Ok(Self { door: Arc::new(Door::open(at, dial, secrets)?), primaries: Arc::default() })
    }
}

impl Adapter for Postgres {
    fn client(&self, endpoint: Endpoint) -> Box<dyn Client> {
        Box::new(PostgresClient {
            own: Connection::new(Arc::clone(&self.door), endpoint),
            elsewhere: None,
            endpoint,
            door: Arc::clone(&self.door),
            primaries: Arc::clone(&self.primaries),
        })
    }
}

/// One client of the group.
struct PostgresClient {
    own: Connection,
    /// To the primary, where that is another member.
    elsewhere: Option<(Ordinal, Connection)>,
    endpoint: Endpoint,
    door: Arc<Door>,
    primaries: Arc<Primaries>,
}

impl PostgresClient {
    /// The way to whoever takes writes, as far as is known.
    fn primary(&mut self) -> &mut Connection {
        let (Endpoint::Member(own), Some(primary)) = (self.endpoint, self.primaries.newest()) else {
            return &mut self.own;
        };
        if own == primary {
            return &mut self.own;
        }
        let known = self.elsewhere.take().filter(|&(ordinal, _)| ordinal == primary);
        let door = &self.door;
        let (_, connection) = self.elsewhere.insert(
            known.unwrap_or_else(|| (primary, Connection::new(Arc::clone(door), Endpoint::Member(primary)))),
        );
        connection
    }

    /// Sends a statement to the primary. One that found no table has changed nothing, and is the one thing that is sent
    /// again.
    async fn change(
        &mut self,
        statement: &str,
        parameters: &[Parameter<'_>],
        deadline: Instant,
    ) -> Result<Rows, Failure> {
        let primary = self.primary();
        match primary.ask(statement, parameters, deadline).await {
            Err(refusal) if refusal.is(&SqlState::UNDEFINED_TABLE) => {
                let made = primary.ask(table::CREATE, &[], deadline).await;
                // Whether there is a table now or not: no value was written yet.
                made.map_err(|refusal| changed_nothing(refusal.into()))?;
                Ok(primary.ask(statement, parameters, deadline).await?)
            }
            answer => Ok(answer?),
        }
    }

    async fn look(&mut self, heartbeat: &str, deadline: Instant) -> Result<MemberSample, Failure> {
        let asked = Instant::now();
        let rows = self.own.ask(view::QUESTION, &[], deadline).await?;
        let view = View::of(&rows).map_err(Failure::NotApplied)?;
        if let Endpoint::Member(ordinal) = self.endpoint {
            if view.is_primary {
                self.primaries.hear_primary(ordinal, view.timeline, view.flushed, Instant::now());
            } else {
                self.primaries.hear_standby(ordinal);
            }
        }
        let heartbeat = if view.has_table { self.value_held(heartbeat, deadline).await? } else { None };
        Ok(view.sample(self.endpoint, &self.primaries, heartbeat, asked))
    }

    /// What the member itself holds.
    async fn value_held(&mut self, key: &str, deadline: Instant) -> Result<Option<u64>, Failure> {
        or_no_table(self.own.ask(table::READ, &[(&key, Type::TEXT)], deadline).await)
            .and_then(|rows| rows.map_or(Ok(None), |rows| table::value_read(&rows)))
            .map_err(changed_nothing)
    }
}

/// Nothing where there is no table yet, or not any more.
fn or_no_table(answer: Result<Rows, Refusal>) -> Result<Option<Rows>, Failure> {
    match answer {
        Ok(rows) => Ok(Some(rows)),
        Err(refusal) if refusal.is(&SqlState::UNDEFINED_TABLE) => Ok(None),
        Err(refusal) => Err(refusal.into()),
    }
}

#[async_trait]
impl Client for PostgresClient {
    async fn member(&mut self, heartbeat: &str, deadline: Instant) -> MemberSample {
        self.look(heartbeat, deadline)
            .await
            .unwrap_or_else(|failure| MemberSample::Unreachable(failure.to_string()))
    }

    async fn lacks_room(&mut self, clients: u32, members: u32, deadline: Instant) -> Option<String> {
        let rows = self.own.ask(room::QUESTION, &[], deadline).await.ok()?;
        room::lack(clients, members, room::told(&rows)?)
    }

    async fn read(&mut self, key: &str, mode: ReadMode, deadline: Instant) -> Result<Option<u64>, Failure> {
        match mode {
            ReadMode::Local => self.value_held(key, deadline).await,
            ReadMode::Linearizable => {
                let primary = self.primary();
                let answer = primary.ask(table::READ_AT_PRIMARY, &[(&key, Type::TEXT)], deadline).await;
                let rows = if let Some(rows) = or_no_table(answer).map_err(changed_nothing)? {
                    rows
                } else {
                    // A standby that has not heard of the table yet did not come to say that it is one; and of the
                    // Service this may ask another member.
                    let role = primary.ask(table::NOTHING_AT_PRIMARY, &[], deadline).await;
                    role.map_err(|refusal| changed_nothing(refusal.into()))?
                };
                table::value_read(&rows).map_err(changed_nothing)
            }
        }
    }

    async fn write(&mut self, key: &str, value: u64, deadline: Instant) -> Result<(), Failure> {
        let value = table::stored(value)?;
        self.change(table::WRITE, &[(&key, Type::TEXT), (&value, Type::INT8)], deadline).await?;
        Ok(())
    }

    async fn cas(
        &mut self,
        key: &str,
        expect: Option<u64>,
        value: u64,
        deadline: Instant,
    ) -> Result<Swap, Failure> {
        let (expect, new) = (expect.map(table::stored).transpose()?, table::stored(value)?);
        let parameters: [Parameter<'_>; 3] = [(&key, Type::TEXT), (&expect, Type::INT8), (&new, Type::INT8)];
        let rows = self.change(table::COMPARE_AND_SET, &parameters, deadline).await?;
        // Values are unique, so the new one is there only if this has set it.
        match table::value_after(&rows).map_err(Failure::Unknown)? {
            Some(held) if held == value => Ok(Swap::Swapped),
            current => Ok(Swap::Mismatch { current }),
        }
    }

    async fn list(&mut self, prefix: &str, deadline: Instant) -> Result<Listing, Failure> {
        let answer = self.own.ask(table::LIST, &[(&prefix, Type::TEXT)], deadline).await;
        let rows = or_no_table(answer).map_err(changed_nothing)?;
        rows.map_or(Ok(Listing::default()), |rows| table::listing(&rows))
    }

    async fn remove(&mut self, prefix: &str, deadline: Instant) -> Result<(), Failure> {
        let primary = self.primary();
        if or_no_table(primary.ask(table::REMOVE, &[(&prefix, Type::TEXT)], deadline).await)?.is_some() {
            or_no_table(primary.ask(table::DROP_IF_EMPTY, &[], deadline).await)?;
        }
        Ok(())
    }
}
