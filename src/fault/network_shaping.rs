//! What `networkDelay`, `networkLoss` and `networkBandwidth` have in common.
//!
//! Changes: a queueing discipline of our own in the place of none, on every interface of the pod but the loopback device,
//! and a table of our own that sends packets to chosen addresses through it. Only packets that leave the pod are meant, so
//! that a round trip shows the effect once, and twice where its other end is hit as well. Undone: the table and the
//! discipline are removed; what waits in the discipline just then is lost, as on a link that comes down. While a discipline
//! is made or removed, the kernel may for a moment drop packets of everybody on that interface. Seen by those who are meant:
//! one byte by UDP a second, to the first of `ports` or to port 9, whose way out is what is timed and counted. Left if
//! everything of ours dies: a discipline that nothing goes through, until the agent is back or the pod ends; the kernel
//! takes the table back with its owner, and nothing goes through it after the deadline in any case. Needs: nftables with
//! table ownership (Linux 5.12), sch_htb, and sch_netem or sch_tbf. Refused: a pod in the network of its node, and a
//! discipline of somebody else.

use std::collections::{BTreeMap, BTreeSet};

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{Action, Chooser, Damage, Resolved};
use crate::api::{Ordinal, Shape};
use crate::experiment::Selection;

pub mod host;

/// To whom the packets go that are meant.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub enum Towards {
    /// Only to other members.
    #[default]
    Members,
    /// To everybody: members, clients, samplers, the kubelet, name servers.
    Everybody,
}

impl Towards {
    /// Whether only members are meant, which is not written.
    #[expect(clippy::trivially_copy_pass_by_ref, reason = "serde calls it with a reference")]
    pub(super) fn is_members(&self) -> bool {
        *self == Self::Members
    }

    /// The fewest members for which there is anybody at the other end.
    pub(super) fn fewest_members(self) -> u32 {
        match self {
            Self::Members => 2,
            Self::Everybody => 1,
        }
    }
}

/// Everybody who is hit, each towards all other members.
pub(super) fn resolve(
    members: &Selection,
    to: Towards,
    ports: &[u16],
    shape: &Shape,
    chooser: &mut dyn Chooser,
) -> Result<Resolved, String> {
    let all: BTreeSet<Ordinal> = chooser.all().into_iter().collect();
    let hit = chooser.pick(members)?;
    let others = |member: Ordinal| all.iter().copied().filter(move |&other| other != member);
    let hits: BTreeMap<Ordinal, Action> = hit
        .iter()
        .map(|&member| {
            let action = Action::Shape {
                to: others(member).collect(),
                everybody: to == Towards::Everybody,
                ports: ports.to_vec(),
                shape: shape.clone(),
            };
            (member, action)
        })
        .collect();
    let cut = hit.iter().filter(|_| shape.is_felt_as_cut());
    let cut = cut.flat_map(|&member| others(member).map(move |other| (member, other))).collect();
    Ok(Resolved { hits, damage: Damage { cut, ..Damage::default() }, ..Resolved::default() })
}

#[cfg(test)]
mod tests;
