//! What is known about the pods: the single place that snapshots, names and locations are made from.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use tokio::sync::watch;

use super::dns::{PodRecord, Records};
use super::pod_spec::SetSpec;
use super::wanted::{EnvChange, Wanted};
use crate::api::{ApiFault, Ordinal, Pod, PodPhase, Rollout, Snapshot};
use crate::node::LocatedPod;

/// The pods of a StatefulSet.
pub struct Board {
    spec: SetSpec,
    pods: Mutex<BTreeMap<Ordinal, Entry>>,
    wanted: Mutex<Wanted>,
    snapshots: watch::Sender<Snapshot>,
    records: watch::Sender<Records>,
}

/// A pod with what only the sandbox knows of it.
pub struct Entry {
    /// What everybody may see; phase and readiness follow from the containers.
    pub pod: Pod,
    /// Where its processes and volumes are, while it has a holder.
    pub located: Option<LocatedPod>,
    /// Which of its containers were started at least once, by their place.
    pub started: BTreeSet<usize>,
    /// Since when it is ready.
    ready_since: Option<Instant>,
}

/// Whether the controller may go on to the next ordinal.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Availability {
    /// Ready for long enough.
    Now,
    /// Ready, and for long enough at this time.
    At(Instant),
    /// Not ready.
    No,
}

impl Board {
    /// Without any pods.
    pub fn new(spec: &SetSpec) -> Self {
        let (pods, wanted) = (BTreeMap::new(), Wanted::of(spec));
        let snapshots = watch::Sender::new(snapshot(spec, &wanted, &pods));
        let records = watch::Sender::new(Records::new(spec, Vec::new()));
        Self { spec: spec.clone(), pods: Mutex::new(pods), wanted: Mutex::new(wanted), snapshots, records }
    }

    /// Every pod that there is now is to be replaced.
    pub fn begin_rollout(&self) {
        self.wanted().revision += 1;
        self.change(|_| {});
    }

    /// Every ordinal that is asked for.
    pub fn ordinals(&self) -> std::ops::Range<Ordinal> {
        self.wanted().ordinals()
    }

    /// Changes what is asked for, for an Injection; or says why not.
    pub fn change_set(&self, by: &str, fault: &ApiFault) -> Result<(), String> {
        self.wanted().change(by, &self.spec.name, fault)?;
        self.change(|_| {});
        Ok(())
    }

    /// Asks for what was asked for before an Injection changed it.
    pub fn put_set_back(&self, by: &str) {
        self.wanted().put_back(by);
        self.change(|_| {});
    }

    fn wanted(&self) -> MutexGuard<'_, Wanted> {
        self.wanted.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A new pod, of the newest revision; what that has in place of the manifest's variables.
    pub fn insert(&self, pod: Pod) -> Vec<EnvChange> {
        let Wanted { revision, env, .. } = self.wanted().clone();
        let pod = Pod { revision: Some(named(&self.spec, revision)), ..pod };
        self.change(|pods| {
            pods.insert(
                pod.ordinal,
                Entry { pod, located: None, started: BTreeSet::new(), ready_since: None },
            );
        });
        env
    }

    /// The pod is gone.
    pub fn remove(&self, ordinal: Ordinal) {
        self.change(|pods| {
            pods.remove(&ordinal);
        });
    }

    /// Changes what is known of a pod; nothing where it is gone.
    pub fn update(&self, ordinal: Ordinal, change: impl FnOnce(&mut Entry)) {
        self.change(|pods| {
            if let Some(entry) = pods.get_mut(&ordinal) {
                change(entry);
            }
        });
    }

    /// Where the pod's processes and volumes are.
    pub fn located(&self, ordinal: Ordinal) -> Option<LocatedPod> {
        self.pods.lock().unwrap_or_else(PoisonError::into_inner).get(&ordinal)?.located.clone()
    }

    /// Whether the pod has been ready for `minReadySeconds`.
    pub fn availability(&self, ordinal: Ordinal, now: Instant) -> Availability {
        let pods = self.pods.lock().unwrap_or_else(PoisonError::into_inner);
        match pods.get(&ordinal).and_then(|entry| entry.ready_since) {
            None => Availability::No,
            Some(since) if now >= since + self.spec.min_ready => Availability::Now,
            Some(since) => Availability::At(since + self.spec.min_ready),
        }
    }

    /// Every change, as everybody may see it.
    pub fn snapshots(&self) -> watch::Receiver<Snapshot> {
        self.snapshots.subscribe()
    }

    /// Every change, as the DNS needs it.
    pub fn records(&self) -> watch::Receiver<Records> {
        self.records.subscribe()
    }

    fn change(&self, change: impl FnOnce(&mut BTreeMap<Ordinal, Entry>)) {
        let mut pods = self.pods.lock().unwrap_or_else(PoisonError::into_inner);
        change(&mut pods);
        for entry in pods.values_mut() {
            entry.derive();
        }
        let next = snapshot(&self.spec, &self.wanted(), &pods);
        let names = Records::new(&self.spec, addressed(&pods));
        self.snapshots.send_if_modified(|now| replace_if_other(now, next));
        self.records.send_if_modified(|now| replace_if_other(now, names));
    }
}

impl Entry {
    fn derive(&mut self) {
        if self.pod.phase != PodPhase::Terminating {
            let all_started = self.started.len() == self.pod.containers.len();
            self.pod.phase = if all_started { PodPhase::Running } else { PodPhase::Pending };
        }
        let is_ready = self.pod.phase == PodPhase::Running
            && self.pod.ip.is_some()
            && self.pod.containers.iter().all(|container| container.ready);
        self.pod.ready = is_ready;
        self.ready_since = if is_ready { self.ready_since.or_else(|| Some(Instant::now())) } else { None };
    }
}

fn replace_if_other<T: PartialEq>(now: &mut T, next: T) -> bool {
    let is_other = *now != next;
    if is_other {
        *now = next;
    }
    is_other
}

/// As Kubernetes names revisions, but by number: `etcd-2`.
fn named(spec: &SetSpec, revision: u64) -> String {
    format!("{}-{revision}", spec.name)
}

fn snapshot(spec: &SetSpec, wanted: &Wanted, pods: &BTreeMap<Ordinal, Entry>) -> Snapshot {
    Snapshot {
        name: spec.name.clone(),
        namespace: spec.namespace.clone(),
        replicas: wanted.replicas,
        first_ordinal: spec.first_ordinal,
        numbered: None,
        rollout: Some(Rollout { revision: named(spec, wanted.revision), partition: 0 }),
        pods: pods.values().map(|entry| entry.pod.clone()).collect(),
        ..Snapshot::default()
    }
}

fn addressed(pods: &BTreeMap<Ordinal, Entry>) -> Vec<PodRecord> {
    pods.values()
        .filter_map(|entry| match entry.pod.ip? {
            IpAddr::V4(address) => {
                Some(PodRecord { name: entry.pod.name.clone(), address, is_ready: entry.pod.ready })
            }
            IpAddr::V6(_) => None,
        })
        .collect()
}
