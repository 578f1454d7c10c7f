//! The target as the platform sees it.

use std::collections::BTreeSet;
use std::net::IpAddr;

use serde::de::Error as _;
use serde::{Deserialize, Deserializer, Serialize};

use super::Ordinal;

/// A StatefulSet and its pods at one instant.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Snapshot {
    /// The StatefulSet's name; empty until the platform has seen it.
    pub name: String,
    /// Its namespace.
    pub namespace: String,
    /// `spec.replicas`.
    #[serde(deserialize_with = "plausible")]
    pub replicas: u32,
    /// `spec.ordinals.start`.
    pub first_ordinal: Ordinal,
    /// Exactly these ordinals, where the members are not numbered without a gap; see [`Self::ordinals`].
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub numbered: Option<BTreeSet<Ordinal>>,
    /// What the pods are to become; unknown where the platform does not tell.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rollout: Option<Rollout>,
    /// The pods that exist, by ordinal.
    pub pods: Vec<Pod>,
    /// What other runs do to these pods now, or are about to do.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub disturbances: Vec<Disturbance>,
    /// The disruption budgets that cover members.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub budgets: Vec<DisruptionBudget>,
}

/// What another run does to the target.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Disturbance {
    /// Who does it, for a person: `Injection RUN.STEP.0.1`.
    pub by: String,
    /// Members that do not answer by it.
    pub down: BTreeSet<Ordinal>,
    /// Directed links on which packets are lost by it, from → to.
    pub cut: BTreeSet<(Ordinal, Ordinal)>,
    /// How many members it takes away at a time, one after the other.
    pub rolling: u32,
}

/// How many of some members must be healthy, by a PodDisruptionBudget.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct DisruptionBudget {
    /// Its name.
    pub name: String,
    /// The members that it covers.
    pub covers: BTreeSet<Ordinal>,
    /// How many of them must be healthy.
    pub wants: u32,
}

/// The revision that pods are to have.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Rollout {
    /// `status.updateRevision`.
    pub revision: String,
    /// `spec.updateStrategy.rollingUpdate.partition`: only pods from this ordinal on are to have it.
    pub partition: Ordinal,
}

/// More pods than any StatefulSet has: a record that says so was not made by a run, and would take for ever to judge.
const MOST_REPLICAS: u32 = 10_000;

fn plausible<'de, D: Deserializer<'de>>(deserializer: D) -> Result<u32, D::Error> {
    let replicas = u32::deserialize(deserializer)?;
    if replicas <= MOST_REPLICAS {
        Ok(replicas)
    } else {
        Err(D::Error::custom(format!("{replicas} replicas are more than any StatefulSet has")))
    }
}

impl Snapshot {
    /// Every ordinal that is asked for, ascending, whether its pod exists or not.
    pub fn ordinals(&self) -> impl Iterator<Item = Ordinal> + use<> {
        let numbered = self.numbered.clone();
        let counted = self.first_ordinal..self.first_ordinal.saturating_add(self.replicas);
        let counted = numbered.is_none().then_some(counted);
        numbered.into_iter().flatten().chain(counted.into_iter().flatten())
    }

    /// Whether an ordinal is asked for.
    pub fn asks_for(&self, ordinal: Ordinal) -> bool {
        match &self.numbered {
            Some(numbered) => numbered.contains(&ordinal),
            None => ordinal.checked_sub(self.first_ordinal).is_some_and(|place| place < self.replicas),
        }
    }

    /// The pod of `ordinal`, if it exists.
    pub fn pod(&self, ordinal: Ordinal) -> Option<&Pod> {
        // Where nobody is missing each has its place; thousands of members are asked for thousands of times.
        let place = ordinal.checked_sub(self.first_ordinal).and_then(|place| self.pods.get(place as usize));
        match place {
            Some(pod) if pod.ordinal == ordinal => Some(pod),
            Some(_) | None => self.pods.iter().find(|pod| pod.ordinal == ordinal),
        }
    }

    /// What the first pod that is not Ready waits for, where the platform tells.
    pub fn why_not_ready(&self) -> Option<String> {
        let others = self.pods.iter().filter(|pod| !pod.ready);
        let containers = others.flat_map(|pod| pod.containers.iter().map(move |container| (pod, container)));
        let mut whys = containers.filter_map(|(pod, container)| {
            Some(format!("{} of {} is {}", container.name, pod.name, container.waiting.as_ref()?))
        });
        whys.next()
    }

    /// How many of the asked-for ordinals are Ready.
    pub fn ready(&self) -> usize {
        self.ordinals().filter(|&ordinal| self.pod(ordinal).is_some_and(|pod| pod.ready)).count()
    }

    /// Ordinals whose pod is not the one that the rollout asks for, or is not Ready; `None` where no revision is known.
    pub fn behind(&self) -> Option<Vec<Ordinal>> {
        let Rollout { revision, partition } = self.rollout.as_ref()?;
        let is_there = |pod: &Pod| pod.ready && pod.revision.as_ref() == Some(revision);
        let asked = self.ordinals().filter(|ordinal| ordinal >= partition);
        Some(asked.filter(|&ordinal| !self.pod(ordinal).is_some_and(is_there)).collect())
    }
}

/// A pod.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Pod {
    /// `metadata.name`.
    pub name: String,
    /// Its ordinal.
    pub ordinal: Ordinal,
    /// `metadata.uid`: changes when the pod is re-created.
    pub uid: String,
    /// Its address, once it has one.
    pub ip: Option<IpAddr>,
    /// The node it runs on.
    pub node: String,
    /// Where it is in its life.
    pub phase: PodPhase,
    /// The Ready condition; false of a pod that is being deleted.
    pub ready: bool,
    /// The revision of the template that it was made from, where the platform tells.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub revision: Option<String>,
    /// Its containers, in the order of the template.
    pub containers: Vec<ContainerStatus>,
}

/// Where a pod is in its life.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum PodPhase {
    /// Accepted, not every container started yet.
    Pending,
    /// Every container was started at least once.
    Running,
    /// Deleted, in its grace period.
    Terminating,
}

/// A container of a pod.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ContainerStatus {
    /// Its name.
    pub name: String,
    /// Whether it runs now.
    pub running: bool,
    /// Its readiness probe's answer, or whether it runs where it has none.
    pub ready: bool,
    /// How often it was restarted.
    pub restarts: u32,
    /// Why it does not run, for example `CrashLoopBackOff (exit code 1)`; a sandbox tells what it wrote last, too.
    pub waiting: Option<String>,
}
