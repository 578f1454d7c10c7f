//! The way between a node and the API server: Injections are watched, statuses are patched.
//!
//! Guarantees, beside those of [`known`]:
//! - all Injections of the node are told at the start and after every gap in the watch, then every change;
//! - the channel stays open while the API server is away: nothing is taken back for that, and deadlines hold;
//! - of each Injection the newest status is written, however long that takes, and never onto an object of the same name
//!   that is another one or has become another node's;
//! - a Halt is obeyed without anybody else, also one that is there at the start.

use std::io;
use std::pin::pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use futures::{Stream, StreamExt};
use kube::core::DeserializeGuard;
use kube::runtime::WatchStreamExt;
use kube::runtime::watcher::{self, Event, watcher};
use kube::{Api, Client};
use tokio::sync::{mpsc, watch};

use crate::api::InjectionStatus;
use crate::node::{Channel, Order};
use crate::resource::{Halt, Injection};

mod key;
mod known;
mod pace;
mod statuses;

pub use key::{Key, NotAKey};
use known::Known;
use pace::Pace;
use statuses::Statuses;

/// How long one watch lasts, and so for how long a connection that died silently goes unnoticed, in seconds.
const WATCH: u32 = 60;
/// How many orders may wait for the node.
const BACKLOG: usize = 64;

type Guarded = DeserializeGuard<Injection>;

/// The channel of one node. Clones are the same channel.
#[derive(Clone)]
pub struct Injections {
    shared: Arc<Shared>,
}

struct Shared {
    client: Client,
    /// The only namespace whose Injections count; all where none is named.
    namespace: Option<String>,
    node: String,
    known: Arc<Mutex<Known>>,
    statuses: Statuses,
    told_all: watch::Sender<bool>,
    end: watch::Sender<Option<Arc<str>>>,
}

impl Injections {
    /// The Injections of `node`, in `namespace` only where one is named.
    pub fn new(client: Client, node: &str, namespace: Option<&str>) -> Self {
        let known = Arc::new(Mutex::new(Known::default()));
        Self {
            shared: Arc::new(Shared {
                statuses: Statuses::new(client.clone(), node, Arc::clone(&known)),
                client,
                namespace: namespace.map(str::to_owned),
                node: node.to_owned(),
                known,
                told_all: watch::Sender::new(false),
                end: watch::Sender::new(None),
            }),
        }
    }

    /// Whether everything that existed at the start has been told.
    pub fn has_told_all(&self) -> bool {
        *self.shared.told_all.borrow()
    }

    /// How many Injections are in force here, or may be.
    pub fn in_force(&self) -> usize {
        self.shared.known().in_force()
    }

    /// Takes everything back, saying why, and closes the channel.
    pub fn close(&self, why: &str) {
        self.shared.end.send_replace(Some(why.into()));
    }

    /// Waits until every status is written, for at most `limit`; whether they are.
    pub async fn flush(&self, limit: Duration) -> bool {
        self.shared.statuses.flush(limit).await
    }
}

#[async_trait]
impl Channel for Injections {
    async fn orders(&self) -> io::Result<mpsc::Receiver<Order>> {
        let (sender, receiver) = mpsc::channel(BACKLOG);
        let shared = Arc::clone(&self.shared);
        tokio::spawn(async move { shared.listen(sender).await });
        Ok(receiver)
    }

    async fn report(&self, name: &str, status: InjectionStatus) -> io::Result<()> {
        let key: Key = name.parse().map_err(io::Error::other)?;
        let status = self.shared.known().explain(&key, status);
        self.shared.statuses.put(key, status);
        Ok(())
    }

    fn is_ours(&self, name: &str) -> bool {
        let is_there = |only: &String| name.parse::<Key>().is_ok_and(|key| key.namespace == *only);
        self.shared.namespace.as_ref().is_none_or(is_there)
    }
}

impl Shared {
    fn known(&self) -> MutexGuard<'_, Known> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }

