//! The door for an Experiment that the API server keeps: the same rules as for a file, without places.

use serde_json::{Map, Value as Json};

use super::document::Document;
use super::problem::Problem;
use super::{TargetFacts, against, read_experiment};
use crate::experiment::Experiment;
use crate::yaml::tree::Entry;
use crate::yaml::{Node, Place, Value};

/// Reads the Experiment `name` whose `spec` this is, or says everything that is wrong with it.
pub fn experiment(name: &str, spec: &Map<String, Json>) -> Result<Experiment, Vec<Problem>> {
    let (document, mut tree) = written(name, spec);
    read_experiment(&document, &mut tree).map_err(without_places)
}

/// Checks an experiment against the StatefulSet that it will meet, and against all others of its namespace. `name` and `spec`
/// are what it was read from.
pub fn against_target(
    name: &str,
    spec: &Map<String, Json>,
    experiment: &Experiment,
    target: &TargetFacts,
    others: &[TargetFacts],
) -> Result<(), Vec<Problem>> {
    let (document, tree) = written(name, spec);
    against(&document, &tree, experiment, target, Some(others)).map_err(without_places)
}

/// The resource as a tree, with the little of its envelope that is read.
fn written(name: &str, spec: &Map<String, Json>) -> (Document, Node) {
    let document = Document { file: format!("Experiment {name}"), first_line: 1, text: String::new() };
    let tree = serde_json::json!({
        "apiVersion": super::API_VERSION,
        "kind": "Experiment",
        "metadata": {"name": name},
        "spec": spec,
    });
    (document, node(tree))
}

fn node(json: Json) -> Node {
    let value = match json {
        Json::Null => Value::Null,
        Json::Bool(value) => Value::Bool(value),
        Json::Number(number) => match (number.as_u64(), number.as_i64()) {
            (Some(value), _) => Value::Int(value.into()),
            (None, Some(value)) => Value::Int(value.into()),
            (None, None) => Value::Float(number.as_f64().unwrap_or(f64::NAN)),
        },
        Json::String(text) => Value::Text(text),
        Json::Array(items) => Value::List(items.into_iter().map(node).collect()),
        Json::Object(fields) => Value::Map(
            fields
                .into_iter()
                .map(|(key, value)| Entry { place: Place::START, key, value: node(value) })
                .collect(),
        ),
    };
    Node { place: Place::START, value }
}

fn without_places(problems: Vec<Problem>) -> Vec<Problem> {
    problems.into_iter().map(|problem| Problem { place: None, excerpt: None, ..problem }).collect()
}

#[cfg(test)]
mod tests {
    use super::super::document;
    use super::*;

    const FILE: &str = include_str!("../../experiments/etcd/leader-cut.yaml");

    fn shipped() -> (Document, Map<String, Json>) {
        let document = document::split("f", FILE.as_bytes()).expect("a test reads this file").swap_remove(0);
        let mut whole: Map<String, Json> =
            serde_saphyr::from_str(&document.text).expect("it is a YAML mapping");
        let Some(Json::Object(spec)) = whole.remove("spec") else { unreachable!("it has a spec") };
        (document, spec)
    }

    #[test]
    fn a_resource_and_its_file_are_the_same_experiment() {
        let (document, spec) = shipped();
        assert_eq!(experiment("etcd-leader-cut", &spec), super::super::experiment(&document));
    }

    #[test]
    fn every_problem_is_told_at_once_with_its_field_and_no_place() {
        let (_, mut spec) = shipped();
        spec.insert("stepz".into(), Json::Null);
        spec.insert("name".into(), "another".into());
        spec["target"]["statefulSet"] = 7.into();
        let problems = experiment("x", &spec).expect_err("three mistakes");
        let texts: Vec<String> = problems.iter().map(ToString::to_string).collect();
        assert_eq!(problems.len(), 3, "{texts:#?}");
        assert!(texts.iter().all(|text| text.starts_with("Experiment x: spec.")), "{texts:#?}");
        assert!(texts.iter().any(|text| text.contains("spec.target.statefulSet")), "{texts:#?}");
    }

    #[test]
    fn what_the_target_lacks_is_told_by_field() {
        let (_, mut spec) = shipped();
        spec["target"]["container"] = "etcdd".into();
        let experiment = experiment("x", &spec).expect("valid in itself");
        let target = TargetFacts {
            name: "etcd".into(),
            first: 0,
            replicas: 3,
            containers: vec!["etcd".into()],
            claims: Vec::new(),
        };
        let problems = against_target("x", &spec, &experiment, &target, &[]).expect_err("no such container");
        assert_eq!(problems[0].field, "spec.target.container");
    }
}
