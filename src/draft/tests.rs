//! Every draft is valid, can be planned, and is what its lints want.

use super::*;
use crate::spec::document::Document;
use crate::spec::{SecretKeys, against_sandbox, lint};

const ETCD: &str = include_str!("../../experiments/etcd/leader-cut.yaml");
const POSTGRES: &str = include_str!("../../experiments/postgres/slow-fsync.yaml");
const REFKV: &str = include_str!("../../experiments/quickstart.yaml");
const WORKERS: &str = include_str!("../../experiments/workers/detach-stuck.yaml");

/// The StatefulSet of a shipped file.
fn set_of(text: &str) -> Found {
    let documents = document::split("f", text.as_bytes()).expect("it has documents");
    let set =
        documents.iter().find(|document| document.text.contains("kind: StatefulSet")).expect("one of them");
    Found::read(set).expect("it can be read")
}

fn found_in(name: &str, text: &str, replicas: u32) -> (String, Found) {
    (format!("{name} with {replicas}"), Found { replicas, ..set_of(text) })
}

fn drafted(found: &Found, fault: &'static Listed) -> Result<String, String> {
    let guessed = guess(found);
    let container = guessed.as_ref().map_or(&found.containers[0], |(container, _)| container);
    let store = guessed.clone().map(|(_, guess)| guess);
    draft(found, &Choice { name: "a-draft".into(), container, store, fault })
}

fn read(text: &str) -> (Document, crate::experiment::Experiment) {
    let document = document::split("draft.yaml", text.as_bytes()).expect("text").remove(0);
    match spec::experiment(&document) {
        Ok(experiment) => (document, experiment),
        Err(problems) => {
            let told: Vec<_> = problems.iter().map(ToString::to_string).collect();
            panic!("{}\n{text}", told.join("\n"))
        }
    }
}

#[test]
fn every_fault_that_makes_sense_gives_an_experiment_without_warnings() {
    let mut made = 0;
    for replicas in [1, 2, 3, 5] {
        for (name, text) in [("etcd", ETCD), ("postgres", POSTGRES), ("refkv", REFKV), ("workers", WORKERS)] {
            let (name, found) = found_in(name, text, replicas);
            for fault in crate::fault::CATALOGUE {
                if obstacle(&found, fault).is_some() {
                    continue;
                }
                let text =
                    drafted(&found, fault).unwrap_or_else(|why| panic!("{} of {name}: {why}", fault.name));
                let (document, experiment) = read(&text);
                let warnings = lint(&document, &experiment, Some(&found.facts()));
                let told: Vec<_> = warnings.iter().map(ToString::to_string).collect();
                assert!(told.is_empty(), "{} of {name}: {told:#?}\n{text}", fault.name);
                let here = against_sandbox(&document, &experiment, &SecretKeys::new());
                assert_eq!(here.is_ok(), !fault.fault().needs_kubernetes(), "{} of {name}", fault.name);
                assert!(text.lines().all(|line| line.chars().count() <= 130), "{text}");
                made += 1;
            }
        }
    }
    assert!(made > 300, "{made}");
}

#[test]
fn whoever_has_no_volumes_gets_no_fault_of_volumes() {
    let found = Found { claims: Vec::new(), ..set_of(ETCD) };
    let fault = |name: &str| crate::fault::CATALOGUE.iter().find(|listed| listed.name == name).expect(name);
    let why = drafted(&found, fault("diskStall")).expect_err("nothing to freeze");
    assert_eq!(why, "diskStall is about volumes of claim templates, and StatefulSet etcd has none");
    assert!(drafted(&found, fault("networkPartition")).is_ok());
}

#[test]
fn what_the_guard_refuses_hits_somebody_who_can_be_spared_or_says_that_it_is_meant() {
    let pause =
        crate::fault::CATALOGUE.iter().find(|listed| listed.name == "diskStall").expect("it is there");
    let three = drafted(&set_of(POSTGRES), pause).expect("a draft");
    assert!(
        three.contains("members: {role: follower, count: 1}") && !three.contains("allowQuorumLoss"),
        "{three}"
    );
    let (_, two) = found_in("etcd", ETCD, 2);
    let two = drafted(&two, pause).expect("a draft");
    assert!(two.contains("allowQuorumLoss: true") && two.contains("Leave this line out"), "{two}");
}

fn container(image: &str, command: &[&str], ports: &[u16]) -> Container {
    Container {
        name: "c".into(),
        image: image.into(),
        command: command.iter().map(|&word| word.into()).collect(),
        ports: ports.to_vec(),
        claims: Vec::new(),
    }
}

