//! Finds a pod's processes on this node.
//!
//! The API server says which containers the pod has and what their ids are; the kernel says which processes belong to
//! them, because the pod's UID and the container's id are in the path of their cgroup (`/proc/PID/cgroup`). No runtime is
//! asked, no path is taken from anybody: everything is derived from the pod's UID.
//!
//! What has the pod's UID but no container's id that the API server knows is the pod's sandbox, a process that only keeps
//! its namespaces. CRI-O leaves it out; there the oldest process of a container stands for it, so that a fault on the
//! network ends with that container.

use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::time::Duration;

use async_trait::async_trait;
use k8s_openapi::api::core::v1::{ContainerStatus, Pod};
use kube::{Api, Client};
use tokio::time::{sleep, timeout};

use super::channel::Key;
use crate::api::{HostFault, InjectionSpec};
use crate::host::cgroup::hierarchies::Hierarchies;
use crate::node::{Locate, LocatedContainer, LocatedPod, LocatedVolume, UnreachedVolume};

mod cgroup_path;
mod processes;

use processes::Found;

/// How often the API server is asked for a pod before that counts as a failure, and how long each answer may take.
const ATTEMPTS: u32 = 3;
const ANSWER: Duration = Duration::from_secs(1);
const PAUSE: Duration = Duration::from_millis(200);

/// Finds pods of one node.
#[derive(Clone)]
pub struct Pods {
    client: Client,
    node: String,
    hierarchies: Hierarchies,
}

/// What the API server says about a pod, as far as it is needed.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
struct Wanted {
    uid: String,
    /// Containers that run, by id.
    running: BTreeMap<String, String>,
    /// The ids of all containers, so that what is left can be told to be the sandbox.
    known: BTreeSet<String>,
    /// Init containers that run, as sidecars do for as long as the pod.
    helpers: BTreeSet<String>,
    /// The pod's volumes from claims, each named as the claim's template is.
    claims: BTreeSet<String>,
    /// Those that containers are given as block devices.
    raw: BTreeSet<String>,
    /// Where containers mount claims, init containers last.
    mounts: Vec<Mount>,
}

/// A claim in a container.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Mount {
    /// The volume's name, which for a StatefulSet's claim is that of its template.
    claim: String,
    container: String,
    path: String,
}

impl Pods {
    /// Finds pods of `node`, on which the calling process runs in the pid namespace of the machine.
    pub fn new(client: Client, node: &str, hierarchies: Hierarchies) -> Self {
        Self { client, node: node.to_owned(), hierarchies }
    }

    async fn get(&self, namespace: &str, name: &str) -> io::Result<Option<Pod>> {
        let pods: Api<Pod> = Api::namespaced(self.client.clone(), namespace);
        let mut attempt = 1;
        loop {
            let error = match timeout(ANSWER, pods.get_opt(name)).await {
                Ok(Ok(pod)) => return Ok(pod),
                Ok(Err(error)) => io::Error::other(error),
                Err(_) => io::Error::new(io::ErrorKind::TimedOut, "the API server does not answer"),
            };
            if attempt == ATTEMPTS {
                return Err(error);
            }
            attempt += 1;
            sleep(PAUSE).await;
        }
    }
}

#[async_trait]
impl Locate for Pods {
    async fn pod(&self, injection: &InjectionSpec) -> io::Result<Option<LocatedPod>> {
        if matches!(injection.fault, HostFault::PowerLoss { .. }) {
            return Err(io::Error::new(
                io::ErrorKind::Unsupported,
                "a power loss needs the block devices of the pod's volumes, which an agent does not find yet; run it in the sandbox",
            ));
        }
        let key: Key = injection.name.parse().map_err(io::Error::other)?;
        let Some(pod) = self.get(&key.namespace, &injection.pod.name).await? else {
            return Ok(None);
        };
        if pod.spec.as_ref().and_then(|spec| spec.node_name.as_ref()) != Some(&self.node) {
            return Ok(None);
        }
        let wanted = Wanted::of(&pod);
        let hierarchies = self.hierarchies.clone();
        let found = tokio::task::spawn_blocking(move || {
            let found = processes::of_pod(&wanted.uid)?;
            located(&wanted, &found, &hierarchies)
        });
        found.await.map_err(io::Error::other)?
    }
}

impl Wanted {
    fn of(pod: &Pod) -> Self {
        let mut wanted = Self { uid: pod.metadata.uid.clone().unwrap_or_default(), ..Self::default() };
        wanted.take_volumes(pod);
        let Some(status) = &pod.status else {
            return wanted;
        };
        let containers = status.container_statuses.iter().flatten();
        let helpers =
            status.init_container_statuses.iter().chain(&status.ephemeral_container_statuses).flatten();
        for (container, is_helper) in
            containers.map(|container| (container, false)).chain(helpers.map(|container| (container, true)))
        {
            let Some(id) = id_of(container) else {
                continue;
            };
            wanted.known.insert(id.to_owned());
            let ended = container.last_state.as_ref().and_then(|state| state.terminated.as_ref());
            wanted
                .known
                .extend(ended.and_then(|ended| ended.container_id.as_deref()).map(|id| bare(id).to_owned()));
            let is_running = container.state.as_ref().is_some_and(|state| state.running.is_some());
            if is_running && is_helper {
                wanted.helpers.insert(container.name.clone());
            } else if is_running {
                wanted.running.insert(id.to_owned(), container.name.clone());
            }
        }
        wanted
    }

