//! The table has every field of the Kubernetes types, found by asking those types themselves.

use std::collections::BTreeMap;

use k8s_openapi::api::apps::v1::StatefulSet;
use k8s_openapi::api::core::v1::{ConfigMap, Secret, Service};
use serde::de::DeserializeOwned;

use super::*;

mod every_field;
mod page;

use every_field::Shape;

/// The treatment of each field that is reached, by its path.
fn reached<T: DeserializeOwned>(table: &Table) -> BTreeMap<String, (Option<Treatment>, Shape)> {
    let mut reached = BTreeMap::new();
    for (path, shape) in every_field::of::<T>() {
        let is_decided_above = above(&path).any(|above| match table.get(above) {
            Some(Treatment::Within) | None => false,
            Some(
                Treatment::Honoured
                | Treatment::Only { .. }
                | Treatment::Usual { .. }
                | Treatment::Noted(_)
                | Treatment::Refused { .. },
            ) => true,
        });
        if !is_decided_above {
            reached.insert(path.clone(), (table.get(&path), shape));
        }
    }
    reached
}

/// The paths of all fields above the one at `path`.
fn above(path: &str) -> impl Iterator<Item = &str> {
    path.match_indices('.').map(|(end, _)| path[..end].trim_end_matches("[]"))
}

#[test]
fn every_field_of_a_stateful_set_has_a_treatment() {
    complete::<StatefulSet>(&STATEFUL_SET, 200);
}

#[test]
fn every_field_of_a_service_has_a_treatment() {
    complete::<Service>(&SERVICE, 40);
}

#[test]
fn every_field_of_a_secret_and_of_a_config_map_has_a_treatment() {
    complete::<Secret>(&SECRET, 20);
    complete::<ConfigMap>(&CONFIG_MAP, 20);
}

fn complete<T: DeserializeOwned>(table: &Table, at_least: usize) {
    let reached = reached::<T>(table);
    assert!(reached.len() >= at_least, "only {} fields were found", reached.len());
    let missing: Vec<_> =
        reached.iter().filter(|(_, (treatment, _))| treatment.is_none()).map(|(path, _)| path).collect();
    assert!(missing.is_empty(), "without a treatment: {missing:#?}");
    let unknown: Vec<_> =
        table.paths().map(|(path, _)| path).filter(|path| !reached.contains_key(*path)).collect();
    assert!(unknown.is_empty(), "no fields of Kubernetes: {unknown:#?}");
}

#[test]
fn no_structure_is_honoured_as_a_whole() {
    // A new field inside it would be dropped in silence.
    for (path, (treatment, shape)) in
        reached::<StatefulSet>(&STATEFUL_SET).into_iter().chain(reached::<Service>(&SERVICE))
    {
        if treatment == Some(Treatment::Honoured) {
            assert_ne!(shape, Shape::Structure, "{path}");
        }
        if treatment == Some(Treatment::Within) {
            assert_eq!(shape, Shape::Structure, "{path}");
        }
    }
}
