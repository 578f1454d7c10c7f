//! The way to one member: connections are made when they are needed, kept, and dropped at the first trouble.

use std::io;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use axum::http::{HeaderMap, Method, Request, StatusCode, header};
use bytes::Bytes;
use http_body_util::{BodyExt, Full, Limited};
use hyper::client::conn::http1::{self, SendRequest};
use hyper_util::rt::TokioIo;
use tokio::net::TcpStream;

/// The largest answer that is read: a listing of all keys.
const LARGEST_ANSWER: usize = 256 * 1024 * 1024;

/// Why there is no answer.
#[derive(Debug, thiserror::Error)]
pub enum LinkError {
    /// The name was not found, or nobody listens there. Nothing was sent.
    #[error("cannot connect to {address}")]
    Connect {
        /// The member's address.
        address: String,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// The address does not make a valid request. Nothing was sent.
    #[error("cannot make a request to {address}")]
    Request {
        /// The member's address.
        address: String,
        /// Why.
        #[source]
        source: axum::http::Error,
    },
    /// The connection broke before the answer was complete; the request may have arrived.
    #[error("lost the connection to {address}")]
    Lost {
        /// The member's address.
        address: String,
        /// Why.
        #[source]
        source: Box<dyn std::error::Error + Send + Sync>,
    },
}

/// A request to a member.
#[derive(Debug, Clone)]
pub struct Message {
    /// GET, PUT, POST or DELETE.
    pub method: Method,
    /// Path and query.
    pub target: String,
    /// Headers beside those that every request has.
    pub headers: HeaderMap,
    /// The body.
    pub body: Bytes,
}

impl Message {
    /// A GET.
    pub fn get(target: &str) -> Self {
        Self { method: Method::GET, target: target.to_owned(), headers: HeaderMap::new(), body: Bytes::new() }
    }

    /// A POST of `body`.
    pub fn post(target: &str, body: Vec<u8>) -> Self {
        Self { method: Method::POST, body: body.into(), ..Self::get(target) }
    }
}

type Connection = SendRequest<Full<Bytes>>;

/// The way to one member; shared by all who talk to it.
#[derive(Debug)]
pub struct Link {
    address: String,
    connect_timeout: Duration,
    /// Held while the name is being looked up, which a broken DNS can make take many seconds: one lookup at a time.
    resolving: Arc<tokio::sync::Mutex<()>>,
    idle: Mutex<Vec<Connection>>,
}

/// Drops the idle connections too when a request does not come to its end: behind a cut link all of them are dead,
/// and trying one after the other would make the outage longer than the cut.
struct Trouble<'a>(Option<&'a Link>);

impl Drop for Trouble<'_> {
    fn drop(&mut self) {
        if let Some(link) = self.0 {
            link.idle.lock().unwrap_or_else(PoisonError::into_inner).clear();
        }
    }
}

impl Link {
    /// A link to `address`, `host:port`. Nothing is connected yet.
    pub fn new(address: String, connect_timeout: Duration) -> Self {
        Self { address, connect_timeout, resolving: Arc::default(), idle: Mutex::default() }
    }

    /// Sends a message and reads the answer. Dropping the future drops the connection.
    pub async fn send(&self, message: Message) -> Result<(StatusCode, Bytes), LinkError> {
        let mut request = Request::builder()
            .method(message.method)
            .uri(message.target)
            .header(header::HOST, &self.address)
            .header(header::CONTENT_TYPE, "application/json")
            .body(Full::new(message.body))
            .map_err(|source| LinkError::Request { address: self.address.clone(), source })?;
        request.headers_mut().extend(message.headers);
        let mut trouble = Trouble(Some(self));
        let mut connection = match self.take() {
            Some(connection) => connection,
            None => self.connect().await?,
        };
        let lost = |source: Box<dyn std::error::Error + Send + Sync>| LinkError::Lost {
            address: self.address.clone(),
            source,
        };
        let answer = connection.send_request(request).await.map_err(|source| lost(Box::new(source)))?;
        let status = answer.status();
        let body = Limited::new(answer.into_body(), LARGEST_ANSWER).collect().await.map_err(lost)?;
        trouble.0 = None;
        self.idle.lock().unwrap_or_else(PoisonError::into_inner).push(connection);
        Ok((status, body.to_bytes()))
    }

    /// An idle connection that the other side has not closed, as far as one can know.
    fn take(&self) -> Option<Connection> {
        let mut idle = self.idle.lock().unwrap_or_else(PoisonError::into_inner);
        idle.retain(|connection| !connection.is_closed());
        let ready = idle.iter().rposition(SendRequest::is_ready)?;
        Some(idle.swap_remove(ready))
    }

    async fn connect(&self) -> Result<Connection, LinkError> {
        let failed = |source| LinkError::Connect { address: self.address.clone(), source };
        let connecting = async {
            let stream = TcpStream::connect(&*self.resolve().await?).await?;
            stream.set_nodelay(true)?;
            let (sender, connection) =
                http1::handshake(TokioIo::new(stream)).await.map_err(io::Error::other)?;
            // It ends with the sender, or when the other side closes; why does not matter to anybody.
            tokio::spawn(async move { drop(connection.await) });
            Ok(sender)
        };
        match tokio::time::timeout(self.connect_timeout, connecting).await {
            Ok(result) => result.map_err(failed),
            Err(_) => Err(failed(io::ErrorKind::TimedOut.into())),
        }
    }

    async fn resolve(&self) -> io::Result<Vec<SocketAddr>> {
        let turn = Arc::clone(&self.resolving).lock_owned().await;
        let address = self.address.clone();
        // A task of its own, because the lookup goes on when nobody waits for it any more.
        let lookup = tokio::spawn(async move {
            let found = tokio::net::lookup_host(address).await.map(Iterator::collect);
            drop(turn);
            found
        });
        lookup.await.unwrap_or_else(|error| Err(io::Error::other(error)))
    }
}
