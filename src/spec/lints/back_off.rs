//! Kubernetes waits longer and longer before it tries something again, and a recovery cannot be quicker than that.

use super::{Case, is_own};
use crate::experiment::duration;
use crate::fault::Repeated;
use crate::spec::rules::{Broken, at};

pub(super) fn find(case: &Case<'_>) -> Vec<Broken> {
    let own = case.faults().filter(|(_, step, ..)| is_own(case, step));
    let waits = own.filter_map(|(_, step, one, fault)| {
        let repeated = Repeated { lasting: one.lasting, times: step.repeat.times, follow: step.follow };
        Some((step, fault, fault.back_off(&repeated)?))
    });
    let Some((step, fault, longest)) = waits.max_by_key(|(_, _, back_off)| back_off.wait) else {
        return Vec::new();
    };
    let claims = case.experiment.hypothesis.iter().enumerate();
    claims
        .filter_map(|(index, claim)| {
            let within = claim.recover_within.filter(|&within| within < longest.wait)?;
            let message = format!(
                "{} is less than the {} for which {} may still wait after `{}` of step {}, before {}; write recoverWithin: \
                 {} or more",
                duration::format(within),
                duration::format(longest.wait),
                longest.who,
                fault.name(),
                step.name,
                longest.before,
                // Whatever was waited for takes some time as well.
                duration::format(longest.wait * 3 / 2)
            );
            Some((at("hypothesis", index, &["recoverWithin"]), message))
        })
        .collect()
}