    /// The pod's claims, and what its containers do with them.
    fn take_volumes(&mut self, pod: &Pod) {
        let Some(spec) = &pod.spec else { return };
        let claimed = spec.volumes.iter().flatten().filter(|volume| volume.persistent_volume_claim.is_some());
        self.claims = claimed.map(|volume| volume.name.clone()).collect();
        for container in spec.containers.iter().chain(spec.init_containers.iter().flatten()) {
            let mounts = container.volume_mounts.iter().flatten();
            self.mounts.extend(mounts.filter(|mount| self.claims.contains(&mount.name)).map(|mount| Mount {
                claim: mount.name.clone(),
                container: container.name.clone(),
                path: mount.mount_path.clone(),
            }));
            self.raw.extend(container.volume_devices.iter().flatten().map(|device| device.name.clone()));
        }
    }

    /// The claims that are not among those that running containers lead to.
    fn unreached(&self, reached: &[LocatedVolume]) -> Vec<UnreachedVolume> {
        let is_reached = |claim: &String| reached.iter().any(|volume| volume.claim == *claim);
        let unreached = self.claims.iter().filter(|claim| !is_reached(claim));
        unreached.map(|claim| UnreachedVolume { claim: claim.clone(), why: self.hindrance(claim) }).collect()
    }

    /// Why a claim that no running container leads to may be in use all the same.
    fn hindrance(&self, claim: &str) -> Option<String> {
        let mut mounts = self.mounts.iter().filter(|mount| mount.claim == claim);
        if self.raw.contains(claim) {
            Some(format!("volume {claim} is a block device without a filesystem"))
        } else if let Some(helper) = mounts.clone().find(|mount| self.helpers.contains(&mount.container)) {
            Some(format!("volume {claim} is mounted by the init container {} alone", helper.container))
        } else if mounts.next().is_none() {
            Some(format!("volume {claim} is mounted by no container"))
        } else {
            None
        }
    }
}

fn id_of(container: &ContainerStatus) -> Option<&str> {
    container.container_id.as_deref().map(bare).filter(|id| !id.is_empty())
}

/// `containerd://ID`, `cri-o://ID`.
fn bare(id: &str) -> &str {
    id.rsplit_once("://").map_or(id, |(_, id)| id)
}

/// The processes of a pod as the calling process sees them, whichever node it is on: where nodes share the machine's kernel,
/// as those of kind do, and the caller lives in no container. `None` where the pod does not run; an error where it does and nothing of it can be seen.
pub fn on_this_machine(pod: &Pod) -> io::Result<Option<LocatedPod>> {
    let wanted = Wanted::of(pod);
    located(&wanted, &processes::of_pod(&wanted.uid)?, &Hierarchies::of_this_process()?)
}

/// Puts together what the API server and the kernel say.
fn located(wanted: &Wanted, found: &[Found], hierarchies: &Hierarchies) -> io::Result<Option<LocatedPod>> {
    let mut containers = Vec::new();
    for (id, name) in &wanted.running {
        // The first process of a container is older than everything that it or anybody else starts in it.
        let first = found
            .iter()
            .filter(|process| process.container.as_ref() == Some(id))
            .min_by_key(|process| process.age());
        if let Some(first) = first {
            let (cgroup, throttle) = (first.freezer_folder(hierarchies), first.throttle_folder(hierarchies));
            containers.push(LocatedContainer { name: name.clone(), pid: first.id.pid, cgroup, throttle });
        }
    }
    let is_unknown =
        |process: &&Found| process.container.as_ref().is_some_and(|id| !wanted.known.contains(id));
    if containers.is_empty() && !wanted.running.is_empty() {
        return Err(io::Error::new(
            io::ErrorKind::NotFound,
            "none of its containers has a process on this node that can be seen: they have just ended, or a sandboxed runtime (gVisor, Kata) hides them",
        ));
    }
    let sandbox = found.iter().filter(is_unknown).min_by_key(|process| process.age());
    let stand_in =
        found.iter().filter(|process| process.container.is_some()).min_by_key(|process| process.age());
    let Some(holder) = sandbox.or(stand_in) else {
        return Ok(None);
    };
    let volumes = volumes(wanted, &containers);
    let unreached = wanted.unreached(&volumes);
    let (uid, holder) = (wanted.uid.clone(), holder.id.pid);
    let unnamed = found.iter().filter(is_unknown).map(|process| process.id).collect();
    Ok(Some(LocatedPod { uid, holder, containers, unnamed, volumes, unreached }))
}

/// Each claim where the first of the running containers that mounts it sees it.
fn volumes(wanted: &Wanted, containers: &[LocatedContainer]) -> Vec<LocatedVolume> {
    let mut found: BTreeMap<&str, LocatedVolume> = BTreeMap::new();
    for Mount { claim, container, path } in &wanted.mounts {
        let Some(container) = containers.iter().find(|known| known.name == *container) else { continue };
        let path = format!("/proc/{}/root/{}", container.pid, path.trim_start_matches('/')).into();
        found.entry(claim).or_insert(LocatedVolume { claim: claim.clone(), path, device: None });
    }
    found.into_values().collect()
}

#[cfg(test)]
mod tests;
