//! Makes Injections true on one host.
//!
//! The node side of the contract: it hears desired specs over a [`Channel`], finds the processes of a pod through
//! [`Locate`], and answers with statuses. It never learns which platform it serves.

use std::path::PathBuf;

use async_trait::async_trait;
use tokio::sync::mpsc;

use crate::api::{InjectionSpec, InjectionStatus};
use crate::host::process::ProcessId;

mod actor;
mod begin;
mod bench;
mod blocking;
mod meter;
mod serve;
mod standing;
mod status;
mod watch;

pub use bench::{BenchError, Latencies, Rig, bench_rounds};
use serve::Node;
pub use serve::{Options, ServeError, serve};

/// What a node hears.
#[derive(Debug, Clone, PartialEq, Eq)]
#[expect(clippy::large_enum_variant, reason = "orders are few and never stored")]
pub enum Order {
    /// This Injection exists with this spec; also sent for all that exist when the channel opens.
    Put(InjectionSpec),
    /// This Injection is gone; what it did must be reverted.
    Gone(String),
    /// Every Injection that exists has been told by now: what an earlier process left in force for another one must be
    /// reverted. A channel that never says so leaves that to [`Options::adopt_within`].
    AllTold,
}

/// The way between a node and whoever gives it orders. No RPC: orders may repeat, statuses replace each other.
#[async_trait]
pub trait Channel: Send + Sync {
    /// All Injections of this node, then every change; ends when the other side is gone.
    async fn orders(&self) -> std::io::Result<mpsc::Receiver<Order>>;

    /// Replaces the status of an Injection.
    async fn report(&self, name: &str, status: InjectionStatus) -> std::io::Result<()>;

    /// Whether it would ever tell of an Injection of this name. What another node of the same host has in force is not to
    /// be taken back for want of an order.
    fn is_ours(&self, _name: &str) -> bool {
        true
    }
}

/// Finds what belongs to a pod on this host.
#[async_trait]
pub trait Locate: Send + Sync {
    /// The pod of this Injection's ordinal that is there now, if it runs here. `NotFound` where it does and no process of
    /// its containers can be seen.
    async fn pod(&self, injection: &InjectionSpec) -> std::io::Result<Option<LocatedPod>>;
}

/// A running pod as its host sees it. Pids are of the pid namespace in which the node runs.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct LocatedPod {
    /// `metadata.uid`.
    pub uid: String,
    /// A process that lives as long as the pod's namespaces do (a pause process). It is not part of any container.
    pub holder: i32,
    /// The containers that run now.
    pub containers: Vec<LocatedContainer>,
    /// Processes in containers of which nobody says which one it is: the holder's, and one that was just started.
    #[serde(default)]
    pub unnamed: Vec<ProcessId>,
    /// The pod's volumes from claims.
    pub volumes: Vec<LocatedVolume>,
    /// Those of them that no running container leads to.
    #[serde(default)]
    pub unreached: Vec<UnreachedVolume>,
}

/// A running container.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct LocatedContainer {
    /// Its name.
    pub name: String,
    /// Its first process; the others are its descendants.
    pub pid: i32,
    /// Its own cgroup's folder, where it has one: of version 2, or of version 1's freezer hierarchy. It and those below
    /// it hold every process of the container and no other.
    pub cgroup: Option<PathBuf>,
    /// Its own cgroup's folder in the hierarchy in which I/O is limited, where it has one: version 1's `blkio`, or version 2.
    pub throttle: Option<PathBuf>,
}

/// A mounted claim.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct LocatedVolume {
    /// The claim template's name.
    pub claim: String,
    /// Where it is mounted, in the node's mount namespace.
    pub path: PathBuf,
    /// The block device, where it is a filesystem of its own.
    pub device: Option<PathBuf>,
}

/// A claim that cannot be reached now.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct UnreachedVolume {
    /// The claim template's name.
    pub claim: String,
    /// Why not, where it may be in use all the same; nothing where the containers that mount it do not run.
    pub why: Option<String>,
}

impl LocatedPod {
    /// The containers that a spec means: the named one, or all where none is named. `None` where it is not running.
    pub fn chosen(&self, container: Option<&str>) -> Option<Vec<&LocatedContainer>> {
        let chosen: Vec<&LocatedContainer> = self
            .containers
            .iter()
            .filter(|candidate| container.is_none_or(|name| name == candidate.name))
            .collect();
        (!chosen.is_empty()).then_some(chosen)
    }
}
