//! Who is the primary on which timeline, as the members themselves said to any client.
//!
//! A standby does not know which pod its primary is: it knows a host, which may be that of a Service or of another
//! standby. So the leader that a standby follows is the member that said of itself that it is the primary on the
//! timeline which the standby receives.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Mutex, MutexGuard, PoisonError};

use crate::api::Ordinal;

/// What is known so far, by all clients of a group.
#[derive(Default)]
pub(super) struct Primaries {
    known: Mutex<Known>,
}

#[derive(Default)]
struct Known {
    by_timeline: BTreeMap<u64, Ordinal>,
    /// Everybody who ever answered.
    members: BTreeSet<Ordinal>,
}

impl Primaries {
    /// A member said what it is.
    pub(super) fn hear(&self, ordinal: Ordinal, timeline: u64, is_primary: bool) {
        let mut known = self.lock();
        known.members.insert(ordinal);
        if is_primary {
            known.by_timeline.insert(timeline, ordinal);
        } else {
            known.by_timeline.retain(|_, primary| *primary != ordinal);
        }
    }

    /// The primary of a timeline.
    pub(super) fn of(&self, timeline: u64) -> Option<Ordinal> {
        self.lock().by_timeline.get(&timeline).copied()
    }

    /// The primary of the newest timeline: one that was replaced and has not noticed it is not the one to write to.
    pub(super) fn newest(&self) -> Option<Ordinal> {
        self.lock().by_timeline.last_key_value().map(|(_, &ordinal)| ordinal)
    }

    /// Everybody else who ever answered.
    pub(super) fn others(&self, than: Ordinal) -> BTreeSet<Ordinal> {
        self.lock().members.iter().copied().filter(|&ordinal| ordinal != than).collect()
    }

    fn lock(&self) -> MutexGuard<'_, Known> {
        // An insert that panicked halfway leaves a map that is still a map.
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_primary_of_the_newest_timeline_takes_writes() {
        let primaries = Primaries::default();
        assert_eq!(primaries.newest(), None);
        primaries.hear(0, 1, true);
        primaries.hear(1, 1, false);
        assert_eq!((primaries.newest(), primaries.of(1)), (Some(0), Some(0)));
        primaries.hear(1, 2, true);
        primaries.hear(0, 1, true);
        assert_eq!((primaries.newest(), primaries.of(1), primaries.of(2)), (Some(1), Some(0), Some(1)));
        // The old one has become a standby of the new one.
        primaries.hear(0, 2, false);
        assert_eq!((primaries.of(1), primaries.others(1)), (None, [0].into()));
    }
}
