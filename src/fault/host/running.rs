//! Which containers a fault means, one incarnation of each.

use std::io;

use serde::{Deserialize, Serialize};

use crate::host::freezer::CgroupId;
use crate::host::process::ProcessId;
use crate::host::process::tree::Tree;
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
