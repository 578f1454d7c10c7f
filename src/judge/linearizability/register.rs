//! One key: grouped, chained, compared; and if something is wrong, shown.

use super::clusters::Clusters;
use super::{Finding, blocks, repeated, witness, zones};
use crate::judge::history::Operation;

/// Judges one key's operations.
pub(super) fn check(operations: &[Operation]) -> Finding {
    let Some(mut clusters) = Clusters::written(operations) else {
        return repeated::check(operations);
    };
    let judged =
        clusters.group().and_then(|()| blocks::chain(&clusters)).and_then(|blocks| zones::judge(&blocks));
    match judged {
        Ok(()) => Finding::Linearizable,
        Err(contradiction) => witness::show(&clusters, contradiction),
    }
}
