//! What else is asked of the target's pods and done to them: the disruption budgets that cover them, the Injections of
//! other runs, and the nodes that runs of other namespaces take away. All of it belongs to each snapshot, because the
//! guards decide on nothing else.
//!
//! An Injection of another run counts from the moment its object is there until its agent says that nothing of it is left:
//! what is wanted counts as much as what is in force, so that two runs which look at the same moment both see each other
//! at the next. One that nobody reports of counts until everything of it has ended by itself.
//!
//! Injections of other namespaces cannot be read by a runner, and need not be: only a node has pods of more than one, and
//! nodeDown writes on the node how it is given back. What kubeletStop does from another namespace is not seen until the
//! node is not Ready, as its pods are then.
//!
//! Budgets are taken as their controller has counted them. Where one covers pods that are no members as well, those count
//! as healthy as its status said last, which may be a moment old.

use std::collections::BTreeSet;
use std::net::IpAddr;
use std::time::Duration;

use futures::StreamExt;
use futures::stream::{BoxStream, pending};
use jiff::{SignedDuration, Timestamp};
use k8s_openapi::api::core::v1::{Node, Pod};
use k8s_openapi::api::policy::v1::PodDisruptionBudget;
use kube::api::ListParams;
use kube::core::{Selector, SelectorExt};
use kube::runtime::watcher::{Config, Event};
use kube::{Api, Client, ResourceExt};
use tokio::time::{Interval, interval};

use super::failure::{insist, is_absent};
use super::watching::{Known, watch};
use crate::api::{
    ApiFault, Desired, DisruptionBudget, Disturbance, HostFault, InjectionSpec, InjectionState, Ordinal,
    Snapshot,
};
use crate::platform::PlatformError;
use crate::resource::{Injection, RUN_LABEL, Undo};

/// How long after its deadline every fault has ended by itself.
const AFTER_DEADLINE: SignedDuration = SignedDuration::from_secs(30);
/// How often it is looked whether something has lapsed: no event says so.
const LAPSE: Duration = Duration::from_secs(5);

/// Labels of pods, for selectors.
pub type Labels = std::collections::BTreeMap<String, String>;

/// What is known beside the target itself.
pub struct Surroundings {
    injections: Watched<Injection>,
    nodes: Watched<Node>,
    budgets: Watched<PodDisruptionBudget>,
    lapse: Interval,
}

struct Watched<K: kube::Resource> {
    events: BoxStream<'static, Event<K>>,
    known: Known<K>,
    /// Whether the API server knows such objects at all.
    exists: bool,
}

impl Surroundings {
    /// What is around the target of `run` in a namespace, or around that of no run. Fails where it may not be looked at: a
    /// guard that sees half is worse than none. Only who injects nothing may do without the nodes.
    pub async fn watch(client: &Client, namespace: &str, run: Option<&str>) -> Result<Self, PlatformError> {
        // Those of this run change every second, each of them, and are no news here.
        let of_others = format!("{RUN_LABEL}!={}", run.unwrap_or_default());
        let others = Config::default().labels(&of_others);
        let marked = Config::default().labels(&format!("{RUN_LABEL},{of_others}"));
        let here = Api::namespaced(client.clone(), namespace);
        let injections = Watched::new(here, others, "Injections of other runs").await?;
        let nodes = match Watched::new(Api::all(client.clone()), marked, "nodes that runs take away").await {
            Err(PlatformError::Refused(why)) if run.is_none() => {
                tracing::warn!("nodes that other runs take away are not counted: {why}");
                Watched::absent()
            }
            watched => watched?,
        };
        let budgets = Api::namespaced(client.clone(), namespace);
        let budgets = Watched::new(budgets, Config::default(), "disruption budgets").await?;
        Ok(Self { injections, nodes, budgets, lapse: interval(LAPSE) })
    }

    /// Waits until something may have changed.
    pub async fn changed(&mut self) {
        tokio::select! {
            Some(event) = self.injections.events.next() => self.injections.known.hear(event),
            Some(event) = self.nodes.events.next() => self.nodes.known.hear(event),
            Some(event) = self.budgets.events.next() => self.budgets.known.hear(event),
            _ = self.lapse.tick() => {}
        }
    }

    /// Whether everything that exists was heard of once.
    pub fn is_complete(&self) -> bool {
        self.injections.is_complete() && self.nodes.is_complete() && self.budgets.is_complete()
    }

