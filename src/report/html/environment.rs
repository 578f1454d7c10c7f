//! Where it ran, what was planned, and how to do it again.

use maud::{Markup, html};
use serde_json::Value;

use super::story::Story;
use crate::experiment::Experiment;
use crate::judge::words;
use crate::report::command;
use crate::spec::API_VERSION;

/// The section.
pub(super) fn section(story: &Story<'_>) -> Markup {
    let judgement = story.judgement;
    let experiment = &story.journal.header.experiment;
    let command = command::of(judgement);
    html! {
        section aria-labelledby="environment-title" {
            h2 #environment-title { "Where it ran, and how to do it again" }
            dl .facts {
                div { dt { "run" } dd { (judgement.run) } }
                div { dt { "target" } dd { (judgement.target) ", " (judgement.replicas) " replicas" } }
                div { dt { "environment" } dd { (judgement.environment) } }
                div { dt { "seed" } dd { (judgement.seed) } }
                div { dt { "began" } dd { (judgement.started_at) } }
                div { dt { "lasted" } dd { (words::time(judgement.lasted)) } }
                div { dt { "written by" } dd { "seatrial " (judgement.version) } }
                div { dt { "record" } dd {
                    @match (judgement.finished, judgement.torn) {
                        (true, false) => "whole, to the run's end",
                        (true, true) => "to the run's end, its last line is torn",
                        (false, _) => "ends before the run did",
                    }
                } }
            }
            p { "The same faults at the same moments on the same members, as far as the target lets them be the same; in the run's folder:" }
            pre { code { (command::shell(&command)) } }
            @if command.iter().any(|word| word == "--context") {
                p .note { "CONTEXT is what your kubeconfig calls the cluster: no journal says that." }
            }
            p { "This page again, from the journal there:" }
            pre { code { "seatrial report ." } }
            details .plan {
                summary { "The plan: experiment.yaml, with every default filled in" }
                pre tabindex="0" { code { (document(experiment)) } }
            }
        }
    }
}

/// The experiment as a document, in the order in which people write one.
fn document(experiment: &Experiment) -> String {
    let written = serde_json::to_value(experiment).unwrap_or_default();
    let order = ["target", "workload", "baseline", "recovery", "steps", "hypothesis", "guards"];
    let mut spec = serde_yaml::Mapping::new();
    for field in order {
        if let Some(value) = written.get(field) {
            spec.insert(field.into(), yaml(value));
        }
    }
    let mut metadata = serde_yaml::Mapping::new();
    metadata.insert("name".into(), experiment.name.clone().into());
    let mut document = serde_yaml::Mapping::new();
    document.insert("apiVersion".into(), API_VERSION.into());
    document.insert("kind".into(), "Experiment".into());
    document.insert("metadata".into(), metadata.into());
    document.insert("spec".into(), spec.into());
    serde_yaml::to_string(&document).unwrap_or_else(|error| format!("# {error}"))
}

/// The same value, with names first.
fn yaml(value: &Value) -> serde_yaml::Value {
    match value {
        Value::Object(fields) => {
            let first = fields.iter().filter(|(name, _)| *name == "name");
            let others = fields.iter().filter(|(name, _)| *name != "name");
            let fields: serde_yaml::Mapping =
                first.chain(others).map(|(name, value)| (name.clone().into(), yaml(value))).collect();
            fields.into()
        }
        Value::Array(items) => items.iter().map(yaml).collect::<Vec<_>>().into(),
        Value::String(text) => text.clone().into(),
        Value::Bool(yes) => (*yes).into(),
        Value::Number(number) => serde_yaml::to_value(number).unwrap_or_default(),
        Value::Null => serde_yaml::Value::Null,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::spec::{self, document::split};

    fn read(text: &str) -> Experiment {
        let documents = split("experiment.yaml", text.as_bytes()).expect("it is YAML");
        spec::experiment(&documents[0]).expect("it is an Experiment")
    }

    #[test]
    fn the_plan_can_be_saved_and_run_as_it_stands() {
        for shipped in [
            include_str!("../../../experiments/quickstart.yaml"),
            include_str!("../../../experiments/etcd/leader-cut.yaml"),
            include_str!("../../../experiments/refkv/rolling-restart.yaml"),
            include_str!("../../../experiments/refkv/bugs/stale-read.yaml"),
        ] {
            let experiment = read(shipped);
            let written = document(&experiment);
            assert_eq!(read(&written), experiment, "{written}");
        }
    }
}
