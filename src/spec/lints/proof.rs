//! A fault that is over before anybody has seen it proves nothing.

use super::{Case, held};
use crate::experiment::duration;
use crate::spec::rules::{Broken, at};

pub(super) fn find(case: &Case<'_>) -> Vec<Broken> {
    case.faults()
        .filter_map(|(index, _, one, fault)| {
            let (shortest, why) = fault.shortest();
            let lasting = held(one).filter(|&lasting| lasting < shortest)?;
            let message = format!(
                "{} is too short for `{}`: {why}; write for: {} or more",
                duration::format(lasting),
                fault.name(),
                // Some of it belongs to its beginning.
                duration::format(shortest * 2)
            );
            Some((at("steps", index, &["for"]), message))
        })
        .collect()
}
