//! `networkPartition`: packets between members are dropped, at both ends.

use std::collections::{BTreeMap, BTreeSet};

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{Action, Chooser, Damage, Kind, Resolved};
use crate::api::Ordinal;
use crate::experiment::Selection;

pub mod host;

/// Cuts links between members.
///
/// Changes: a table of our own in the network namespace of each member, whose set elements expire by themselves.
///
/// Undone: the table is deleted.
///
/// Left if everything of ours dies: nothing after the deadline; nothing at all when the guardian dies too.
///
/// Needs: nftables with table ownership (Linux 5.12).
///
/// Proof: drop counters, and a probe that is refused.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(try_from = "Wire", into = "Wire")]
pub struct NetworkPartition {
    /// Which links.
    pub shape: Shape,
    /// Only these ports of either end; all where empty.
    pub ports: Vec<u16>,
    /// Whether clients are cut off from the members that are isolated.
    pub clients: bool,
}

/// Which links are cut.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Shape {
    /// Each of these members is cut off from every other member, also from each other.
    Isolate {
        /// Whom.
        members: Selection,
        /// In which direction, seen from the isolated member.
        direction: Direction,
    },
    /// Two groups, as equal as can be, chosen by the seed.
    Halves,
    /// A majority and a minority.
    MajorityMinority {
        /// On which side the leader is.
        leader: Side,
    },
    /// Every member sees a majority, and no two see the same one.
    Ring,
    /// Two groups, and one member that sees both.
    Bridge,
}

/// Which packets of an isolated member are dropped.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub enum Direction {
    /// All.
    #[default]
    Both,
    /// Those that come to it: it speaks and hears nothing.
    Inbound,
    /// Those that leave it: it hears and cannot speak.
    Outbound,
}

/// A side of a majority/minority cut.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub enum Side {
    /// Wherever the seed puts it.
    #[default]
    Any,
    /// In the majority.
    Majority,
    /// In the minority.
    Minority,
}

/// As it is written: exactly one shape.
#[derive(Debug, Clone, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct Wire {
    /// These members are cut off from all others.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    isolate: Option<Selection>,
    /// Which packets of isolated members are dropped. Default: both ways.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    direction: Option<Direction>,
    /// The members are cut into two halves, by the seed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    halves: Option<Empty>,
    /// The members are cut into a majority and a minority.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    majority_minority: Option<Sides>,
    /// Each member reaches only its two neighbours, in an order by the seed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    ring: Option<Empty>,
    /// Two halves that only one member reaches both of.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    bridge: Option<Empty>,
    /// Only packets to and from these ports, of either side; all where left out.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    ports: Vec<u16>,
    /// Who else is cut off from isolated members. Default: only other members.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    from: Option<CutFrom>,
}

/// `{}`
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct Empty {}

/// `{leaderIn: minority}`
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct Sides {
    /// On which side the leader is. Default: wherever the seed puts it.
    #[serde(default)]
    leader_in: Side,
}

/// Who else is cut off from isolated members.
#[derive(Debug, Clone, Copy, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
enum CutFrom {
    /// Only other members.
    Members,
    /// Other members and clients.
    Clients,
}

impl TryFrom<Wire> for NetworkPartition {
    type Error = &'static str;

    fn try_from(wire: Wire) -> Result<Self, Self::Error> {
        let shapes = [
            wire.isolate
                .map(|members| Shape::Isolate { members, direction: wire.direction.unwrap_or_default() }),
            wire.halves.map(|Empty {}| Shape::Halves),
            wire.majority_minority.map(|sides| Shape::MajorityMinority { leader: sides.leader_in }),
            wire.ring.map(|Empty {}| Shape::Ring),
            wire.bridge.map(|Empty {}| Shape::Bridge),
        ];
        let mut shapes = shapes.into_iter().flatten();
        let (Some(shape), None) = (shapes.next(), shapes.next()) else {
            return Err(
                "needs exactly one of isolate: {role: leader}, halves: {}, majorityMinority: {}, ring: {} and bridge: {}",
            );
        };
        let isolates = matches!(shape, Shape::Isolate { .. });
        if wire.direction.is_some() && !isolates {
            return Err("`direction` belongs to `isolate`: leave it out");
        }
        let clients = matches!(wire.from, Some(CutFrom::Clients));
        if clients && !isolates {
            return Err("`from: clients` belongs to `isolate`: leave it out");
        }
        Ok(Self { shape, ports: wire.ports, clients })
    }
}

impl From<NetworkPartition> for Wire {
    fn from(partition: NetworkPartition) -> Self {
        let mut wire = Self {
            ports: partition.ports,
            from: partition.clients.then_some(CutFrom::Clients),
            ..Self::default()
        };
        match partition.shape {
            Shape::Isolate { members, direction } => {
                wire.isolate = Some(members);
                wire.direction = Some(direction);
            }
            Shape::Halves => wire.halves = Some(Empty {}),
            Shape::MajorityMinority { leader } => wire.majority_minority = Some(Sides { leader_in: leader }),
            Shape::Ring => wire.ring = Some(Empty {}),
            Shape::Bridge => wire.bridge = Some(Empty {}),
        }
        wire
    }
}

