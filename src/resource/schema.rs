//! What generated schemas lack: rules between fields, keys of lists, and unknown fields that are kept.
//!
//! Unknown fields of an Experiment are kept, not pruned: the API server would drop a typo silently for any client that
//! does not ask for strict validation, and a dropped field can widen a fault. [`crate::spec`] refuses what is kept.

use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::CustomResourceDefinition;
use serde_json::{Map, Value, json};

use crate::fault::CATALOGUE;

/// The most items that lists with rules between items may have; rules have a price, and the API server a limit.
const MOST_ITEMS: u32 = 64;
/// The longest name of a step; as long as a label of a DNS name.
const LONGEST_NAME: u32 = 63;
/// The longest name of a hypothesis, which is a sentence.
const LONGEST_CLAIM: u32 = 253;
/// The longest name of an Experiment: its runs add nine characters, and are values of labels.
const LONGEST_EXPERIMENT: u32 = 54;

/// Adds what the API server shall check.
pub(super) fn finish(definition: CustomResourceDefinition) -> CustomResourceDefinition {
    let kind = definition.spec.names.kind.clone();
    let mut value = serde_json::to_value(definition).expect("a definition is JSON");
    for version in value["spec"]["versions"].as_array_mut().into_iter().flatten() {
        let schema = &mut version["schema"]["openAPIV3Schema"];
        if let Some(root) = schema.as_object_mut() {
            root.remove("title");
        }
        if kind == "Experiment" {
            experiment(schema);
        }
        if kind == "Injection" {
            injection(schema);
        }
        clean(schema);
    }
    serde_json::from_value(value).expect("a finished definition is a definition")
}

fn experiment(schema: &mut Value) {
    rules(
        schema,
        &[(
            &format!(
                "self.metadata.name.matches('^[a-z0-9]([-a-z0-9]*[a-z0-9])?$') && size(self.metadata.name) <= {LONGEST_EXPERIMENT}"
            ),
            &format!("the name must be lower-case letters, digits and hyphens, at most {LONGEST_EXPERIMENT}"),
        )],
    );
    let conditions = &mut schema["properties"]["status"]["properties"]["conditions"];
    keyed(conditions, "type");
    let spec = &mut schema["properties"]["spec"];
    describe(
        spec,
        "What is broken, when, for how long, and what must hold. It cannot change once it is there.",
    );
    keep_unknown(spec);
    for (list, longest) in [("steps", LONGEST_NAME), ("hypothesis", LONGEST_CLAIM)] {
        let list = &mut spec["properties"][list];
        keyed(list, "name");
        list["maxItems"] = MOST_ITEMS.into();
        list["items"]["properties"]["name"]["maxLength"] = longest.into();
    }
    let step = &mut spec["properties"]["steps"]["items"];
    step["properties"]["after"]["maxLength"] = LONGEST_NAME.into();
    let starts = count(step, &["at", "after", "when"]);
    let works = count(step, &["fault", "action", "oneOf"]);
    rules(
        step,
        &[
            (&format!("{starts} <= 1"), "starts in more than one way: keep one of `at`, `after` and `when`"),
            (
                &format!("{works} == 1"),
                "does nothing, or two things: each step has one `fault`, one `action` or one `oneOf`",
            ),
            ("!has(self.after) || self.after != self.name", "`after` names the step itself"),
        ],
    );
    // Written out once: a second time, all faults would only make the definition twice as large.
    let alternative = &mut step["properties"]["oneOf"]["items"]["properties"];
    for (field, text) in
        [("fault", "What is broken, as in a step."), ("action", "What is operated, as in a step.")]
    {
        alternative[field] = json!({
            "type": "object",
            "description": text,
            "nullable": true,
            "x-kubernetes-preserve-unknown-fields": true,
        });
    }
    let faults = &mut step["properties"]["fault"]["properties"];
    for listed in CATALOGUE {
        if faults.get(listed.name).is_some() {
            describe(&mut faults[listed.name], listed.summary);
        }
    }
    spec["properties"]["hypothesis"]["items"]["properties"]["during"]["properties"]["step"]["maxLength"] =
        LONGEST_NAME.into();
    rules(
        spec,
        &[
            ("self == oldSelf", "an Experiment runs once: make a new one instead of changing this"),
            ("size(self.steps) > 0", "breaks nothing: write at least one step"),
            (
                "self.steps.all(step, !has(step.after) || self.steps.exists(other, other.name == step.after))",
                "`after` must name a step of this experiment",
            ),
            (
                "self.hypothesis.all(claim, !has(claim.during) || !has(claim.during.step) || self.steps.exists(step, step.name == claim.during.step))",
                "`during.step` must name a step of this experiment",
            ),
        ],
    );
}

