//! What each StatefulSet of a run loses by what is done to one of them.

use std::collections::{BTreeMap, BTreeSet};

use crate::api::{Ordinal, Snapshot};
use crate::fault::{Damage, Resolved};

/// Which one: a further one by its name, or the experiment's own.
pub type Which = Option<String>;

/// The set that is hit with its damage, and every other of `sets` that has pods on a node that goes.
pub fn losses<'a>(
    which: Option<&str>,
    resolved: &Resolved,
    sets: impl Iterator<Item = (Option<&'a str>, &'a Snapshot)> + Clone,
) -> BTreeMap<Which, Damage> {
    let there = sets.clone().find(|(name, _)| *name == which).map(|(_, snapshot)| snapshot);
    let hits = resolved.hits.iter().filter(|(_, action)| action.takes_the_node());
    let nodes: BTreeSet<&str> =
        hits.filter_map(|(&ordinal, _)| Some(there?.pod(ordinal)?.node.as_str())).collect();
    let beside = sets.filter(|(name, _)| *name != which).filter_map(|(name, snapshot)| {
        let pods = snapshot.pods.iter().filter(|pod| nodes.contains(pod.node.as_str()));
        let down: BTreeSet<Ordinal> = pods.map(|pod| pod.ordinal).collect();
        (!down.is_empty()).then(|| (name.map(str::to_owned), Damage { down, ..Damage::default() }))
    });
    beside.chain([(which.map(str::to_owned), resolved.damage.clone())]).collect()
}
