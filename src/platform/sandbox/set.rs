//! The StatefulSets of a sandbox: what each has of its own, and which one is meant.

use std::ops::Range;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{mpsc, oneshot};

use super::attach_block::Held;
use super::board::Board;
use super::controller::Deletion;
use super::init::World;
use super::pod::Group;
use super::pod_spec::SetSpec;
use crate::api::{InjectionSpec, Ordinal};
use crate::experiment::OrdinalFrom;

/// How many wishes a controller may be behind.
const BACKLOG: usize = 16;

/// A StatefulSet, with everything that the tasks of its pods share.
pub struct Set {
    /// What runs.
    pub spec: SetSpec,
    /// What all sets share.
    pub world: Arc<World>,
    /// The pods.
    pub board: Board,
    /// Whose volumes are held.
    pub held: Held,
    deletions: mpsc::Sender<Deletion>,
}

impl Set {
    /// The set before it has any pods, and what its controller is asked for.
    pub fn new(spec: &SetSpec, world: &Arc<World>) -> (Arc<Self>, mpsc::Receiver<Deletion>) {
        let (deletions, wishes) = mpsc::channel(BACKLOG);
        let set = Self {
            spec: spec.clone(),
            world: Arc::clone(world),
            board: Board::new(spec),
            held: Held::default(),
            deletions,
        };
        (Arc::new(set), wishes)
    }

    /// Every ordinal that it asks for.
    pub fn ordinals(&self) -> Range<Ordinal> {
        self.board.ordinals()
    }

    /// Wishes that the pod of an ordinal is deleted; the answer is whether there was one.
    pub async fn delete(&self, ordinal: Ordinal, grace: Option<Duration>) -> oneshot::Receiver<bool> {
        let (deletion, taken) = Deletion::new(ordinal, grace);
        // Its controller ends with init alone.
        let _ = self.deletions.send(deletion).await;
        taken
    }

    /// The hostname of a pod.
    pub fn hostname(&self, pod: &str) -> String {
        if self.spec.pod.hostname_is_fqdn {
            format!("{pod}.{}.{}.svc.cluster.local", self.spec.service, self.spec.namespace)
        } else {
            pod.to_owned()
        }
    }

    /// The group that volumes belong to, where we may give them to a group.
    pub fn fs_group(&self) -> Option<Group> {
        let pod = &self.spec.pod;
        let id = pod.fs_group.filter(|_| self.world.setup.is_root)?;
        Some(Group { id, trusts_root: pod.fs_group_of_root })
    }
}

/// All of a sandbox.
#[derive(Clone)]
pub struct Sets(pub Arc<[Arc<Set>]>);

impl Sets {
    /// The set of this name.
    pub fn named(&self, name: &str) -> Option<&Arc<Set>> {
        self.0.iter().find(|set| set.spec.name == name)
    }

    /// The set of a pod, and the pod's ordinal.
    pub fn of_pod(&self, pod: &str) -> Option<(&Arc<Set>, Ordinal)> {
        let (name, ordinal) = OrdinalFrom::NameSuffix.read(pod)?;
        Some((self.named(name)?, ordinal))
    }

    /// The set that an Injection is about, or whose pod it is about: one may be named as another one's pod is.
    pub fn of(&self, injection: &InjectionSpec) -> Option<&Arc<Set>> {
        let name = &injection.pod.name;
        if injection.is_of_whole_set() { self.named(name) } else { self.of_pod(name).map(|(set, _)| set) }
    }
}
