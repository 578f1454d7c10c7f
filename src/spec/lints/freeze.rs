//! A fault that writes out what is dirty makes durable what the store forgot to sync.

use super::{Case, is_own};
use crate::experiment::Sli;
use crate::fault::Fault;
use crate::spec::rules::{Broken, at};

pub(super) fn find(case: &Case<'_>) -> Vec<Broken> {
    // A power cut beside it shows what was not synced.
    let own = || case.faults().filter(|(_, step, ..)| is_own(case, step));
    let shows_it = own().any(|(_, _, _, fault)| matches!(fault, Fault::PowerLoss(_)));
    let writing = own().find(|(_, _, _, fault)| fault.writes_out());
    let Some((_, step, _, fault)) = writing.filter(|_| !shows_it) else { return Vec::new() };
    let claims = case.experiment.hypothesis.iter().enumerate();
    claims
        .filter(|(_, claim)| matches!(claim.sli, Sli::Durability {}))
        .map(|(index, _)| {
            let message = format!(
                "a missing fsync is not found so: `{}` of step {} writes out what is dirty first, which makes it durable; leave \
                 `durability` to an experiment with powerLoss, or accept that it says less here",
                fault.name(),
                step.name
            );
            (at("hypothesis", index, &["sli"]), message)
        })
        .collect()
}
