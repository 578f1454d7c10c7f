//! `networkDelay`: packets of a member take longer.
//!
//! See [`network_shaping`](super::network_shaping) for what is changed, undone and left. Each packet waits for `delay`, by up to
//! `jitter` more or less, each value as likely; with `jitter`, packets overtake each other, as they do on a network with
//! more than one way. Proof: the kernel's own times of a probe between the queue's entry and the device, and the settings of
//! the queue as they are read back; the settings alone where no probe can be sent.
//!
//! The quorum guard does not count a slow member as down; a delay beyond the store's own timeouts comes to that.

use std::time::Duration;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::network_shaping::{Towards, resolve};
use super::{Chooser, Hold, Kind, Resolved, Wrong};
use crate::api::Shape;
use crate::experiment::{Selection, duration};

/// The longest `delay`: more is not a slow network but none. Together with [`WIDEST`] it is the longest that a first probe is
/// waited for, and the engine waits ten seconds for a proof.
const LONGEST: Duration = Duration::from_secs(5);
/// The largest `jitter`: the kernel keeps it as nanoseconds in an `i32`, which end after 2.147 s.
const WIDEST: Duration = Duration::from_secs(2);

/// Delays packets that members send.
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
/// Proof: the kernel's own times of a probe between the queue's entry and the device, and the settings of the queue as
/// they are read back; the settings alone where no probe can be sent.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct NetworkDelay {
    /// Whose.
    pub members: Selection,
    /// To whom: other members (default), or everybody.
    #[serde(default, skip_serializing_if = "Towards::is_members")]
    pub to: Towards,
    /// Only packets with one of these ports on either side; all where left out.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub ports: Vec<u16>,
    /// For how long each waits.
    #[serde(with = "duration")]
    #[schemars(with = "duration::Text")]
    pub delay: Duration,
    /// By how much more or less, each value as likely. Default: not at all.
    #[serde(default, skip_serializing_if = "Duration::is_zero", with = "duration")]
    #[schemars(with = "duration::Text")]
    pub jitter: Duration,
}

impl Kind for NetworkDelay {
    const NAME: &'static str = "networkDelay";
    const SUMMARY: &'static str = "let packets that members send wait";
    const EXAMPLE: &'static str = "members: {role: leader}\ndelay: 50ms\njitter: 10ms";

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
        let too_long = format!(
            "a packet waits for more than nothing and at most {} s: write for example delay: 100ms",
            LONGEST.as_secs()
        );
        let too_far = format!(
            "waits differ by at most {} s: write for example jitter: 10ms, or leave it out",
            WIDEST.as_secs()
        );
        let too_wide = "packets cannot be sent before they are there: write no more than `delay`";
        Wrong::when(self.delay.is_zero() || self.delay > LONGEST, "delay", too_long)
            .into_iter()
            .chain(
                Wrong::when(self.jitter > self.delay, "jitter", too_wide)
                    .or_else(|| Wrong::when(self.jitter > WIDEST, "jitter", too_far)),
            )
            .collect()
    }

    fn resolve(&self, chooser: &mut dyn Chooser) -> Result<Resolved, String> {
        let shape = Shape::Delay { delay: self.delay, jitter: self.jitter };
        resolve(&self.members, self.to, &self.ports, &shape, chooser)
    }
}
