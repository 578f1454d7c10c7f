//! What the sandbox runs: a StatefulSet reduced to what is honoured, with every reference already resolved per pod.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::path::PathBuf;
use std::time::Duration;

use secrecy::{ExposeSecret, SecretSlice};
use serde::{Deserialize, Serialize};

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

/// What a container has from its image, besides what the manifest does not say otherwise.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Unpacked {
    /// Which of the images of the set.
    pub id: String,
    /// Its user, and its group behind a colon: names or numbers.
    pub user: String,
    /// Its environment.
    pub env: Vec<(String, String)>,
}

/// A Secret or a ConfigMap.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Keyed {
    /// `metadata.name`.
    pub name: String,
    /// `data`, `stringData` and `binaryData`.
    pub keys: Vec<Key>,
}

/// Which of the two.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum KeyedKind {
    /// A Secret.
    Secret,
    /// A ConfigMap.
    ConfigMap,
}

impl fmt::Display for KeyedKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Secret => "Secret",
            Self::ConfigMap => "ConfigMap",
        })
    }
}

/// A key of one of them.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct KeyRef {
    /// What it is a key of.
    pub kind: KeyedKind,
    /// The name of that.
    pub object: String,
    /// The key.
    pub key: String,
}

impl fmt::Display for KeyRef {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} of {} {}", self.key, self.kind, self.object)
    }
}

/// A key with its content, which is never written along with the rest: the sandbox keeps it in files of its own.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Key {
    /// The key.
    pub name: String,
    /// What it holds; nothing once it has been written and read.
    #[serde(skip, default = "nothing")]
    pub content: SecretSlice<u8>,
}

fn nothing() -> SecretSlice<u8> {
    Vec::new().into()
}

impl PartialEq for Key {
    fn eq(&self, other: &Self) -> bool {
        self.name == other.name && self.content.expose_secret() == other.content.expose_secret()
    }
}

impl Eq for Key {}

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

/// One container.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Container {
    /// Its name.
    pub name: String,
    /// The image whose files are its root; without one its root is made of the host's.
    pub image: Option<Unpacked>,
    /// The program and its arguments, before `$(NAME)` is expanded.
    pub argv: Vec<String>,
    /// `workingDir`.
    pub working_dir: Option<PathBuf>,
    /// Environment, in order; later ones may refer to earlier ones by `$(NAME)`.
    pub env: Vec<EnvVar>,
    /// Where volumes are mounted.
    pub mounts: Vec<Mount>,
    /// `securityContext.runAsUser`, of the container or else of the pod.
    pub run_as_user: Option<u32>,
    /// `securityContext.runAsGroup`.
    pub run_as_group: Option<u32>,
    /// Named ports, for probes: name → port.
    pub ports: BTreeMap<String, u16>,
    /// `readinessProbe`.
    pub readiness: Option<Probe>,
    /// `livenessProbe`.
    pub liveness: Option<Probe>,
    /// `startupProbe`: until it succeeds, the other two do not run.
    pub startup: Option<Probe>,
    /// What its `securityContext` says about its rights.
    pub rights: Rights,
    /// `resources.limits`.
    pub limits: Limits,
    /// `restartPolicy: Always` of an init container: it runs as long as the pod.
    pub is_sidecar: bool,
    /// `lifecycle.postStart`: until it is done, the container is not ready; it ends where that fails.
    pub post_start: Option<Hook>,
    /// `lifecycle.preStop`, before it is asked to end.
    pub pre_stop: Option<Hook>,
    /// The number of the signal that asks it to end: `lifecycle.stopSignal`, SIGTERM otherwise.
    pub stop_signal: Option<i32>,
}

/// What the processes of a container may do.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Rights {
    /// `readOnlyRootFilesystem`: only volumes can be written to.
    pub read_only_root: bool,
    /// `allowPrivilegeEscalation: false`: no program gets more rights than who started it.
    pub no_new_privileges: bool,
    /// The capabilities of root by number, where `capabilities` says other ones than usual.
    pub capabilities: Option<BTreeSet<u8>>,
}

