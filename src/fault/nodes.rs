//! What the faults on nodes share: whose nodes are meant, and who else runs there.

use std::collections::BTreeMap;

use super::{Chooser, Damage};
use crate::api::Ordinal;
use crate::experiment::Selection;

/// The nodes of chosen members.
pub struct Nodes {
    /// Each node by its name, with one of the chosen members on it.
    pub names: BTreeMap<String, Ordinal>,
    /// What is lost with them: every member on one of them.
    pub damage: Damage,
}

impl Nodes {
    /// Chooses members now. The error says who runs nowhere.
    pub fn of(members: &Selection, chooser: &mut dyn Chooser) -> Result<Self, String> {
        let mut names = BTreeMap::new();
        for member in chooser.pick(members)? {
            let node = chooser.node(member).ok_or_else(|| format!("member {member} runs on no node"))?;
            names.entry(node).or_insert(member);
        }
        let is_there =
            |ordinal: &Ordinal| chooser.node(*ordinal).is_some_and(|node| names.contains_key(&node));
        let down = chooser.all().into_iter().filter(is_there).collect();
        Ok(Self { names, damage: Damage { down, ..Damage::default() } })
    }
}
