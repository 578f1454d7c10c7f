//! The contract between a run and a node: the run writes the spec, the node writes the status, nothing else passes
//! between them.

use std::net::IpAddr;
use std::time::Duration;

use jiff::Timestamp;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{
    ApiFault, ErrorDriver, FailingDisk, FullDisk, HeldVolume, LatencyDriver, Measured, Ordinal, ReadOnlyDisk,
    ShapedTraffic, SlowDisk, StalledDisk, StressedDisk, ThrottledDisk,
};

/// What must be true of one pod for one step, and what is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Injection {
    /// Written by the run.
    pub spec: InjectionSpec,
    /// Written by the node; nothing before it has looked.
    pub status: Option<InjectionStatus>,
}

/// The desired state of one fault on one pod.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct InjectionSpec {
    /// Unique within the platform: `RUN.STEP.OCCURRENCE.ORDINAL`, or `….set` for the StatefulSet as a whole; of what only
    /// measures, `RUN.volumes.ORDINAL`.
    pub name: String,
    /// The run that asks.
    pub run: String,
    /// The step it belongs to.
    pub step: String,
    /// Which occurrence of a repeated step, from 0.
    pub occurrence: u32,
    /// Whom it hits.
    pub pod: PodRef,
    /// The container whose processes are meant; all of them where none is named.
    pub container: Option<String>,
    /// The resolved fault.
    pub fault: HostFault,
    /// Whether the fault shall be there.
    pub desired: Desired,
    /// When it ends, whatever happens.
    pub deadline: Deadline,
    /// Whether the fault goes over to the ordinal's next pod when this one is re-created.
    pub follow: bool,
}

/// A pod, and which one of its ordinal's. What is done through the API server names no node; what is done to the
/// StatefulSet as a whole has its name, its first ordinal and no UID.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct PodRef {
    /// The pod's name.
    pub name: String,
    /// Its ordinal.
    pub ordinal: Ordinal,
    /// The pod meant at the time of writing; with `follow`, the one that is there now.
    pub uid: String,
    /// The node it runs on; empty where the run does it itself, through the API server.
    pub node: String,
}

impl PodRef {
    /// The StatefulSet that it belongs to, or the group of pods by the beginning of its name.
    pub fn set(&self) -> &str {
        let of_pod = || self.name.strip_suffix(&self.ordinal.to_string())?.strip_suffix('-');
        // What has no UID is the StatefulSet itself.
        if self.uid.is_empty() { &self.name } else { of_pod().unwrap_or(&self.name) }
    }
}

/// Whether a fault shall be there.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum Desired {
    /// It shall.
    Injected,
    /// It shall not, and nothing of it shall be left.
    Reverted,
}

/// The absolute end of a fault, kept twice: the earlier of the two ends it, so that neither a changed wall clock nor a
/// suspended machine prolongs a fault.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Deadline {
    /// By the wall clock.
    pub at: Timestamp,
    /// From the moment of injection, by the node's boot-time clock.
    #[serde(with = "crate::experiment::duration")]
    #[schemars(with = "crate::experiment::duration::Text")]
    pub within: Duration,
}

/// What is done, with everything decided: by a node to one pod, or by the run through the API server.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub enum HostFault {
    /// SIGKILL every process of the chosen container or containers, once.
    Kill {},
    /// Stop processes from running.
    Pause {},
    /// Stop the kubelet of the pod's node, and nothing that it has started.
    StopKubelet {},
    /// Drop packets to and from other members.
    Partition {
        /// Every other member that is cut off in some direction. With `clients`, a direction that is not cut is spared,
        /// so that a member is no client.
        peers: Vec<Peer>,
        /// Only these destination ports, of either side; all where empty.
        ports: Vec<u16>,
        /// Whether clients outside the StatefulSet are cut off as well.
        clients: bool,
    },
    /// SIGKILL, forget what was not fsynced on these volumes, mount again. Done when the volumes are mounted again.
    PowerLoss {
        /// The claim templates whose volumes lose power; all where empty.
        claims: Vec<String>,
        /// Where what was not fsynced is torn: decides what of it is on the disk nevertheless.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        torn: Option<u32>,
    },
    /// Hold system calls on files of these volumes for a while.
    DiskLatency(Box<SlowDisk>),
    /// Have system calls on files of these volumes fail.
    DiskError(FailingDisk),
    /// Freeze the filesystems of these volumes.
    DiskStall(StalledDisk),
    /// Limit the I/O on these volumes.
    DiskThrottle(ThrottledDisk),
    /// Take the room, or the inodes, on these volumes.
    DiskFill(FullDisk),
    /// Make the filesystems of these volumes read-only.
    DiskReadOnly(ReadOnlyDisk),
    /// Read and write a file on these volumes, from the container's own cgroup.
    IoStress(StressedDisk),
    /// Keep these volumes mounted on the node.
    HoldVolume(HeldVolume),
    /// Delay, lose or slow down packets that leave the pod.
    Shape(ShapedTraffic),
    /// Read the volumes of the pod once a second, and change nothing: this is no fault.
    Measure {},
    /// Done by the run itself through the API server; no node has a part in it.
    Api(ApiFault),
}

