//! How an object that a control-plane fault changed is put back, written beside the change itself.

use jiff::Timestamp;
use k8s_openapi::api::core::v1::{Node, Taint};
use kube::api::ObjectMeta;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::{NODE_DOWN_TAINT, OUT_OF_SERVICE_TAINT, OUT_OF_SERVICE_VALUE, RUN_LABEL, UNDO_ANNOTATION};

/// The value of the annotation `seatrial.dev/undo`, as JSON. The object also carries the label `seatrial.dev/run`, so
/// that it can be found without looking at every object.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Undo {
    /// The run that changed the object.
    pub run: String,
    /// The Injection in whose name it did: nobody else's revert puts the object back.
    #[serde(default)]
    pub injection: String,
    /// Whoever finds it after this time puts the object back.
    pub deadline: Timestamp,
    /// A JSON merge patch (RFC 7386) that puts back what was changed and nothing else.
    pub patch: Value,
}

/// Why an annotation does not say how to put its object back.
#[derive(Debug, thiserror::Error)]
pub enum UndoError {
    /// It is no JSON of ours.
    #[error("the annotation {UNDO_ANNOTATION} cannot be read")]
    Unreadable(#[source] serde_json::Error),
    /// Its patch is no object.
    #[error("the patch of the annotation {UNDO_ANNOTATION} is no object")]
    NoObject,
    /// A node is tainted by a run, and the annotation is gone.
    #[error(
        "it carries our taint, but the annotation {UNDO_ANNOTATION}, which says how it is put back, is gone"
    )]
    Gone,
}

impl Undo {
    /// Reads an annotation.
    pub fn read(annotation: &str) -> Result<Self, UndoError> {
        let undo: Self = serde_json::from_str(annotation).map_err(UndoError::Unreadable)?;
        if undo.patch.is_object() { Ok(undo) } else { Err(UndoError::NoObject) }
    }

    /// How the object with this metadata is put back, where it carries an annotation that can be read.
    pub fn beside(metadata: &ObjectMeta) -> Option<Self> {
        Self::read(metadata.annotations.as_ref()?.get(UNDO_ANNOTATION)?).ok()
    }

    /// How this node is given back; nothing where no run has taken it away.
    pub fn beside_node(node: &Node) -> Result<Option<Self>, UndoError> {
        match node.metadata.annotations.iter().flatten().find(|(key, _)| *key == UNDO_ANNOTATION) {
            Some((_, annotation)) => Self::read(annotation).map(Some),
            None if is_tainted_by_us(node) => Err(UndoError::Gone),
            None => Ok(None),
        }
    }

    /// The annotation's value.
    pub fn write(&self) -> String {
        serde_json::to_string(self).expect("an undo is JSON")
    }

    /// [`Self::whole_patch`] of a node that was taken away. Taints come and go meanwhile: only ours are taken from those that
    /// are there, and the patch holds for this version of the node alone. One that somebody has uncordoned stays so.
    pub fn of_node(&self, node: &Node) -> Value {
        let mut taints = node.spec.as_ref().and_then(|spec| spec.taints.clone()).unwrap_or_default();
        taints.retain(|taint| !is_ours(taint));
        let mut patch = self.whole_patch();
        patch["spec"]["taints"] = json!(taints);
        if node.spec.as_ref().and_then(|spec| spec.unschedulable) != Some(true)
            && let Some(spec) = patch["spec"].as_object_mut()
        {
            spec.remove("unschedulable");
        }
        patch["metadata"]["resourceVersion"] = json!(node.metadata.resource_version);
        patch
    }

    /// The merge patch that puts the object back and takes annotation and label away in the same request.
    pub fn whole_patch(&self) -> Value {
        let mut patch = self.patch.clone();
        let marks = json!({ "metadata": {
            "annotations": { UNDO_ANNOTATION: null },
            "labels": { RUN_LABEL: null },
        } });
        merge(&mut patch, marks);
        patch
    }
}

fn is_tainted_by_us(node: &Node) -> bool {
    node.spec.iter().flat_map(|spec| spec.taints.iter().flatten()).any(is_ours)
}

