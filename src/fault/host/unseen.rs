//! Input and output that is no system call of the process that wants it.

use std::fmt;
use std::io;

use super::{ContainerError, Running, kernel};
use crate::host::tracer::{open_ring, unseen_io};

/// A process that may do it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Unseen {
    pid: i32,
    container: String,
    by: &'static str,
}

impl Unseen {
    /// The first such process of these containers.
    pub(in crate::fault) fn find(containers: &[Running]) -> Result<Option<Self>, ContainerError> {
        Self::by(unseen_io, containers)
    }

    /// The same, again and again while a fault lasts: what has been begun meanwhile is found where a descriptor tells of it, as
    /// one does of io_uring. Of libaio only a list of all mappings does, for which a process that is large has to wait.
    pub(in crate::fault) fn find_again(containers: &[Running]) -> Result<Option<Self>, ContainerError> {
        Self::by(open_ring, containers)
    }

    fn by(
        look: fn(i32) -> io::Result<Option<&'static str>>,
        containers: &[Running],
    ) -> Result<Option<Self>, ContainerError> {
        for container in containers {
            for process in container.processes()? {
                if let Some(by) = look(process.pid).map_err(kernel("look at", &container.name))? {
                    return Ok(Some(Self { pid: process.pid, container: container.name.clone(), by }));
                }
            }
        }
        Ok(None)
    }
}

impl fmt::Display for Unseen {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "process {} of container {} uses {}", self.pid, self.container, self.by)
    }
}
