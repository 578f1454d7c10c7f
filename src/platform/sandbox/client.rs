//! How a run and a node talk to a sandbox: the platform's traits over the control socket.

use std::io;
use std::iter;
use std::net::{IpAddr, SocketAddr};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use async_trait::async_trait;
use futures::future::try_join_all;
use serde::de::DeserializeOwned;
use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader, Lines};
use tokio::net::{TcpStream, UnixStream};
use tokio::sync::{mpsc, watch};

use super::dns;
use super::network::GATEWAY;
use super::pod_spec::SetSpec;
use super::protocol::{InjectionEvent, Reply, Request, short_path};
use super::state_dir::StateDir;
use crate::api::{HostFault, Injection, InjectionSpec, InjectionStatus, Ordinal, Snapshot};
use crate::node::{Channel, Locate, LocatedPod, Order};
use crate::platform::names::names;
use crate::platform::{Cluster, Dial, Endpoint, Nodes, PlatformError};

mod ready;

/// How long init may take to answer a request that only changes its memory.
const ANSWER_LIMIT: Duration = Duration::from_secs(5);
/// How many events a slow reader may be behind before its watch waits.
const BACKLOG: usize = 1024;

/// A client of one sandbox, and of one StatefulSet in it. What nodes do it tells and hears of all sets.
#[derive(Clone)]
pub struct Client {
    socket: PathBuf,
    set: String,
    beside: Vec<String>,
    snapshots: watch::Receiver<Snapshot>,
    service: String,
    domain: String,
    turn: Arc<AtomicUsize>,
}

impl Client {
    /// Connects to a sandbox that runs and follows the snapshots of its first StatefulSet; one is there already.
    pub async fn connect(dir: &StateDir) -> io::Result<Self> {
        Self::connect_to(dir, &dir.setup()?.spec.name).await
    }

    /// The same with the StatefulSet of this name.
    pub async fn connect_to(dir: &StateDir, set: &str) -> io::Result<Self> {
        let setup = dir.setup()?;
        let Some(SetSpec { service, namespace, .. }) = setup.sets().find(|known| known.name == set) else {
            let text = format!("there is no StatefulSet {set} in this sandbox");
            return Err(io::Error::new(io::ErrorKind::NotFound, text));
        };
        let socket = dir.socket();
        let beside = setup.sets().map(|known| known.name.clone()).filter(|name| name != set).collect();
        Ok(Self {
            snapshots: follow(&socket, set).await?,
            socket,
            set: set.to_owned(),
            beside,
            domain: format!("{service}.{namespace}.svc.cluster.local"),
            service: service.clone(),
            turn: Arc::default(),
        })
    }

    /// Waits until every ordinal of every set of the sandbox is ready; otherwise says which containers wait for what.
    pub async fn wait_ready(&self, limit: Duration) -> Result<(), PlatformError> {
        let beside = try_join_all(self.beside.iter().map(|set| follow(&self.socket, set))).await;
        let beside = beside.map_err(|error| PlatformError::Unreachable(error.to_string()))?;
        ready::wait(iter::once(self.snapshots.clone()).chain(beside).collect(), limit).await
    }

    /// The same of its own set alone.
    pub async fn wait_set_ready(&self, limit: Duration) -> Result<(), PlatformError> {
        ready::wait(vec![self.snapshots.clone()], limit).await
    }

    /// Every Injection that there is now, of whatever run.
    pub async fn injections(&self) -> Result<Vec<Injection>, PlatformError> {
        match self.ask(&Request::ListInjections {}).await? {
            Reply::Injections(all) => Ok(all),
            Reply::Ok {} | Reply::Located(_) | Reply::Refused(_) => Err(another_answer()),
        }
    }

    async fn ask(&self, request: &Request) -> Result<Reply, PlatformError> {
        let exchange = async {
            let mut lines = send(&self.socket, request).await?;
            next(&mut lines).await?.ok_or_else(gone)
        };
        match tokio::time::timeout(ANSWER_LIMIT, exchange).await {
            Ok(Ok(Reply::Refused(reason))) => Err(PlatformError::Refused(reason)),
            Ok(Ok(reply)) => Ok(reply),
            Ok(Err(error)) => Err(PlatformError::Unreachable(error.to_string())),
            Err(_) => Err(PlatformError::Unreachable("the sandbox's init does not answer".to_owned())),
        }
    }

    /// Injections as they change; the channel ends when init is gone or nobody listens.
    async fn watch_injections<T: Send + 'static>(
        &self,
        pick: impl Fn(InjectionEvent) -> Option<T> + Send + 'static,
    ) -> io::Result<mpsc::Receiver<T>> {
        let mut lines = open_watch(&self.socket, &Request::WatchInjections {}).await?;
        let (sender, receiver) = mpsc::channel(BACKLOG);
        tokio::spawn(async move {
            loop {
                let event = tokio::select! {
                    event = next(&mut lines) => event,
                    () = sender.closed() => return,
                };
                let Ok(Some(event)) = event else { return };
                if let Some(picked) = pick(event)
                    && sender.send(picked).await.is_err()
                {
                    return;
                }
            }
        });
        Ok(receiver)
    }

    /// One of the service's addresses, another one each time.
    async fn service_address(&self) -> io::Result<IpAddr> {
        let server = SocketAddr::from((GATEWAY, 53));
        let addresses = dns::lookup(server, &self.domain, ANSWER_LIMIT).await?;
        let turn = self.turn.fetch_add(1, Ordering::Relaxed);
        addresses.get(turn % addresses.len().max(1)).copied().ok_or_else(|| {
            io::Error::new(io::ErrorKind::HostUnreachable, format!("{} has no ready pod", self.domain))
        })
    }

    fn member_address(&self, ordinal: Ordinal) -> io::Result<IpAddr> {
        let snapshot = self.snapshots.borrow();
        snapshot.pod(ordinal).and_then(|pod| pod.ip).ok_or_else(|| {
            io::Error::new(io::ErrorKind::HostUnreachable, format!("ordinal {ordinal} has no address now"))
        })
    }
}

