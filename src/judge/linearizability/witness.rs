//! From a contradiction to the few operations that prove it, re-checked by the search.

mod naming;

use super::blocks::{self, begins, ends};
use super::clusters::{ABSENT, ClusterId, Clusters, Place};
use super::contradiction::{Block, Contradiction};
use super::restriction::Restriction;
use super::wgl::Answer;
use super::{Finding, ViolationKind, Witness};
use crate::api::counted;

/// Configurations that a witness is worth; those of plain registers need a handful.
const LIMIT: usize = 100_000;

/// Longer witnesses are shown as they are: chains of compare-and-sets that all run at the same time.
const WORTH_MINIMISING: usize = 64;

/// Shows a contradiction, if the search confirms it.
pub(super) fn show(clusters: &Clusters<'_>, contradiction: Contradiction) -> Finding {
    let (mut part, kind) = choose(clusters, contradiction);
    part.sort_unstable();
    part.dedup();
    confirm(clusters, part, kind)
}

fn confirm(clusters: &Clusters<'_>, part: Vec<Place>, kind: ViolationKind) -> Finding {
    let restriction = Restriction::new(clusters.operations, &part);
    if !restriction.is_closed(&part) || restriction.search(&part, LIMIT) != Answer::NotLinearizable {
        let first = clusters.operations[part[0] as usize].index;
        return Finding::Undecided(format!(
            "the check disagrees with itself: the zone method found that {}, but the search does not confirm it \
             (operation {first} and {})",
            kind.describe(),
            counted(part.len() - 1, "other"),
        ));
    }
    let part = if part.len() <= WORTH_MINIMISING { restriction.minimise(part, LIMIT) } else { part };
    Finding::Wrong(Witness::new(clusters.operations, &part, kind))
}

/// The operations of a contradiction, which may name one twice.
fn choose(clusters: &Clusters<'_>, contradiction: Contradiction) -> (Vec<Place>, ViolationKind) {
    let writer = |id: ClusterId| clusters.get(id).writer;
    let mut part = Vec::new();
    let kind = match contradiction {
        Contradiction::Nowhere { seer } => {
            part.push(seer);
            part.extend(proof_of_writer(clusters, seer));
            ViolationKind::ReadFromNowhere
        }
        Contradiction::RefusedMatch { value, refused } => {
            part.push(refused);
            part.extend(writer(value));
            ViolationKind::RefusedMatch
        }
        Contradiction::TwoSwaps { value, swaps } => {
            part.extend(writer(value));
            for swap in swaps {
                part.extend(writer(swap));
                part.extend(proof(clusters, swap));
            }
            ViolationKind::SplitCas
        }
        Contradiction::Circular { value } => {
            let ring = blocks::from(clusters, value).skip(1).take_while(|&id| id != value);
            for id in ring.chain([value]) {
                part.extend(writer(id));
            }
            if let Some(seen) =
                blocks::from(clusters, value).take(part.len()).find_map(|id| clusters.get(id).first_reader)
            {
                part.push(seen);
            }
            ViolationKind::CircularCas
        }
        Contradiction::Disordered { early, late } => {
            part.extend([early.place, late.place]);
            part.extend(stretch(clusters, late.cluster, early.cluster));
            naming::disordered(clusters, early, late)
        }
        Contradiction::Interleaved { blocks: [a, b] } => {
            let a = nearest(clusters, a, b.first_end, b.last_begin);
            let b = nearest(clusters, b, a.first_end, a.last_begin);
            for pair in [a, b] {
                part.extend([pair.ends, pair.begins].into_iter().flatten());
                part.extend(stretch(clusters, pair.first, pair.last));
            }
            naming::interleaved(clusters, a, b)
        }
    };
    (part, kind)
}

