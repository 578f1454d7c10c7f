//! The catalogue of faults.
//!
//! Each fault is one file with its parameters, its rules and what it does to whom, all pure: the same type serves YAML,
//! the journal and the CRDs. What it does on a host lives beside it in `NAME/host.rs`. A new fault is those files
//! and one line in the list below, with a variant of [`HostFault`] and one line in [`host`] where a node has a part in it.
//! What the documentation of its type says is its page in `seatrial faults`: in a line what it does, then in a paragraph
//! each what it changes, how that is undone, what is left if everything of ours dies, what it needs, and its proof.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;
use std::time::Duration;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::api::{ApiFault, DeniedResource, DisruptionBudgets, HostFault, Ordinal, Shape, ShapedTraffic};
use crate::experiment::Selection;

pub mod api_deny;
mod back_off;
pub mod claim_delete;
pub mod disk_driver;
pub mod disk_error;
pub mod disk_fill;
pub mod disk_latency;
pub mod disk_read_only;
pub mod disk_stall;
pub mod disk_throttle;
pub mod gated_disk;
mod hold;
pub mod host;
pub mod io_stress;
pub mod kubelet_stop;
mod listed;
pub mod mapped_disk;
pub mod network_bandwidth;
pub mod network_delay;
pub mod network_loss;
pub mod network_partition;
pub mod network_shaping;
pub mod node_down;
mod nodes;
pub mod pod_evict;
pub mod pod_kill;
pub mod power_loss;
pub mod process_pause;
pub mod provision_block;
pub mod rollout_break;
pub mod scheduling_block;
pub mod snapshot_block;
pub mod volume_attach_block;
pub mod volume_detach_stuck;
pub mod write_stall;
mod wrong;

pub use back_off::{BackOff, Repeated};
pub use hold::Hold;
pub use listed::Listed;
pub use wrong::Wrong;

/// What every fault says of itself.
pub trait Kind {
    /// Its name in documents.
    const NAME: &'static str;
    /// One line for catalogues.
    const SUMMARY: &'static str;
    /// Its parameters as they are written for the first time, in lines of YAML.
    const EXAMPLE: &'static str;

    /// Whether it stays until it is taken back, and so needs a duration.
    fn must_last(&self) -> bool;

    /// Whether it can stay, given whether it follows re-created pods.
    fn may_last(&self, follow: bool) -> bool;

    /// Whom it selects, for checks before any snapshot exists. Empty where it speaks of all members.
    fn selection(&self) -> Option<&Selection>;

    /// Whether it only makes sense for members that tell their role.
    fn needs_roles(&self) -> bool {
        matches!(self.selection(), Some(Selection::Role { .. }))
    }

    /// The fewest members that it makes sense for.
    fn fewest_members(&self) -> u32 {
        1
    }

    /// Whether it is done through the API server of Kubernetes alone, which a sandbox does not have.
    fn needs_kubernetes(&self) -> bool {
        false
    }

    /// Whether it can be done again to every new pod.
    fn can_follow(&self) -> bool {
        !self.needs_kubernetes()
    }

    /// Why it can be done in a sandbox alone, where it can.
    fn needs_sandbox(&self) -> Option<&'static str> {
        None
    }

    /// Of which kinds it denies the creation of members' objects.
    fn denies(&self) -> Vec<DeniedResource> {
        Vec::new()
    }

    /// Whether a node's agent carries it out, so that there must be one on each node of the target.
    fn acts_on_a_node(&self) -> bool {
        !self.needs_kubernetes()
    }

    /// The claim templates that it names. Empty where it means all, or none.
    fn claims(&self) -> &[String] {
        &[]
    }

    /// The state in which it keeps members, whichever of its drivers does it.
    fn hold(&self) -> Option<Hold> {
        self.denies().contains(&DeniedResource::Pods).then_some(Hold::Unmade)
    }

    /// Every state in which it may keep members, for checks of steps that overlap.
    fn holds(&self) -> Vec<Hold> {
        self.hold().into_iter().collect()
    }

    /// Whether it asks PodDisruptionBudgets.
    fn budgets(&self) -> DisruptionBudgets {
        DisruptionBudgets::Respect
    }

    /// Everything that is wrong with its parameters and that their types do not tell.
    fn wrong(&self) -> Vec<Wrong> {
        Vec::new()
    }

    /// What it destroys for good, if anything, in words that follow its name.
    fn destroys(&self) -> Option<&'static str> {
        None
    }

    /// Whether it makes durable what was written and not fsynced, so that a missing fsync is not found by it.
    fn writes_out(&self) -> bool {
        false
    }

    /// The shortest time for which it can be proven and felt, and why. Proofs are renewed every second.
    fn shortest(&self) -> (Duration, &'static str) {
        (Duration::from_secs(1), "its proof is renewed once a second")
    }

    /// For how long Kubernetes may still wait when the last of it is over: it tries again later and later.
    fn back_off(&self, _repeated: &Repeated) -> Option<BackOff> {
        None
    }

    /// The drivers by which a node may do it, the best first; empty where there is one way only.
    fn drivers(&self) -> Vec<&'static str> {
        Vec::new()
    }

    /// Decides who is hit and how. All choices come from `chooser`, all facts from it as well.
    fn resolve(&self, chooser: &mut dyn Chooser) -> Result<Resolved, String>;
}

