//! Who reads and writes while faults happen.

use std::time::Duration;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::duration;

/// Clients with one operation in flight each, unique values, no retries.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Workload {
    /// How many clients. Default 8.
    #[serde(default = "defaults::clients")]
    pub clients: u32,
    /// Operations per second of all clients together. Default 200.
    #[serde(default = "defaults::rate")]
    pub rate: u32,
    /// How many registers they read and write. Default 8.
    #[serde(default = "defaults::registers")]
    pub registers: u32,
    /// The only place it writes to.
    #[serde(default)]
    pub scope: Scope,
    /// What the store promises of its reads. Default linearizable.
    #[serde(default)]
    pub reads: Reads,
    /// Which way clients go. Default both: half of them each.
    #[serde(default)]
    pub through: Through,
    /// When a client gives up on an operation, whose outcome is then unknown. Default 1s.
    #[serde(default = "defaults::timeout", with = "duration")]
    #[schemars(with = "duration::Text")]
    pub timeout: Duration,
}

impl Workload {
    /// How many of a hundred operations write: reads are the others.
    pub const WRITE_PERCENT: u32 = 60;

    /// From one heartbeat to the next: beside those of the clients, each is one more write.
    pub const HEARTBEAT: Duration = Duration::from_millis(100);
}

/// The keys that belong to the workload.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Scope {
    /// Every key starts with this. Default `seatrial/`.
    #[serde(default = "defaults::prefix")]
    pub prefix: String,
    /// Whether the keys stay after the run. Default false.
    #[serde(default)]
    pub keep: bool,
}

impl Default for Scope {
    fn default() -> Self {
        Self { prefix: defaults::prefix(), keep: false }
    }
}

/// What the store promises of its reads.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub enum Reads {
    /// A read sees every write that was acknowledged before it began.
    #[default]
    Linearizable,
    /// A read may be old; linearizability is not judged.
    Local,
}

/// Which way clients reach the store.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub enum Through {
    /// Each client is pinned to one member.
    Members,
    /// Each operation goes to whichever ready member the Service gives.
    Service,
    /// Even clients are pinned, odd ones use the Service.
    #[default]
    Both,
}

mod defaults {
    use std::time::Duration;

    pub(super) fn clients() -> u32 {
        8
    }

    pub(super) fn rate() -> u32 {
        200
    }

    pub(super) fn registers() -> u32 {
        8
    }

    pub(super) fn timeout() -> Duration {
        Duration::from_secs(1)
    }

    pub(super) fn prefix() -> String {
        "seatrial/".into()
    }
}
