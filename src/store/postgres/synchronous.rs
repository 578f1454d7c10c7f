//! Which standbys a write waits for: `synchronous_standby_names` and `synchronous_commit`.
//!
//! <https://www.postgresql.org/docs/current/runtime-config-replication.html#GUC-SYNCHRONOUS-STANDBY-NAMES>. `FIRST` and `ANY`
//! differ in whom the primary waits for, and not in how many may be lost.

use std::collections::BTreeSet;

use super::primaries::Primaries;
use crate::api::{Ordinal, WriteNeeds};

/// What a primary's writes need. A standby is known by its `application_name`, which is taken for the name of its pod
/// (`pg-1`), as operators and the shipped manifests set it; where one of the names is none of a pod, every other member
/// may be meant.
pub(super) fn needs(commit: &str, names: &str, primary: Ordinal, primaries: &Primaries) -> WriteNeeds {
    let waits = matches!(commit, "on" | "remote_write" | "remote_apply");
    let Some((count, listed)) = parse(names).filter(|_| waits) else {
        return WriteNeeds::default();
    };
    let known: Option<BTreeSet<Ordinal>> = listed.iter().map(|name| ordinal_of_pod(name)).collect();
    let mut of = known.unwrap_or_else(|| primaries.others(primary));
    of.remove(&primary);
    WriteNeeds { acknowledgements: count, of }
}

/// How many of which standbys; none where the setting is empty.
fn parse(names: &str) -> Option<(u32, Vec<String>)> {
    let names = names.trim();
    let (count, list) = match names.split_once('(') {
        None => (1, names),
        Some((head, rest)) => {
            let count = head.split_whitespace().last().and_then(|word| word.parse().ok());
            (count.unwrap_or(1), rest.trim_end().trim_end_matches(')'))
        }
    };
    let listed: Vec<_> = list
        .split(',')
        .map(|name| name.trim().trim_matches('"').to_owned())
        .filter(|name| !name.is_empty())
        .collect();
    (!listed.is_empty()).then_some((count, listed))
}

fn ordinal_of_pod(name: &str) -> Option<Ordinal> {
    name.rsplit_once('-')?.1.parse().ok()
}

#[cfg(test)]
mod tests {
    use tokio::time::Instant;

    use super::*;

    fn of(commit: &str, names: &str) -> (u32, Vec<Ordinal>) {
        let primaries = Primaries::default();
        primaries.hear_primary(0, 1, 1, Instant::now());
        (1..=3).for_each(|standby| primaries.hear_standby(standby));
        let needs = needs(commit, names, 0, &primaries);
        (needs.acknowledgements, needs.of.into_iter().collect())
    }

    #[test]
    fn counts_those_that_a_write_waits_for() {
        for (names, needs) in [
            ("", (0, vec![])),
            ("pg-1", (1, vec![1])),
            ("pg-1, \"pg-2\"", (1, vec![1, 2])),
            ("2 (pg-1, pg-2, pg-3)", (2, vec![1, 2, 3])),
            ("FIRST 1 (pg-2, pg-0)", (1, vec![2])),
            ("ANY 2 (\"pg-1\", \"pg-3\")", (2, vec![1, 3])),
            ("ANY 1 (*)", (1, vec![1, 2, 3])),
            ("*", (1, vec![1, 2, 3])),
            // Names that are none of pods: it may be anybody.
            ("walreceiver", (1, vec![1, 2, 3])),
            ("FIRST 1 (\"pg-1\", walreceiver)", (1, vec![1, 2, 3])),
            // Nobody else acknowledges in place of one that is not there.
            ("2 (pg-0, pg-1)", (2, vec![1])),
        ] {
            assert_eq!(of("on", names), needs, "{names}");
        }
    }

    #[test]
    fn without_synchronous_commit_a_write_waits_for_nobody() {
        for commit in ["off", "local"] {
            assert_eq!(of(commit, "ANY 1 (*)").0, 0, "{commit}");
        }
        for commit in ["remote_write", "remote_apply"] {
            assert_eq!(of(commit, "ANY 1 (*)").0, 1, "{commit}");
        }
    }
}
