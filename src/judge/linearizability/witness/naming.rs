//! What a contradiction is called.

use super::Enclosing;
use crate::judge::linearizability::ViolationKind;
use crate::judge::linearizability::blocks::{begins, ends};
use crate::judge::linearizability::clusters::{ABSENT, ClusterId, Clusters};
use crate::judge::linearizability::contradiction::Member;

/// `early` returned before `late` was called, which has to precede it.
pub(super) fn disordered(clusters: &Clusters<'_>, early: Member, late: Member) -> ViolationKind {
    if clusters.get(late.cluster).writer == Some(late.place) {
        return ViolationKind::ReadBeforeWrite;
    }
    match clusters.get(late.cluster).next {
        Some(newer) if clusters.get(newer).writer == Some(early.place) => stale(clusters, newer),
        Some(_) | None => ViolationKind::StaleRead,
    }
}

/// Each of two stretches of chains would have to precede the other.
pub(super) fn interleaved(clusters: &Clusters<'_>, a: Enclosing, b: Enclosing) -> ViolationKind {
    if a.first != a.last || b.first != b.last {
        return ViolationKind::SplitCas;
    }
    let (old, new) = if a.last_begin >= b.last_begin { (a, b) } else { (b, a) };
    let newer = clusters.get(new.first);
    let was_before =
        newer.writer.is_some_and(|writer| old.first_end < begins(&clusters.operations[writer as usize]));
    if old.first == ABSENT || was_before { stale(clusters, new.first) } else { ViolationKind::ValueCameBack }
}

/// The value before `newer` was read after `newer` had been written.
fn stale(clusters: &Clusters<'_>, newer: ClusterId) -> ViolationKind {
    let cluster = clusters.get(newer);
    let acknowledged = cluster.writer.map_or(u64::MAX, |writer| ends(&clusters.operations[writer as usize]));
    let seen_since = cluster
        .last_reader
        .is_some_and(|reader| begins(&clusters.operations[reader as usize]) > acknowledged);
    if acknowledged == u64::MAX || seen_since || cluster.next.is_some() {
        ViolationKind::StaleRead
    } else {
        ViolationKind::LostWrite
    }
}
