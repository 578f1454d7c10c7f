//! SIGKILL on a host.
//!
//! Guarantees: the signal reaches only processes that were in the container when it was looked at, by start time, or its
//! own cgroup; there is nothing to undo.

use std::io;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::host::freezer::CgroupId;
use crate::host::process::ProcessId;
use crate::host::process::tree::Tree;
use crate::node::{LocatedContainer, LocatedPod};

/// For how long processes may take to end after SIGKILL.
const PATIENCE: Duration = Duration::from_secs(5);

/// Which incarnation of each chosen container is killed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Target {
    /// Each chosen container.
    pub containers: Vec<Victim>,
}

/// One container.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Victim {
    /// Its name.
    pub name: String,
    /// Its first process.
    pub first: ProcessId,
    /// Its own cgroup, where it has one.
    pub cgroup: Option<CgroupId>,
}

/// Why a kill could not be done.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The pod has no such container, or it is not running.
    #[error("no running container to kill in this pod{}", .0.as_ref().map(|name| format!(" is called {name}")).unwrap_or_default())]
    NoContainer(Option<String>),
    /// Processes are left.
    #[error("container {name} has processes left {} s after SIGKILL", PATIENCE.as_secs())]
    Survived {
        /// Which.
        name: String,
    },
    /// The kernel refused.
    #[error("cannot {what} container {name}: {source}")]
    Kernel {
        /// What was tried.
        what: &'static str,
        /// On which container.
        name: String,
        /// The answer.
        source: io::Error,
    },
}

fn kernel<'a>(what: &'static str, name: &'a str) -> impl FnOnce(io::Error) -> Error + use<'a> {
    move |source| Error::Kernel { what, name: name.to_owned(), source }
}

impl Target {
    /// Finds who is to be killed. A container that has ended already is not among them.
    pub fn find(pod: &LocatedPod, container: Option<&str>) -> Result<Self, Error> {
        let none = || Error::NoContainer(container.map(str::to_owned));
        let mut containers = Vec::new();
        for chosen in pod.chosen(container).ok_or_else(none)? {
            containers.extend(Victim::find(chosen)?);
        }
        if containers.is_empty() {
            return Err(none());
        }
        Ok(Self { containers })
    }

    /// Kills everybody and waits until they are gone.
    pub fn kill(&self) -> Result<(), Error> {
        self.containers.iter().try_for_each(Victim::kill)
    }

    /// Whether the killed are gone, and what shows it.
    pub fn verify(&self) -> (bool, String) {
        let mut gone = Vec::new();
        for Victim { name, first, .. } in &self.containers {
            match first.is_alive() {
                Ok(false) => gone.push(format!("{first} of container {name} is gone")),
                Ok(true) => return (false, format!("{first} of container {name} is still there")),
                Err(error) => {
                    return (false, format!("cannot look at {first} of container {name}: {error}"));
                }
            }
        }
        (true, gone.join("; "))
    }

    /// Whether `other` names an incarnation that this one does not.
    pub fn misses(&self, other: &Self) -> bool {
        other.containers.iter().any(|victim| self.containers.iter().all(|known| known.first != victim.first))
    }
}

impl Victim {
    /// `None` where the container has no process any more.
    pub fn find(container: &LocatedContainer) -> Result<Option<Self>, Error> {
        let name = container.name.clone();
        let Some(first) = ProcessId::of(container.pid).map_err(kernel("look at", &name))? else {
            return Ok(None);
        };
        if !first.is_alive().map_err(kernel("look at", &name))? {
            return Ok(None);
        }
        let cgroup = match &container.cgroup {
            Some(path) => Some(CgroupId::at(path).map_err(kernel("find the cgroup of", &name))?),
            None => None,
        };
        Ok(Some(Self { name, first, cgroup }))
    }

    /// Kills the container's processes and waits until they are gone.
    pub fn kill(&self) -> Result<(), Error> {
        let name = &self.name;
        let freezer = match &self.cgroup {
            Some(cgroup) => cgroup.open().map_err(kernel("open the cgroup of", name))?,
            None => None,
        };
        // Once the first process is gone, its cgroup may hold the next incarnation already.
        let handle = self.first.open().map_err(kernel("look at", name))?;
        let Some(handle) = handle else {
            return Ok(());
        };
        let killed = match &freezer {
            Some(freezer) => freezer.kill_all(PATIENCE),
            None => Tree { roots: vec![self.first], spared: None }.kill(PATIENCE),
        };
        if killed.map_err(kernel("kill", name))? && handle.wait(PATIENCE).map_err(kernel("wait for", name))? {
            Ok(())
        } else {
            Err(Error::Survived { name: name.clone() })
        }
    }
}