    /// Writes into a snapshot what goes for its pods. `template` is what a member is labelled with that has no pod now,
    /// where that is known; otherwise the snapshot `before` says whom a budget covers.
    pub fn describe(
        &self,
        snapshot: &mut Snapshot,
        pods: &[&Pod],
        template: Option<&Labels>,
        before: &Snapshot,
    ) {
        let now = Timestamp::now();
        let others = self.injections.known.iter();
        let mut disturbances: Vec<_> = others.filter_map(|other| disturbance(other, snapshot, now)).collect();
        for node in self.nodes.known.iter() {
            // An Injection of this namespace was counted already.
            disturbances.extend(
                taken_away(node, snapshot)
                    .filter(|found| disturbances.iter().all(|other| other.by != found.by)),
            );
        }
        snapshot.disturbances = disturbances;
        let budgets = self.budgets.known.iter();
        snapshot.budgets =
            budgets.filter_map(|budget| covering(budget, snapshot, pods, template, before)).collect();
    }
}

impl<K> Watched<K>
where
    K: kube::Resource<DynamicType = ()>
        + Clone
        + serde::de::DeserializeOwned
        + std::fmt::Debug
        + Send
        + 'static,
{
    async fn new(objects: Api<K>, which: Config, what: &'static str) -> Result<Self, PlatformError> {
        let one = ListParams::default().limit(1);
        let exists = insist(async || match objects.list_metadata(&one).await {
            Ok(_) => Ok(true),
            Err(error) if is_absent(&error) => Ok(false),
            Err(error) => Err(error),
        });
        if !exists.await? {
            return Ok(Self::absent());
        }
        Ok(Self { events: watch(objects, which, what), known: Known::default(), exists: true })
    }

    /// What the API server does not have.
    fn absent() -> Self {
        Self { events: pending().boxed(), known: Known::default(), exists: false }
    }

    fn is_complete(&self) -> bool {
        !self.exists || self.known.is_complete()
    }
}

/// What an Injection does to members; nothing where it does nothing to them, or not any more.
fn disturbance(injection: &Injection, snapshot: &Snapshot, now: Timestamp) -> Option<Disturbance> {
    let spec = &injection.spec.injection;
    if is_over(injection, now) {
        return None;
    }
    let mut found = Disturbance { by: format!("Injection {}", spec.name), ..Disturbance::default() };
    let member = member(spec, snapshot);
    match &spec.fault {
        HostFault::Kill {}
        | HostFault::Pause {}
        | HostFault::PowerLoss { .. }
        | HostFault::DiskError(_)
        | HostFault::DiskFill(_)
        | HostFault::DiskReadOnly(_) => {
            found.down.extend(member);
        }
        HostFault::DiskStall(stall) => found.down.extend(member.filter(|_| stall.is_felt_as_down())),
        HostFault::StopKubelet {} => {
            let there = snapshot.pods.iter().filter(|pod| pod.node == spec.pod.node);
            found.down.extend(there.map(|pod| pod.ordinal));
        }
        HostFault::Partition { peers, .. } => {
            for peer in peers {
                // Another target may number its members otherwise, so they are told by their addresses.
                let others = peer.addresses.iter().filter_map(|&address| at(snapshot, address));
                for (here, there) in others.filter_map(|there| Some((member?, there))) {
                    if peer.drop_from {
                        found.cut.insert((there, here));
                    }
                    if peer.drop_to {
                        found.cut.insert((here, there));
                    }
                }
            }
        }
        HostFault::Shape(shaped) if shaped.shape.is_felt_as_cut() => {
            let others = shaped.members.iter().filter_map(|&address| at(snapshot, address));
            found.cut.extend(others.filter_map(|there| Some((member?, there))));
        }
        // Whoever is slow answers still, and so does whoever cannot move, or is looked at.
        HostFault::DiskLatency(_)
        | HostFault::DiskThrottle(_)
        | HostFault::IoStress(_)
        | HostFault::HoldVolume(_)
        | HostFault::Shape(_)
        | HostFault::Measure {} => {}
        HostFault::Api(fault) => through_the_api(fault, spec, member, snapshot, &mut found),
    }
    let is_nothing = found.down.is_empty() && found.cut.is_empty() && found.rolling == 0;
    (!is_nothing).then_some(found)
}

fn through_the_api(
    fault: &ApiFault,
    spec: &InjectionSpec,
    member: Option<Ordinal>,
    snapshot: &Snapshot,
    found: &mut Disturbance,
) {
    let is_our_set = spec.is_of_whole_set() && spec.pod.name == snapshot.name;
    match fault {
        ApiFault::Evict { .. } | ApiFault::DeleteClaims { .. } => found.down.extend(member),
        ApiFault::NodeDown { node, .. } => {
            let there = snapshot.pods.iter().filter(|pod| pod.node == *node);
            found.down.extend(there.map(|pod| pod.ordinal));
        }
        ApiFault::Scale { replicas } if is_our_set => {
            let kept = snapshot.first_ordinal.saturating_add(*replicas);
            found.down.extend(snapshot.ordinals().filter(|&ordinal| ordinal >= kept));
        }
        ApiFault::BlockAttach { ordinals, .. } if is_our_set => found.down.extend(ordinals),
        ApiFault::Restart {}
        | ApiFault::SetImage { .. }
        | ApiFault::SetEnv { .. }
        | ApiFault::BreakRollout { .. }
            if is_our_set =>
        {
            found.rolling = 1;
        }
        // Who cannot come back is missing by then, and counted as that; snapshots take nobody away.
        ApiFault::Deny { .. }
        | ApiFault::BlockAttach { .. }
        | ApiFault::TakeSnapshot { .. }
        | ApiFault::RestoreSnapshot { .. }
        | ApiFault::Scale { .. }
        | ApiFault::Restart {}
        | ApiFault::SetImage { .. }
        | ApiFault::SetEnv { .. }
        | ApiFault::BreakRollout { .. } => {}
    }
}

