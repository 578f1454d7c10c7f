//! What else is asked of the target's pods and done to them: the disruption budgets that cover them, and the Injections of
//! other runs. Both belong to each snapshot, because the guards decide on nothing else.
//!
//! An Injection of another run counts from the moment its object is there until its agent says that nothing of it is left:
//! what is wanted counts as much as what is in force, so that two runs which look at the same moment both see each other
//! at the next. One that nobody reports of counts until everything of it has ended by itself.
//!
//! Budgets are taken as their controller has counted them. Where one covers pods that are no members as well, those count
//! as healthy as its status said last, which may be a moment old.

use std::collections::BTreeSet;
use std::net::IpAddr;
use std::time::Duration;

use futures::StreamExt;
use futures::stream::{BoxStream, pending};
use jiff::{SignedDuration, Timestamp};
use k8s_openapi::api::core::v1::Pod;
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
use crate::resource::{Injection, RUN_LABEL};

/// How long after its deadline every fault has ended by itself.
const AFTER_DEADLINE: SignedDuration = SignedDuration::from_secs(30);
/// How often it is looked whether something has lapsed: no event says so.
const LAPSE: Duration = Duration::from_secs(5);

/// Labels of pods, for selectors.
pub type Labels = std::collections::BTreeMap<String, String>;

/// What is known of a namespace beside the target itself.
pub struct Surroundings {
    injections: Watched<Injection>,
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
    /// What is around the target of `run` in a namespace. Fails where it may not be looked at: a guard that sees half is
    /// worse than none.
    pub async fn watch(client: &Client, namespace: &str, run: &str) -> Result<Self, PlatformError> {
        // Those of this run change every second, each of them, and are no news here.
        let others = Config::default().labels(&format!("{RUN_LABEL}!={run}"));
        let injections = Watched::new(client, namespace, others, "Injections of other runs").await?;
        let budgets = Watched::new(client, namespace, Config::default(), "disruption budgets").await?;
        Ok(Self { injections, budgets, lapse: interval(LAPSE) })
    }

    /// Waits until something may have changed.
    pub async fn changed(&mut self) {
        tokio::select! {
            Some(event) = self.injections.events.next() => self.injections.known.hear(event),
            Some(event) = self.budgets.events.next() => self.budgets.known.hear(event),
            _ = self.lapse.tick() => {}
        }
    }

    /// Whether everything that exists was heard of once.
    pub fn is_complete(&self) -> bool {
        self.injections.is_complete() && self.budgets.is_complete()
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
        snapshot.disturbances = others.filter_map(|other| disturbance(other, snapshot, now)).collect();
        let budgets = self.budgets.known.iter();
        snapshot.budgets =
            budgets.filter_map(|budget| covering(budget, snapshot, pods, template, before)).collect();
    }
}

impl<K> Watched<K>
where
    K: kube::Resource<DynamicType = (), Scope = kube::core::NamespaceResourceScope>
        + Clone
        + serde::de::DeserializeOwned
        + std::fmt::Debug
        + Send
        + 'static,
{
    async fn new(
        client: &Client,
        namespace: &str,
        which: Config,
        what: &'static str,
    ) -> Result<Self, PlatformError> {
        let objects: Api<K> = Api::namespaced(client.clone(), namespace);
        let one = ListParams::default().limit(1);
        let exists = insist(async || match objects.list_metadata(&one).await {
            Ok(_) => Ok(true),
            Err(error) if is_absent(&error) => Ok(false),
            Err(error) => Err(error),
        });
        let exists = exists.await?;
        let events = if exists { watch(objects, which, what) } else { pending().boxed() };
        Ok(Self { events, known: Known::default(), exists })
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
        HostFault::Kill {} | HostFault::Pause {} | HostFault::PowerLoss { .. } => found.down.extend(member),
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
        // Whoever is slow answers still.
        HostFault::DiskLatency(_) => {}
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
        ApiFault::Evict { .. } => found.down.extend(member),
        ApiFault::NodeDown { node, .. } => {
            let there = snapshot.pods.iter().filter(|pod| pod.node == *node);
            found.down.extend(there.map(|pod| pod.ordinal));
        }
        ApiFault::Scale { replicas } if is_our_set => {
            let kept = snapshot.first_ordinal.saturating_add(*replicas);
            found.down.extend(snapshot.ordinals().filter(|&ordinal| ordinal >= kept));
        }
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
        | ApiFault::TakeSnapshot { .. }
        | ApiFault::RestoreSnapshot { .. }
        | ApiFault::Scale { .. }
        | ApiFault::Restart {}
        | ApiFault::SetImage { .. }
        | ApiFault::SetEnv { .. }
        | ApiFault::BreakRollout { .. } => {}
    }
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
