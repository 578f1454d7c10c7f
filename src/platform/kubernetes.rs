//! A StatefulSet in a Kubernetes cluster: the platform's traits over the API server.
//!
//! What it promises:
//!
//! - Nothing here speaks to a node, a container runtime or a pod's process: the API server is the only way.
//! - It survives the API server's absence. Watches begin again by themselves; until then the newest snapshot stays the
//!   newest, and a warning says since when. Requests are tried again for some seconds, then told as unreachable.
//! - A request that is tried twice is done once: deletions name the pod's UID, Injections are applied as a whole.
//!
//! What it leaves behind when the process is killed: Injections, which end by their own deadlines, and which the
//! Experiment that owns them takes along when it is deleted.

pub mod access;
pub mod api_faults;
pub mod attachable;
pub mod channel;
pub mod claims;
pub mod cluster;
pub mod dial;
pub mod failure;
pub mod locate;
pub mod nodes;
pub mod pods;
pub mod pulse;
pub mod reading;
pub mod revert;
pub mod rights;
pub mod snapshots;
pub mod surroundings;
pub mod volumes;
pub mod watching;

/// Who changes objects in the name of a run.
pub const RUNNER: &str = "seatrial-runner";
