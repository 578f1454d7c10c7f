//! Freezes and thaws on a host.
//!
//! Guarantees: a cgroup that somebody else has frozen is refused and never thawed by us; a revert reaches only the
//! cgroups and processes that the record names, by inode and by start time; a revert may be repeated.

use std::io;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::api::{HostFault, InjectionSpec};
use crate::fault::host;
use crate::fault::host::{ContainerError, Effect, HostError, Look, Prepared, Running, Undo, kernel};
use crate::host::freezer::{CgroupId, Freezer};
use crate::host::process::held::Held;
use crate::host::process::tree::Tree;
use crate::host::process::{ProcessId, cpu_time};
use crate::node::LocatedPod;

/// For how long processes may take to stop, or to go on: each does when its turn on a processor comes, which takes seconds on
/// a busy node.
const PATIENCE: Duration = Duration::from_secs(10);
/// How long the first look at the CPU time lasts, so that the first proof is one.
const FIRST_LOOK: Duration = Duration::from_millis(2);
/// CPU time that a paused process may seem to use: the kernel counts some of it in ticks.
const STANDSTILL: Duration = Duration::from_millis(10);

/// What a pause holds.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Target {
    /// Each chosen container.
    pub containers: Vec<Paused>,
}

/// One container.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Paused {
    /// Its name.
    pub name: String,
    /// Its first process.
    pub first: ProcessId,
    /// How it is held.
    pub by: By,
}

/// How a container is held.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum By {
    /// The freezer of its own cgroup.
    Freezer(CgroupId),
    /// SIGSTOP to each of its processes.
    Signal(Tree),
}

/// Why a pause could not be made or taken back.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// Not found, or the kernel refused.
    #[error(transparent)]
    Container(#[from] ContainerError),
    /// The container ended.
    #[error("container {0} has no process any more")]
    Gone(String),
    /// Somebody else holds it.
    #[error("the cgroup {0} is frozen already, by somebody else or by an overlapping step; thaw it first")]
    AlreadyFrozen(String),
    /// A freeze would hold the one who must take it back.
    #[error("the cgroup {0} also holds this node's own process")]
    OwnCgroup(String),
    /// The kernel did not say that all have stopped.
    #[error("container {name} did not stop within {} s: expected {expected}", PATIENCE.as_secs())]
    DidNotStop {
        /// Which.
        name: String,
        /// What was waited for.
        expected: &'static str,
    },
    /// The kernel did not say that all go on.
    #[error("container {name} did not go on within {} s: expected {expected}", PATIENCE.as_secs())]
    DidNotGoOn {
        /// Which.
        name: String,
        /// What was waited for.
        expected: &'static str,
    },
}

impl Target {
    /// Finds what is to be paused, and whether it may be.
    pub fn find(pod: &LocatedPod, container: Option<&str>) -> Result<Self, Error> {
        let chosen = Running::find(pod, container)?;
        let is_whole_pod = chosen.len() == pod.containers.len();
        let containers = chosen
            .into_iter()
            .map(|chosen| Paused::check(pod, chosen, is_whole_pod))
            .collect::<Result<_, _>>()?;
        Ok(Self { containers })
    }

    /// Lets everybody go on, and reads back that they do. What is gone needs no revert.
    pub fn go_on(&self) -> Result<(), Error> {
        for container in &self.containers {
            container.go_on()?;
        }
        Ok(())
    }
}

impl Prepared for Target {
    fn target(&self) -> host::Target {
        host::Target::Pause(self.clone())
    }

    fn inject(self: Box<Self>, _: &InjectionSpec, _: Duration) -> Result<Box<dyn Effect>, HostError> {
        Ok(Box::new(Pause::inject(&self)?))
    }
}

impl Undo for Target {
    /// With the end of its first process the pause of a container ends.
    fn anchors(&self) -> Vec<ProcessId> {
        self.containers.iter().map(|container| container.first).collect()
    }

    fn revert(&self, _: &Held) -> Result<(), HostError> {
        Ok(self.go_on()?)
    }

    fn adopt(&self, _: &HostFault, _: Held) -> Result<Box<dyn Effect>, HostError> {
        Ok(Box::new(Pause::adopt(self)?))
    }
}

impl Paused {
    /// Decides how it is held, and whether it may be.
    fn check(pod: &LocatedPod, running: Running, is_whole_pod: bool) -> Result<Self, Error> {
        let Running { name, first, cgroup } = running;
        let by = match cgroup {
            Some(cgroup) => By::Freezer(cgroup),
            // Orphans are adopted by the pod's holder; whose they were can only be told when all are meant. Where a
            // container's own process stands for the holder, it is not spared.
            None if is_whole_pod && pod.containers.iter().all(|container| container.pid != pod.holder) => {
                let holder = ProcessId::of(pod.holder).map_err(kernel("look at the holder of", &name))?;
                let holder = holder.ok_or_else(|| Error::Gone(name.clone()))?;
                By::Signal(Tree { spared: Some(holder), ..Tree::below(first) })
            }
            None => By::Signal(Tree::below(first)),
        };
        let paused = Self { name, first, by };
        let name = &paused.name;
        if let Some((freezer, path)) = paused.freezer()? {
            if freezer.is_asked_to_freeze().map_err(kernel("read the freezer of", name))? {
                return Err(Error::AlreadyFrozen(path));
            }
            let members = freezer.processes().map_err(kernel("list the processes of", name))?;
            if members.contains(&(std::process::id().cast_signed())) {
                return Err(Error::OwnCgroup(path));
            }
        }
        Ok(paused)
    }

