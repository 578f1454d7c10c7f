//! Which containers a fault means, one incarnation of each.

use std::io;
use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use crate::host::freezer::CgroupId;
use crate::host::process::ProcessId;
use crate::host::process::tree::Tree;
use crate::host::throttle::Throttle;
use crate::node::{LocatedContainer, LocatedPod};

/// One incarnation of a container, whatever is started in its place.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Running {
    /// The container's name.
    pub name: String,
    /// Its first process.
    pub first: ProcessId,
    /// Its own cgroup, where it has one.
    pub cgroup: Option<CgroupId>,
}

/// Why a container could not be found, or something not be done to it.
#[derive(Debug, thiserror::Error)]
pub enum ContainerError {
    /// The pod has no such container, or it is not running.
    #[error("this pod has no running container{}", .0.as_ref().map(|name| format!(" called {name}")).unwrap_or_default())]
    NoContainer(Option<String>),
    /// It has none that its I/O is limited and counted in.
    #[error(
        "container {0} has no cgroup of its own in which I/O can be limited; this needs the blkio controller of cgroup v1 or the io controller of v2, and in a sandbox root"
    )]
    NoCgroup(String),
    /// Others would be hit as well, or nobody.
    #[error("the cgroup {path} holds {who}; only a cgroup of the container's own can be limited or loaded")]
    NotItsOwn {
        /// Which.
        path: PathBuf,
        /// Who is there, or is not.
        who: String,
    },
    /// The container ended.
    #[error("container {0} has no cgroup any more")]
    Gone(String),
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

/// What the kernel's answer was about.
pub(in crate::fault) fn kernel<'a>(
    what: &'static str,
    name: &'a str,
) -> impl FnOnce(io::Error) -> ContainerError + use<'a> {
    move |source| ContainerError::Kernel { what, name: name.to_owned(), source }
}

/// The cgroup of a container in which its I/O is limited and counted, which holds it and not this process.
pub(in crate::fault) fn io_cgroup(pod: &LocatedPod, running: &Running) -> Result<CgroupId, ContainerError> {
    let name = &running.name;
    let located = pod.containers.iter().find(|located| located.name == *name);
    let folder = located.and_then(|located| located.throttle.as_deref());
    let folder = folder.ok_or_else(|| ContainerError::NoCgroup(name.clone()))?;
    let own = CgroupId::at(folder).map_err(kernel("find the cgroup of", name))?;
    let throttle = Throttle::open(&own).map_err(kernel("open the cgroup of", name))?;
    let throttle = throttle.ok_or_else(|| ContainerError::Gone(name.clone()))?;
    let members = throttle.processes().map_err(kernel("list the processes of", name))?;
    let wrong = if members.contains(&std::process::id().cast_signed()) {
        Some("this node's own process".to_owned())
    } else if members.contains(&running.first.pid) {
        None
    } else {
        Some(format!("no process of container {name}"))
    };
    match wrong {
        Some(who) => Err(ContainerError::NotItsOwn { path: folder.to_owned(), who }),
        None => Ok(own),
    }
}

impl Running {
    /// The containers that are meant: the named one, or all where none is named. One that has ended is not among them.
    pub fn find(pod: &LocatedPod, container: Option<&str>) -> Result<Vec<Self>, ContainerError> {
        let mut found = Vec::new();
        for located in pod.chosen(container).into_iter().flatten() {
            found.extend(Self::at(located)?);
        }
        if found.is_empty() {
            return Err(ContainerError::NoContainer(container.map(str::to_owned)));
        }
        Ok(found)
    }

    /// Its processes now.
    pub fn processes(&self) -> Result<Vec<ProcessId>, ContainerError> {
        let name = &self.name;
        let freezer = match &self.cgroup {
            Some(cgroup) => cgroup.open().map_err(kernel("open the cgroup of", name))?,
            None => None,
        };
        let Some(freezer) = freezer else {
            return Tree::below(self.first).members().map_err(kernel("list the processes of", name));
        };
        let mut found = Vec::new();
        for pid in freezer.processes().map_err(kernel("list the processes of", name))? {
            found.extend(ProcessId::of(pid).map_err(kernel("look at", name))?);
        }
        Ok(found)
    }

    fn at(located: &LocatedContainer) -> Result<Option<Self>, ContainerError> {
        let name = located.name.clone();
        let Some(first) = ProcessId::of(located.pid).map_err(kernel("look at", &name))? else {
            return Ok(None);
        };
        if !first.is_alive().map_err(kernel("look at", &name))? {
            return Ok(None);
        }
        let cgroup = located.cgroup.as_deref().map(CgroupId::at).transpose();
        let cgroup = cgroup.map_err(kernel("find the cgroup of", &name))?;
        Ok(Some(Self { name, first, cgroup }))
    }
}
