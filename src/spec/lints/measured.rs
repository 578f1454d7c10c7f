//! A claim that nothing will be measured of ends Inconclusive, after the whole run.

use super::Case;
use crate::experiment::{Reads, Sli};
use crate::spec::rules::{Broken, at};

pub(super) fn find(case: &Case<'_>) -> Vec<Broken> {
    let claims = case.experiment.hypothesis.iter().enumerate();
    claims
        .filter_map(|(index, claim)| Some((at("hypothesis", index, &["sli"]), obstacle(case, &claim.sli)?)))
        .collect()
}

/// Why nothing will be measured, and what to write instead.
fn obstacle(case: &Case<'_>, sli: &Sli) -> Option<String> {
    match sli {
        Sli::Linearizability {} => {
            let reads = case.experiment.workload.as_ref()?.reads;
            (reads == Reads::Local).then(|| {
                "is not judged with `reads: local`, which may be as old as they like: write reads: linearizable, or \
                 sli: {replicationLag: {}} for how old they are"
                    .into()
            })
        }
        Sli::DiskUsage { .. } | Sli::VolumeIops { .. } => {
            let target = case.target?;
            target.claims.is_empty().then(|| {
                format!(
                    "`{}` is read from volumes of claim templates, of which `{}` has none: leave it out, or give the \
                     StatefulSet volumeClaimTemplates",
                    sli.name(),
                    target.name
                )
            })
        }
        _ => None,
    }
}
