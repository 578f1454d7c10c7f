//! What goes over the control socket: JSON lines, one request per connection.
//!
//! A request is answered with one [`Reply`]; a watch with [`Reply::Ok`] and then one line per event, until one side
//! closes.

use std::io;
use std::os::fd::{AsRawFd, OwnedFd};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::api::{Injection, InjectionSpec, InjectionStatus, Ordinal};
use crate::node::LocatedPod;

/// What a client asks of init.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Request {
    /// The newest snapshot of a StatefulSet, then every change: lines of [`crate::api::Snapshot`].
    WatchSnapshots {
        /// Its name.
        set: String,
    },
    /// Delete the pod of an ordinal.
    DeletePod {
        /// The StatefulSet's name.
        set: String,
        /// Whose.
        ordinal: Ordinal,
        /// The grace period; the pod's own where there is none.
        grace: Option<Duration>,
    },
    /// Create an Injection or replace its spec.
    PutInjection(Box<InjectionSpec>),
    /// Forget an Injection.
    ForgetInjection(String),
    /// All Injections that there are now.
    ListInjections {},
    /// All Injections, then every change: lines of [`InjectionEvent`].
    WatchInjections {},
    /// Replace an Injection's status.
    Report {
        /// The Injection's name.
        name: String,
        /// Its new status.
        status: Box<InjectionStatus>,
    },
    /// Where the pod of this name is.
    Locate(String),
}

/// What init answers.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Reply {
    /// Done, or: the watch begins.
    Ok {},
    /// Where the pod is, if it runs.
    Located(Option<LocatedPod>),
    /// The Injections that there are.
    Injections(Vec<Injection>),
    /// Not done, and why.
    Refused(String),
}

/// A change of the Injections.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum InjectionEvent {
    /// It is like this now.
    Put(Box<Injection>),
    /// It is no more.
    Gone(String),
}

/// A path to a socket in a folder that is short enough for a socket's address, however long the folder's path is
/// (108 bytes, unix(7)); good while the folder is held open.
pub fn short_path(socket: &Path) -> io::Result<(OwnedFd, PathBuf)> {
    let folder = socket.parent().unwrap_or(Path::new("/"));
    let held: OwnedFd = std::fs::OpenOptions::new()
        .read(true)
        .custom_flags(nix::libc::O_PATH | nix::libc::O_DIRECTORY)
        .open(folder)?
        .into();
    let name = socket.file_name().unwrap_or_default();
    let short = PathBuf::from(format!("/proc/self/fd/{}", held.as_raw_fd())).join(name);
    Ok((held, short))
}
