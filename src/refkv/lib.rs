//! A small replicated key-value store with known bugs that can be switched on.
//!
//! It is the honest test subject that ships with the tool: an experiment runs against it on any machine, and each bug
//! switch ([`bugs`]) must be found by the check that is meant for it. Consensus is openraft's; what is here is the
//! disk ([`disk`]), the state ([`machine`]), the network ([`peers`]) and what clients see ([`http`]).
//!
//! With no switch on it promises: a write that was answered with success survives the power cut of any number of
//! members and is seen by every later linearizable read; an answer `"applied":"no"` means that it never happens;
//! there is at most one leader in a term. It assumes that a member's disk keeps what was synced; [`bootstrap`] says
//! what happens when a disk is lost. Everything is kept in memory as well, so it is for small data.

pub mod bootstrap;
pub mod bugs;
mod campaigns;
pub mod disk;
pub mod http;
pub mod machine;
pub mod member;
pub mod options;
pub mod outcome;
pub mod peers;
pub mod proposals;
pub mod reads;
pub mod replica;

#[cfg(test)]
mod tests;

use std::io;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use axum::serve::ListenerExt;
use openraft::SnapshotPolicy;
use tokio::net::TcpListener;
use tokio::signal::unix::{SignalKind, signal};

use bugs::Bug;
use disk::fresh::Fresh;
use disk::log::Log;
use machine::Machine;
use member::Member;
pub use options::{Options, OptionsError, Settings};
use peers::sender::Network;
use proposals::{Acknowledge, Proposals};
use reads::Reads;
use replica::{Id, Raft};

/// How long a member with the bug `forgotten-vote` waits before it may campaign.
const FORGETFUL_WAIT: Duration = Duration::from_secs(5);
/// How long connecting to another member may take.
const CONNECT_TIMEOUT: Duration = Duration::from_millis(500);
/// How long sending a snapshot may take.
const SNAPSHOT_TIMEOUT: Duration = Duration::from_secs(20);
/// Log entries that are kept although a snapshot has them, for members that were away for a short time.
const KEPT_ENTRIES: u64 = 2_000;

