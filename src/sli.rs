//! Samplers of service level indicators.
//!
//! A sample is a value, *unreachable* (the target's doing) or *not sampled* (ours). Samplers tell these apart where the
//! question is asked, because nobody can later.

pub mod disks;
pub mod members;
pub mod requests;
pub mod volumes;

use crate::experiment::{Condition, Experiment, Sli, Start, When};

/// Whether an experiment measures one of some SLIs: as a claim, to abort, or to begin a step.
fn asks(experiment: &Experiment, of: impl Fn(&Sli) -> bool) -> bool {
    let claimed = experiment.hypothesis.iter().map(|claim| &claim.sli);
    let aborting = experiment.guards.abort_when.iter().map(|condition| &condition.sli);
    let waited_for = experiment.steps.iter().filter_map(|step| match &step.start {
        Start::When(When { condition: Condition::Sli(condition), .. }) => Some(&condition.sli),
        Start::When(_) | Start::At(_) | Start::After(_) => None,
    });
    claimed.chain(aborting).chain(waited_for).any(of)
}