#[async_trait]
impl Cluster for Client {
    fn snapshots(&self) -> watch::Receiver<Snapshot> {
        self.snapshots.clone()
    }

    async fn delete_pod(&self, ordinal: Ordinal, grace: Option<Duration>) -> Result<(), PlatformError> {
        let set = self.set.clone();
        self.ask(&Request::DeletePod { set, ordinal, grace }).await.map(drop)
    }
}

#[async_trait]
impl Nodes for Client {
    async fn apply(&self, spec: InjectionSpec) -> Result<(), PlatformError> {
        self.ask(&Request::PutInjection(Box::new(spec))).await.map(drop)
    }

    async fn forget(&self, name: &str) -> Result<(), PlatformError> {
        self.ask(&Request::ForgetInjection(name.to_owned())).await.map(drop)
    }

    async fn statuses(&self) -> Result<mpsc::Receiver<Injection>, PlatformError> {
        let pick = |event| match event {
            InjectionEvent::Put(injection) => Some(*injection),
            InjectionEvent::Gone(_) => None,
        };
        self.watch_injections(pick).await.map_err(|error| PlatformError::Unreachable(error.to_string()))
    }
}

#[async_trait]
impl Dial for Client {
    async fn dial(&self, endpoint: Endpoint, port: u16) -> io::Result<TcpStream> {
        let address = match endpoint {
            Endpoint::Member(ordinal) => self.member_address(ordinal)?,
            Endpoint::Service => self.service_address().await?,
        };
        TcpStream::connect((address, port)).await
    }

    fn names(&self, endpoint: Endpoint) -> Vec<String> {
        names(&self.snapshots.borrow(), endpoint, &self.service)
    }
}

#[async_trait]
impl Channel for Client {
    async fn orders(&self) -> io::Result<mpsc::Receiver<Order>> {
        self.watch_injections(|event| match event {
            // Not a node's to do: init does it itself.
            InjectionEvent::Put(injection) if matches!(injection.spec.fault, HostFault::Api(_)) => None,
            InjectionEvent::Put(injection) => Some(Order::Put(injection.spec)),
            InjectionEvent::Gone(name) => Some(Order::Gone(name)),
        })
        .await
    }

    async fn report(&self, name: &str, status: InjectionStatus) -> io::Result<()> {
        let request = Request::Report { name: name.to_owned(), status: Box::new(status) };
        self.ask(&request).await.map(drop).map_err(io::Error::other)
    }
}

#[async_trait]
impl Locate for Client {
    async fn pod(&self, injection: &InjectionSpec) -> io::Result<Option<LocatedPod>> {
        match self.ask(&Request::Locate(injection.pod.name.clone())).await.map_err(io::Error::other)? {
            Reply::Located(pod) => Ok(pod),
            Reply::Ok {} | Reply::Injections(_) | Reply::Refused(_) => {
                Err(io::Error::other(another_answer()))
            }
        }
    }
}

/// The snapshots of a set as they come, of which the first one is there; until nobody listens or init is gone.
async fn follow(socket: &Path, set: &str) -> io::Result<watch::Receiver<Snapshot>> {
    let mut lines = open_watch(socket, &Request::WatchSnapshots { set: set.to_owned() }).await?;
    let first: Snapshot = next(&mut lines).await?.ok_or_else(gone)?;
    let (sender, snapshots) = watch::channel(first);
    tokio::spawn(async move {
        loop {
            let snapshot = tokio::select! {
                snapshot = next(&mut lines) => snapshot,
                () = sender.closed() => return,
            };
            let Ok(Some(snapshot)) = snapshot else { return };
            sender.send_replace(snapshot);
        }
    });
    Ok(snapshots)
}

async fn send(socket: &Path, request: &Request) -> io::Result<Lines<BufReader<UnixStream>>> {
    let (_folder, short) = short_path(socket)?;
    let mut stream = UnixStream::connect(short).await?;
    let mut line = serde_json::to_vec(request)?;
    line.push(b'\n');
    stream.write_all(&line).await?;
    Ok(BufReader::new(stream).lines())
}

async fn open_watch(socket: &Path, request: &Request) -> io::Result<Lines<BufReader<UnixStream>>> {
    let mut lines = send(socket, request).await?;
    match next(&mut lines).await? {
        Some(Reply::Ok {}) => Ok(lines),
        Some(Reply::Refused(reason)) => Err(io::Error::other(reason)),
        Some(Reply::Located(_) | Reply::Injections(_)) | None => Err(gone()),
    }
}

async fn next<T: DeserializeOwned>(lines: &mut Lines<BufReader<UnixStream>>) -> io::Result<Option<T>> {
    match lines.next_line().await? {
        Some(line) => Ok(Some(serde_json::from_str(&line)?)),
        None => Ok(None),
    }
}

fn another_answer() -> PlatformError {
    PlatformError::Unreachable("the sandbox's init gave another answer".to_owned())
}

fn gone() -> io::Error {
    io::Error::new(io::ErrorKind::ConnectionAborted, "the sandbox's init is gone")
}