    fn freezer(&self) -> Result<Option<(Freezer, String)>, Error> {
        match &self.by {
            By::Freezer(cgroup) => {
                let freezer = cgroup.open().map_err(kernel("open the freezer of", &self.name))?;
                Ok(freezer.map(|freezer| (freezer, cgroup.path.display().to_string())))
            }
            By::Signal(_) => Ok(None),
        }
    }

    fn stop(&self) -> Result<Hold, Error> {
        let name = &self.name;
        match &self.by {
            By::Freezer(cgroup) => {
                let freezer = cgroup.open().map_err(kernel("open the freezer of", name))?;
                let freezer = freezer.ok_or_else(|| Error::Gone(name.clone()))?;
                if !freezer.freeze(PATIENCE).map_err(kernel("freeze", name))? {
                    return Err(Error::DidNotStop { name: name.clone(), expected: freezer.word_for(true) });
                }
                Ok(Hold::Frozen(freezer))
            }
            By::Signal(tree) => {
                if !tree.stop(PATIENCE).map_err(kernel("stop", name))? {
                    return Err(Error::DidNotStop {
                        name: name.clone(),
                        expected: "state T of every process",
                    });
                }
                Ok(Hold::Stopped(tree.clone()))
            }
        }
    }

    fn go_on(&self) -> Result<(), Error> {
        let name = &self.name;
        match &self.by {
            By::Freezer(_) => match self.freezer()? {
                Some((freezer, _)) if !freezer.thaw(PATIENCE).map_err(kernel("thaw", name))? => {
                    Err(Error::DidNotGoOn { name: name.clone(), expected: freezer.word_for(false) })
                }
                Some(_) | None => Ok(()),
            },
            By::Signal(tree) => {
                if !tree.go_on(PATIENCE).map_err(kernel("continue", name))? {
                    return Err(Error::DidNotGoOn { name: name.clone(), expected: "no process in state T" });
                }
                Ok(())
            }
        }
    }
}

/// A pause in force.
#[derive(Debug)]
pub struct Pause {
    containers: Vec<Standstill>,
}

#[derive(Debug)]
struct Standstill {
    container: Paused,
    hold: Hold,
    cpu: Duration,
}

#[derive(Debug)]
enum Hold {
    Frozen(Freezer),
    Stopped(Tree),
}

impl Hold {
    fn cpu_time(&self) -> io::Result<Duration> {
        match self {
            Self::Frozen(freezer) => freezer.cpu_time(),
            Self::Stopped(tree) => cpu_time(&tree.members()?),
        }
    }

    /// What contradicts the hold, if anything does.
    fn contradiction(&self) -> io::Result<Option<String>> {
        Ok(match self {
            Self::Frozen(freezer) if freezer.is_frozen()? => None,
            Self::Frozen(freezer) => {
                Some(format!("its cgroup is not frozen: expected {}", freezer.word_for(true)))
            }
            Self::Stopped(tree) => {
                let (all, stopped) = (tree.members()?, tree.stopped()?);
                (all.len() != stopped.len())
                    .then(|| format!("{} of its {} processes run", all.len() - stopped.len(), all.len()))
            }
        })
    }
}

impl Pause {
    /// Stops everything that `target` names.
    pub fn inject(target: &Target) -> Result<Self, Error> {
        let mut all = Vec::new();
        for container in &target.containers {
            let hold = container.stop()?;
            let cpu = hold.cpu_time().map_err(kernel("read the CPU time of", &container.name))?;
            all.push(Standstill { container: container.clone(), hold, cpu });
        }
        std::thread::sleep(FIRST_LOOK);
        Ok(Self { containers: all })
    }

    /// Takes up a pause that an earlier process made.
    pub fn adopt(target: &Target) -> Result<Self, Error> {
        let mut all = Vec::new();
        for container in &target.containers {
            let hold = match &container.by {
                By::Freezer(_) => match container.freezer()? {
                    Some((freezer, _)) => Hold::Frozen(freezer),
                    None => return Err(Error::Gone(container.name.clone())),
                },
                By::Signal(tree) => Hold::Stopped(tree.clone()),
            };
            let cpu = hold.cpu_time().map_err(kernel("read the CPU time of", &container.name))?;
            all.push(Standstill { container: container.clone(), hold, cpu });
        }
        Ok(Self { containers: all })
    }
}

impl Effect for Pause {
    /// Looks whether everything still stands still, since the last look.
    fn look(&mut self, _: Option<&LocatedPod>) -> Look {
        let mut seen = Vec::new();
        for container in &mut self.containers {
            match container.verify() {
                Ok(text) => seen.push(text),
                Err(text) => return Look::Fails(text),
            }
        }
        Look::Holds(seen.join("; "))
    }
}

impl Standstill {
    fn verify(&mut self) -> Result<String, String> {
        let Paused { name, first, .. } = &self.container;
        let unreadable = |error: io::Error| format!("cannot look at container {name}: {error}");
        if !first.is_alive().map_err(unreadable)? {
            return Err(format!("{first} of container {name} is gone"));
        }
        if let Some(contradiction) = self.hold.contradiction().map_err(unreadable)? {
            return Err(format!("container {name} runs: {contradiction}"));
        }
        let now = self.hold.cpu_time().map_err(unreadable)?;
        let used = now.saturating_sub(std::mem::replace(&mut self.cpu, now));
        if used >= STANDSTILL {
            return Err(format!(
                "container {name} used {} ms of CPU time since the last look",
                used.as_millis()
            ));
        }
        let how = match self.hold {
            Hold::Frozen(_) => "frozen",
            Hold::Stopped(_) => "stopped",
        };
        Ok(format!(
            "container {name} {how}, CPU time {:.3} s, {} ms since the last look",
            now.as_secs_f64(),
            used.as_millis()
        ))
    }
}
