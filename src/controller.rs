//! The controller: checks Experiments, gives each its target and its runner, and sweeps up after runners that are gone.
//!
//! All state is in the API: killed at any moment and started again, it goes on from what it reads. Of several, one
//! leads, by a Lease; should two lead for a moment, every change that they make is one that both may make, or names the
//! version that it was decided on. It holds no client of a store, no history and no secret. It adds no finalizer:
//! nothing ever waits for it to be deleted.
//!
//! ```text
//! Experiment ──admit──▶ Lease of the target, service account, runner's pod ──▶ the runner writes phase and verdict
//!     │ (invalid, not allowed, halted: Refused; target taken: Waiting)            │
//!     │                                        pod gone, no verdict: follow ◀────┘
//!     ▼                                                   │ sweep: Injections reverted, verdict Aborted
//! finish: nothing left, Lease given back ◀────────────────┘
//! ```
//!
//! Of an Experiment that was deleted only its Lease is left, by which `orphans` finds what there is to take back.

mod admit;
mod agents;
mod context;
mod finish;
mod follow;
mod health;
mod hindrance;
mod identity;
mod lease;
mod metrics;
mod news;
mod orphans;
mod reconcile;
mod rights;
mod runner;
mod runner_pod;
mod status;
mod sweep;
mod target;
mod trouble;
mod undone;
mod validate;

pub mod reap;

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use kube::Client;
use kube::runtime::reflector::Store;
use tokio::net::TcpListener;
use tokio::sync::watch;

use self::context::Context;
pub use self::context::Scope;
use self::health::Health;
pub use self::lease::LEADER;
use self::lease::{BEAT, Candidate, GIVE_UP};
use self::metrics::Metrics;
use self::news::News;
pub use self::runner_pod::Image;
pub use self::target::TARGET_LABEL;
pub use self::trouble::Trouble;
use crate::resource::Experiment;

/// When something is expected to change soon.
const SOON: Duration = Duration::from_secs(1);
/// When nothing is expected but should be looked at all the same.
const CALM: Duration = Duration::from_secs(10);
/// How often what nobody owns any more is looked for.
const REAP: Duration = Duration::from_mins(1);

/// How a controller is set up.
#[derive(Debug, Clone)]
pub struct Options {
    /// Its own namespace, for the Lease of the leader.
    pub namespace: String,
    /// Its own name among the controllers: its pod's.
    pub identity: String,
    /// Which Experiments it looks after.
    pub scope: Scope,
    /// What runners are made of.
    pub image: Image,
    /// Where figures and health are served.
    pub listen: SocketAddr,
}

/// Why a controller could not begin.
#[derive(Debug, thiserror::Error)]
pub enum ControllerError {
    /// The address for figures and health is taken or not ours.
    #[error("cannot listen on {address} for /metrics, /healthz and /readyz")]
    Listen {
        /// The address.
        address: SocketAddr,
        /// What the kernel said.
        #[source]
        source: std::io::Error,
    },
}

/// Leads when it can, until `stop` says so; then gives the Lease back.
pub async fn serve(
    client: Client,
    options: Options,
    mut stop: watch::Receiver<bool>,
) -> Result<(), ControllerError> {
    let listener = TcpListener::bind(options.listen)
        .await
        .map_err(|source| ControllerError::Listen { address: options.listen, source })?;
    let metrics = Arc::new(Metrics::default());
    let health = Arc::new(Health::new(Arc::clone(&metrics)));
    let server = tokio::spawn(health::serve(listener, Arc::clone(&health)));
    let mut candidate = Candidate::new(client.clone(), &options.namespace, options.identity.clone());
    let mut election = Election { candidate: &mut candidate, health: &health, metrics: &metrics };
    while !*stop.borrow() {
        tokio::select! {
            biased;
            _ = stop.changed() => break,
            () = election.win() => {}
        }
        tracing::info!(identity = options.identity, "leads");
        tokio::select! {
            biased;
            _ = stop.changed() => {}
            () = election.keep() => tracing::warn!("lost the Lease, stops leading"),
            () = lead(&client, &options, &metrics, &health) => {}
        }
        metrics.leads(false);
        health.counts(None);
    }
    if let Err(error) = candidate.resign().await {
        tracing::warn!(%error, "the next leader has to wait for the end of the Lease");
    }
    server.abort();
    Ok(())
}

/// The way to the Lease and what is told of it.
struct Election<'a> {
    candidate: &'a mut Candidate,
    health: &'a Health,
    metrics: &'a Metrics,
}

impl Election<'_> {
    /// Ends when this controller leads.
    async fn win(&mut self) {
        loop {
            match self.beat().await {
                Ok(true) => {
                    self.metrics.leads(true);
                    return;
                }
                Ok(false) => {}
                Err(error) => tracing::warn!(error = told(&error), "cannot ask who leads"),
            }
            tokio::time::sleep(BEAT).await;
        }
    }

    /// Ends when this controller must not lead any more.
    async fn keep(&mut self) {
        let mut renewed = tokio::time::Instant::now();
        loop {
            tokio::time::sleep(BEAT).await;
            match self.beat().await {
                Ok(true) => renewed = tokio::time::Instant::now(),
                Ok(false) => return,
                Err(error) => tracing::warn!(error = told(&error), "cannot renew the Lease"),
            }
            if renewed.elapsed() >= GIVE_UP {
                return;
            }
        }
    }

    async fn beat(&mut self) -> Result<bool, Trouble> {
        self.health.turn();
        // A server that takes a request and never answers must not make a leader of the past.
        let beat = tokio::time::timeout(BEAT * 2, self.candidate.beat(Timestamp::now()));
        let led = beat.await.unwrap_or(Ok(false));
        if led.is_ok() {
            self.health.ready();
        }
        led
    }
}

/// What a leader does, for ever.
async fn lead(client: &Client, options: &Options, metrics: &Arc<Metrics>, health: &Health) {
    let (controller, experiments) = reconcile::controller(client, &options.scope);
    health.counts(Some(experiments.clone()));
    let context = Arc::new(Context {
        client: client.clone(),
        namespace: options.namespace.clone(),
        image: options.image.clone(),
        news: News::new(client.clone(), &options.identity),
        metrics: Arc::clone(metrics),
        experiments: Store::clone(&experiments),
    });
    tokio::join!(
        reconcile::run(controller, Arc::clone(&context)),
        Box::pin(orphans::look_after(&context, &options.scope)),
        sweep_now_and_then(client, &options.scope)
    );
}

/// What neither a reconciliation nor a Lease leads to.
async fn sweep_now_and_then(client: &Client, scope: &Scope) {
    loop {
        tokio::time::sleep(REAP).await;
        match reap::reap(client, scope, Timestamp::now()).await {
            Ok(done) => done.iter().for_each(|what| tracing::info!(what, "removed what was left behind")),
            Err(error) => tracing::warn!(error = told(&error), "could not look for what was left behind"),
        }
    }
}

/// An error with its causes, in one line.
fn told(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        text = format!("{text}: {cause}");
        source = cause.source();
    }
    text
}

/// All Experiments of a scope, kept up to date.
type Experiments = Store<Experiment>;
