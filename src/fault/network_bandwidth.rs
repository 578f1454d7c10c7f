//! `networkBandwidth`: packets of a member get through a narrow place.
//!
//! See [`network_shaping`](super::network_shaping) for what is changed, undone and left. What comes faster than `rate` waits
//! for up to half a second's worth, and at least three packets; what finds no room there is lost, as in a router. The rate
//! is that of all packets that are meant together, with their headers, on each interface. Proof: the settings of the queue
//! as they are read back, and that no more than `rate` went through it since the fault began, once a packet has had to wait
//! for it. A rate that nobody comes near slows nobody down, and is no fault.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::network_shaping::{Towards, resolve};
use super::{Chooser, Hold, Kind, Resolved, Wrong};
use crate::api::Shape;
use crate::experiment::{Rate, Selection};

/// Slower, a single packet would take seconds.
const SLOWEST: Rate = Rate::of_bits(8_000);
/// Faster, the queue itself would be what is slow.
const FASTEST: Rate = Rate::of_bits(10_000_000_000);

/// Slows down what members send.
///
/// Changes: a queueing discipline of our own on every interface of the pod but the loopback device, and a table of our
/// own that sends the packets that are meant through it: those that leave the pod, so that a round trip shows the
/// effect once, and twice where its other end is hit as well. What comes faster waits for up to half a second's worth,
/// and is lost beyond that.
///
/// Undone: the table and the discipline are removed. What waits in the discipline just then is lost, as on a link that
/// comes down; while one is made or removed, the kernel may for a moment drop packets of everybody on that interface.
///
/// Left if everything of ours dies: a discipline that nothing goes through, until the agent is back or the pod ends;
/// the kernel takes the table back with its owner, and nothing goes through it after the deadline in any case.
///
/// Needs: nftables with table ownership (Linux 5.12), sch_htb and sch_tbf in the kernel, and a pod with a network of
/// its own and no queueing discipline of somebody else.
///
/// Proof: the settings of the queue as they are read back, and that no more than the rate went through it, once a
/// packet has had to wait for it. A rate that nobody comes near slows nobody down, and is no fault.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct NetworkBandwidth {
    /// Whose.
    pub members: Selection,
    /// To whom: other members (default), or everybody.
    #[serde(default, skip_serializing_if = "Towards::is_members")]
    pub to: Towards,
    /// Only packets with one of these ports on either side; all where left out.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub ports: Vec<u16>,
    /// How fast at most, in bits per second: `512kbit`, `10mbit`, `1gbit`.
    pub rate: Rate,
}

impl Kind for NetworkBandwidth {
    const NAME: &'static str = "networkBandwidth";
    const SUMMARY: &'static str = "limit how fast members send";
    const EXAMPLE: &'static str = "members: {role: leader}\nrate: 512kbit";

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
        let message = format!("a rate is from {SLOWEST} to {FASTEST}: write for example rate: 10mbit");
        Wrong::when(!(SLOWEST..=FASTEST).contains(&self.rate), "rate", message).into_iter().collect()
    }

    fn resolve(&self, chooser: &mut dyn Chooser) -> Result<Resolved, String> {
        let shape = Shape::Bandwidth { rate: self.rate };
        resolve(&self.members, self.to, &self.ports, &shape, chooser)
    }
}
