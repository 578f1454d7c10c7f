//! Connections to one endpoint, where it is known whether a statement was sent.
//!
//! To PostgreSQL each connection is a process and one of few (`max_connections` is 100 where nobody says otherwise), and
//! a process that waits for its disk or for a standby cannot be ended. So a connection whose answer did not come in time is
//! not used again, and not closed either, which would only hide it: it stays until its answer comes, and whoever has
//! [`OPEN`] of them sends nothing more until then, as a client with a pool of that size. A peer that is gone without a word
//! is noticed by the kernel within [`SILENCE`].

use std::sync::Arc;
use std::time::Duration;

use nix::sys::socket::{setsockopt, sockopt};
use secrecy::{ExposeSecret, SecretString};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::{Instant, timeout_at};
use tokio_postgres::config::SslMode;
use tokio_postgres::types::{ToSql, Type};
use tokio_postgres::{Client, Config, NoTls, Row};

pub(super) use super::failure::Refusal;
use super::failure::{self, Stage};
use crate::experiment::{self, SecretName};
use crate::platform::{Dial, Endpoint};
use crate::store::secrets::{SecretError, Secrets};
use crate::store::tls::{Tls, Way};

/// How many connections of a client may be there at once: one that is used, and those that wait for an answer in vain.
pub(super) const OPEN: usize = 3;
/// After how long without a sign of life from the other side's kernel a connection is given up.
const SILENCE: Duration = Duration::from_secs(10);

/// What a statement answers.
pub(super) type Rows = Vec<Row>;

/// A parameter of a statement, and what PostgreSQL takes it for.
pub(super) type Parameter<'a> = (&'a (dyn ToSql + Sync), Type);

/// How every member is entered.
pub(super) struct Door {
    dial: Arc<dyn Dial>,
    port: u16,
    database: String,
    tls: Option<Tls>,
    user: Option<User>,
}

struct User {
    secret: SecretName,
    name: SecretString,
    password: SecretString,
}

impl Door {
    /// Reads what the Secrets hold.
    pub(super) fn open(
        at: &experiment::Postgres,
        dial: Arc<dyn Dial>,
        secrets: &Secrets,
    ) -> Result<Self, SecretError> {
        let user = |auth: &experiment::Auth| {
            Ok(User {
                secret: auth.secret.clone(),
                name: secrets.text(&auth.secret, "username")?,
                password: secrets.text(&auth.secret, "password")?,
            })
        };
        Ok(Self {
            dial,
            port: at.port,
            database: at.database.as_str().to_owned(),
            tls: at.tls.as_ref().map(|tls| Tls::load(tls, secrets)).transpose()?,
            user: at.auth.as_ref().map(user).transpose()?,
        })
    }

    /// The Secret that names the user.
    pub(super) fn user_secret(&self) -> Option<&SecretName> {
        self.user.as_ref().map(|user| &user.secret)
    }

    fn config(&self) -> Config {
        let mut config = Config::new();
        config.dbname(&*self.database).application_name("seatrial").user("postgres");
        config.ssl_mode(if self.tls.is_some() { SslMode::Require } else { SslMode::Disable });
        // A limit of the server's would end the wait for a synchronous standby with a warning beside the success: an
        // acknowledgement that is none. Deadlines are ours.
        config.options("-c statement_timeout=0");
        if let Some(user) = &self.user {
            config.user(user.name.expose_secret()).password(user.password.expose_secret());
        }
        config
    }
}

/// A way to one endpoint.
pub(super) struct Connection {
    door: Arc<Door>,
    endpoint: Endpoint,
    tls: Option<Way>,
    open: Option<Client>,
    free: Arc<Semaphore>,
}

impl Connection {
    /// Connects at the first statement.
    pub(super) fn new(door: Arc<Door>, endpoint: Endpoint) -> Self {
        let tls = door.tls.as_ref().map(|tls| tls.to(door.dial.names(endpoint)));
        Self { door, endpoint, tls, open: None, free: Arc::new(Semaphore::new(OPEN)) }
    }

    /// Sends one statement once and reads its whole answer, which ends when its transaction has.
    pub(super) async fn ask(
        &mut self,
        statement: &str,
        parameters: &[Parameter<'_>],
        deadline: Instant,
    ) -> Result<Rows, Refusal> {
        // Taken, so that it is not used again on any way out but the good ones.
        let client = match self.open.take().filter(|client| !client.is_closed()) {
            Some(client) => client,
            None => timeout_at(deadline, self.connect())
                .await
                .map_err(|_| Refusal::not_sent(self.why_late()))??,
        };
        let answer = timeout_at(deadline, client.query_typed(statement, parameters))
            .await
            .map_err(|_| Refusal::no_answer("nothing came in time"))?
            .map_err(|error| self.explain(&error, Stage::Sent));
        let is_whole = answer.as_ref().map_or_else(Refusal::is_an_answer, |_| true);
        // The service is asked anew each time, so that it can choose another member.
        if is_whole && matches!(self.endpoint, Endpoint::Member(_)) {
            self.open = Some(client);
        }
        answer
    }

    fn why_late(&self) -> &'static str {
        match self.free.available_permits() {
            0 => "every connection still waits for the answer to what was asked before",
            _ => "no connection in time",
        }
    }

    async fn connect(&self) -> Result<Client, Refusal> {
        let cannot = |error: &dyn std::fmt::Display| Refusal::not_sent(&format!("cannot connect: {error}"));
        let free = Arc::clone(&self.free).acquire_owned().await.map_err(|error| cannot(&error))?;
        let stream =
            self.door.dial.dial(self.endpoint, self.door.port).await.map_err(|error| cannot(&error))?;
        notice_silence(&stream).map_err(|error| cannot(&error))?;
        let config = self.door.config();
        let refused = |error| self.explain(&error, Stage::Entering);
        match &self.tls {
            None => {
                let (client, connection) = config.connect_raw(stream, NoTls).await.map_err(refused)?;
                drive(connection, free);
                Ok(client)
            }
            Some(way) => {
                let (client, connection) = config.connect_raw(stream, way).await.map_err(refused)?;
                drive(connection, free);
                Ok(client)
            }
        }
    }

    fn explain(&self, error: &tokio_postgres::Error, stage: Stage) -> Refusal {
        let by_tls = self.tls.as_ref().and_then(|way| way.explain(error));
        failure::explain(error, stage, by_tls, self.door.user_secret())
    }
}

/// Keeps a connection going until both sides are through with it: also without its client, until what was asked is answered.
fn drive<S, T>(connection: tokio_postgres::Connection<S, T>, free: OwnedSemaphorePermit)
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
    T: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    tokio::spawn(async move {
        // Whoever waits for an answer is told why it does not come.
        let _ = connection.await;
        drop(free);
    });
}

/// tcp(7): probes where nothing is on its way, a limit for what is.
fn notice_silence(stream: &TcpStream) -> std::io::Result<()> {
    stream.set_nodelay(true)?;
    let seconds = u32::try_from(SILENCE.as_secs()).unwrap_or(u32::MAX);
    setsockopt(stream, sockopt::KeepAlive, &true)?;
    setsockopt(stream, sockopt::TcpKeepIdle, &(seconds / 2))?;
    setsockopt(stream, sockopt::TcpKeepInterval, &1)?;
    setsockopt(stream, sockopt::TcpKeepCount, &(seconds / 2))?;
    setsockopt(stream, sockopt::TcpUserTimeout, &(seconds * 1000))?;
    Ok(())
}
