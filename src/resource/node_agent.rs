//! What an agent says of its node, so that a plan can refuse before anything starts.

use jiff::Timestamp;
use kube::CustomResource;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// One per node, named after it, written by the agent on it.
#[derive(CustomResource, Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[kube(
    group = "seatrial.dev",
    version = "v1alpha1",
    kind = "NodeAgent",
    plural = "nodeagents",
    shortname = "sta",
    category = "seatrial",
    status = "NodeAgentStatus",
    doc = "A NodeAgent is what the agent of a node says of it: what it can inject, and whether it is alive.",
    printcolumn = r#"{"name":"Version","type":"string","jsonPath":".status.version"}"#,
    printcolumn = r#"{"name":"Kernel","type":"string","jsonPath":".status.kernel"}"#,
    printcolumn = r#"{"name":"Cgroups","type":"string","jsonPath":".status.cgroups"}"#,
    printcolumn = r#"{"name":"Injections","type":"integer","jsonPath":".status.injections"}"#,
    printcolumn = r#"{"name":"Seen","type":"date","jsonPath":".status.seenAt"}"#
)]
#[serde(rename_all = "camelCase")]
pub struct NodeAgentSpec {}

/// What the node can do.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct NodeAgentStatus {
    /// The agent's version.
    pub version: String,
    /// The kernel's release.
    pub kernel: String,
    /// `v1`, `v2` or `hybrid`.
    pub cgroups: String,
    /// The faults that work here, by name.
    pub faults: Vec<String>,
    /// Why the others do not, one sentence each: `networkPartition: the kernel has no nf_tables`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub missing: Vec<String>,
    /// How many Injections are in force on the node.
    pub injections: u32,
    /// When the agent last said so; older than a minute means that it is gone.
    pub seen_at: Timestamp,
}
