//! What is broken, and how its members are asked.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::store::Store;
use crate::api::Ordinal;

/// The target of an experiment.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(try_from = "Wire", into = "Wire")]
pub struct Target {
    /// Whose members are meant.
    pub group: Group,
    /// The container that faults on processes mean; all containers where none is named.
    pub container: Option<String>,
    /// How to ask members; without it only pods can be seen.
    pub store: Option<Store>,
    /// The Service by which clients reach it; a StatefulSet's own where none is named.
    pub service: Option<String>,
}

/// A group of pods with ordinals.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Group {
    /// The pods of this StatefulSet.
    StatefulSet(String),
    /// Pods that something else makes and numbers, as operators do.
    Pods(Pods),
}

/// Pods that are no StatefulSet's.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Pods {
    /// Which pods of the namespace.
    pub selector: Selector,
    /// How an ordinal is told from a pod. Default nameSuffix.
    #[serde(default)]
    pub ordinal_from: OrdinalFrom,
}

/// A label selector.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Selector {
    /// Labels that a pod must have, each with its value.
    pub match_labels: BTreeMap<String, String>,
}

/// How a pod's ordinal is told.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub enum OrdinalFrom {
    /// The number after the last hyphen of its name: 3 of `pg-3`.
    #[default]
    NameSuffix,
}

impl OrdinalFrom {
    /// What comes before the ordinal in a pod's name, and the ordinal; `None` for a pod that has none.
    pub fn read(self, name: &str) -> Option<(&str, Ordinal)> {
        match self {
            Self::NameSuffix => {
                let (group, ordinal) = name.rsplit_once('-')?;
                Some((group, ordinal.parse().ok()?))
            }
        }
    }
}

impl Selector {
    /// As the API server reads it: `app=pg,role=member`.
    pub fn query(&self) -> String {
        let labels: Vec<_> =
            self.match_labels.iter().map(|(label, value)| format!("{label}={value}")).collect();
        labels.join(",")
    }
}

impl Target {
    /// The StatefulSet's name, where the target is one.
    pub fn stateful_set(&self) -> Option<&str> {
        match &self.group {
            Group::StatefulSet(name) => Some(name),
            Group::Pods(_) => None,
        }
    }

    /// A word for it that is as good as a label's value: the StatefulSet's name, or one made of the pods' labels.
    pub fn key(&self) -> String {
        match &self.group {
            Group::StatefulSet(name) => name.clone(),
            Group::Pods(pods) => {
                let query = pods.selector.query().to_lowercase();
                let fits = |c: char| if c.is_ascii_alphanumeric() { c } else { '-' };
                let word: String = query.chars().map(fits).take(50).collect();
                format!("pods-{}", word.trim_matches('-'))
            }
        }
    }

    /// For a person: the StatefulSet's name, or the selector of the pods.
    pub fn name(&self) -> String {
        match &self.group {
            Group::StatefulSet(name) => name.clone(),
            Group::Pods(pods) => format!("pods {}", pods.selector.query()),
        }
    }
}

/// A target as it is written: exactly one of statefulSet and pods.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct Wire {
    /// The StatefulSet's name.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    stateful_set: Option<String>,
    /// Pods by labels instead of a StatefulSet, for operators that make pods themselves, as CloudNativePG and Strimzi do.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pods: Option<Pods>,
    /// The container that faults on processes mean; all containers where none is named.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    container: Option<String>,
    /// How to ask members; without it only pods can be seen.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    store: Option<Store>,
    /// The Service by which clients of `workload.through: service` and `both` reach it in a cluster. Default: the
    /// StatefulSet's own; for pods, any that is Ready.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    service: Option<String>,
}

impl TryFrom<Wire> for Target {
    type Error = &'static str;

    fn try_from(wire: Wire) -> Result<Self, Self::Error> {
        let group = match (wire.stateful_set, wire.pods) {
            (Some(name), None) => Group::StatefulSet(name),
            (None, Some(pods)) if pods.selector.match_labels.is_empty() => {
                return Err(
                    "`pods` selects every pod of the namespace: name a label, for example pods: {selector: {matchLabels: {app: pg}}}",
                );
            }
            (None, Some(pods)) => Group::Pods(pods),
            (Some(_), Some(_)) => return Err("has both `statefulSet` and `pods`: keep one of them"),
            (None, None) => {
                return Err(
                    "names nobody: write statefulSet: etcd, or pods: {selector: {matchLabels: {app: pg}}}",
                );
            }
        };
        Ok(Self { group, container: wire.container, store: wire.store, service: wire.service })
    }
}

impl From<Target> for Wire {
    fn from(target: Target) -> Self {
        let (stateful_set, pods) = match target.group.clone() {
            Group::StatefulSet(name) => (Some(name), None),
            Group::Pods(pods) => (None, Some(pods)),
        };
        let Target { container, store, service, .. } = target;
        Self { stateful_set, pods, container, store, service }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_ordinal_is_the_number_after_the_last_hyphen() {
        assert_eq!(OrdinalFrom::NameSuffix.read("my-pg-3"), Some(("my-pg", 3)));
        assert_eq!(OrdinalFrom::NameSuffix.read("my-pg-3x"), None);
        assert_eq!(OrdinalFrom::NameSuffix.read("pg"), None);
    }

    #[test]
    fn a_target_is_a_stateful_set_or_pods_and_never_a_whole_namespace() {
        let read = |json: &str| serde_json::from_str::<Target>(json).map_err(|error| error.to_string());
        let pods = read(r#"{"pods":{"selector":{"matchLabels":{"app":"pg","role":"member"}}}}"#);
        assert_eq!(pods.map(|target| target.name()), Ok("pods app=pg,role=member".into()));
        for (json, words) in [
            ("{}", "names nobody"),
            (r#"{"pods":{"selector":{"matchLabels":{}}}}"#, "every pod of the namespace"),
            (r#"{"statefulSet":"a","pods":{"selector":{"matchLabels":{"app":"pg"}}}}"#, "keep one of them"),
        ] {
            assert!(read(json).is_err_and(|why| why.contains(words)), "{json}");
        }
    }
}
