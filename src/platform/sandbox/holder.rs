//! The first process of a pod: it holds the pod's namespaces, starts its containers and reaps its orphans.
//!
//! It decides nothing: init sends [`Request`]s and hears [`Event`]s, as JSON lines over a socket pair. It is in no
//! container's cgroup, so that freezing every container leaves it running; when it dies, the kernel ends the pod.
//! It stays in init's mount namespace, because a copy would keep every volume busy that was mounted when it was made.

use std::net::Ipv4Addr;

use serde::{Deserialize, Serialize};

use super::container::{ContainerPlan, ExecPlan};

mod children;
mod inside;
mod outside;

pub use inside::pod_main;
pub use outside::{Holder, NotStarted, Running};

/// The descriptor under which the holder finds its end of the socket pair.
const CONTROL_DESCRIPTOR: i32 = 3;

/// What init asks of a holder.
#[derive(Debug, Serialize, Deserialize)]
pub enum Request {
    /// Give the pod's interface its address; it is there already.
    Network {
        /// The pod's address.
        address: Ipv4Addr,
    },
    /// Start a container.
    Start(u64, Box<ContainerPlan>),
    /// Run a program in the container that was started under the second number.
    Exec(u64, u64, Box<ExecPlan>),
    /// Send a signal to what was started under this number: to the container's first process, or to the whole group of
    /// an executed program.
    Signal(u64, i32),
}

/// What init hears from a holder.
#[derive(Debug, Serialize, Deserialize)]
pub enum Event {
    /// The answer to [`Request::Network`].
    Network(Result<(), String>),
    /// The program runs, under this pid in the pod's pid namespace.
    Started(u64, i32),
    /// It could not be started.
    NotStarted(u64, String),
    /// It has ended.
    Ended(u64, Ended),
}

/// How a program ended.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Ended {
    /// Its exit code; 128 plus the signal's number where a signal ended it.
    pub exit_code: i32,
    /// The beginning of what an executed program wrote.
    pub output: String,
}