/// Whether a run gave this taint to a node.
fn is_ours(taint: &Taint) -> bool {
    let is_out_of_service =
        taint.key == OUT_OF_SERVICE_TAINT && taint.value.as_deref() == Some(OUT_OF_SERVICE_VALUE);
    taint.key == NODE_DOWN_TAINT || is_out_of_service
}

/// Adds the fields of `other`, whose leaves win.
fn merge(into: &mut Value, other: Value) {
    match (into, other) {
        (Value::Object(into), Value::Object(other)) => {
            for (key, value) in other {
                merge(into.entry(key).or_insert(Value::Null), value);
            }
        }
        (into, other) => *into = other,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_patch_removes_its_own_marks_and_keeps_what_it_puts_back() {
        let undo = Undo {
            run: "r".into(),
            injection: "r.s.0.set".into(),
            deadline: Timestamp::UNIX_EPOCH,
            patch: json!({ "metadata": { "labels": { "team": "a" } }, "spec": { "replicas": 3 } }),
        };
        let read = Undo::read(&undo.write()).expect("what was written can be read");
        assert_eq!(read, undo);
        assert_eq!(
            read.whole_patch(),
            json!({
                "metadata": {
                    "labels": { "team": "a", "seatrial.dev/run": null },
                    "annotations": { "seatrial.dev/undo": null },
                },
                "spec": { "replicas": 3 },
            })
        );
    }

    #[test]
    fn an_annotation_that_says_nothing_is_no_undo() {
        assert!(matches!(Undo::read("{"), Err(UndoError::Unreadable(_))));
        let text = r#"{"run":"r","deadline":"1970-01-01T00:00:00Z","patch":[]}"#;
        assert!(matches!(Undo::read(text), Err(UndoError::NoObject)));
    }

    fn undo_of_a_node(was_unschedulable: Option<bool>) -> Undo {
        Undo {
            run: "r".into(),
            injection: "r.s.0.set".into(),
            deadline: Timestamp::UNIX_EPOCH,
            patch: json!({ "spec": { "unschedulable": was_unschedulable } }),
        }
    }

    fn node(object: Value) -> Node {
        serde_json::from_value(object).expect("a node")
    }

    #[test]
    fn a_tainted_node_without_the_way_back_is_not_taken_for_one_that_was_given_back() {
        let taints = json!({ "taints": [{ "key": NODE_DOWN_TAINT, "effect": "NoExecute" }] });
        let marked = |annotation: &str| json!({ "annotations": { UNDO_ANNOTATION: annotation } });
        let undo = undo_of_a_node(None);
        let of = |metadata: Value, spec: &Value| {
            Undo::beside_node(&node(json!({ "metadata": metadata, "spec": spec })))
        };
        assert_eq!(of(marked(&undo.write()), &taints).expect("it can be read"), Some(undo));
        assert!(matches!(of(json!({}), &taints), Err(UndoError::Gone)));
        assert!(matches!(of(marked("{"), &taints), Err(UndoError::Unreadable(_))));
        assert!(matches!(of(marked("{"), &json!({})), Err(UndoError::Unreadable(_))));
        assert_eq!(of(json!({}), &json!({})).expect("it is nobody's"), None);
    }

    #[test]
    fn a_node_that_somebody_uncordoned_is_not_cordoned_again() {
        let was_cordoned = undo_of_a_node(Some(true));
        let patch = |now: Value| was_cordoned.of_node(&node(json!({ "spec": now })));
        assert_eq!(patch(json!({ "unschedulable": true }))["spec"]["unschedulable"], true);
        for now in [json!({}), json!({ "unschedulable": false })] {
            assert_eq!(patch(now)["spec"].get("unschedulable"), None);
        }
    }

    #[test]
    fn a_node_keeps_the_taints_that_somebody_else_gave_it() {
        let off = |value: &str| json!({ "key": OUT_OF_SERVICE_TAINT, "value": value, "effect": "NoExecute" });
        let taints = json!([
            { "key": NODE_DOWN_TAINT, "effect": "NoExecute" },
            off(OUT_OF_SERVICE_VALUE),
            off("nodeshutdown"),
            { "key": "dedicated", "value": "seatrial", "effect": "NoSchedule" },
        ]);
        let node = node(json!({ "spec": { "taints": taints } }));
        assert_eq!(undo_of_a_node(None).of_node(&node)["spec"]["taints"], json!([taints[2], taints[3]]));
    }
}
