//! Chains of compare-and-sets become blocks, and the order inside each is checked.

use super::clusters::{ABSENT, ClusterId, Clusters, Place};
use super::contradiction::{Block, Contradiction, Member};
use crate::judge::history::Operation;

/// The absent key is written at this moment, before everything.
pub(super) const DAWN: u64 = 0;

/// When an operation was called, on a scale that leaves room for [`DAWN`].
pub(super) fn begins(operation: &Operation) -> u64 {
    operation.call.saturating_add(1)
}

/// When an operation was over, on the same scale; never, if its outcome is unknown.
pub(super) fn ends(operation: &Operation) -> u64 {
    operation.over().map_or(u64::MAX, |over| over.saturating_add(1))
}

/// All blocks of values that happened, if each has an order.
pub(super) fn chain(clusters: &Clusters<'_>) -> Result<Vec<Block>, Contradiction> {
    let mut blocks = Vec::with_capacity(clusters.all.len());
    let mut chained = 0;
    for (id, cluster) in (0..).zip(&clusters.all) {
        if cluster.happened && cluster.from.is_none() {
            let (block, length) = walk(clusters, id)?;
            blocks.push(block);
            chained += length;
        }
    }
    if chained < clusters.all.iter().filter(|cluster| cluster.happened).count() {
        return Err(Contradiction::Circular { value: on_a_ring(clusters) });
    }
    Ok(blocks)
}

/// The clusters from one on along its chain.
pub(super) fn from<'a>(clusters: &'a Clusters<'_>, root: ClusterId) -> impl Iterator<Item = ClusterId> + 'a {
    std::iter::successors(Some(root), |&id| clusters.get(id).next)
}

fn walk(clusters: &Clusters<'_>, root: ClusterId) -> Result<(Block, usize), Contradiction> {
    let operation = |place: Place| &clusters.operations[place as usize];
    let mut block = Block { root, first_end: u64::MAX, last_begin: DAWN };
    if root == ABSENT {
        block.first_end = DAWN;
    }
    let mut length = 0;
    for id in from(clusters, root) {
        let cluster = clusters.get(id);
        length += 1;
        for (first, last) in [(cluster.writer, cluster.writer), (cluster.first_reader, cluster.last_reader)] {
            let (Some(first), Some(last)) = (first, last) else {
                continue;
            };
            let end = ends(operation(first));
            if end < block.last_begin {
                let early = Member { cluster: id, place: first };
                return Err(Contradiction::Disordered { early, late: preceding(clusters, early) });
            }
            block.first_end = block.first_end.min(end);
            block.last_begin = block.last_begin.max(begins(operation(last)));
        }
    }
    Ok((block, length))
}

/// The nearest operation that must precede `early` and was called after that had returned.
fn preceding(clusters: &Clusters<'_>, early: Member) -> Member {
    let too_late = |place: &Place| {
        begins(&clusters.operations[*place as usize]) > ends(&clusters.operations[early.place as usize])
    };
    let own = clusters.get(early.cluster);
    if own.writer != Some(early.place)
        && let Some(place) = own.writer.filter(too_late)
    {
        return Member { cluster: early.cluster, place };
    }
    let back = std::iter::successors(own.from, |&id| clusters.get(id).from);
    back.flat_map(|cluster| {
        let found = clusters.get(cluster);
        [found.last_reader, found.writer].into_iter().flatten().map(move |place| Member { cluster, place })
    })
    .find(|member| too_late(&member.place))
    .expect("the latest call of the block so far is after this operation's return")
}

/// A value that the chains from all roots do not reach; going back from it leads around.
fn on_a_ring(clusters: &Clusters<'_>) -> ClusterId {
    let mut reached = vec![false; clusters.all.len()];
    for (id, cluster) in (0..).zip(&clusters.all) {
        if cluster.happened && cluster.from.is_none() {
            for id in from(clusters, id) {
                reached[id as usize] = true;
            }
        }
    }
    (0..)
        .zip(&clusters.all)
        .find(|&(id, cluster): &(ClusterId, _)| cluster.happened && !reached[id as usize])
        .map(|(id, _)| id)
        .expect("fewer values were chained than happened")
}
