//! How many members one of them still reaches, by brute force over the graph.

use super::Group;
use super::standing::Standing;
use crate::api::Ordinal;
use crate::fault::Damage;

impl Standing {
    /// [`Self::widest`] when those that are taken one after the other are the ones that it hurts most. A member that is
    /// away already may be one of them: nobody takes the next one before it is back.
    pub(super) fn widest_while_rolling(
        &self,
        group: &Group<'_>,
        damages: &[&Damage],
    ) -> (usize, Option<Ordinal>) {
        let rolling: usize = damages.iter().map(|damage| damage.rolling as usize).sum();
        let is_held = |ordinal: &Ordinal| damages.iter().any(|damage| damage.down.contains(ordinal));
        let away =
            group.members.iter().filter(|&ordinal| self.down.contains_key(ordinal) && !is_held(ordinal));
        let away = away.count();
        let mut worst = self.clone();
        let mut found = worst.widest(group, damages);
        for _ in away..rolling {
            let next = group
                .members
                .iter()
                .filter(|&ordinal| !worst.down.contains_key(ordinal) && !is_held(ordinal));
            let taken = next.map(|&ordinal| {
                let mut without = worst.clone();
                without.without(ordinal, "");
                (without.widest(group, damages), without)
            });
            let Some((least, without)) = taken.min_by_key(|((reach, _), _)| *reach) else {
                break;
            };
            (found, worst) = (least, without);
        }
        found
    }

    /// The largest number of these members that one of them reaches both ways, itself included, and which one that is.
    pub(super) fn widest(&self, group: &Group<'_>, damages: &[&Damage]) -> (usize, Option<Ordinal>) {
        let up: Vec<Ordinal> = group
            .members
            .iter()
            .copied()
            .filter(|ordinal| !self.down.contains_key(ordinal))
            .filter(|ordinal| !damages.iter().any(|damage| damage.down.contains(ordinal)))
            .collect();
        let open = |from, to| !damages.iter().any(|damage| damage.cut.contains(&(from, to)));
        let reached = |center: Ordinal| {
            up.iter()
                .filter(|&&other| other == center || (open(center, other) && open(other, center)))
                .count()
        };
        up.iter()
            .filter(|&&center| group.center.is_none_or(|only| only == center))
            .map(|&center| (reached(center), Some(center)))
            .max_by_key(|&(count, center)| (count, std::cmp::Reverse(center)))
            .unwrap_or((0, None))
    }
}