#[test]
fn a_store_is_told_by_image_then_program_then_port() {
    for (image, command, ports, store, port) in [
        ("quay.io/coreos/etcd:v3.6.1", &[][..], &[2379, 2380][..], Some("etcd"), 2379),
        ("registry:5000/bitnami/postgresql:17", &[], &[5433], Some("postgres"), 5433),
        ("seatrial.dev/refkv", &[], &[], Some("refkv"), 7400),
        ("debian:12", &["/usr/local/bin/etcd", "--name=a"], &[], Some("etcd"), 2379),
        ("debian:12", &["sh", "-c", "exec etcd"], &[9187, 5432], Some("postgres"), 5432),
        ("prometheuscommunity/postgres-exporter:v0.16", &[], &[9187], None, 0),
        ("debian:12", &["sleep"], &[80], None, 0),
    ] {
        let guess = guess::of_container(&container(image, command, ports));
        let told = guess.as_ref().map(|guess| guess.store.name());
        assert_eq!(told, store, "{image}");
        if let Some(guess) = guess {
            let written = serde_json::to_value(&guess.store).expect("JSON");
            assert_eq!(written[guess.store.name()]["port"], port, "{image}");
        }
    }
}

#[test]
fn a_sidecar_is_not_taken_for_the_store() {
    let sidecar = Container { name: "metrics".into(), ..container("postgres-exporter", &[], &[9187]) };
    let store = Container { name: "db".into(), ..container("postgres:17", &[], &[5432]) };
    let found = Found { containers: vec![sidecar, store], ..set_of(POSTGRES) };
    let (container, guess) = guess(&found).expect("one of them");
    assert_eq!((container.name.as_str(), guess.because.as_str()), ("db", "its image is postgres:17"));
}

/// A document of its own.
fn document_of(text: &str) -> Document {
    document::split("f", text.as_bytes()).expect("it has a document").swap_remove(0)
}

#[test]
fn permissions_are_read_as_kubernetes_reads_them() {
    let set = "kind: StatefulSet\napiVersion: apps/v1\nmetadata: {name: a}\nspec: {replicas: 3, serviceName: a, selector: {}, template: {spec: {containers: [{name: a}], volumes: [{name: s, configMap: {name: s, defaultMode: 0755}}]}}}\n";
    assert_eq!(Found::read(&document_of(set)).map(|found| found.replicas), Ok(3));
}

/// Everything that is said of what cannot be read.
fn refused(text: &str) -> Vec<String> {
    let problems = Found::read(&document_of(text)).expect_err(text);
    problems.iter().map(ToString::to_string).collect()
}

#[test]
fn what_is_no_stateful_set_says_why() {
    let nameless = refused("kind: StatefulSet\napiVersion: apps/v1\nmetadata: {}\n");
    assert!(nameless[0].starts_with("f:1:1: this StatefulSet has no metadata.name"), "{nameless:?}");
    let misnamed = refused("kind: StatefulSet\napiVersion: apps/v1\nmetadata: {name: Zoo Keeper}\n");
    assert!(misnamed[0].contains("has the metadata.name `Zoo Keeper`"), "{misnamed:?}");
    let nobody = refused(
        "kind: StatefulSet\napiVersion: apps/v1\nmetadata: {name: a}\nspec: {replicas: 0, serviceName: a, selector: {}, template: {spec: {containers: [{name: a}]}}}\n",
    );
    assert!(nobody[0].contains("has no replicas"), "{nobody:?}");
}

#[test]
fn every_value_of_a_wrong_type_is_told_with_its_field() {
    let told = refused(
        "apiVersion: apps/v1\nkind: StatefulSet\nmetadata: {name: a, creationTimestamp: null}\nspec:\n  replicas: three\n  \
         template:\n    spec:\n      containers:\n        - name: a\n          resources: {limits: {cpu: 1}}\n          env:\n            \
         - {name: A, value: true}\n          ports: [{containerPort: \"80\"}]\n",
    );
    let starts = [
        "f:5:13: spec.replicas: the text `three` is not a whole number up to 2147483647\n",
        "f:12:32: spec.template.spec.containers[0].env[0].value: `true` is not a text: put it in quotes\n",
        "f:13:35: spec.template.spec.containers[0].ports[0].containerPort: the text `80` is not a whole number up to 2147483647: \
         leave the quotes out\n",
    ];
    assert_eq!(told.len(), starts.len(), "{told:#?}");
    for (told, start) in told.iter().zip(starts) {
        assert!(told.starts_with(start), "{told}");
    }
}
