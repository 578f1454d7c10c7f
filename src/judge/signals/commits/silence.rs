//! For how long nobody was seen to want to write.
//!
//! While the clients are there somebody always does: the heartbeat begins anew as soon as it was answered or given up, which
//! takes it half a second at most. So a longer silence is our own doing, and nobody knows how long a write would have taken
//! in it.

use super::{Commits, Outcome};
use crate::api::Nanos;
use crate::judge::series::{SILENCE, Window};

impl Commits {
    /// For how long of some windows nothing is known of writes. Those that are still open have waited up to `now`.
    pub(super) fn silence(&self, windows: &[Window], now: Nanos) -> Nanos {
        windows.iter().map(|&window| self.silence_in(window, now)).sum()
    }

    fn silence_in(&self, window: Window, now: Nanos) -> Nanos {
        // The last write before the window may speak for its beginning.
        let first = self.writes.partition_point(|write| write.intended <= window.from).saturating_sub(1);
        let ended = self.writes.range(first..).map(|write| (write.intended, write.outcome.took()));
        let ended = ended.take_while(|&(intended, _)| intended < window.to);
        let open = self.open.values().filter(|open| open.value.is_some() && open.intended < window.to);
        let open = open.map(|open| (open.intended, now.saturating_sub(open.intended)));
        let mut open: Vec<(Nanos, Nanos)> = open.collect();
        open.sort_unstable();
        let mut open = open.into_iter().peekable();
        let (mut known, mut silent) = (window.from, 0);
        let mut begun = |(intended, took): (Nanos, Nanos)| {
            silent += intended.saturating_sub(known);
            known = known.max(intended.saturating_add(took.max(SILENCE)));
        };
        for write in ended {
            while let Some(earlier) = open.next_if(|open| *open <= write) {
                begun(earlier);
            }
            begun(write);
        }
        open.for_each(begun);
        silent + window.to.saturating_sub(known)
    }
}

impl Outcome {
    /// For how long it is known to have been waited.
    fn took(self) -> Nanos {
        match self {
            Self::Acknowledged(time) | Self::Unknown(time) => time,
            Self::Failed => 0,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::judge::signals::commits::{Open, Write};

    const S: Nanos = 1_000_000_000;

    fn commits(writes: &[(Nanos, Outcome)]) -> Commits {
        let mut commits = Commits::default();
        for &(intended, outcome) in writes {
            commits.insert(Write { intended, outcome });
        }
        commits
    }

    fn silence(commits: &Commits, from: Nanos, to: Nanos) -> Nanos {
        commits.silence(&[Window::new(from, to)], 60 * S)
    }

    #[test]
    fn a_write_speaks_for_the_time_in_which_the_next_one_is_due() {
        let seldom = commits(&[(10 * S, Outcome::Acknowledged(1)), (15 * S, Outcome::Failed)]);
        assert_eq!(silence(&seldom, 10 * S, 12 * S), 0);
        assert_eq!(silence(&seldom, 10 * S, 15 * S), 3 * S);
        assert_eq!(silence(&seldom, 11 * S, 14 * S), 2 * S);
        assert_eq!(silence(&seldom, 8 * S, 20 * S), 2 * S + 3 * S + 3 * S);
        assert_eq!(silence(&seldom, 30 * S, 30 * S), 0);
        assert_eq!(silence(&commits(&[]), 3 * S, 7 * S), 4 * S);
    }

    #[test]
    fn what_is_waited_for_is_no_silence() {
        let mut slow = commits(&[(10 * S, Outcome::Unknown(6 * S))]);
        assert_eq!(silence(&slow, 10 * S, 16 * S), 0);
        assert_eq!(silence(&slow, 12 * S, 18 * S), 2 * S);
        slow.open.insert(1, Open { intended: 17 * S, value: Some(1) });
        slow.open.insert(2, Open { intended: 16 * S, value: None });
        assert_eq!(silence(&slow, 12 * S, 60 * S), S);
    }
}