/// Facts about the target now, and the run's seeded choices. Implemented by [`crate::plan`].
pub trait Chooser {
    /// Every ordinal of the target, ascending.
    fn all(&self) -> Vec<Ordinal>;

    /// The members that a selection means, ascending. Says why there are none.
    fn pick(&mut self, selection: &Selection) -> Result<Vec<Ordinal>, String>;

    /// All ordinals in an order that the seed decides.
    fn shuffled(&mut self) -> Vec<Ordinal>;

    /// A number that the run's seed decides, for choices that are made elsewhere.
    fn seed(&self) -> u32;

    /// Who leads now, if the store tells.
    fn leader(&self) -> Option<Ordinal>;

    /// The node that a member's pod runs on, if it runs.
    fn node(&self, ordinal: Ordinal) -> Option<String>;
}

/// What a fault means for the members that exist now.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Resolved {
    /// What is done to each hit member.
    pub hits: BTreeMap<Ordinal, Action>,
    /// What is done to the StatefulSet as a whole.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub set: Option<Action>,
    /// Whether a member is hit only when the one before is back.
    #[serde(default)]
    pub one_by_one: bool,
    /// What the group loses by it, for the quorum guard.
    pub damage: Damage,
}

impl Resolved {
    /// Everybody whom it hits, or who is lost by it.
    pub fn members(&self) -> BTreeSet<Ordinal> {
        self.hits.keys().chain(&self.damage.down).copied().collect()
    }
}

/// What is done to one member.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub enum Action {
    /// Its pod is deleted through the platform, with this grace period or its own.
    DeletePod {
        /// The grace period; the pod's own where none is given.
        #[serde(default, with = "crate::experiment::duration::optional")]
        #[schemars(with = "Option<crate::experiment::duration::Text>")]
        grace: Option<Duration>,
    },
    /// Its node does it to this member alone.
    Host(HostFault),
    /// Packets between it and others are dropped.
    Cut {
        /// Members from which packets are dropped, at this member's end.
        drop_from: BTreeSet<Ordinal>,
        /// Members to which packets are dropped, at this member's end.
        drop_to: BTreeSet<Ordinal>,
        /// Only these ports; all where empty.
        ports: Vec<u16>,
        /// Whether clients are cut off as well.
        clients: bool,
    },
    /// Packets from it to others are delayed, lost or slowed down.
    Shape {
        /// The other members.
        to: BTreeSet<Ordinal>,
        /// Whether packets to everybody else are meant as well.
        everybody: bool,
        /// Only these ports; all where empty.
        ports: Vec<u16>,
        /// How they are treated.
        shape: Shape,
    },
    /// The run does it through the API server.
    Api(ApiFault),
}

impl Action {
    /// The same for whoever does it, with the addresses that members have now. `None` for what the platform does itself.
    pub fn on_host(&self, addresses: &BTreeMap<Ordinal, IpAddr>) -> Option<HostFault> {
        match self {
            Self::DeletePod { .. } => None,
            Self::Host(fault) => Some(fault.clone()),
            Self::Cut { drop_from, drop_to, ports, clients } => Some(HostFault::Partition {
                peers: drop_from
                    .union(drop_to)
                    .map(|&ordinal| crate::api::Peer {
                        ordinal,
                        addresses: addresses.get(&ordinal).copied().into_iter().collect(),
                        drop_from: drop_from.contains(&ordinal),
                        drop_to: drop_to.contains(&ordinal),
                    })
                    .collect(),
                ports: ports.clone(),
                clients: *clients,
            }),
            Self::Shape { to, everybody, ports, shape } => Some(HostFault::Shape(ShapedTraffic {
                members: to.iter().filter_map(|ordinal| addresses.get(ordinal).copied()).collect(),
                everybody: *everybody,
                ports: ports.clone(),
                shape: shape.clone(),
            })),
            Self::Api(fault) => Some(HostFault::Api(fault.clone())),
        }
    }