    async fn listen(&self, orders: mpsc::Sender<Order>) {
        let mut end = self.end.subscribe();
        let mut halts = pin!(self.halts());
        let mut injections = pin!(self.injections());
        let mut knows_halts = false;
        loop {
            let news = tokio::select! {
                biased;
                why = asked_to_end(&mut end) => {
                    let last = self.known().end_all(&why);
                    // The node takes everything back when the channel closes; these orders say why.
                    for order in last {
                        let _ = orders.send(order).await;
                    }
                    return;
                }
                Some(event) = halts.next() => {
                    knows_halts |= matches!(event, Ok(Event::InitDone));
                    self.hear_of_halt(event)
                }
                Some(event) = injections.next(), if knows_halts => self.hear(event),
            };
            for order in news {
                if orders.send(order).await.is_err() {
                    return;
                }
            }
        }
    }

    fn halts(&self) -> impl Stream<Item = watcher::Result<Event<Halt>>> + use<> {
        let config = watcher::Config::default().timeout(WATCH);
        watcher(Api::<Halt>::all(self.client.clone()), config).backoff(Pace::default())
    }

    fn injections(&self) -> impl Stream<Item = watcher::Result<Event<Guarded>>> + use<> {
        let client = self.client.clone();
        let api: Api<Guarded> = match &self.namespace {
            Some(namespace) => Api::namespaced(client, namespace),
            None => Api::all(client),
        };
        let config =
            watcher::Config::default().timeout(WATCH).fields(&format!("spec.pod.node={}", self.node));
        watcher(api, config).backoff(Pace::default())
    }

    fn hear_of_halt(&self, event: watcher::Result<Event<Halt>>) -> Vec<Order> {
        let mut known = self.known();
        match event {
            Ok(Event::Init) => known.begin_halts(),
            Ok(Event::InitApply(halt)) => known.list_halt(&halt),
            Ok(Event::InitDone) => return known.end_halts(),
            Ok(Event::Apply(halt)) => return known.halt(&halt),
            Ok(Event::Delete(halt)) => known.lift_halt(&halt),
            Err(error) => say_unheard("Halts", &error),
        }
        Vec::new()
    }

    fn hear(&self, event: watcher::Result<Event<Guarded>>) -> Vec<Order> {
        let mut known = self.known();
        match event {
            Ok(Event::Init) => known.begin_list(),
            Ok(Event::InitApply(DeserializeGuard(Ok(injection)))) => return known.list(&injection),
            Ok(Event::InitApply(DeserializeGuard(Err(unreadable)))) => {
                let metadata = &unreadable.metadata;
                known.list_unreadable(metadata.namespace.as_deref(), metadata.name.as_deref());
                say_unreadable(&unreadable);
            }
            Ok(Event::InitDone) => {
                self.told_all.send_replace(true);
                return known.end_list();
            }
            Ok(Event::Apply(DeserializeGuard(Ok(injection)))) => return known.put(&injection),
            Ok(Event::Delete(DeserializeGuard(Ok(injection)))) => return known.remove(&injection),
            Ok(
                Event::Apply(DeserializeGuard(Err(unreadable)))
                | Event::Delete(DeserializeGuard(Err(unreadable))),
            ) => say_unreadable(&unreadable),
            Err(error) => say_unheard("Injections", &error),
        }
        Vec::new()
    }
}

/// Why the channel shall close; never where nobody can ask any more.
async fn asked_to_end(end: &mut watch::Receiver<Option<Arc<str>>>) -> Arc<str> {
    let why = end.wait_for(Option::is_some).await.ok().and_then(|why| why.clone());
    match why {
        Some(why) => why,
        None => std::future::pending().await,
    }
}

fn say_unheard(what: &str, error: &watcher::Error) {
    tracing::warn!(%error, "cannot watch {what}; what is in force stays until its deadline");
}

fn say_unreadable(unreadable: &kube::core::error_boundary::InvalidObject) {
    let name = unreadable.metadata.name.as_deref().unwrap_or_default();
    let namespace = unreadable.metadata.namespace.as_deref().unwrap_or_default();
    tracing::warn!(
        namespace,
        name,
        error = unreadable.error,
        "cannot read an Injection; is it of another version of Seatrial?"
    );
}