impl HostFault {
    /// Whether it is done once it is proven, so that there is nothing to hold.
    pub fn happens_once(&self) -> bool {
        match self {
            Self::Kill {} | Self::PowerLoss { .. } => true,
            Self::Pause {}
            | Self::StopKubelet {}
            | Self::Partition { .. }
            | Self::DiskLatency(_)
            | Self::DiskError(_)
            | Self::DiskStall(_)
            | Self::DiskThrottle(_)
            | Self::DiskFill(_)
            | Self::DiskReadOnly(_)
            | Self::IoStress(_)
            | Self::HoldVolume(_)
            | Self::Shape(_)
            | Self::Measure {} => false,
            Self::Api(fault) => fault.happens_once(),
        }
    }

    /// Whether it only measures, so that it is in nobody's way and nothing of it can be left.
    pub fn changes_nothing(&self) -> bool {
        matches!(self, Self::Measure {})
    }

    /// Whether it goes on after its proof and says by itself, with `Reverted`, when it is over.
    pub fn ends_by_itself(&self) -> bool {
        matches!(self, Self::Api(fault) if fault.ends_by_itself())
    }

    /// Whether nothing of it can be left where the pod is gone: it was in its processes or its network.
    fn ends_with_its_pod(&self) -> bool {
        match self {
            Self::Kill {} | Self::Pause {} | Self::Partition { .. } | Self::Shape(_) | Self::Measure {} => {
                true
            }
            // What device mapper does outlives the processes.
            Self::DiskLatency(slow) => !slow.drivers().contains(&LatencyDriver::DmDelay),
            Self::DiskError(failing) => !failing.drivers().contains(&ErrorDriver::DmError),
            // What lives on a volume, on the node or in the API server is told by whoever did it; so is a limit, which may
            // outlive its cgroup.
            Self::PowerLoss { .. }
            | Self::DiskStall(_)
            | Self::DiskThrottle(_)
            | Self::DiskFill(_)
            | Self::DiskReadOnly(_)
            | Self::IoStress(_)
            | Self::HoldVolume(_)
            | Self::StopKubelet {}
            | Self::Api(_) => false,
        }
    }
}

impl InjectionSpec {
    /// Whether it is about the StatefulSet as a whole and not about one member.
    pub fn is_of_whole_set(&self) -> bool {
        self.pod.uid.is_empty()
    }

    /// Whether it asks for nothing but to measure.
    pub fn measures(&self) -> bool {
        self.desired == Desired::Injected && self.fault.changes_nothing()
    }

    /// Whether nothing of it can be left once its pod, the one with this UID, is gone.
    pub fn ends_with_its_pod(&self) -> bool {
        !self.follow && self.fault.ends_with_its_pod()
    }
}

/// A member on the other side of a cut.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Peer {
    /// Its ordinal.
    pub ordinal: Ordinal,
    /// Its addresses now; empty while it has none.
    pub addresses: Vec<IpAddr>,
    /// Whether packets from it are dropped here.
    pub drop_from: bool,
    /// Whether packets to it are dropped here.
    pub drop_to: bool,
}

/// What is true of an Injection.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct InjectionStatus {
    /// Where it stands.
    pub state: InjectionState,
    /// Since when.
    pub since: Timestamp,
    /// The newest proof of effect; renewed about every second while injected.
    pub proof: Option<Proof>,
    /// For how long the effect was proven so far.
    #[serde(with = "crate::experiment::duration")]
    #[schemars(with = "crate::experiment::duration::Text")]
    pub effective_for: Duration,
    /// What went wrong, for a person. A revert that fails is retried and says so here.
    pub error: Option<String>,
    /// It ended by itself because all of it was done, as a snapshot that is ready to use.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub done: bool,
    /// What was read last, where it measures.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub measured: Option<Measured>,
}

/// Where an Injection stands on its node.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum InjectionState {
    /// Seen, nothing done yet.
    Pending,
    /// In force and verified; for a fault that happens once: done and verified.
    Injected,
    /// Was in force, but its effect can no longer be proven; the error says since when and why.
    Lost,
    /// Never came into force, nothing of it is left.
    Failed,
    /// Gone, verified.
    Reverted,
    /// Could not be taken back yet; being retried.
    RevertFailed,
}

/// An observation on the host that the fault has effect.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Proof {
    /// When it was observed.
    pub at: Timestamp,
    /// Whether the observation shows the effect.
    pub holds: bool,
    /// What was observed, for a person: `frozen, cpu time 0.42 s unchanged over 1.0 s`.
    pub observed: String,
}
