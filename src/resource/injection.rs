//! The contract between a run and a node, as the API server keeps it.

use kube::CustomResource;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::api::{InjectionSpec, InjectionStatus};

/// What must be true of one pod for one step. Agents select theirs by `spec.pod.node`.
#[derive(CustomResource, Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[kube(
    group = "seatrial.dev",
    version = "v1alpha1",
    kind = "Injection",
    plural = "injections",
    shortname = "inj",
    category = "seatrial",
    namespaced,
    status = "InjectionStatus",
    selectable = ".spec.pod.node",
    doc = "An Injection is one fault on one pod. A run writes what must be true, the agent of the pod's node writes what is.",
    printcolumn = r#"{"name":"Pod","type":"string","jsonPath":".spec.pod.name"}"#,
    printcolumn = r#"{"name":"Node","type":"string","jsonPath":".spec.pod.node"}"#,
    printcolumn = r#"{"name":"Step","type":"string","jsonPath":".spec.step"}"#,
    printcolumn = r#"{"name":"Desired","type":"string","jsonPath":".spec.desired"}"#,
    printcolumn = r#"{"name":"State","type":"string","jsonPath":".status.state"}"#,
    printcolumn = r#"{"name":"Proof","type":"string","jsonPath":".status.proof.observed"}"#,
    printcolumn = r#"{"name":"Error","type":"string","jsonPath":".status.error","priority":1}"#,
    printcolumn = r#"{"name":"Age","type":"date","jsonPath":".metadata.creationTimestamp"}"#
)]
#[serde(transparent)]
pub struct Spec {
    /// The contract itself.
    pub injection: InjectionSpec,
}
