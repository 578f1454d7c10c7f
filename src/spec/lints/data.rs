//! A store that is back and has lost what it acknowledged passes every claim about roles and latencies.

use super::Case;
use crate::experiment::Sli;
use crate::spec::rules::Broken;
use crate::yaml::tree::Segment;

pub(super) fn find(case: &Case<'_>) -> Vec<Broken> {
    let experiment = case.experiment;
    let Some(store) = &experiment.target.store else { return Vec::new() };
    let is_about_data = experiment
        .hypothesis
        .iter()
        .any(|claim| matches!(claim.sli, Sli::Durability {} | Sli::Linearizability {}));
    if is_about_data {
        return Vec::new();
    }
    let clients = if experiment.workload.is_some() { "" } else { ", and spec.workload: {} for its clients" };
    let message = format!(
        "no claim is about data, though {} can be asked for it: a store that has lost acknowledged writes would pass; add for \
         example - {{name: no acknowledged write is lost, sli: {{durability: {{}}}}}}{clients}",
        store.name()
    );
    vec![(["spec", "hypothesis"].map(|key| Segment::Key(key.into())).to_vec(), message)]
}