/// As much as the processes of a container may take, together.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Limits {
    /// `memory` in bytes.
    pub memory: Option<u64>,
    /// `cpu` in thousandths of a processor.
    pub cpu: Option<u64>,
}

/// What is done at the start or the end of a container.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Hook {
    /// `exec` or `httpGet`.
    Check(ProbeCheck),
    /// `sleep`.
    Sleep(Duration),
}

/// An environment variable.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct EnvVar {
    /// Its name.
    pub name: String,
    /// Where its value comes from.
    pub value: EnvValue,
}

/// The value of an environment variable.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum EnvValue {
    /// A text in which `$(NAME)` is expanded.
    Text(String),
    /// A `fieldRef`, by its path, for example `metadata.name` or `status.podIP`; only supported paths get here.
    Field(FieldPath),
    /// A `secretKeyRef` or a `configMapKeyRef`: what the key holds, as it is.
    Key(KeyRef),
}

/// The field paths that the sandbox can answer.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum FieldPath {
    /// `metadata.name`
    PodName,
    /// `metadata.namespace`
    Namespace,
    /// `metadata.uid`
    PodUid,
    /// `metadata.labels['KEY']` (also the labels that the StatefulSet controller adds:
    /// `statefulset.kubernetes.io/pod-name`, `apps.kubernetes.io/pod-index`)
    Label(String),
    /// `metadata.annotations['KEY']`
    Annotation(String),
    /// `metadata.labels`, a line for each; in files only
    Labels,
    /// `metadata.annotations`; in files only
    Annotations,
    /// `status.podIP`, `status.podIPs`
    PodIp,
    /// `status.hostIP`, `status.hostIPs`
    HostIp,
    /// `spec.nodeName`
    NodeName,
    /// `spec.serviceAccountName`
    ServiceAccount,
}

/// A volume mount.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Mount {
    /// The volume's or claim template's name.
    pub volume: String,
    /// Where, absolute.
    pub path: PathBuf,
    /// A folder inside the volume.
    pub sub_path: Option<PathBuf>,
    /// Whether it may only be read.
    pub read_only: bool,
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

/// A `secret`, `configMap`, `downwardAPI` or `projected` volume: files that are made for the pod.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ShownVolume {
    /// Its name.
    pub name: String,
    /// What is in it.
    pub files: Vec<ShownFile>,
}

/// A file of such a volume.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ShownFile {
    /// Where in the volume.
    pub path: PathBuf,
    /// Its permissions.
    pub mode: u32,
    /// What it holds.
    pub content: Shown,
}

/// What a file of such a volume holds.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Shown {
    /// What a key holds.
    Key(KeyRef),
    /// A field of the pod.
    Field(FieldPath),
    /// A text: a limit or a request of a container.
    Text(String),
}

/// A claim of each ordinal.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ClaimTemplate {
    /// Its name.
    pub name: String,
    /// The requested size in bytes.
    pub size: u64,
}

/// A probe with its timing.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Probe {
    /// What is done.
    pub check: ProbeCheck,
    /// `initialDelaySeconds`.
    pub initial_delay: Duration,
    /// `periodSeconds`.
    pub period: Duration,
    /// `timeoutSeconds`.
    pub timeout: Duration,
    /// `successThreshold`.
    pub success_threshold: u32,
    /// `failureThreshold`.
    pub failure_threshold: u32,
}

/// What a probe does. Ports are numbers here: names are resolved by `manifest`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum ProbeCheck {
    /// `httpGet` by plain HTTP: 200 to 399 is success.
    Http {
        /// `host`, the pod's address where none is given.
        host: Option<String>,
        /// The port.
        port: u16,
        /// The path.
        path: String,
        /// `httpHeaders`.
        headers: Vec<(String, String)>,
    },
    /// `tcpSocket`: a connection is success.
    Tcp {
        /// `host`, the pod's address where none is given.
        host: Option<String>,
        /// The port.
        port: u16,
    },
    /// `exec`: exit code 0 is success.
    Exec {
        /// The program and its arguments.
        argv: Vec<String>,
    },
}
