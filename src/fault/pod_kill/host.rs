//! SIGKILL on a host.
//!
//! Guarantees: the signal reaches only processes that were in the container when it was looked at, by start time, or its
//! own cgroup; there is nothing to undo.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::api::{HostFault, InjectionSpec};
use crate::fault::host;
use crate::fault::host::{ContainerError, Effect, HostError, Look, Prepared, Running, Undo, kernel};
use crate::host::process::ProcessId;
use crate::host::process::held::Held;
use crate::host::process::tree::Tree;
use crate::node::LocatedPod;

/// For how long processes may take to end after SIGKILL.
const PATIENCE: Duration = Duration::from_secs(5);

/// Which incarnation of each chosen container is killed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Target {
    /// Each chosen container.
    pub containers: Vec<Running>,
}

/// Why a kill could not be done.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// Not found, or the kernel refused.
    #[error(transparent)]
    Container(#[from] ContainerError),
    /// Processes are left.
    #[error("container {name} has processes left {} s after SIGKILL", PATIENCE.as_secs())]
    Survived {
        /// Which.
        name: String,
    },
}

impl Target {
    /// Finds who is to be killed. A container that has ended already is not among them.
    pub fn find(pod: &LocatedPod, container: Option<&str>) -> Result<Self, Error> {
        Ok(Self { containers: Running::find(pod, container)? })
    }

    /// Kills everybody and waits until they are gone.
    pub fn kill(&self) -> Result<(), Error> {
        self.containers.iter().try_for_each(kill)
    }

    /// Whether the killed are gone, and what shows it.
    pub fn verify(&self) -> (bool, String) {
        let mut gone = Vec::new();
        for Running { name, first, .. } in &self.containers {
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

impl Prepared for Target {
    fn target(&self) -> host::Target {
        host::Target::Kill(self.clone())
    }

    fn inject(self: Box<Self>, _: &InjectionSpec, _: Duration) -> Result<Box<dyn Effect>, HostError> {
        self.kill()?;
        Ok(Box::new(Killed(*self)))
    }
}

impl Undo for Target {
    fn anchors(&self) -> Vec<ProcessId> {
        Vec::new()
    }

    fn guardians(&self) -> usize {
        0
    }

    fn revert(&self, _: &Held) -> Result<(), HostError> {
        Ok(())
    }

    fn adopt(&self, _: &HostFault, _: Held) -> Result<Box<dyn Effect>, HostError> {
        self.kill()?;
        Ok(Box::new(Killed(self.clone())))
    }
}

/// A kill that is done, for those who look at it and for those who come after.
struct Killed(Target);

impl Effect for Killed {
    fn look(&mut self, _: Option<&LocatedPod>) -> Look {
        self.0.verify().into()
    }

    fn strikes_again(&self) -> bool {
        true
    }

    fn next(&self, pod: &LocatedPod, container: Option<&str>) -> Option<Box<dyn Prepared>> {
        let found = Target::find(pod, container).ok()?;
        self.0.misses(&found).then(|| Box::new(found) as Box<dyn Prepared>)
    }
}

/// Kills a container's processes and waits until they are gone.
fn kill(victim: &Running) -> Result<(), Error> {
    let name = &victim.name;
    let freezer = match &victim.cgroup {
        Some(cgroup) => cgroup.open().map_err(kernel("open the cgroup of", name))?,
        None => None,
    };
    // Once the first process is gone, its cgroup may hold the next incarnation already.
    let Some(handle) = victim.first.open().map_err(kernel("look at", name))? else {
        return Ok(());
    };
    let killed = match &freezer {
        Some(freezer) => freezer.kill_all(PATIENCE),
        None => Tree::below(victim.first).kill(PATIENCE),
    };
    if killed.map_err(kernel("kill", name))? && handle.wait(PATIENCE).map_err(kernel("wait for", name))? {
        Ok(())
    } else {
        Err(Error::Survived { name: name.clone() })
    }
}
