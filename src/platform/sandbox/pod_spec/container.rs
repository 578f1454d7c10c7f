//! A container of a pod's template.

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::KeyRef;

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
