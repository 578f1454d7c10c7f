//! Whom a fault takes away from its group, as opposed to where it is applied: a cut is applied at both of its ends, but
//! only one side of it is cut off.

use std::collections::BTreeSet;

use crate::api::Ordinal;
use crate::fault::Damage;

/// The members that are down or cut off from the largest group of members that still reach each other. Where no group is
/// the largest, everybody who lost a link is affected.
pub fn members(all: &BTreeSet<Ordinal>, damages: &[&Damage]) -> BTreeSet<Ordinal> {
    let down: BTreeSet<Ordinal> = damages.iter().flat_map(|damage| &damage.down).copied().collect();
    let is_cut = |a: Ordinal, b: Ordinal| {
        damages.iter().any(|damage| damage.cut.contains(&(a, b)) || damage.cut.contains(&(b, a)))
    };
    let mut left: BTreeSet<Ordinal> = all.difference(&down).copied().collect();
    let mut groups: Vec<BTreeSet<Ordinal>> = Vec::new();
    while let Some(first) = left.pop_first() {
        let mut group = BTreeSet::from([first]);
        let mut reached = vec![first];
        while let Some(from) = reached.pop() {
            let next: Vec<Ordinal> = left.iter().copied().filter(|&to| !is_cut(from, to)).collect();
            for to in next {
                left.remove(&to);
                group.insert(to);
                reached.push(to);
            }
        }
        groups.push(group);
    }
    let largest = groups.iter().map(BTreeSet::len).max().unwrap_or(0);
    let is_clear = groups.iter().filter(|group| group.len() == largest).count() == 1;
    let cut_off = groups.into_iter().filter(|group| group.len() < largest || !is_clear).flatten();
    down.into_iter().chain(cut_off).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn affected(all: u32, down: &[Ordinal], cut: &[(Ordinal, Ordinal)]) -> Vec<Ordinal> {
        let damage = Damage {
            down: down.iter().copied().collect(),
            cut: cut.iter().copied().collect(),
            ..Damage::default()
        };
        members(&(0..all).collect(), &[&damage]).into_iter().collect()
    }

    #[test]
    fn a_cut_affects_the_smaller_side() {
        assert_eq!(affected(3, &[], &[(0, 1), (1, 0), (0, 2), (2, 0)]), [0]);
        assert_eq!(affected(3, &[], &[(0, 1), (0, 2)]), [0]);
    }

    #[test]
    fn a_cut_into_equal_halves_affects_everybody() {
        assert_eq!(affected(2, &[], &[(0, 1)]), [0, 1]);
    }

    #[test]
    fn members_that_reach_each_other_through_others_are_not_cut_off() {
        assert_eq!(affected(3, &[], &[(0, 1), (1, 0)]), [] as [Ordinal; 0]);
    }

    #[test]
    fn what_is_down_is_affected_and_joins_nobody() {
        assert_eq!(affected(3, &[2], &[]), [2]);
        assert_eq!(affected(3, &[2], &[(0, 1)]), [0, 1, 2]);
    }
}
