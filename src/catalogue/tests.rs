//! What is told is complete, and every example is an experiment.

use serde_json::json;

use super::example::indented;
use super::*;
use crate::experiment::Hypothesis;
use crate::spec::{self, document};

/// Parts of an experiment that its example lacks, each by the key with which it begins.
const REST: [(&str, &str); 4] = [
    ("target:", "target: {statefulSet: etcd, store: {etcd: {}}}\n"),
    ("workload:", "workload: {}\n"),
    (
        "steps:",
        "steps:\n  - {name: snap, action: {takeSnapshot: {}}}\n  - {name: back, after: snap, action: {restoreSnapshot: {from: snap}}}\n",
    ),
    ("hypothesis:", "hypothesis:\n  - {name: a majority keeps one leader, sli: {quorum: {}}}\n"),
];

/// The experiment that an example is a part of.
fn whole(entry: &Entry) -> String {
    let missing = REST.iter().filter(|(key, _)| !entry.example.lines().any(|line| line.starts_with(key)));
    let spec: String = missing.map(|(_, text)| *text).chain([entry.example.as_str()]).collect();
    let head = "apiVersion: seatrial.dev/v1alpha1\nkind: Experiment\nmetadata: {name: example}\nspec:\n";
    format!("{head}{}", indented(&spec, 2))
}

fn everything() -> [Catalogue; 3] {
    [faults(), slis(), stores()]
}

#[test]
fn every_example_is_a_valid_experiment() {
    for entry in everything().iter().flat_map(|catalogue| &catalogue.entries) {
        let text = whole(entry);
        let document = document::split("example.yaml", text.as_bytes()).expect("one document").remove(0);
        if let Err(problems) = spec::experiment(&document) {
            let told: Vec<_> = problems.iter().map(ToString::to_string).collect();
            panic!("{}:\n{}\n{text}", entry.name, told.join("\n"));
        }
    }
}

#[test]
fn every_fault_says_what_it_changes_needs_leaves_and_proves() {
    for entry in &faults().entries {
        let about: Vec<_> = entry.facts.iter().map(|fact| fact.about.as_str()).collect();
        for fact in [
            "What it changes",
            "How it is undone",
            "What is left if everything of Seatrial dies",
            "What it needs",
            "How its effect is proven",
        ] {
            assert!(about.contains(&fact), "the documentation of `{}` does not tell `{fact}`", entry.name);
        }
    }
    for entry in &stores().entries {
        assert!(entry.facts.len() >= 2, "{entry:?}");
    }
}

/// Every parameter, with those in it.
fn all<'a>(path: &str, parameters: &'a [Parameter], found: &mut Vec<(String, &'a Parameter)>) {
    for parameter in parameters {
        let path = format!("{path}.{}", parameter.name);
        all(&path, &parameter.parameters, found);
        found.push((path, parameter));
    }
}

#[test]
fn every_parameter_is_explained_and_no_type_is_unknown() {
    for entry in everything().iter().flat_map(|catalogue| &catalogue.entries) {
        let mut found = Vec::new();
        all(entry.name, &entry.parameters, &mut found);
        for (path, parameter) in found {
            assert!(!parameter.meaning.is_empty(), "{path} has no meaning");
            assert!(!parameter.kind.contains("value"), "{path}: {}", parameter.kind);
        }
    }
}

#[test]
fn nothing_is_wider_than_a_terminal() {
    for catalogue in everything() {
        let pages = catalogue.entries.iter().map(ToString::to_string);
        for text in pages.chain([catalogue.to_string()]) {
            for line in text.lines() {
                assert!(line.chars().count() <= 80, "{line}");
                assert!(!line.contains("[`"), "a link of our own documentation: {line}");
            }
        }
    }
}

#[test]
fn a_page_tells_types_defaults_and_words() {
    let faults = faults();
    let page = faults.find("podKill").expect("it is there").to_string();
    for words in [
        "members: mapping, required",
        "mode: graceful | force | sigkill",
        "sigkill: The container's processes get SIGKILL",
        "ordinals: list of ordinal or range, as 2 or 0..2",
        "- name: pod-kill",
    ] {
        assert!(page.contains(words), "no `{words}` in\n{page}");
    }
    let page = faults.find("diskLatency").expect("it is there").to_string();
    for words in ["delay: one of these, required", "fixed: duration, as 500ms, 10s or 2m", "for: 20s"] {
        assert!(page.contains(words), "no `{words}` in\n{page}");
    }
    let place = |name: &str| faults.find(name).expect(name).works.clone();
    assert_eq!(place("nodeDown"), [Place::Cluster]);
    assert_eq!(place("podKill"), Place::ALL);
}

#[test]
fn pages_of_slis_tell_of_the_baseline_where_it_can_be_a_bound() {
    for entry in &slis().entries {
        let written = json!({"name": "a", "sli": { entry.name: {} }, "during": {"maxIncrease": "2x"}});
        let takes_it = serde_json::from_value::<Hypothesis>(written).is_ok();
        assert_eq!(entry.to_string().contains("maxIncrease"), takes_it, "{entry}");
    }
}

#[test]
fn braces_without_a_bound_are_explained() {
    let slis = slis();
    let judged = |name: &str| {
        let facts = &slis.find(name).expect(name).facts;
        let usual = facts.iter().find(|fact| fact.about == "Where nothing is said");
        usual.map(|usual| usual.text.clone()).unwrap_or_default()
    };
    assert_eq!(
        judged("quorum"),
        "It is judged by `before: {}` and `after: {}`; with nothing in the braces, it has to hold all of that time."
    );
    assert_eq!(judged("podAvailability"), "It is judged by `before: {min: 100%}` and `after: {min: 100%}`.");
}
