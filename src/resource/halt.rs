//! The switch that stops everything.

use kube::CustomResource;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// While any Halt exists, no run starts, running ones abort, and agents take back every fault by themselves.
#[derive(CustomResource, Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[kube(
    group = "seatrial.dev",
    version = "v1alpha1",
    kind = "Halt",
    plural = "halts",
    category = "seatrial",
    doc = "While any Halt exists, no run starts, running ones abort, and agents take back every fault by themselves.",
    printcolumn = r#"{"name":"Reason","type":"string","jsonPath":".spec.reason"}"#,
    printcolumn = r#"{"name":"Age","type":"date","jsonPath":".metadata.creationTimestamp"}"#
)]
#[serde(rename_all = "camelCase")]
pub struct HaltSpec {
    /// Why, for whoever finds their run aborted.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
}