/// The two operations of a block that enclose another block, as near to each other in the chain as can be.
#[derive(Debug, Clone, Copy)]
pub(super) struct Enclosing {
    /// The lower value of the two.
    first: ClusterId,
    /// The upper value of the two.
    last: ClusterId,
    /// The operation that returned before the other block's latest call; none for the absent key itself.
    ends: Option<Place>,
    /// Its return.
    first_end: u64,
    /// The operation that was called after the other block's earliest return; none for the absent key itself.
    begins: Option<Place>,
    /// Its call.
    last_begin: u64,
}

fn nearest(clusters: &Clusters<'_>, block: Block, other_end: u64, other_begin: u64) -> Enclosing {
    let mut end: Option<(usize, ClusterId, Option<Place>, u64)> = None;
    let mut begin: Option<(usize, ClusterId, Option<Place>, u64)> = None;
    let mut best: Option<(usize, Enclosing)> = None;
    for (position, id) in blocks::from(clusters, block.root).enumerate() {
        let (first, last) = extremes(clusters, id);
        if first.1 < other_begin {
            end = Some((position, id, first.0, first.1));
        }
        if last.1 > other_end {
            begin = Some((position, id, last.0, last.1));
        }
        let (Some(end), Some(begin)) = (end, begin) else {
            continue;
        };
        let distance = end.0.abs_diff(begin.0);
        if best.is_none_or(|(shortest, _)| distance < shortest) {
            let (first, last) = if end.0 <= begin.0 { (end.1, begin.1) } else { (begin.1, end.1) };
            let found = Enclosing {
                first,
                last,
                ends: end.2,
                first_end: end.3,
                begins: begin.2,
                last_begin: begin.3,
            };
            best = Some((distance, found));
        }
    }
    best.expect("the block's earliest return and latest call enclose the other block").1
}

/// Of one value's cluster: the operation that returned first and the one that was called last, with those moments.
fn extremes(clusters: &Clusters<'_>, id: ClusterId) -> ((Option<Place>, u64), (Option<Place>, u64)) {
    let cluster = clusters.get(id);
    let operation = |place: Place| &clusters.operations[place as usize];
    if id == ABSENT {
        let last = cluster.last_reader;
        return ((None, blocks::DAWN), (last, last.map_or(blocks::DAWN, |place| begins(operation(place)))));
    }
    let first = [cluster.writer, cluster.first_reader]
        .into_iter()
        .flatten()
        .map(|place| (ends(operation(place)), place))
        .min();
    let last = [cluster.writer, cluster.last_reader]
        .into_iter()
        .flatten()
        .map(|place| (begins(operation(place)), place))
        .max();
    let (first, last) = first.zip(last).expect("only the absent key is unwritten");
    ((Some(first.1), first.0), (Some(last.1), last.0))
}

/// The writers from one value of a chain up to another one, and what proves that the last of them happened.
fn stretch(clusters: &Clusters<'_>, first: ClusterId, last: ClusterId) -> Vec<Place> {
    let mut part = Vec::new();
    for id in blocks::from(clusters, first) {
        part.extend(clusters.get(id).writer);
        if id == last {
            break;
        }
    }
    part.extend(proof(clusters, last));
    part
}

/// The operations that prove that a value was written, if its writer's outcome is unknown.
fn proof(clusters: &Clusters<'_>, id: ClusterId) -> Vec<Place> {
    let mut part = Vec::new();
    for id in blocks::from(clusters, id) {
        let cluster = clusters.get(id);
        part.extend(cluster.writer);
        if cluster.writer.is_none_or(|writer| clusters.operations[writer as usize].happened()) {
            break;
        }
        if let Some(reader) = cluster.first_reader {
            part.push(reader);
            break;
        }
    }
    part
}

fn proof_of_writer(clusters: &Clusters<'_>, place: Place) -> Vec<Place> {
    (0..)
        .zip(&clusters.all)
        .find(|(_, cluster)| cluster.writer == Some(place))
        .map_or_else(Vec::new, |(id, _)| proof(clusters, id))
}
