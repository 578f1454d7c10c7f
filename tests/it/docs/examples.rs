//! Whether the YAML on a page is what the program takes.
//!
//! A block is told by what is in it. A whole Experiment goes through `seatrial validate`, with the StatefulSet of the same
//! page or that of a shipped experiment. What may stand below `spec` is put into an experiment that has everything else. A block
//! with `jobs` is a workflow of GitHub Actions, whose commands are looked at as those of the page.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use seatrial::experiment::{Experiment, Store};
use seatrial::spec::document::split;
use seatrial::spec::{self, SecretKeys, TargetFacts};
use serde_json::{Map, Value, json};

use crate::docs::page::{Kind, Page, Piece};
use crate::e2e_fixture::{Desk, shipped, text_of};

/// What stands below `spec` of an Experiment.
const SECTIONS: [&str; 7] = ["target", "workload", "baseline", "recovery", "steps", "hypothesis", "guards"];
/// A shipped experiment for each store, whose StatefulSet a page need not repeat.
const SHIPPED: [(&str, &str); 3] = [
    ("etcd", "experiments/etcd/leader-cut.yaml"),
    ("postgres", "experiments/postgres/slow-fsync.yaml"),
    ("refkv", "experiments/quickstart.yaml"),
];

/// What is wrong with the YAML of a page.
pub fn wrong(page: &Page) -> Vec<String> {
    let blocks = page.pieces.iter().enumerate().filter(|(_, piece)| is_yaml(piece));
    let told = |(index, block): (usize, &Piece)| {
        let complaints = wrong_block(page, index, block);
        complaints.into_iter().map(|what| page.complaint(block, what)).collect::<Vec<_>>()
    };
    blocks.flat_map(told).collect()
}

/// Whether a piece is a block of YAML.
pub fn is_yaml(piece: &Piece) -> bool {
    piece.kind == Kind::Block(Some("yaml".into()))
}

/// The file that a block is: its first line says so, as `# experiment.yaml`.
pub fn file_of(block: &Piece) -> Option<&str> {
    let name = block.text.lines().next()?.strip_prefix("# ")?;
    let is_name = Path::new(name).extension().is_some_and(|extension| extension == "yaml");
    (is_name && !name.contains([' ', '/'])).then_some(name)
}

/// The scripts of a workflow of GitHub Actions.
pub fn scripts(block: &Piece) -> Vec<String> {
    fn collect(value: &Value, into: &mut Vec<String>) {
        match value {
            Value::Object(fields) => {
                into.extend(fields.get("run").and_then(Value::as_str).map(str::to_owned));
                fields.values().for_each(|value| collect(value, into));
            }
            Value::Array(items) => items.iter().for_each(|value| collect(value, into)),
            Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
        }
    }
    let mut found = Vec::new();
    if let Ok(value) = serde_saphyr::from_str::<Value>(&block.text)
        && value.get("jobs").is_some()
    {
        collect(&value, &mut found);
    }
    found
}

fn wrong_block(page: &Page, index: usize, block: &Piece) -> Vec<String> {
    let documents = match split("block", block.text.as_bytes()) {
        Ok(documents) => documents,
        Err(why) => return vec![why.to_string()],
    };
    let read = documents.iter().map(|document| serde_saphyr::from_str::<Value>(&document.text));
    let values = match read.collect::<Result<Vec<_>, _>>() {
        Ok(values) => values,
        Err(why) => return vec![why.to_string()],
    };
    if values.iter().any(|value| value["kind"] == "Experiment") {
        return wrong_experiment(page, block);
    }
    let is_part = |fields: &Map<String, Value>| fields.keys().all(|key| SECTIONS.contains(&key.as_str()));
    match values.as_slice() {
        [Value::Object(fields)] if is_part(fields) => wrong_part(page, index, block, fields),
        [value] if value.get("jobs").is_some() => Vec::new(),
        all if all.iter().all(|value| value["kind"].is_string()) => Vec::new(),
        _ => vec![
            "this YAML is neither an Experiment, nor what stands below its `spec`, nor a manifest, nor a workflow: \
             tests/it/docs/examples.rs has to be told what it is"
                .into(),
        ],
    }
}

