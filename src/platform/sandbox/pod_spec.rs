//! What the sandbox runs: a StatefulSet reduced to what is honoured, with every reference already resolved per pod.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::Duration;

use serde::{Deserialize, Serialize};

mod container;
mod keyed;

pub use container::{
    Container, EnvValue, EnvVar, FieldPath, Hook, Limits, Mount, Probe, ProbeCheck, Rights, Unpacked,
};
pub use keyed::{Key, KeyRef, Keyed, KeyedKind, Shown, ShownFile, ShownVolume};

/// A StatefulSet with its headless Service, as the sandbox runs it. Made by `manifest` from YAML; sent as JSON to init.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SetSpec {
    /// `metadata.name`.
    pub name: String,
    /// `metadata.namespace`, `default` where none is given.
    pub namespace: String,
    /// The governing headless Service's name.
    pub service: String,
    /// `publishNotReadyAddresses` of that Service: whether names of pods that are not ready resolve.
    pub publish_not_ready: bool,
    /// `ports` of that Service, in the order of the manifest.
    pub service_ports: Vec<ServicePort>,
    /// How many ordinals.
    pub replicas: u32,
    /// `spec.ordinals.start`.
    pub first_ordinal: u32,
    /// One after the other, or all at once.
    pub start: StartOrder,
    /// `minReadySeconds`.
    pub min_ready: Duration,
    /// The pod's template.
    pub pod: PodTemplate,
    /// `volumeClaimTemplates`.
    pub claims: Vec<ClaimTemplate>,
    /// The images of its containers that come from archives.
    pub images: Vec<ImageFile>,
    /// The Secrets of its namespace.
    pub secrets: Vec<Keyed>,
    /// The ConfigMaps of its namespace.
    pub config_maps: Vec<Keyed>,
}

/// An image in an archive.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ImageFile {
    /// As the manifest names it.
    pub name: String,
    /// The archive.
    pub file: PathBuf,
    /// Which image it is, in letters that can name a folder.
    pub id: String,
}

/// A port of the governing Service, for SRV records. A headless Service translates no ports, so that clients reach a
/// pod on `target`, whatever the Service's own number is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ServicePort {
    /// `name`; only a Service with a single port may leave it out.
    pub name: Option<String>,
    /// `protocol`.
    pub protocol: Protocol,
    /// `targetPort` as a number: a name is resolved by the containers' ports.
    pub target: u16,
}

/// A transport protocol.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Protocol {
    /// `TCP`
    Tcp,
    /// `UDP`
    Udp,
}

/// `podManagementPolicy`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum StartOrder {
    /// `OrderedReady`: the next ordinal starts when the one before it is Ready.
    Ordered,
    /// `Parallel`.
    Parallel,
}

/// `spec.template`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PodTemplate {
    /// `metadata.labels`, for field references.
    pub labels: BTreeMap<String, String>,
    /// `metadata.annotations`, for field references.
    pub annotations: BTreeMap<String, String>,
    /// `serviceAccountName`, for field references.
    pub service_account: String,
    /// `initContainers`, in order before `containers`: run to completion, or started where they are sidecars.
    pub init_containers: Vec<Container>,
    /// `containers`.
    pub containers: Vec<Container>,
    /// `emptyDir` volumes by name.
    pub empty_dirs: Vec<EmptyDir>,
    /// Volumes by name that show Secrets, ConfigMaps and fields of the pod.
    pub shown_volumes: Vec<ShownVolume>,
    /// `terminationGracePeriodSeconds`.
    pub grace: Duration,
    /// `setHostnameAsFQDN`: whether the pod's hostname is its whole name in the cluster.
    pub hostname_is_fqdn: bool,
    /// `securityContext.fsGroup`: volumes belong to this group, may be written by it, and every process is in it.
    pub fs_group: Option<u32>,
    /// `securityContext.fsGroupChangePolicy: OnRootMismatch`: a volume whose root is the group's already is taken as it is.
    pub fs_group_of_root: bool,
    /// `securityContext.supplementalGroupsPolicy: Strict`: what the image says about the groups of its user does not count.
    pub strict_groups: bool,
    /// `securityContext.supplementalGroups` of every process.
    pub supplemental_groups: Vec<u32>,
}

impl PodTemplate {
    /// The containers that run as long as the pod, in the order of their statuses: the main ones, then sidecars.
    pub fn lasting(&self) -> impl Iterator<Item = &Container> {
        let sidecars = self.init_containers.iter().filter(|container| container.is_sidecar);
        self.containers.iter().chain(sidecars)
    }
}

/// An `emptyDir` volume.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct EmptyDir {
    /// Its name.
    pub name: String,
    /// `medium: Memory`.
    pub in_memory: bool,
    /// `sizeLimit` in bytes, honoured where it is in memory.
    pub size: Option<u64>,
}

/// A claim of each ordinal.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ClaimTemplate {
    /// Its name.
    pub name: String,
    /// The requested size in bytes.
    pub size: u64,
}
