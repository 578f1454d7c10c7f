//! Steps that would keep a member in two states at once.

use std::collections::BTreeSet;
use std::time::Duration;

use super::Broken;
use super::works::{Deed, deeds};
use crate::api::Ordinal;
use crate::experiment::{Experiment, Selection, Start, Work};

/// When something happens, or may, as far as that is certain before the run: from the start of Faulting.
fn windows(deed: &Deed<'_>) -> Vec<(Duration, Duration)> {
    let (repeat, lasting) = (deed.step.repeat, deed.what.lasting);
    match deed.step.start {
        // When the later ones start is drawn.
        Start::At(at) if repeat.every.jitter.is_some() => vec![(at, at + lasting)],
        Start::At(at) => (0..repeat.times.min(1000))
            .map(|n| (at + repeat.every.mean * n, at + repeat.every.mean * n + lasting))
            .collect(),
        Start::After(_) | Start::When(_) => Vec::new(),
    }
}

/// The ordinals that something hits for certain.
fn certain(work: &Work) -> BTreeSet<Ordinal> {
    match work.selection() {
        Some(Selection::Ordinals(set)) => set.iter().collect(),
        Some(Selection::Role { .. } | Selection::Count(_)) | None => BTreeSet::new(),
    }
}

pub(super) fn find(experiment: &Experiment, broken: &mut Vec<Broken>) {
    let sure: Vec<_> = deeds(experiment).map(|deed| (certain(deed.work()), windows(&deed), deed)).collect();
    for (hit_later, windows_later, later) in &sure {
        let earlier_ones = sure
            .iter()
            .take_while(|(_, _, earlier)| earlier.index < later.index)
            .filter(|(_, _, earlier)| experiment.other_set(earlier.step) == experiment.other_set(later.step));
        for (hit_earlier, windows_earlier, earlier) in earlier_ones {
            let Some(why) = earlier.work().contradicts(later.work()) else {
                continue;
            };
            let Some(ordinal) = hit_earlier.intersection(hit_later).next().copied() else {
                continue;
            };
            if meet(windows_earlier, windows_later) {
                let (contradicts, hits) = if earlier.step.has_choice() || later.step.has_choice() {
                    ("may contradict", "may hit")
                } else {
                    ("contradicts", "hits")
                };
                broken.push((
                    later.at(&[]),
                    format!(
                        "{contradicts} step `{}`, which {hits} ordinal {ordinal} at the same time: {why}",
                        earlier.step.name
                    ),
                ));
            }
        }
    }
}

/// Whether two lists of times, both by their starts and without overlaps of their own, share a moment.
fn meet(mut some: &[(Duration, Duration)], mut others: &[(Duration, Duration)]) -> bool {
    while let ([a, ..], [b, ..]) = (some, others) {
        if a.0 <= b.1 && b.0 <= a.1 {
            return true;
        }
        if a.1 < b.0 {
            some = &some[1..];
        } else {
            others = &others[1..];
        }
    }
    false
}
