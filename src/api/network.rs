//! What is done to packets that go on, and do not go on as they were.

use std::net::IpAddr;
use std::time::Duration;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::experiment::{Rate, duration};

/// Which packets of a member, on their way out, are treated how.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ShapedTraffic {
    /// The addresses that the other members have now.
    pub members: Vec<IpAddr>,
    /// Whether packets to everybody else are meant as well.
    pub everybody: bool,
    /// Only packets with one of these ports on either side; all where empty.
    pub ports: Vec<u16>,
    /// How.
    pub shape: Shape,
}

/// How packets are treated.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub enum Shape {
    /// Each waits.
    Delay {
        /// For how long.
        #[serde(with = "duration")]
        #[schemars(with = "duration::Text")]
        delay: Duration,
        /// By how much more or less, each value as likely.
        #[serde(with = "duration")]
        #[schemars(with = "duration::Text")]
        jitter: Duration,
    },
    /// Some are lost.
    Loss {
        /// How many of a million.
        millionths: u32,
        /// How many in a row, in the mean; each by itself where left out.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        burst: Option<u32>,
    },
    /// Together they are no faster than this.
    Bandwidth {
        /// How fast.
        rate: Rate,
    },
}

/// From this loss on hardly a connection gets anything through, and a member counts as cut off.
const CUT: u32 = 500_000;

impl Shape {
    /// Whether whoever it is done to counts as cut off.
    pub fn is_felt_as_cut(&self) -> bool {
        matches!(self, Self::Loss { millionths, .. } if *millionths >= CUT)
    }
}
