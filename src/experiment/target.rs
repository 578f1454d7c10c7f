//! What is broken, and how its members are asked.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// The target of an experiment.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Target {
    /// The StatefulSet's name.
    pub stateful_set: String,
    /// The container that faults on processes mean; all containers where none is named.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub container: Option<String>,
    /// How to ask members; without it only pods can be seen.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub store: Option<Store>,
}

/// A store that Seatrial knows how to ask.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub enum Store {
    /// etcd 3.4 and later, through its JSON gateway.
    Etcd(StorePort<2379>),
    /// The built-in replicated key-value store.
    Refkv(StorePort<7400>),
}

/// The client port of a store, with its usual number as the default.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct StorePort<const USUAL: u16> {
    /// The port.
    #[serde(default = "usual::<USUAL>")]
    pub port: u16,
}

fn usual<const USUAL: u16>() -> u16 {
    USUAL
}

impl Store {
    /// Its name in documents.
    pub fn name(&self) -> &'static str {
        match self {
            Self::Etcd(_) => "etcd",
            Self::Refkv(_) => "refkv",
        }
    }

    /// Whether its members tell who leads.
    pub fn tells_roles(&self) -> bool {
        match self {
            Self::Etcd(_) | Self::Refkv(_) => true,
        }
    }
}