/// One that the page itself has validated is left to that.
fn wrong_experiment(page: &Page, block: &Piece) -> Vec<String> {
    if let Some(file) = file_of(block) {
        let validates = |piece: &Piece| {
            let mut lines = piece.text.lines();
            lines.any(|line| line.starts_with("seatrial validate ") && line.contains(file))
        };
        let is_validated = page.pieces.iter().any(validates);
        return if is_validated { Vec::new() } else { vec![format!("the page never validates {file}")] };
    }
    let store = SHIPPED.iter().find(|(store, _)| block.text.contains(&format!("store: {{{store}:")));
    let Some((_, file)) = store else {
        return vec!["no shipped experiment has a StatefulSet for this one".into()];
    };
    let desk = Desk::new();
    let manifests = text_of(&shipped(file));
    let (_, manifests) = manifests.split_once("\n---\n").expect("the experiment is the first document");
    desk.write("experiment.yaml", &block.text);
    desk.write("manifests.yaml", manifests);
    let done = desk.run(&["validate", "experiment.yaml", "manifests.yaml"]);
    if done.code == Some(0) { Vec::new() } else { vec![done.err] }
}

/// Puts sections into an experiment that has the others. Where neither the block nor its section speaks of clusters, a sandbox
/// must take it, too.
fn wrong_part(page: &Page, index: usize, block: &Piece, fields: &Map<String, Value>) -> Vec<String> {
    let mut whole = json!({
        "target": {"statefulSet": "etcd", "store": {"etcd": {}}},
        "workload": {},
        "steps": [{"name": "kill-one", "fault": {"podKill": {"members": {"count": 1}}}}],
        "hypothesis": [{"name": "all come back", "sli": {"podAvailability": {}}, "after": {"min": 1}}],
    });
    whole.as_object_mut().expect("sections").extend(fields.clone());
    let text = json!({
        "apiVersion": spec::API_VERSION,
        "kind": "Experiment",
        "metadata": {"name": "part"},
        "spec": whole,
    });
    let documents = split("block", text.to_string().as_bytes()).expect("it is text");
    let document = &documents[0];
    let told = |problems: Vec<spec::problem::Problem>| {
        problems.into_iter().map(|problem| format!("{}: {}", problem.field, problem.message)).collect()
    };
    let experiment = match spec::experiment(document) {
        Ok(experiment) => experiment,
        Err(problems) => return told(problems),
    };
    if let Err(problems) = spec::against_target(document, &experiment, &target(&experiment), None) {
        return told(problems);
    }
    let of_clusters = |piece: &Piece| piece.text.to_lowercase().contains("cluster");
    if of_clusters(block) || page.section(index).iter().any(of_clusters) {
        return Vec::new();
    }
    spec::against_sandbox(document, &experiment, &secrets(&experiment)).err().map_or_else(Vec::new, told)
}

/// A StatefulSet that has what such blocks speak of.
fn target(experiment: &Experiment) -> TargetFacts {
    let names = |names: &[&str]| names.iter().map(|&name| name.to_owned()).collect();
    TargetFacts {
        name: experiment.target.stateful_set().unwrap_or("pods").to_owned(),
        first: 0,
        replicas: 3,
        containers: names(&["etcd", "postgres"]),
        claims: names(&["data", "wal", "backup"]),
    }
}

/// The Secrets that it names, as people have them.
fn secrets(experiment: &Experiment) -> SecretKeys {
    let keys: BTreeSet<String> =
        ["ca.crt", "tls.crt", "tls.key", "username", "password"].map(str::to_owned).into();
    let named = experiment.target.store.iter().flat_map(Store::secrets);
    named.map(|name| (name.as_str().to_owned(), keys.clone())).collect::<BTreeMap<_, _>>()
}