    /// Whether it also hits a pod that is being deleted: one whose node has gone hangs there until it is deleted by force.
    pub fn ends_who_is_going(&self) -> bool {
        matches!(self, Self::DeletePod { grace: Some(grace) } if grace.is_zero())
    }

    /// Whether the node that its pod runs on goes with it, whoever else has pods there.
    pub fn takes_the_node(&self) -> bool {
        matches!(self, Self::Api(ApiFault::NodeDown { .. }) | Self::Host(HostFault::StopKubelet {}))
    }

    /// Whether it is about packets, so that whom it hits needs an address.
    pub fn needs_an_address(&self) -> bool {
        match self {
            Self::Cut { .. } | Self::Shape { .. } => true,
            Self::DeletePod { .. } | Self::Host(_) | Self::Api(_) => false,
        }
    }
}

/// What a fault takes away from a group.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Damage {
    /// Members that do not answer.
    pub down: BTreeSet<Ordinal>,
    /// Directed links on which packets are lost, from → to.
    pub cut: BTreeSet<(Ordinal, Ordinal)>,
    /// How many members are away at a time, one set after another, whoever it is.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub rolling: u32,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde calls it with a reference")]
fn is_zero(number: &u32) -> bool {
    *number == 0
}

impl Fault {
    /// Why a member cannot be kept by two faults at once, if so by any of the drivers that may do them.
    pub fn contradicts(&self, other: &Self) -> Option<String> {
        let theirs = other.holds();
        let pairs =
            self.holds().into_iter().flat_map(|own| theirs.iter().map(move |&other| own.contradicts(other)));
        let pairs: Vec<Option<&'static str>> = pairs.collect();
        let why = pairs.iter().flatten().next()?;
        let instead =
            if pairs.contains(&None) { ", by one of the drivers that may do it: name another" } else { "" };
        Some(format!("{why}{instead}"))
    }

    /// What a node must be able to do for it, as its agent says it: its name, with a driver where no other will do.
    pub fn capability(&self) -> String {
        match self.drivers().as_slice() {
            [only] => by(self.name(), only),
            _ => self.name().to_owned(),
        }
    }
}

/// A fault by one of its drivers, as an agent says that its node can do it.
pub fn by(fault: &str, driver: &str) -> String {
    format!("{fault}/{driver}")
}

