//! Decides one occurrence on what is known right now.

use std::collections::BTreeMap;

use super::scene::Brief;
use super::sets::{Sets, Which};
use crate::api::{Pod, PodPhase};
use crate::experiment::{Step, Work};
use crate::fault::{Damage, Resolved};
use crate::plan::Choice;
use crate::plan::guard::Asked;

/// Why an occurrence does not start now.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Obstacle {
    /// Somebody is missing who may come back: a leader, a pod.
    Undecided(String),
    /// A guard refuses it now, because of members that are down and may come back, or of what others do.
    Endangers(String),
    /// A guard refuses it even if everybody were up.
    Refused(String),
}

/// Who is hit, and what each StatefulSet of the run loses by it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Decision {
    pub(super) resolved: Resolved,
    pub(super) losses: BTreeMap<Which, Damage>,
}

/// Whom the occurrence hits now, with everything that is `held` in each set meanwhile; or what is in the way.
pub(super) fn decide<'a>(
    step: &Step,
    work: &Work,
    occurrence: u32,
    held: impl Fn(&Which) -> Vec<&'a Damage>,
    (brief, sets): (&Brief, &Sets),
) -> Result<Decision, Obstacle> {
    let which = brief.which(step);
    let known = sets.get(&which);
    let mut choice = Choice::new(known.view(), brief.seed, &step.name, occurrence);
    let resolved = work.resolve(&mut choice).map_err(Obstacle::Undecided)?;
    for (&ordinal, action) in &resolved.hits {
        let is_there = |pod: &&Pod| {
            pod.phase == PodPhase::Running || action.ends_who_is_going() && pod.phase == PodPhase::Terminating
        };
        let pod = known
            .pod(ordinal)
            .filter(is_there)
            .ok_or_else(|| Obstacle::Undecided(format!("{} has no running pod", known.name(ordinal))))?;
        if action.needs_an_address() && pod.ip.is_none() {
            return Err(Obstacle::Undecided(format!("{} has no address yet", pod.name)));
        }
    }
    let asked = Asked::of(&brief.experiment.guards, step, work);
    let losses = sets.losses(&which, &resolved);
    for (which, damage) in &losses {
        let ruling = sets.get(which).standing().judge(&held(which), damage, asked);
        if !ruling.holds {
            return Err(if ruling.would_hold_if_all_were_up {
                Obstacle::Endangers(ruling.refusal())
            } else {
                Obstacle::Refused(ruling.refusal())
            });
        }
    }
    Ok(Decision { resolved, losses })
}
