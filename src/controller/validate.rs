//! An Experiment of the API server goes through the same door as a file.

use crate::resource::Experiment as Written;
use crate::spec;
use crate::spec::document::Document;
use crate::spec::problem::Problem;

/// The document that an Experiment of the API server is. Its metadata is the server's business but for the name.
pub fn document(written: &Written) -> Document {
    let name = written.metadata.name.clone().unwrap_or_default();
    let text = serde_json::json!({
        "apiVersion": spec::API_VERSION,
        "kind": "Experiment",
        "metadata": { "name": name },
        "spec": written.spec,
    });
    Document { file: format!("Experiment {name}"), first_line: 1, text: format!("{text:#}") }
}

/// Every problem in one message. Places are left out: they would be those of a text that nobody wrote.
pub fn message(problems: &[Problem]) -> String {
    let told: Vec<_> = problems
        .iter()
        .map(|problem| match problem.field.as_str() {
            "" => problem.message.clone(),
            field => format!("{field}: {}", problem.message),
        })
        .collect();
    match told.as_slice() {
        [one] => one.clone(),
        many => format!("{} problems: {}", many.len(), many.join("; ")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn written(spec: &str) -> Written {
        let spec = serde_yaml::from_str(spec).expect("a test's YAML");
        Written::new("kill", crate::resource::ExperimentSpec { written: spec })
    }

    #[test]
    fn a_resource_is_read_as_a_file_is() {
        let written = written(
            "{target: {statefulSet: db}, steps: [{name: a, fault: {podKill: {members: {count: 1}}}}], hypothesis: [{name: up, sli: {podAvailability: {}}}]}",
        );
        let experiment = spec::experiment(&document(&written)).expect("valid");
        assert_eq!((experiment.name.as_str(), experiment.target.key().as_str()), ("kill", "db"));
    }

    #[test]
    fn every_problem_of_a_resource_is_told_at_once() {
        let written = written(
            "{target: {statefulSet: db, stor: {}}, steps: [{name: a, fault: {podKil: {}}}], hypothesis: [{name: up, sli: {podAvailability: {}}}]}",
        );
        let message = message(&spec::experiment(&document(&written)).expect_err("two typos"));
        assert!(message.starts_with("2 problems: "), "{message}");
        assert!(message.contains("spec.target") && message.contains("`stor`"), "{message}");
        assert!(message.contains("podKil"), "{message}");
    }
}
