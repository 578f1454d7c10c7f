//! What a node does with the records that it finds when it starts.

use super::actor::Begin;
use crate::undo::Outcome;

/// How an actor begins with what a replay found; none where there is nothing left to do.
pub(super) fn begin(outcome: Outcome) -> Option<(String, Begin)> {
    match outcome {
        Outcome::Reverted(record) => {
            tracing::info!(injection = record.spec.name, "took back what an earlier process left behind");
            None
        }
        Outcome::AnotherBoot(record) => {
            tracing::info!(injection = record.spec.name, "removed a record of another boot");
            None
        }
        Outcome::AnotherPidNamespace(path, record) => {
            tracing::warn!(injection = record.spec.name, path = %path.display(), "left a record of another pid namespace");
            None
        }
        Outcome::SetAside(error, path) => {
            tracing::error!(%error, path = %path.display(), "kept an unreadable undo record aside; look at it");
            None
        }
        Outcome::Kept(path, record) => Some((record.spec.name.clone(), Begin::Found(path, record))),
        Outcome::Failed(path, record, error) => {
            let error = format!("left behind by an earlier process, cannot be taken back yet: {error}");
            Some((record.spec.name.clone(), Begin::Stuck(path, record, error)))
        }
    }
}
