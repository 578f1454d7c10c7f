//! Operations counted by when they ended.

use super::operations::{Operation, Outcome};
use crate::api::Nanos;

/// Stretches of time of the same width, from the beginning of the run.
#[derive(Debug, Clone)]
pub(super) struct Rates {
    pub(super) width: Nanos,
    pub(super) buckets: Vec<Bucket>,
}

/// What ended in a stretch of time.
#[derive(Debug, Clone, Default)]
pub(super) struct Bucket {
    pub(super) answered: u64,
    pub(super) failed: u64,
    pub(super) unknown: u64,
    /// How long the answered ones took, ascending.
    pub(super) took: Vec<Nanos>,
}

impl Bucket {
    pub(super) fn all(&self) -> u64 {
        self.answered + self.failed + self.unknown
    }
}

impl Rates {
    /// At most about `most` stretches, of a width that people count in.
    pub(super) fn of(operations: &[Operation], end: Nanos, most: u64) -> Self {
        const MS: Nanos = 1_000_000;
        let wanted = end.max(1).div_ceil(most);
        let width = [100, 200, 500, 1_000, 2_000, 5_000, 10_000, 30_000, 60_000, 300_000, 600_000]
            .into_iter()
            .map(|millis| millis * MS)
            .find(|&width| width >= wanted)
            .unwrap_or_else(|| wanted.div_ceil(600_000 * MS) * 600_000 * MS);
        let many = (end / width) as usize + 1;
        let mut buckets = vec![Bucket::default(); many];
        for operation in operations {
            let bucket = &mut buckets[((operation.ended / width) as usize).min(many - 1)];
            match operation.outcome {
                Outcome::Answered => {
                    bucket.answered += 1;
                    bucket.took.push(operation.took());
                }
                Outcome::Failed => bucket.failed += 1,
                Outcome::Unknown => bucket.unknown += 1,
            }
        }
        for bucket in &mut buckets {
            bucket.took.sort_unstable();
        }
        Self { width, buckets }
    }
}
