//! Finds the kubelet of this node. It is held as a paused container is, by SIGSTOP.

use std::collections::HashSet;

use procfs::net::{TcpNetEntry, TcpState};
use procfs::process::{FDTarget, Process, all_processes};

use crate::fault::process_pause::host::{By, Paused, Target};
use crate::host::process::ProcessId;
use crate::host::process::tree::Tree;

/// Where a kubelet listens on every distribution, whatever its process is called: clients of its API know no other port
/// until they have read its Node.
const PORT: u16 = 10250;

/// Why the kubelet could not be found.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// Nobody listens.
    #[error("no process of this node listens on port {PORT}, as a kubelet does")]
    NoKubelet,
    /// `/proc` could not be read.
    #[error("cannot look for the kubelet: {0}")]
    Proc(#[from] procfs::ProcError),
    /// The kernel refused.
    #[error("cannot look at the kubelet: {0}")]
    Kernel(#[from] std::io::Error),
}

/// The process that listens on the kubelet's port in the network of the node's first process.
pub fn kubelet() -> Result<Target, Error> {
    let init = Process::new(1)?;
    let listens = |entry: &TcpNetEntry| entry.state == TcpState::Listen && entry.local_address.port() == PORT;
    // A node without IPv6 has no list of its sockets.
    let sockets = init.tcp()?.into_iter().chain(init.tcp6().unwrap_or_default());
    let inodes: HashSet<u64> = sockets.filter(listens).map(|entry| entry.inode).collect();
    let holds_one = |process: &Process| {
        let descriptors = process.fd().into_iter().flatten().flatten();
        let mut targets = descriptors.map(|descriptor| descriptor.target);
        targets.any(|target| matches!(target, FDTarget::Socket(inode) if inodes.contains(&inode)))
    };
    // Processes end while they are listed.
    let found = all_processes()?.filter_map(Result::ok).find(holds_one).ok_or(Error::NoKubelet)?;
    let first = ProcessId::of(found.pid)?.ok_or(Error::NoKubelet)?;
    // What it has started (mounts, on some distributions the container runtime) goes on.
    let by = By::Signal(Tree { roots_only: true, ..Tree::below(first) });
    Ok(Target { containers: vec![Paused { name: "kubelet".into(), first, by }] })
}
