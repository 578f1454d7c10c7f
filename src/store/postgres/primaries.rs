//! Who is the primary on which timeline, as the members themselves said to any client.
//!
//! A standby does not know which pod its primary is: it knows a host, which may be that of a Service or of another
//! standby. So the leader that a standby follows is the member that said of itself that it is the primary on the
//! timeline which the standby receives.
//!
//! Nor does a standby know for a while that its primary is cut off: nothing comes, as when nothing is written. So it
//! follows only while it has received what the primary had written [`GRACE`] before.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::time::Instant;

use crate::api::Ordinal;

/// How old what a primary told may be before a standby that has not received it does not follow. Longer than a slow disk
/// takes for a sync, shorter than an outage that an experiment is about.
const GRACE: Duration = Duration::from_secs(3);
/// How long ago a standby may have been asked whose answer is judged now: as long as a question may take.
const LATE: Duration = Duration::from_secs(5);

/// What is known so far, by all clients of a group.
#[derive(Default)]
pub(super) struct Primaries {
    known: Mutex<Known>,
}

#[derive(Default)]
struct Known {
    by_timeline: BTreeMap<u64, Primary>,
    /// Everybody who ever answered.
    members: BTreeSet<Ordinal>,
}

struct Primary {
    ordinal: Ordinal,
    /// When it told up to where it has written, oldest first; nothing older than is asked for.
    told: VecDeque<(Instant, u64)>,
}

impl Primary {
    fn new(ordinal: Ordinal) -> Self {
        Self { ordinal, told: VecDeque::new() }
    }

    fn tells(&mut self, flushed: u64, now: Instant) {
        self.told.push_back((now, flushed));
        while self.told.get(1).is_some_and(|&(at, _)| at + GRACE + LATE <= now) {
            self.told.pop_front();
        }
    }

    /// Up to where everybody has received who follows at this time.
    fn expects(&self, now: Instant) -> u64 {
        let due = self.told.iter().rev().find(|&&(at, _)| at + GRACE <= now);
        due.map_or(0, |&(_, flushed)| flushed)
    }
}

impl Primaries {
    /// A member said that it is the primary of a timeline, and up to where it has written the log.
    pub(super) fn hear_primary(&self, ordinal: Ordinal, timeline: u64, flushed: u64, now: Instant) {
        let mut known = self.lock();
        known.members.insert(ordinal);
        let primary = known.by_timeline.entry(timeline).or_insert_with(|| Primary::new(ordinal));
        if primary.ordinal != ordinal {
            *primary = Primary::new(ordinal);
        }
        primary.tells(flushed, now);
    }

    /// A member said that it is a standby.
    pub(super) fn hear_standby(&self, ordinal: Ordinal) {
        let mut known = self.lock();
        known.members.insert(ordinal);
        known.by_timeline.retain(|_, primary| primary.ordinal != ordinal);
    }

    /// The primary of a timeline, for a standby that had received it up to here when it was asked; none where it has
    /// stayed behind.
    pub(super) fn followed(&self, timeline: u64, received: u64, asked: Instant) -> Option<Ordinal> {
        let known = self.lock();
        let primary = known.by_timeline.get(&timeline)?;
        (received >= primary.expects(asked)).then_some(primary.ordinal)
    }

    /// The primary of the newest timeline: one that was replaced and has not noticed it is not the one to write to.
    pub(super) fn newest(&self) -> Option<Ordinal> {
        self.lock().by_timeline.last_key_value().map(|(_, primary)| primary.ordinal)
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
        let (primaries, now) = (Primaries::default(), Instant::now());
        let of = |timeline| primaries.followed(timeline, 0, now);
        assert_eq!(primaries.newest(), None);
        primaries.hear_primary(0, 1, 100, now);
        primaries.hear_standby(1);
        assert_eq!((primaries.newest(), of(1)), (Some(0), Some(0)));
        primaries.hear_primary(1, 2, 100, now);
        primaries.hear_primary(0, 1, 100, now);
        assert_eq!((primaries.newest(), of(1), of(2)), (Some(1), Some(0), Some(1)));
        // The old one has become a standby of the new one.
        primaries.hear_standby(0);
        assert_eq!((of(1), primaries.others(1)), (None, [0].into()));
    }

    #[test]
    fn a_standby_follows_while_it_has_received_what_was_written_some_seconds_before() {
        let (primaries, began) = (Primaries::default(), Instant::now());
        let at = |millis| began + Duration::from_millis(millis);
        for look in 0..50 {
            primaries.hear_primary(0, 1, 1000 + look, at(look * 200 + 3));
        }
        // All are asked in the same moment, and the primary has answered by the time at which a standby is judged.
        assert_eq!(primaries.followed(1, 1000, at(9800)), None);
        let grace = u64::try_from(GRACE.as_millis()).expect("seconds");
        for (asked, due) in [(9803, 1049 - grace / 200), (9999, 1049 - grace / 200), (9803 + grace, 1049)] {
            assert_eq!(primaries.followed(1, due - 1, at(asked)), None, "{asked}: {due}");
            assert_eq!(primaries.followed(1, due, at(asked)), Some(0), "{asked}: {due}");
        }
        // A primary that writes nothing waits for nobody, and one that has just come has told nothing yet.
        assert_eq!(primaries.followed(1, 1049, at(600_000)), Some(0));
        primaries.hear_primary(2, 1, 9000, at(10_000));
        assert_eq!(primaries.followed(1, 1, at(10_000)), Some(2));
        let kept = primaries.lock().by_timeline[&1].told.len();
        assert_eq!(kept, 1);
    }

    #[test]
    fn what_a_primary_told_is_not_kept_for_ever() {
        let mut primary = Primary::new(0);
        let began = Instant::now();
        (0..1000).for_each(|look| primary.tells(look, began + Duration::from_millis(200) * look as u32));
        assert!(primary.told.len() <= 42, "{}", primary.told.len());
    }
}
