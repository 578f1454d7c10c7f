//! A run that nothing ends early goes on breaking what does not bear it.

use super::Case;
use crate::experiment::duration;
use crate::spec::rules::Broken;
use crate::yaml::tree::Segment;

pub(super) fn find(case: &Case<'_>) -> Vec<Broken> {
    let guards = &case.experiment.guards;
    if !guards.abort_when.is_empty() {
        return Vec::new();
    }
    let replicas = case.target.map_or(3, |target| target.replicas.max(1));
    // Below a majority, in whole percents that a majority is not below.
    let majority = 100 * (u64::from(replicas) / 2 + 1) / u64::from(replicas);
    let longest = duration::format(guards.max_duration);
    let message = format!(
        "no condition ends the run early: where the target does not bear the fault, it goes on until every step is over, or \
         for maxDuration ({longest}); write for example abortWhen: [{{sli: {{podAvailability: {{}}}}, below: {majority}%, for: 60s}}]"
    );
    vec![(["spec", "guards"].map(|key| Segment::Key(key.into())).to_vec(), message)]
}