impl Kind for NetworkPartition {
    const NAME: &'static str = "networkPartition";
    const SUMMARY: &'static str =
        "drop packets between members: isolate, halves, majorityMinority, ring, bridge";
    const EXAMPLE: &'static str = "isolate: {role: leader}";

    fn must_last(&self) -> bool {
        true
    }

    fn may_last(&self, _follow: bool) -> bool {
        true
    }

    fn selection(&self) -> Option<&Selection> {
        match &self.shape {
            Shape::Isolate { members, .. } => Some(members),
            Shape::Halves | Shape::MajorityMinority { .. } | Shape::Ring | Shape::Bridge => None,
        }
    }

    fn needs_roles(&self) -> bool {
        match &self.shape {
            Shape::Isolate { members, .. } => matches!(members, Selection::Role { .. }),
            Shape::MajorityMinority { leader } => *leader != Side::Any,
            Shape::Halves | Shape::Ring | Shape::Bridge => false,
        }
    }

    fn fewest_members(&self) -> u32 {
        match self.shape {
            Shape::Isolate { .. } | Shape::Halves => 2,
            Shape::MajorityMinority { .. } | Shape::Bridge => 3,
            // With four, a majority of three is everyone but the opposite one; below, everybody sees everybody.
            Shape::Ring => 4,
        }
    }

    fn resolve(&self, chooser: &mut dyn Chooser) -> Result<Resolved, String> {
        let cut = self.links(chooser)?;
        if cut.is_empty() {
            return Err("cuts no link between the members that there are".into());
        }
        let mut ends: BTreeMap<Ordinal, (BTreeSet<Ordinal>, BTreeSet<Ordinal>)> = BTreeMap::new();
        for &(from, to) in &cut {
            ends.entry(from).or_default().1.insert(to);
            ends.entry(to).or_default().0.insert(from);
        }
        let isolated: BTreeSet<Ordinal> = match &self.shape {
            Shape::Isolate { members, .. } if self.clients => chooser.pick(members)?.into_iter().collect(),
            Shape::Isolate { .. }
            | Shape::Halves
            | Shape::MajorityMinority { .. }
            | Shape::Ring
            | Shape::Bridge => BTreeSet::new(),
        };
        let hits = ends
            .into_iter()
            .map(|(ordinal, (drop_from, drop_to))| {
                let clients = isolated.contains(&ordinal);
                (ordinal, Action::Cut { drop_from, drop_to, ports: self.ports.clone(), clients })
            })
            .collect();
        Ok(Resolved { hits, damage: Damage { cut, ..Damage::default() }, ..Resolved::default() })
    }
}

impl NetworkPartition {
    /// The directed links that are cut.
    fn links(&self, chooser: &mut dyn Chooser) -> Result<BTreeSet<(Ordinal, Ordinal)>, String> {
        let all = chooser.all();
        match &self.shape {
            Shape::Isolate { members, direction } => {
                let isolated = chooser.pick(members)?;
                let mut cut = BTreeSet::new();
                for &member in &isolated {
                    for &other in all.iter().filter(|&&other| other != member) {
                        if matches!(direction, Direction::Both | Direction::Inbound) {
                            cut.insert((other, member));
                        }
                        if matches!(direction, Direction::Both | Direction::Outbound) {
                            cut.insert((member, other));
                        }
                    }
                }
                Ok(cut)
            }
            Shape::Halves => {
                let order = chooser.shuffled();
                let (some, rest) = order.split_at(order.len() / 2);
                Ok(between(some, rest))
            }
            Shape::MajorityMinority { leader: side } => {
                let mut order = chooser.shuffled();
                let minority = (order.len().div_ceil(2)).saturating_sub(1);
                if let Some(first) = match side {
                    Side::Any => None,
                    Side::Majority | Side::Minority => {
                        Some(chooser.leader().ok_or("there is no leader now")?)
                    }
                } {
                    order.retain(|&ordinal| ordinal != first);
                    match side {
                        Side::Minority => order.insert(0, first),
                        Side::Majority | Side::Any => order.push(first),
                    }
                }
                let (few, many) = order.split_at(minority);
                Ok(between(few, many))
            }
            Shape::Ring => {
                // Each sees the nearest ones around the ring, as many as make a majority with itself.
                let order = chooser.shuffled();
                let n = order.len();
                let reach = (n / 2).div_ceil(2);
                let mut cut = BTreeSet::new();
                for a in 0..n {
                    for b in 0..n {
                        let distance = (a + n - b) % n;
                        if distance.min(n - distance) > reach {
                            cut.insert((order[a], order[b]));
                        }
                    }
                }
                Ok(cut)
            }
            Shape::Bridge => {
                let order = chooser.shuffled();
                let (some, rest) = order.split_at(order.len() / 2);
                Ok(between(some, &rest[1..]))
            }
        }
    }
}

/// Every link between two groups, both ways.
fn between(some: &[Ordinal], others: &[Ordinal]) -> BTreeSet<(Ordinal, Ordinal)> {
    some.iter().flat_map(|&a| others.iter().flat_map(move |&b| [(a, b), (b, a)])).collect()
}

#[cfg(test)]
pub(super) mod tests;
