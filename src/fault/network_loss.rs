//! `networkLoss`: packets of a member do not arrive.
//!
//! See [`network_shaping`](super::network_shaping) for what is changed, undone and left. Each packet is lost by itself, or with
//! `burst` so many in a row in the mean (Gilbert's model), which is how wires and full queues lose them. A packet is what
//! the pod hands to its network: of a bulk transfer that may be 64 KiB at once (segmentation offload). The sender is not
//! told. Proof: the settings of the queue as they are read back, packets that went through it, and how many were lost;
//! the settings alone where no packet came.
//!
//! From a loss of one half on, the quorum guard counts the links to other members as cut.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::network_shaping::{Towards, resolve};
use super::{Chooser, Hold, Kind, Resolved, Wrong};
use crate::api::Shape;
use crate::experiment::{Amount, Selection};

/// The most that may be lost, in millionths: whoever loses everything is cut off, for which there is a fault with a better
/// proof.
const MOST: u64 = 990_000;
/// More than this in a row is an outage.
const LONGEST_BURST: u32 = 1_000;

/// Loses packets that members send.
///
/// Changes: a queueing discipline of our own on every interface of the pod but the loopback device, and a table of our
/// own that sends the packets that are meant through it: those that leave the pod, so that a round trip shows the
/// effect once, and twice where its other end is hit as well.
///
/// Undone: the table and the discipline are removed. What waits in the discipline just then is lost, as on a link that
/// comes down; while one is made or removed, the kernel may for a moment drop packets of everybody on that interface.
///
/// Left if everything of ours dies: a discipline that nothing goes through, until the agent is back or the pod ends;
/// the kernel takes the table back with its owner, and nothing goes through it after the deadline in any case.
///
/// Needs: nftables with table ownership (Linux 5.12), sch_htb and sch_netem in the kernel, and a pod with a network of
/// its own and no queueing discipline of somebody else.
///
/// Proof: the settings of the queue as they are read back, packets that went through it, and how many of them were
/// lost; the settings alone where no packet came.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct NetworkLoss {
    /// Whose.
    pub members: Selection,
    /// To whom: other members (default), or everybody.
    #[serde(default, skip_serializing_if = "Towards::is_members")]
    pub to: Towards,
    /// Only packets with one of these ports on either side; all where left out.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub ports: Vec<u16>,
    /// How many, as `0.5%` or `30%`.
    pub loss: Amount,
    /// How many in a row, in the mean. Default: each is lost by itself.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub burst: Option<u32>,
}

impl NetworkLoss {
    /// The loss in millionths, where it is one that may be.
    fn millionths(&self) -> Option<u32> {
        match self.loss {
            Amount::Ratio(millionths @ 1..=MOST) => u32::try_from(millionths).ok(),
            Amount::Ratio(_) | Amount::Count(_) | Amount::Time(_) => None,
        }
    }
}

impl Kind for NetworkLoss {
    const NAME: &'static str = "networkLoss";
    const SUMMARY: &'static str = "lose packets that members send";
    const EXAMPLE: &'static str = "members: {role: leader}\nloss: 5%\nburst: 4";

    fn must_last(&self) -> bool {
        true
    }

    fn may_last(&self, _follow: bool) -> bool {
        true
    }

    fn selection(&self) -> Option<&Selection> {
        Some(&self.members)
    }

    fn fewest_members(&self) -> u32 {
        self.to.fewest_members()
    }

    fn hold(&self) -> Option<Hold> {
        Some(Hold::Shaped)
    }

    fn wrong(&self) -> Vec<Wrong> {
        let Some(millionths) = self.millionths() else {
            let message = format!(
                "{} is not between 0.0001% and 99%: write for example loss: 5%; to lose all, write networkPartition: {{isolate: …, \
                 direction: outbound}}",
                self.loss
            );
            return Wrong::when(true, "loss", message).into_iter().collect();
        };
        let Some(burst) = self.burst else { return Vec::new() };
        let no_burst = format!("{burst} is not between 2 and {LONGEST_BURST}: write for example burst: 5");
        // Between two bursts at least one packet arrives.
        let most = 1_000_000 * u64::from(burst) / (u64::from(burst) + 1);
        let too_many = format!(
            "with bursts of {burst}, no more than {} can be lost: write longer ones",
            Amount::Ratio(most)
        );
        Wrong::when(!(2..=LONGEST_BURST).contains(&burst), "burst", no_burst)
            .or_else(|| Wrong::when(u64::from(millionths) > most, "burst", too_many))
            .into_iter()
            .collect()
    }

    fn resolve(&self, chooser: &mut dyn Chooser) -> Result<Resolved, String> {
        let millionths = self.millionths().ok_or("the loss is none that may be")?;
        let shape = Shape::Loss { millionths, burst: self.burst };
        resolve(&self.members, self.to, &self.ports, &shape, chooser)
    }
}
