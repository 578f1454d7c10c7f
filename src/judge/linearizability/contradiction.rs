//! What the zone method can find wrong, in terms of clusters; a witness is made of it.

use super::clusters::{ClusterId, Place};

/// The first thing that is wrong with a key.
#[derive(Debug, Clone, Copy)]
pub(super) enum Contradiction {
    /// An operation saw or expected (and got) a value that no operation writes.
    Nowhere {
        /// That operation.
        seer: Place,
    },
    /// A compare-and-set was refused with the value that it expected.
    RefusedMatch {
        /// That value.
        value: ClusterId,
        /// The compare-and-set.
        refused: Place,
    },
    /// Two compare-and-sets replaced the same value.
    TwoSwaps {
        /// That value.
        value: ClusterId,
        /// What they wrote.
        swaps: [ClusterId; 2],
    },
    /// A ring of compare-and-sets.
    Circular {
        /// A value in it.
        value: ClusterId,
    },
    /// Inside a block, an operation returned before another one was called that must precede it.
    Disordered {
        /// The operation that returned too early.
        early: Member,
        /// The operation that must precede it.
        late: Member,
    },
    /// Each of two blocks would have to precede the other.
    Interleaved {
        /// Both.
        blocks: [Block; 2],
    },
}

/// An operation and the value that it wrote or saw.
#[derive(Debug, Clone, Copy)]
pub(super) struct Member {
    /// The value.
    pub cluster: ClusterId,
    /// The operation.
    pub place: Place,
}

/// Values that compare-and-sets chain together, or a single one; in a correct order nothing enters it.
///
/// Moments are those of [`super::blocks::begins`] and [`super::blocks::ends`].
#[derive(Debug, Clone, Copy)]
pub(super) struct Block {
    /// Its first value.
    pub root: ClusterId,
    /// The earliest return in it.
    pub first_end: u64,
    /// The latest call in it.
    pub last_begin: u64,
}
