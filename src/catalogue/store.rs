//! Stores.

use serde_json::{Value, json};

use super::entry::{Entry, Place};
use super::{parameter, prose};
use crate::experiment::Store;

pub(super) fn entries() -> Vec<Entry> {
    let schema = schema();
    parameter::variants(&schema).into_iter().map(|(name, inner, said)| entry(name, inner, said)).collect()
}

/// The name of every store.
pub fn names() -> Vec<&'static str> {
    parameter::variants(&schema()).into_iter().map(|(name, ..)| named(name).name()).collect()
}

fn schema() -> Value {
    parameter::generator().into_root_schema_for::<Store>().to_value()
}

fn named(name: &str) -> Store {
    serde_json::from_value(json!({ name: {} })).expect("every store can be written without parameters")
}

fn entry(name: &str, schema: &Value, said: &str) -> Entry {
    let store = named(name);
    let (description, facts) = prose::read(said);
    Entry {
        name: store.name(),
        summary: prose::first_sentence(&description),
        description,
        works: Place::ALL.to_vec(),
        facts,
        parameters: parameter::fields(schema),
        example: example(&store),
    }
}

/// A target that is asked so, and a workload.
fn example(store: &Store) -> String {
    let written = serde_json::to_value(store).expect("a store is JSON");
    let port = &written[store.name()]["port"];
    let name = store.name();
    let secrets = if written_secrets(name) {
        format!(
            "      # Secrets of the target's namespace, for TLS or for a user: one with\n\
             \x20     # ca.crt, and tls.crt and tls.key where it wants a client's certificate;\n\
             \x20     # one with username and password.\n\
             \x20     # tls: {{secret: {name}-client-tls}}\n\
             \x20     # auth: {{secret: {name}-workload}}\n"
        )
    } else {
        String::new()
    };
    format!(
        "target:\n  statefulSet: {name}\n  container: {name}\n  store:\n    {name}:\n      port: {port}  # default\n{secrets}workload:\n  clients: 8\n  rate: 200\n"
    )
}

/// Whether a store can be told whom to trust and as whom to come.
fn written_secrets(name: &str) -> bool {
    let with = json!({ name: { "tls": {"secret": "a"}, "auth": {"secret": "b"} } });
    serde_json::from_value::<Store>(with).is_ok()
}
