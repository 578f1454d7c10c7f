//! Two blocks that would each have to precede the other.
//!
//! A must precede B if A's earliest return is before B's latest call. A block is a *forward* zone if its earliest
//! return is before its latest call, and a *backward* zone otherwise. Two blocks demand each other exactly if two
//! forward zones overlap, or a forward zone holds a backward zone; two backward zones never do.

use super::contradiction::{Block, Contradiction};

/// Finds the pair whose contradiction was complete first, in O(n log n).
pub(super) fn judge(blocks: &[Block]) -> Result<(), Contradiction> {
    let (mut forward, backward): (Vec<Block>, Vec<Block>) =
        blocks.iter().partition(|block| block.first_end < block.last_begin);
    forward.sort_unstable_by_key(|block| (block.first_end, block.root));
    let overlapping = forward.windows(2).map(|pair| [pair[0], pair[1]]);
    let holding = backward.iter().filter_map(|&inner| {
        // As long as no two forward zones overlap, the last one that begins early enough also ends last.
        let after = forward.partition_point(|outer| outer.first_end < inner.last_begin);
        Some([*forward.get(after.checked_sub(1)?)?, inner])
    });
    let first = overlapping
        .chain(holding)
        .filter(|[a, b]| a.first_end < b.last_begin && b.first_end < a.last_begin)
        .min_by_key(|[a, b]| (a.last_begin.max(b.last_begin), a.root, b.root));
    match first {
        None => Ok(()),
        Some(blocks) => Err(Contradiction::Interleaved { blocks }),
    }
}
