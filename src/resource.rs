//! What the API server keeps for us: the custom resources of `seatrial.dev/v1alpha1`.
//!
//! Their schemas are made from the types that files are read into, so that a file and a resource cannot drift apart.
//! What a schema cannot say is checked by [`crate::spec`], the one door for both.

mod conditions;
mod experiment;
mod halt;
mod injection;
mod node_agent;
mod schema;
mod undo;

use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::CustomResourceDefinition;
use kube::CustomResourceExt;

pub use experiment::{Experiment, ExperimentSpec, ExperimentStatus, JournalPlace, Outcome, Phase};
pub use halt::{Halt, HaltSpec};
pub use injection::{Injection, Spec as InjectionSpec};
pub use node_agent::{NodeAgent, NodeAgentSpec, NodeAgentStatus};
pub use undo::{Undo, UndoError};

/// The label of everything that belongs to a run: its name.
pub const RUN_LABEL: &str = "seatrial.dev/run";
/// The label by which a namespace agrees to be broken: `seatrial.dev/allow: "true"`.
pub const ALLOW_LABEL: &str = "seatrial.dev/allow";
/// The annotation on an Experiment that asks its run to abort; its value is the reason.
pub const ABORT_ANNOTATION: &str = "seatrial.dev/abort";
/// The annotation on an Experiment that names the seed of its run, so that every random choice is repeated.
pub const SEED_ANNOTATION: &str = "seatrial.dev/seed";
/// The annotation of an object that a control-plane fault changed: how it is put back. Written in the same request as
/// the change itself.
pub const UNDO_ANNOTATION: &str = "seatrial.dev/undo";

/// The annotation of an object of ours that somebody else may remove after this time: a timestamp.
pub const DEADLINE_ANNOTATION: &str = "seatrial.dev/deadline";
/// The StatefulSet, as `NAMESPACE/NAME`, whose controller is touched once an admission policy is gone.
pub const SET_ANNOTATION: &str = "seatrial.dev/stateful-set";
/// A StatefulSet was touched, so that its controller looks at it at once: its back-off after denials lasts minutes.
pub const NUDGED_ANNOTATION: &str = "seatrial.dev/nudged";
/// The label of an object that a run made for itself, and that is removed when the run is over: the run's name. An object
/// of the target never carries it.
pub const MADE_LABEL: &str = "seatrial.dev/made-by";
/// The label of such an object: the step that made it.
pub const STEP_LABEL: &str = "seatrial.dev/step";
/// The key of the taint on a node that a run takes away.
pub const NODE_DOWN_TAINT: &str = "seatrial.dev/node-down";
/// The key of the taint by which Kubernetes is told that a node is off (KEP-2268).
pub const OUT_OF_SERVICE_TAINT: &str = "node.kubernetes.io/out-of-service";
/// The value of that taint where a run set it, and not an administrator.
pub const OUT_OF_SERVICE_VALUE: &str = "seatrial";
/// The service account of runners, in every namespace that has any.
pub const RUNNER_ACCOUNT: &str = "seatrial-runner";

/// Every CustomResourceDefinition, in the order in which they are applied.
pub fn definitions() -> Vec<CustomResourceDefinition> {
    [Experiment::crd(), Injection::crd(), Halt::crd(), NodeAgent::crd()]
        .into_iter()
        .map(schema::finish)
        .collect()
}

#[cfg(test)]
mod tests {
    use serde_json::Value;

    use super::*;

    /// Every property without a description, with its path.
    fn silent(schema: &Value, path: &str, found: &mut Vec<String>) {
        if let Some(properties) = schema.get("properties").and_then(Value::as_object) {
            for (name, property) in properties {
                let path = format!("{path}.{name}");
                if property.get("description").is_none() {
                    found.push(path.clone());
                }
                silent(property, &path, found);
            }
        }
        if let Some(items) = schema.get("items") {
            silent(items, &format!("{path}[]"), found);
        }
    }

    #[test]
    fn no_description_is_a_link_of_our_own_documentation() {
        let written = serde_yaml::to_string(&definitions()).expect("definitions are YAML");
        let links: Vec<_> = written.lines().filter(|line| line.contains("[`")).collect();
        assert_eq!(links, Vec::<&str>::new());
    }

    #[test]
    fn every_field_is_explained() {
        let mut found = Vec::new();
        for definition in definitions() {
            let kind = &definition.spec.names.kind;
            for version in &definition.spec.versions {
                let schema = version.schema.as_ref().and_then(|schema| schema.open_api_v3_schema.as_ref());
                let schema = serde_json::to_value(schema).expect("a schema is JSON");
                for part in ["spec", "status"] {
                    silent(&schema["properties"][part], &format!("{kind}.{part}"), &mut found);
                }
            }
        }
        assert_eq!(found, Vec::<String>::new());
    }
}
