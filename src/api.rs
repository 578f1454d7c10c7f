//! What the run and the platforms tell each other: snapshots of pods, samples of members, and Injections.

mod api_fault;
mod counted;
mod disk;
mod disk_driver;
mod injection;
mod measured;
mod members;
mod network;
mod snapshot;
mod volumes;

pub use api_fault::{ApiFault, Breakage, DeniedResource, DisruptionBudgets};
pub use counted::{are, counted};
pub use disk::{
    Delay, DiskErrno, DiskOperation, FailingDisk, Fill, FullDisk, HeldVolume, MOST_RECORDED, Pulses,
    ReadOnlyDisk, Recorded, SlowDisk, StalledDisk, StressedDisk, ThrottledDisk,
};
pub use disk_driver::{ErrorDriver, LatencyDriver, Misfit};
pub use injection::{
    Deadline, Desired, HostFault, Injection, InjectionSpec, InjectionState, InjectionStatus, Peer, PodRef,
    Proof,
};
pub use measured::{Measured, MeasuredVolume, Seen, VolumeInodes, VolumeIo, VolumeRoom};
pub use members::{Member, MemberSample, Members, Role, WriteNeeds};
pub use network::{Shape, ShapedTraffic};
pub use snapshot::{ContainerStatus, DisruptionBudget, Disturbance, Pod, PodPhase, Rollout, Snapshot};
pub use volumes::{ClaimedVolume, Volumes};

/// The number of a StatefulSet's pod.
pub type Ordinal = u32;

/// Nanoseconds of the run's monotonic clock since the run began.
pub type Nanos = u64;
