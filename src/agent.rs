//! The agent: makes the Injections of its node true.
//!
//! It lives in a pod of a DaemonSet with the node's pids, and does what [`node`](crate::node) does: undo records first,
//! guardians outside its container, everything read back. What it adds is where orders come from
//! ([`Injections`]), where pods are found ([`Pods`]), what it says about its node, and a door for health checks.
//!
//! Guarantees:
//! - what an earlier agent left is dealt with before anything is heard, with or without an API server;
//! - while the API server is away nothing is taken back early and nothing late;
//! - told to end, it takes everything back, says so in the statuses, and then ends; killed, it leaves that to the guardians
//!   and to its successor;
//! - it accepts no path from anybody.

use std::io;
use std::net::SocketAddr;
use std::time::Duration;

use tokio::signal::unix::{SignalKind, signal};

use crate::host::process::copy::OwnCopy;
use crate::node::{self, ServeError};
use crate::platform::kubernetes::channel::Injections;
use crate::platform::kubernetes::locate::Pods;
use crate::undo::guardian::Launch;

mod capabilities;
mod health;
mod machine;
mod options;
mod presence;

use health::Health;
use machine::{Machine, MachineError};
pub use options::Options;
use presence::Presence;

/// The cgroup of guardians where they need one of their own.
const GUARDIANS: &str = "seatrial";
/// How long an agent that ends may take to write what it did.
const LAST_WORDS: Duration = Duration::from_secs(5);
/// Threads for work that blocks: as many faults are made and looked at in the same moment.
const HANDS: usize = 16;

/// Why an agent ended.
#[derive(Debug, thiserror::Error)]
pub enum AgentError {
    /// It is not where it should be.
    #[error(transparent)]
    Machine(#[from] MachineError),
    /// Nobody says where the API server is.
    #[error("cannot tell how to reach the API server: {0}")]
    Config(#[source] kube::config::InferConfigError),
    /// There is no way to it.
    #[error("cannot prepare to reach the API server: {0}")]
    Client(#[source] kube::Error),
    /// Nothing runs at all.
    #[error("cannot start: {0}")]
    Runtime(#[source] io::Error),
    /// Nobody could ask how it is.
    #[error("cannot listen on {0} for health checks: {1}; choose another address with --health")]
    Health(SocketAddr, #[source] io::Error),
    /// See there.
    #[error(transparent)]
    Serve(#[from] ServeError),
}

/// Runs until SIGTERM or SIGINT. Must be called while the process has one thread.
pub fn run(options: Options) -> Result<(), AgentError> {
    let machine = Machine::enter(&options.undo_dir)?;
    // One thread at rest, because a node has better uses for its memory.
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .max_blocking_threads(HANDS)
        .build()
        .map_err(AgentError::Runtime)?;
    let served = runtime.block_on(serve(options, machine));
    runtime.shutdown_background();
    served
}

async fn serve(options: Options, machine: Machine) -> Result<(), AgentError> {
    let config = kube::Config::infer().await.map_err(AgentError::Config)?;
    let client = kube::Client::try_from(config).map_err(AgentError::Client)?;
    let node = options.node.as_str();
    let injections = Injections::new(client.clone(), node, options.namespace.as_deref());
    let pods = Pods::new(client.clone(), node, machine.hierarchies.clone());
    let guardian = Launch::Apart {
        program: OwnCopy::default(),
        cgroups: machine.hierarchies.legacy_tops(),
        own: machine.hierarchies.unified_top().map(|top| top.join(GUARDIANS)),
    };

    let presence = Presence::new(client, node, injections.clone());
    Health::new(injections.clone(), presence.clone())
        .listen(options.health)
        .await
        .map_err(|error| AgentError::Health(options.health, error))?;
    tokio::spawn(presence.keep(machine.clone(), guardian.clone()));
    tokio::spawn(end_when_told(injections.clone()));

    let told = node::Options {
        undo_dir: machine.undo_dir,
        guardian: guardian.clone(),
        // The API server says when everything has been told; while it is away, what is in force stays.
        adopt_within: Duration::MAX,
    };
    let served = node::serve(injections.clone(), pods, told).await;
    if !injections.flush(LAST_WORDS).await {
        tracing::warn!("ended before every status could be written");
    }
    guardian.tidy();
    Ok(served?)
}

/// Kubernetes asks with SIGTERM, a person with Ctrl-C.
async fn end_when_told(injections: Injections) {
    let (Ok(mut asked), Ok(mut interrupted)) =
        (signal(SignalKind::terminate()), signal(SignalKind::interrupt()))
    else {
        return;
    };
    tokio::select! {
        _ = asked.recv() => {}
        _ = interrupted.recv() => {}
    }
    injections.close("taken back because the node's agent was told to end");
}