/// What members lose with a node that a run takes away; nothing where none of them is there. The mark goes in the request
/// that gives the node back, so that it is away for as long as it has one, whatever the deadline was.
fn taken_away(node: &Node, snapshot: &Snapshot) -> Option<Disturbance> {
    let undo = Undo::beside(&node.metadata)?;
    let there = snapshot.pods.iter().filter(|pod| Some(&pod.node) == node.metadata.name.as_ref());
    let down: BTreeSet<Ordinal> = there.map(|pod| pod.ordinal).collect();
    let by = format!("Injection {}", undo.injection);
    (!down.is_empty()).then(|| Disturbance { by, down, ..Disturbance::default() })
}

/// Whether nothing of it can be in force.
fn is_over(injection: &Injection, now: Timestamp) -> bool {
    let spec = &injection.spec.injection;
    match injection.status.as_ref().map(|status| status.state) {
        Some(InjectionState::Reverted | InjectionState::Failed) => true,
        // Whoever says that it could not be taken back is believed for ever.
        Some(InjectionState::RevertFailed) => false,
        // What runs through the API alone and has no status was never begun.
        None if spec.pod.node.is_empty() && spec.desired == Desired::Reverted => true,
        None | Some(InjectionState::Pending | InjectionState::Injected | InjectionState::Lost) => {
            now >= spec.deadline.at + AFTER_DEADLINE
        }
    }
}

/// The member whose pod an Injection names.
fn member(spec: &InjectionSpec, snapshot: &Snapshot) -> Option<Ordinal> {
    let is_meant =
        |pod: &&crate::api::Pod| pod.uid == spec.pod.uid || (spec.follow && pod.name == spec.pod.name);
    snapshot.pods.iter().find(is_meant).map(|pod| pod.ordinal)
}

fn at(snapshot: &Snapshot, address: IpAddr) -> Option<Ordinal> {
    snapshot.pods.iter().find(|pod| pod.ip == Some(address)).map(|pod| pod.ordinal)
}

/// What a budget wants of members; nothing where it covers none.
fn covering(
    budget: &PodDisruptionBudget,
    snapshot: &Snapshot,
    pods: &[&Pod],
    template: Option<&Labels>,
    before: &Snapshot,
) -> Option<DisruptionBudget> {
    let name = budget.name_any();
    let asked = budget.spec.as_ref().and_then(|spec| spec.selector.clone())?;
    let selector = Selector::try_from(asked).ok()?;
    let earlier = before.budgets.iter().find(|known| known.name == name);
    let is_covered = |ordinal: &Ordinal| match snapshot.pod(*ordinal) {
        Some(member) => {
            pods.iter().any(|pod| pod.name_any() == member.name && selector.matches(pod.labels()))
        }
        None => match template {
            Some(labels) => selector.matches(labels),
            None => earlier.is_some_and(|earlier| earlier.covers.contains(ordinal)),
        },
    };
    let covers: BTreeSet<Ordinal> = snapshot.ordinals().filter(is_covered).collect();
    if covers.is_empty() {
        return None;
    }
    let count = |number: i32| u32::try_from(number).unwrap_or(0);
    let all = u32::try_from(covers.len()).unwrap_or(u32::MAX);
    let is_counted = |found: &&k8s_openapi::api::policy::v1::PodDisruptionBudgetStatus| {
        found.observed_generation >= budget.metadata.generation
    };
    let wants = match budget.status.as_ref().filter(is_counted) {
        // Nobody has counted yet, so nobody has said that one may go.
        None => all,
        Some(status) if count(status.expected_pods) > all => {
            let ready = |ordinal: &&Ordinal| snapshot.pod(**ordinal).is_some_and(|pod| pod.ready);
            let ours = u32::try_from(covers.iter().filter(ready).count()).unwrap_or(0);
            let elsewhere = count(status.current_healthy).saturating_sub(ours);
            count(status.desired_healthy).saturating_sub(elsewhere)
        }
        Some(status) => count(status.desired_healthy),
    };
    Some(DisruptionBudget { name, covers, wants })
}

#[cfg(test)]
mod tests;