fn injection(schema: &mut Value) {
    rules(schema, &[("self.metadata.name == self.spec.name", "metadata.name must be spec.name")]);
    rules(
        &mut schema["properties"]["spec"],
        &[
            (
                "self.run == oldSelf.run && self.step == oldSelf.step && self.occurrence == oldSelf.occurrence && self.pod.ordinal == oldSelf.pod.ordinal",
                "an Injection belongs to one run, step, occurrence and ordinal for ever",
            ),
            (
                "oldSelf.desired != 'Reverted' || self.desired == 'Reverted'",
                "a reverted Injection stays reverted: make a new one",
            ),
        ],
    );
}

fn describe(schema: &mut Value, text: &str) {
    schema["description"] = text.into();
}

/// The number of these fields that are there, of those that the schema has.
fn count(schema: &Value, fields: &[&str]) -> String {
    let there = fields.iter().filter(|field| schema["properties"].get(field).is_some());
    let questions: Vec<_> = there.map(|field| format!("has(self.{field})")).collect();
    format!("[{}].filter(is, is).size()", questions.join(", "))
}

/// Adds CEL rules with what is told when they are broken.
fn rules(schema: &mut Value, rules: &[(&str, &str)]) {
    let rules = rules.iter().map(|(rule, message)| json!({ "rule": rule, "message": message })).collect();
    schema["x-kubernetes-validations"] = Value::Array(rules);
}

/// Items of a list are told apart by a field, which the API server holds unique.
fn keyed(schema: &mut Value, key: &str) {
    schema["x-kubernetes-list-type"] = "map".into();
    schema["x-kubernetes-list-map-keys"] = json!([key]);
}

/// Keeps unknown fields of this object and of every object in it.
fn keep_unknown(schema: &mut Value) {
    let Some(object) = schema.as_object_mut() else {
        return;
    };
    if object.get("type").is_some_and(|kind| kind == "object") {
        if object.get("additionalProperties") == Some(&Value::Bool(false)) {
            object.remove("additionalProperties");
        }
        if !object.contains_key("additionalProperties") {
            object.insert("x-kubernetes-preserve-unknown-fields".into(), true.into());
        }
    }
    children(object, keep_unknown);
}

/// Formats that the API server knows, of those that are written.
const FORMATS: [&str; 3] = ["date-time", "int32", "int64"];

/// Takes the marks of our own documentation out of descriptions, because people read them with `kubectl explain`, and
/// formats that the API server does not know, because it warns of each.
fn clean(schema: &mut Value) {
    let Some(object) = schema.as_object_mut() else {
        return;
    };
    if object.get("format").and_then(Value::as_str).is_some_and(|format| !FORMATS.contains(&format)) {
        object.remove("format");
    }
    if let Some(Value::String(text)) = object.get_mut("description") {
        *text = text.replace("[`", "`").replace("`]", "`");
    }
    children(object, clean);
}

fn children(schema: &mut Map<String, Value>, visit: fn(&mut Value)) {
    if let Some(properties) = schema.get_mut("properties").and_then(Value::as_object_mut) {
        properties.values_mut().for_each(visit);
    }
    for inside in ["items", "additionalProperties"] {
        if let Some(inside) = schema.get_mut(inside) {
            visit(inside);
        }
    }
}
