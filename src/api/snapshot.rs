//! The target as the platform sees it.

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
    /// The pods that exist, by ordinal.
    pub pods: Vec<Pod>,
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
    /// Every ordinal that the StatefulSet asks for, whether its pod exists or not.
    pub fn ordinals(&self) -> impl Iterator<Item = Ordinal> + use<> {
        self.first_ordinal..self.first_ordinal.saturating_add(self.replicas)
    }

    /// The pod of `ordinal`, if it exists.
    pub fn pod(&self, ordinal: Ordinal) -> Option<&Pod> {
        self.pods.iter().find(|pod| pod.ordinal == ordinal)
    }

    /// How many of the asked-for ordinals are Ready.
    pub fn ready(&self) -> usize {
        self.ordinals().filter(|&ordinal| self.pod(ordinal).is_some_and(|pod| pod.ready)).count()
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
    /// The Ready condition.
    pub ready: bool,
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
    /// Why it does not run, for example `CrashLoopBackOff (exit code 1)`.
    pub waiting: Option<String>,
}