/// Why a member does not run, or no longer.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// Nothing runs at all.
    #[error("cannot start")]
    Runtime(#[source] io::Error),
    /// The options do not fit together.
    #[error("cannot start with these options")]
    Options(#[from] OptionsError),
    /// This host has no usable name.
    #[error("cannot read the hostname")]
    Hostname(#[source] nix::Error),
    /// Log, vote or snapshot cannot be read.
    #[error("cannot open the data in {}", folder.display())]
    Open {
        /// The data folder.
        folder: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// The port is taken, or the address is not this host's.
    #[error("cannot listen on {address}")]
    Listen {
        /// The address.
        address: SocketAddr,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// Signals cannot be caught.
    #[error("cannot wait for signals")]
    Signals(#[source] io::Error),
    /// The timers do not fit together.
    #[error("cannot configure the consensus")]
    Configure(#[source] Box<openraft::ConfigError>),
    /// The consensus cannot start, or stopped because the disk failed or a promise of it was broken.
    #[error("the consensus stopped")]
    Consensus(#[source] Box<openraft::error::Fatal<Id>>),
    /// The consensus ended without saying why, which it does when it finds a contradiction, such as two leaders in
    /// one term.
    #[error("the consensus found a contradiction and stopped")]
    Contradiction,
    /// The server ended.
    #[error("cannot serve on the listening socket")]
    Serve(#[source] io::Error),
}

/// Runs one member until it is told to stop (SIGTERM or SIGINT) or cannot go on.
///
/// It has a runtime of its own, so that everything that runs in it is compiled as this package is; of one thread, because
/// members share their machine with others.
pub fn run(options: &Options) -> Result<(), Error> {
    let runtime =
        tokio::runtime::Builder::new_current_thread().enable_all().build().map_err(Error::Runtime)?;
    runtime.block_on(serve(options))
}

async fn serve(options: &Options) -> Result<(), Error> {
    let name = nix::unistd::gethostname().map_err(Error::Hostname)?;
    let settings = options.settle(&name.to_string_lossy())?;
    let listener = TcpListener::bind(options.listen)
        .await
        .map_err(|source| Error::Listen { address: options.listen, source })?;
    let mut terminate = signal(SignalKind::terminate()).map_err(Error::Signals)?;
    let mut interrupt = signal(SignalKind::interrupt()).map_err(Error::Signals)?;
    let member = start(options, &settings).await?;
    tracing::info!(id = member.id, listen = %options.listen, members = ?settings.members, "refkv runs");
    if !settings.bugs.is_empty() {
        tracing::warn!(bugs = %settings.bugs, "known bugs are switched on; this member lies on purpose");
    }

    let listener = listener.tap_io(|stream| {
        // Without it small answers wait for the client's acknowledgement; a refusal costs speed only.
        let _ = stream.set_nodelay(true);
    });
    let server = axum::serve(listener, http::routes(member.clone()));
    let outcome = tokio::select! {
        ended = server.into_future() => ended.map_err(Error::Serve),
        stopped = consensus_end(&member.raft) => Err(stopped),
        _ = terminate.recv() => Ok(()),
        _ = interrupt.recv() => Ok(()),
    };
    if outcome.is_ok() {
        tracing::info!(id = member.id, "refkv stops");
        // What is not finished now is repeated by the next start.
        drop(member.raft.shutdown().await);
    }
    outcome
}

/// Opens the data and starts consensus and tasks.
async fn start(options: &Options, settings: &Settings) -> Result<Member, Error> {
    let opened = |source| Error::Open { folder: options.data.clone(), source };
    let bugs = Arc::new(settings.bugs.clone());
    let fresh = Fresh::open(&options.data).map_err(opened)?;
    let log = Log::open(&options.data, settings.id, &bugs).map_err(opened)?;
    let machine = Machine::open(&options.data).map_err(opened)?;
    let network = Network::new(&settings.members, CONNECT_TIMEOUT);
    let config = openraft::Config {
        cluster_name: "refkv".to_owned(),
        heartbeat_interval: millis(options.heartbeat),
        election_timeout_min: millis(options.election_min),
        election_timeout_max: millis(options.election_max),
        install_snapshot_timeout: millis(SNAPSHOT_TIMEOUT),
        snapshot_policy: SnapshotPolicy::LogsSinceLast(options.snapshot_every),
        max_in_snapshot_log_to_keep: KEPT_ENTRIES.min(options.snapshot_every),
        purge_batch_size: 256,
        replication_lag_threshold: options.snapshot_every.saturating_mul(2),
        ..openraft::Config::default()
    };
    let config = Arc::new(config.validate().map_err(|error| Error::Configure(Box::new(error)))?);
    let raft = Raft::new(settings.id, config, network.clone(), log.clone(), machine.clone());
    let stopped = |fatal| Error::Consensus(Box::new(fatal));
    let raft = raft.await.map_err(stopped)?;
    // Before its first report openraft says term 0, which would look as if this member had forgotten its term.
    raft.with_raft_state(|_| ()).await.map_err(stopped)?;
    let is_forgetful = bugs.has(Bug::ForgottenVote) && !fresh.is_fresh();
    if is_forgetful {
        raft.runtime_config().elect(false);
    }
    let (campaigning, longest) = (raft.clone(), options.election_max);
    tokio::spawn(async move {
        if is_forgetful {
            tokio::time::sleep(FORGETFUL_WAIT).await;
            campaigning.runtime_config().elect(true);
        }
        campaigns::space_out(campaigning, longest).await;
    });
    let acknowledge =
        if bugs.has(Bug::AckBeforeQuorum) { Acknowledge::BeforeQuorum } else { Acknowledge::AfterQuorum };
    let member = Member {
        id: settings.id,
        proposals: Proposals::start(raft.clone(), acknowledge, options.request_timeout),
        reads: Reads::start(raft.clone(), options.request_timeout),
        raft,
        machine,
        log,
        fresh: Arc::new(fresh),
        network,
        bugs,
        request_timeout: options.request_timeout,
    };
    tokio::spawn(bootstrap::form_cluster(member.clone(), settings.members.clone()));
    tokio::spawn(bootstrap::catch_up_by_leading(member.clone()));
    Ok(member)
}

fn millis(time: Duration) -> u64 {
    time.as_millis() as u64
}

/// Returns when the consensus has stopped by itself.
async fn consensus_end(raft: &Raft) -> Error {
    let mut metrics = raft.metrics();
    loop {
        if let Err(fatal) = &metrics.borrow_and_update().running_state {
            return Error::Consensus(Box::new(fatal.clone()));
        }
        if metrics.changed().await.is_err() {
            return Error::Contradiction;
        }
    }
}
