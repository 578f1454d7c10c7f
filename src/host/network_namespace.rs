//! Network namespaces of other processes, and new ones that last no longer than what is tried out in them.
//!
//! Sockets that are opened inside work from anywhere afterwards. While they are open they keep the namespace alive, so that
//! they must be closed when its pod is gone.

use std::fs::File;
use std::io;
use std::os::fd::AsFd;
use std::os::unix::fs::MetadataExt;

use nix::sched::{CloneFlags, setns, unshare};

use super::process::{self, ProcessId};

/// Runs `work` in the network namespace of `process`, which is identified by the inode that comes back with its result;
/// `None` where the process is gone.
pub fn inside<T: Send>(
    process: &ProcessId,
    work: impl FnOnce() -> io::Result<T> + Send,
) -> io::Result<Option<(T, u64)>> {
    let Some(inode) = process.namespace("net")? else {
        return Ok(None);
    };
    let namespace = match File::open(format!("/proc/{}/ns/net", process.pid)) {
        Ok(namespace) => namespace,
        Err(error) if process::is_gone(&error) => return Ok(None),
        Err(error) => return Err(error),
    };
    if !process.is_alive()? || namespace.metadata()?.ino() != inode {
        return Ok(None);
    }
    let done = apart(|| {
        setns(namespace.as_fd(), CloneFlags::CLONE_NEWNET)?;
        work()
    })?;
    Ok(Some((done, inode)))
}

/// Runs `work` in a new network namespace, which ends with it.
pub fn in_a_new_one<T: Send>(work: impl FnOnce() -> io::Result<T> + Send) -> io::Result<T> {
    apart(|| {
        unshare(CloneFlags::CLONE_NEWNET)?;
        work()
    })
}

/// Whether a namespace, by its inode, is that of the node: its own, or that of the first process, which is the machine's where
/// a node is a pod itself.
pub fn is_of_the_node(namespace: u64) -> bool {
    let is_of = |pid| ProcessId::of(pid).ok().flatten()?.namespace("net").ok().flatten();
    [std::process::id().cast_signed(), 1].into_iter().any(|pid| is_of(pid) == Some(namespace))
}

/// On a thread of its own, because setns(2) moves only the calling thread and a thread that cannot be trusted to be moved
/// back must end.
fn apart<T: Send>(work: impl FnOnce() -> io::Result<T> + Send) -> io::Result<T> {
    std::thread::scope(|scope| {
        scope
            .spawn(work)
            .join()
            .unwrap_or_else(|_| Err(io::Error::other("the thread inside the network namespace panicked")))
    })
}
