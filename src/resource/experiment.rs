//! An experiment that runs once, as a Job does.

use std::borrow::Cow;

use jiff::Timestamp;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Condition;
use kube::CustomResource;
use schemars::{JsonSchema, Schema, SchemaGenerator};
use serde::{Deserialize, Serialize};

use crate::experiment::Verdict;

/// What is broken, when, for how long, and what must hold. It cannot change once it is there.
#[derive(CustomResource, Debug, Clone, PartialEq, Serialize, Deserialize)]
#[kube(
    group = "seatrial.dev",
    version = "v1alpha1",
    kind = "Experiment",
    plural = "experiments",
    shortname = "exp",
    category = "seatrial",
    namespaced,
    status = "ExperimentStatus",
    doc = "An Experiment breaks a StatefulSet once, as a Job runs once, and says whether its hypotheses held.",
    printcolumn = r#"{"name":"Target","type":"string","jsonPath":".spec.target.statefulSet"}"#,
    printcolumn = r#"{"name":"Phase","type":"string","jsonPath":".status.phase"}"#,
    printcolumn = r#"{"name":"Verdict","type":"string","jsonPath":".status.verdict"}"#,
    printcolumn = r#"{"name":"Fault","type":"string","jsonPath":".status.fault"}"#,
    printcolumn = r#"{"name":"Message","type":"string","jsonPath":".status.message","priority":1}"#,
    printcolumn = r#"{"name":"Age","type":"date","jsonPath":".metadata.creationTimestamp"}"#
)]
#[serde(transparent)]
pub struct ExperimentSpec {
    /// As it was written. [`crate::spec`] reads it, because only it tells every mistake at once.
    pub written: serde_json::Map<String, serde_json::Value>,
}

impl JsonSchema for ExperimentSpec {
    fn schema_name() -> Cow<'static, str> {
        "ExperimentSpec".into()
    }

    /// The schema of [`crate::experiment::Experiment`] without `name`, which is `metadata.name`.
    fn json_schema(generator: &mut SchemaGenerator) -> Schema {
        let mut schema = crate::experiment::Experiment::json_schema(generator);
        if let Some(properties) = schema.get_mut("properties").and_then(|value| value.as_object_mut()) {
            properties.remove("name");
        }
        if let Some(required) = schema.get_mut("required").and_then(|value| value.as_array_mut()) {
            required.retain(|field| field != "name");
        }
        schema
    }
}

/// What became of an experiment.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ExperimentStatus {
    /// Where the run is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub phase: Option<Phase>,
    /// The verdict, once there is one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub verdict: Option<Verdict>,
    /// The faults in force now, for example `cut-leader on etcd-1`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub fault: Option<String>,
    /// The state in one sentence.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub message: Option<String>,
    /// The run's name; Injections, the runner and the journal carry it in the label `seatrial.dev/run`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub run: Option<String>,
    /// Every random choice of the run comes from it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub seed: Option<u64>,
    /// The pod that carries out the run.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub runner: Option<String>,
    /// When the runner began.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub started_at: Option<Timestamp>,
    /// When the run was judged.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub finished_at: Option<Timestamp>,
    /// What became of each hypothesis.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub outcomes: Vec<Outcome>,
    /// Where the journal is kept after the run.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub journal: Option<JournalPlace>,
    /// Whether a fault could not be taken back; it is being retried.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub revert_failed: bool,
    /// The `metadata.generation` that this status speaks of.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub observed_generation: Option<i64>,
    /// `Accepted`, `Running`, `Reverted`, `Complete`, by the API conventions.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(with = "Vec<super::conditions::Schema>")]
    pub conditions: Vec<Condition>,
}

/// Where a run is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum Phase {
    /// Another experiment has the target.
    Waiting,
    /// The runner starts.
    Starting,
    /// What must be there is looked at.
    Preflight,
    /// The steady state must hold.
    Baseline,
    /// Steps run.
    Faulting,
    /// Budgets must be met again.
    Recovering,
    /// The last reads.
    Settling,
    /// Faults are being taken back early.
    Reverting,
    /// There is a verdict.
    Judged,
    /// Nothing was injected; the message says why.
    Refused,
}

/// What became of one hypothesis.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Outcome {
    /// The hypothesis.
    pub name: String,
    /// Its own verdict.
    pub verdict: Verdict,
    /// Why, in a sentence.
    pub message: String,
}

/// Where a journal is kept: gzip-compressed, in the key `journal` of these ConfigMaps, in order.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct JournalPlace {
    /// ConfigMaps of the experiment's namespace.
    pub config_maps: Vec<String>,
    /// Its size before compression, in bytes.
    pub bytes: u64,
}
