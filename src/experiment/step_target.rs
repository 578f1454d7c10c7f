//! Where a step acts, if not where the experiment does.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Another container, another StatefulSet, or both. Never neither.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(try_from = "Wire", into = "Wire")]
pub struct StepTarget {
    /// The StatefulSet; that of the experiment where none is named.
    pub stateful_set: Option<String>,
    /// The container that faults on processes mean. Where none is named: that of the experiment's target for its own
    /// members, and all of them for those of another StatefulSet.
    pub container: Option<String>,
}

/// A step's target as it is written.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct Wire {
    /// Another StatefulSet of the same namespace, whose members are known by ordinal and have no roles. Default: the
    /// experiment's own target.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    stateful_set: Option<String>,
    /// The container that faults on processes mean. Default: that of `spec.target` for its own members, all containers for
    /// those of another StatefulSet.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    container: Option<String>,
}

impl TryFrom<Wire> for StepTarget {
    type Error = &'static str;

    fn try_from(wire: Wire) -> Result<Self, Self::Error> {
        let names = [&wire.stateful_set, &wire.container];
        if names.into_iter().flatten().next().is_none() {
            return Err("names nothing: write statefulSet: NAME, container: NAME or both, or leave it out");
        }
        if names.into_iter().flatten().any(String::is_empty) {
            return Err("names are not empty: leave out what is not meant");
        }
        Ok(Self { stateful_set: wire.stateful_set, container: wire.container })
    }
}

impl From<StepTarget> for Wire {
    fn from(target: StepTarget) -> Self {
        Self { stateful_set: target.stateful_set, container: target.container }
    }
}
