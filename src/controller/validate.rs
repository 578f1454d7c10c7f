//! An Experiment of the API server goes through the same door as a file, and every problem is told at once.

use crate::experiment::Experiment as Valid;
use crate::resource::Experiment;
use crate::spec;
use crate::spec::problem::Problem;

/// Reads an Experiment, or says everything that is wrong with it.
pub fn read(written: &Experiment) -> Result<Valid, String> {
    spec::resource::experiment(name(written), &written.spec.written).map_err(|problems| message(&problems))
}

/// Checks it against the StatefulSet that it will meet, and those beside it.
pub fn fits(
    written: &Experiment,
    valid: &Valid,
    target: &spec::TargetFacts,
    others: &[spec::TargetFacts],
) -> Result<(), String> {
    spec::resource::against_target(name(written), &written.spec.written, valid, target, others)
        .map_err(|problems| message(&problems))
}

fn name(written: &Experiment) -> &str {
    written.metadata.name.as_deref().unwrap_or_default()
}

/// Every problem in one message.
fn message(problems: &[Problem]) -> String {
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

    #[test]
    fn every_problem_of_a_resource_is_told_at_once() {
        let spec = serde_yaml::from_str(
            "{target: {statefulSet: db, stor: {}}, steps: [{name: a, fault: {podKil: {}}}], hypothesis: [{name: up, sli: {podAvailability: {}}}]}",
        );
        let spec = crate::resource::ExperimentSpec { written: spec.expect("a test's YAML") };
        let message = read(&Experiment::new("kill", spec)).expect_err("two typos");
        assert!(message.starts_with("2 problems: "), "{message}");
        assert!(message.contains("spec.target") && message.contains("`stor`"), "{message}");
        assert!(message.contains("podKil"), "{message}");
    }
}