/// Makes the enum and the catalogue from one list.
macro_rules! faults {
    ($($variant:ident = $type:ty),* $(,)?) => {
        /// A fault with its parameters, as it is written: `{NAME: {…}}`.
        #[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
        #[serde(rename_all = "camelCase")]
        pub enum Fault {
            $(
                #[doc = concat!("See [`", stringify!($type), "`].")]
                $variant($type),
            )*
        }

        /// Every fault, in the order of the list.
        pub const CATALOGUE: &[Listed] = &[$(Listed::of::<$type>()),*];

        impl Fault {
            /// Its name in documents.
            pub fn name(&self) -> &'static str {
                match self { $(Self::$variant(_) => <$type as Kind>::NAME),* }
            }

            /// See [`Kind::must_last`].
            pub fn must_last(&self) -> bool {
                match self { $(Self::$variant(kind) => kind.must_last()),* }
            }

            /// See [`Kind::may_last`].
            pub fn may_last(&self, follow: bool) -> bool {
                match self { $(Self::$variant(kind) => kind.may_last(follow)),* }
            }

            /// See [`Kind::selection`].
            pub fn selection(&self) -> Option<&Selection> {
                match self { $(Self::$variant(kind) => kind.selection()),* }
            }

            /// See [`Kind::needs_roles`].
            pub fn needs_roles(&self) -> bool {
                match self { $(Self::$variant(kind) => kind.needs_roles()),* }
            }

            /// See [`Kind::fewest_members`].
            pub fn fewest_members(&self) -> u32 {
                match self { $(Self::$variant(kind) => kind.fewest_members()),* }
            }

            /// See [`Kind::needs_kubernetes`].
            pub fn needs_kubernetes(&self) -> bool {
                match self { $(Self::$variant(kind) => kind.needs_kubernetes()),* }
            }

            /// See [`Kind::needs_sandbox`].
            pub fn needs_sandbox(&self) -> Option<&'static str> {
                match self { $(Self::$variant(kind) => kind.needs_sandbox()),* }
            }

            /// See [`Kind::denies`].
            pub fn denies(&self) -> Vec<DeniedResource> {
                match self { $(Self::$variant(kind) => kind.denies()),* }
            }

            /// See [`Kind::can_follow`].
            pub fn can_follow(&self) -> bool {
                match self { $(Self::$variant(kind) => kind.can_follow()),* }
            }

            /// See [`Kind::acts_on_a_node`].
            pub fn acts_on_a_node(&self) -> bool {
                match self { $(Self::$variant(kind) => kind.acts_on_a_node()),* }
            }

            /// See [`Kind::claims`].
            pub fn claims(&self) -> &[String] {
                match self { $(Self::$variant(kind) => kind.claims()),* }
            }

            /// See [`Kind::holds`].
            pub fn holds(&self) -> Vec<Hold> {
                match self { $(Self::$variant(kind) => kind.holds()),* }
            }

            /// See [`Kind::budgets`].
            pub fn budgets(&self) -> DisruptionBudgets {
                match self { $(Self::$variant(kind) => kind.budgets()),* }
            }

            /// See [`Kind::wrong`].
            pub fn wrong(&self) -> Vec<Wrong> {
                match self { $(Self::$variant(kind) => kind.wrong()),* }
            }

            /// See [`Kind::destroys`].
            pub fn destroys(&self) -> Option<&'static str> {
                match self { $(Self::$variant(kind) => kind.destroys()),* }
            }

            /// See [`Kind::writes_out`].
            pub fn writes_out(&self) -> bool {
                match self { $(Self::$variant(kind) => kind.writes_out()),* }
            }

            /// See [`Kind::shortest`].
            pub fn shortest(&self) -> (Duration, &'static str) {
                match self { $(Self::$variant(kind) => kind.shortest()),* }
            }

            /// See [`Kind::back_off`].
            pub fn back_off(&self, repeated: &Repeated) -> Option<BackOff> {
                match self { $(Self::$variant(kind) => kind.back_off(repeated)),* }
            }

            /// See [`Kind::drivers`].
            pub fn drivers(&self) -> Vec<&'static str> {
                match self { $(Self::$variant(kind) => kind.drivers()),* }
            }

            /// See [`Kind::resolve`].
            pub fn resolve(&self, chooser: &mut dyn Chooser) -> Result<Resolved, String> {
                match self { $(Self::$variant(kind) => kind.resolve(chooser)),* }
            }
        }
    };
}

faults! {
    PodKill = pod_kill::PodKill,
    ProcessPause = process_pause::ProcessPause,
    NetworkPartition = network_partition::NetworkPartition,
    NetworkDelay = network_delay::NetworkDelay,
    NetworkLoss = network_loss::NetworkLoss,
    NetworkBandwidth = network_bandwidth::NetworkBandwidth,
    PowerLoss = power_loss::PowerLoss,
    DiskLatency = disk_latency::DiskLatency,
    DiskError = disk_error::DiskError,
    DiskThrottle = disk_throttle::DiskThrottle,
    DiskStall = disk_stall::DiskStall,
    WriteStall = write_stall::WriteStall,
    DiskFill = disk_fill::DiskFill,
    DiskReadOnly = disk_read_only::DiskReadOnly,
    IoStress = io_stress::IoStress,
    PodEvict = pod_evict::PodEvict,
    NodeDown = node_down::NodeDown,
    KubeletStop = kubelet_stop::KubeletStop,
    ClaimDelete = claim_delete::ClaimDelete,
    VolumeDetachStuck = volume_detach_stuck::VolumeDetachStuck,
    RolloutBreak = rollout_break::RolloutBreak,
    ApiDeny = api_deny::ApiDeny,
    ProvisionBlock = provision_block::ProvisionBlock,
    SnapshotBlock = snapshot_block::SnapshotBlock,
    SchedulingBlock = scheduling_block::SchedulingBlock,
    VolumeAttachBlock = volume_attach_block::VolumeAttachBlock,
}
