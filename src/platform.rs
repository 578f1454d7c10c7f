//! Where a StatefulSet runs: three narrow traits, and the platforms that implement them.
//!
//! The engine and the run loop see only these traits, never a pid, a namespace or a file:
//!
//! - [`Cluster`]: what is there (a stream of snapshots) and requests whose result is a later snapshot,
//! - [`Nodes`]: desired Injections go out; statuses come back late, twice or never,
//! - [`Dial`]: a client's connection to a member or to the service.

use std::io;
use std::time::Duration;

use async_trait::async_trait;
use tokio::net::TcpStream;
use tokio::sync::{mpsc, watch};

use crate::api::{Injection, InjectionSpec, Ordinal, Snapshot, Volumes};

#[cfg(feature = "kubernetes")]
pub mod kubernetes;
#[cfg(any(feature = "kubernetes", feature = "sandbox"))]
mod names;
pub mod proving;
#[cfg(feature = "sandbox")]
pub mod sandbox;

/// A request that a platform could not take, as one lower-case fragment for a person.
#[derive(Debug, thiserror::Error)]
pub enum PlatformError {
    /// The platform is gone or does not answer.
    #[error("the platform does not answer: {0}")]
    Unreachable(String),
    /// The platform answered and said no.
    #[error("the platform refused: {0}")]
    Refused(String),
}

/// The StatefulSet and its pods, as the platform sees them.
#[async_trait]
pub trait Cluster: Send + Sync {
    /// The newest snapshot, and a way to wait for the next one.
    fn snapshots(&self) -> watch::Receiver<Snapshot>;

    /// Asks for the deletion of the pod of `ordinal`; `grace` of `None` means the pod's own grace period. The platform
    /// brings it back, as the StatefulSet controller does.
    async fn delete_pod(&self, ordinal: Ordinal, grace: Option<Duration>) -> Result<(), PlatformError>;

    /// What there is of the target's claims, and every change of it; nothing where the platform cannot tell.
    async fn volumes(&self) -> Result<Option<mpsc::Receiver<Volumes>>, PlatformError> {
        Ok(None)
    }

    /// Reads the target once, past every cache, to see whether the platform answers.
    async fn ask(&self) -> Result<(), PlatformError> {
        Ok(())
    }
}

/// The node agents, reached only by desired state.
#[async_trait]
pub trait Nodes: Send + Sync {
    /// Creates or replaces the spec of an Injection; the node makes it true later.
    async fn apply(&self, spec: InjectionSpec) -> Result<(), PlatformError>;

    /// Forgets an Injection whose status is final.
    async fn forget(&self, name: &str) -> Result<(), PlatformError>;

    /// Every change of any Injection's status from now on, after all that exist now. May repeat itself.
    async fn statuses(&self) -> Result<mpsc::Receiver<Injection>, PlatformError>;
}

/// Where a client connects to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Endpoint {
    /// One member, by ordinal.
    Member(Ordinal),
    /// Whichever ready member the service gives.
    Service,
}

/// A connection as a client of the store would make it.
#[async_trait]
pub trait Dial: Send + Sync {
    /// Connects to `port` of `endpoint`. The caller sets the time limit.
    async fn dial(&self, endpoint: Endpoint, port: u16) -> io::Result<TcpStream>;

    /// The names by which clients know `endpoint`, the whole one first: its certificate has to carry one of them.
    fn names(&self, endpoint: Endpoint) -> Vec<String>;
}
