//! Whether the Secrets that an experiment names are there, with the keys that it needs.

use super::SecretKeys;
use super::rules::Broken;
use crate::experiment::{Experiment, SecretName, Store};
use crate::yaml::nearest;
use crate::yaml::tree::Segment;

/// What TLS cannot do without. The client's own certificate can be missing.
const TLS: &[&str] = &["ca.crt"];
/// What a user is.
const AUTH: &[&str] = &["username", "password"];

/// Every Secret of `experiment` that is not among `secrets`, or lacks a key.
pub(super) fn against_secrets(experiment: &Experiment, secrets: &SecretKeys) -> Vec<Broken> {
    let Some(store) = &experiment.target.store else {
        return Vec::new();
    };
    let tls = store.tls().map(|tls| ("tls", &tls.secret, TLS));
    let auth = store.auth().map(|auth| ("auth", &auth.secret, AUTH));
    let named = tls.into_iter().chain(auth);
    named.filter_map(|(field, name, needs)| Some((at(store, field), lacks(name, needs, secrets)?))).collect()
}

fn lacks(name: &SecretName, needs: &[&str], secrets: &SecretKeys) -> Option<String> {
    let Some(keys) = secrets.get(name.as_str()) else {
        return Some(match nearest(name.as_str(), secrets.keys().map(String::as_str)) {
            Some(near) => format!("there is no Secret `{name}` in the files: did you mean `{near}`?"),
            None => format!(
                "there is no Secret `{name}` in the files: add it as a document, in the namespace of the StatefulSet"
            ),
        });
    };
    let missing: Vec<_> =
        needs.iter().filter(|key| !keys.contains(**key)).map(|key| format!("`{key}`")).collect();
    let has: Vec<_> = keys.iter().map(|key| format!("`{key}`")).collect();
    let has = if has.is_empty() { "it is empty".into() } else { format!("it has {}", has.join(", ")) };
    (!missing.is_empty())
        .then(|| format!("Secret `{name}` needs {}, and {has}: add what is missing", missing.join(" and ")))
}

fn at(store: &Store, field: &str) -> Vec<Segment> {
    ["spec", "target", "store", store.name(), field, "secret"].map(|key| Segment::Key(key.into())).to_vec()
}
