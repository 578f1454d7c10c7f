//! The table that takes the place of a linear one.

use std::time::Duration;

use crate::api::{Delay, DiskOperation, FailingDisk, SlowDisk};
use crate::host::device_mapper::Segment;

/// What the requests to a device meet.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Meets {
    /// They wait for so long; nothing is no delay.
    Delay {
        /// Reads.
        read: Duration,
        /// Writes.
        write: Duration,
        /// Flushes.
        flush: Duration,
    },
    /// They fail.
    Error {
        /// Reads.
        reads: bool,
        /// Writes and flushes.
        writes: bool,
    },
}

impl From<&SlowDisk> for Meets {
    fn from(slow: &SlowDisk) -> Self {
        // Nothing but a fixed one comes to here.
        let Delay::Fixed(delay) = slow.delay else {
            return Self::Delay { read: Duration::ZERO, write: Duration::ZERO, flush: Duration::ZERO };
        };
        let of = |operation| if slow.operations.contains(&operation) { delay } else { Duration::ZERO };
        Self::Delay {
            read: of(DiskOperation::Read),
            write: of(DiskOperation::Write),
            flush: of(DiskOperation::Sync),
        }
    }
}

impl From<&FailingDisk> for Meets {
    fn from(failing: &FailingDisk) -> Self {
        let asks = |operation| failing.operations.contains(&operation);
        Self::Error { reads: asks(DiskOperation::Read), writes: asks(DiskOperation::Write) }
    }
}

impl Meets {
    /// The kind of target that does it.
    pub(super) fn kind(self) -> &'static str {
        match self {
            Self::Delay { .. } => "delay",
            Self::Error { .. } => "flakey",
        }
    }

    /// Whether reads fail.
    pub(super) fn fails_reads(self) -> bool {
        matches!(self, Self::Error { reads: true, .. })
    }

    /// Whether reads fail and nothing else does.
    pub(super) fn is_only_reads_that_fail(self) -> bool {
        matches!(self, Self::Error { reads: true, writes: false })
    }

    /// The driver, as documents name it.
    pub(super) fn driver(self) -> &'static str {
        match self {
            Self::Delay { .. } => "dmDelay",
            Self::Error { .. } => "dmError",
        }
    }

    /// The same sectors of the same device, by way of it; the first segment that is not linear where there is one.
    pub(super) fn over(self, table: &[Segment]) -> Result<Vec<Segment>, Segment> {
        let one = |segment: &Segment| {
            if segment.kind != "linear" {
                return Err(segment.clone());
            }
            // `MAJOR:MINOR SECTOR`
            let place = &segment.arguments;
            let arguments = match self {
                Self::Delay { read, write, flush } => {
                    let (read, write, flush) = (read.as_millis(), write.as_millis(), flush.as_millis());
                    format!("{place} {read} {place} {write} {place} {flush}")
                }
                // Up for no second and down for one, so that it is never up. Without a count of features kernels from 6.5 to 6.15
                // fail nothing; with a count of none, every kernel fails all.
                Self::Error { reads: true, writes: true } => format!("{place} 0 1 0"),
                Self::Error { reads: true, writes: false } => format!("{place} 0 1 1 error_reads"),
                Self::Error { reads: false, writes: _ } => format!("{place} 0 1 1 error_writes"),
            };
            Ok(Segment { kind: self.kind().to_owned(), arguments, ..segment.clone() })
        };
        table.iter().map(one).collect()
    }
}

/// Whether two tables do the same: the kernel does not tell every one in the words in which it was loaded.
pub(super) fn is_same(one: &[Segment], other: &[Segment]) -> bool {
    one.len() == other.len()
        && one.iter().zip(other).all(|(one, other)| {
            (one.start, one.length, &one.kind) == (other.start, other.length, &other.kind)
                && arguments(one) == arguments(other)
        })
}

fn arguments(segment: &Segment) -> Vec<&str> {
    let mut words: Vec<&str> = segment.arguments.split_ascii_whitespace().collect();
    // Where none of the features of a flakey target is named, everything fails; newer kernels name both then.
    if segment.kind == "flakey"
        && matches!(words[4.min(words.len())..], ["0"] | ["2", "error_reads", "error_writes"])
    {
        words.truncate(4);
    }
    words
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::{Meets, Segment, is_same};

    fn segment(kind: &str, arguments: &str) -> Segment {
        Segment { start: 0, length: 64, kind: kind.to_owned(), arguments: arguments.to_owned() }
    }

    #[test]
    fn a_linear_segment_is_reached_by_way_of_the_target_and_no_other_kind_is() {
        let milli = Duration::from_millis;
        let delay = Meets::Delay { read: milli(0), write: milli(5), flush: milli(20) };
        let linear = [segment("linear", "7:0 2048")];
        assert_eq!(delay.over(&linear), Ok(vec![segment("delay", "7:0 2048 0 7:0 2048 5 7:0 2048 20")]));
        for (reads, writes, arguments) in [
            (true, true, "7:0 2048 0 1 0"),
            (false, true, "7:0 2048 0 1 1 error_writes"),
            (true, false, "7:0 2048 0 1 1 error_reads"),
        ] {
            let error = Meets::Error { reads, writes };
            assert_eq!(error.over(&linear), Ok(vec![segment("flakey", arguments)]));
        }
        let thin = segment("thin", "7:1 3");
        assert_eq!(delay.over(&[linear[0].clone(), thin.clone()]), Err(thin));
    }

    #[test]
    fn a_table_is_known_again_in_the_kernels_words() {
        let all = |features: &str| [segment("flakey", &format!("7:0 0 0 1{features}"))];
        let loaded = all(" 0");
        assert!(is_same(&loaded, &all(" 0")) && is_same(&loaded, &all(" 2 error_reads error_writes")));
        assert!(!is_same(&loaded, &all(" 1 error_writes")));
        assert!(!is_same(&loaded, &[segment("linear", "7:0 0 0 1 0")]));
        assert!(!is_same(&loaded, &[]));
        let [other] = all(" 0");
        assert!(!is_same(&loaded, &[Segment { length: 65, ..other }]));
    }
}
