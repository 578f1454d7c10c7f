//! Waits: from the moment at which something is needed to the one at which it is there, or not needed any more.
//!
//! One that is over counts for a window from the window's beginning on, and may outlast it, because it began there. One
//! that is still open counts whole and up to now: it was never shorter than that, and nobody knows how long it will be.

use crate::api::Nanos;
use crate::judge::judgement::Outage;
use crate::judge::series::{Measure, Window};

/// A time in which something was waited for.
#[derive(Debug, Clone)]
pub(super) struct Wait {
    pub from: Nanos,
    /// None while it is open.
    pub to: Option<Nanos>,
    /// What was waited for, for a person.
    pub why: String,
}

impl Wait {
    /// What counts of it for a window.
    fn within(&self, window: Window, now: Nanos) -> Option<Window> {
        let (from, to) = match self.to {
            Some(to) => (self.from.max(window.from), to),
            None => (self.from, now.max(window.to)),
        };
        (from < window.to && from < to).then(|| Window::new(from, to))
    }

    fn is_open_at(&self, moment: Nanos) -> bool {
        self.from < moment && self.to.is_none_or(|to| to > moment)
    }
}

/// Every wait that an SLI measures.
#[derive(Debug)]
pub(in crate::judge) struct Waits<'a> {
    pub(super) all: Vec<&'a Wait>,
    /// Whether a wait would have been seen.
    pub(in crate::judge) is_known: bool,
    /// The longest one where there was none.
    pub(super) none: Option<Nanos>,
}

impl Waits<'_> {
    fn parts(&self, windows: &[Window], now: Nanos) -> impl Iterator<Item = (&Wait, Window)> {
        windows.iter().flat_map(move |&window| {
            self.all.iter().filter_map(move |wait| Some((*wait, wait.within(window, now)?)))
        })
    }

    /// The longest one.
    pub(super) fn measure(&self, windows: &[Window], now: Nanos) -> Measure {
        let lengths: Vec<Nanos> = self.parts(windows, now).map(|(_, part)| part.length()).collect();
        let longest = lengths.iter().copied().max().or(self.none);
        Measure {
            samples: u64::from(self.is_known) + lengths.len() as u64,
            value: longest,
            lowest: lengths.iter().copied().min().or(longest),
            highest: longest,
            ..Measure::default()
        }
    }

    /// Those that were too long.
    pub(super) fn outages(&self, windows: &[Window], now: Nanos, bad: &dyn Fn(u64) -> bool) -> Vec<Outage> {
        self.parts(windows, now)
            .filter(|(_, part)| bad(part.length()))
            .map(|(wait, part)| Outage { from: part.from, to: part.to, why: wait.why.clone() })
            .collect()
    }

    /// One that is open still, and so may be too long in the end.
    pub(in crate::judge) fn undecided(
        &self,
        windows: &[Window],
        now: Nanos,
        bad: &dyn Fn(u64) -> bool,
    ) -> Option<Outage> {
        let (wait, part) = self.parts(windows, now).find(|(wait, _)| wait.to.is_none() && bad(u64::MAX))?;
        Some(Outage { from: part.from, to: part.to, why: wait.why.clone() })
    }

    /// Whether all of a window is good. It is not while one is open at its end that may be too long in the end: a running
    /// run cannot know, and the judge says the same of the same moment.
    pub(in crate::judge) fn are_good(&self, window: Window, now: Nanos, bad: &dyn Fn(u64) -> bool) -> bool {
        let is_open = self.all.iter().any(|wait| wait.is_open_at(window.to));
        let is_bad = || self.parts(&[window], now).any(|(_, part)| bad(part.length()));
        self.is_known && !(is_open && bad(u64::MAX)) && !is_bad()
    }

    /// Whether one that is open has been bad for some time: it was too long already when that time began.
    pub(in crate::judge) fn have_been_bad(
        &self,
        now: Nanos,
        lasting: Nanos,
        bad: &dyn Fn(u64) -> bool,
    ) -> bool {
        let since = now.saturating_sub(lasting);
        let was_bad = |wait: &Wait| since.checked_sub(wait.from).is_some_and(bad);
        self.all.iter().any(|wait| wait.to.is_none() && was_bad(wait))
    }

    /// The moments in a window from which on, for `reach`, it may be good for the first time.
    pub(super) fn moments(&self, window: Window, reach: Nanos) -> Vec<Nanos> {
        let ends = self.all.iter().filter_map(|wait| wait.to);
        let ends = ends.flat_map(|to| [to.saturating_sub(reach), to]).filter(|&at| window.contains(at));
        let mut moments: Vec<Nanos> = std::iter::once(window.from).chain(ends).collect();
        moments.sort_unstable();
        moments
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const S: Nanos = 1_000_000_000;

    fn wait(from: Nanos, to: Option<Nanos>) -> Wait {
        Wait { from, to, why: "it is not there".into() }
    }

    fn waits(wait: &Wait) -> Waits<'_> {
        Waits { all: vec![wait], is_known: true, none: None }
    }

    fn is_long(waited: u64) -> bool {
        waited > 30 * S
    }

    #[test]
    fn an_open_wait_counts_from_where_it_began_and_one_that_is_over_from_the_window_on() {
        let window = [Window::new(50 * S, 60 * S)];
        let open = wait(10 * S, None);
        assert_eq!(waits(&open).measure(&window, 70 * S).value, Some(60 * S));
        assert_eq!(waits(&open).outages(&window, 70 * S, &is_long).len(), 1);
        let over = wait(10 * S, Some(70 * S));
        assert_eq!(waits(&over).measure(&window, 70 * S).value, Some(20 * S));
        assert_eq!(waits(&over).undecided(&window, 70 * S, &is_long), None);
    }

    #[test]
    fn nothing_is_good_while_a_wait_is_open_unless_any_length_is() {
        let open = wait(10 * S, None);
        let window = Window::new(11 * S, 13 * S);
        assert!(!waits(&open).are_good(window, 13 * S, &is_long));
        assert!(waits(&open).are_good(window, 13 * S, &|_| false));
        // The judge knows how it ended, and says what the run said all the same.
        let over = wait(10 * S, Some(14 * S));
        assert!(!waits(&over).are_good(window, 90 * S, &is_long));
        assert!(waits(&over).are_good(Window::new(12 * S, 14 * S), 90 * S, &is_long));
        assert_eq!(waits(&over).moments(Window::new(11 * S, 90 * S), 2 * S), [11 * S, 12 * S, 14 * S]);
    }

    #[test]
    fn an_open_wait_has_been_bad_since_it_was_too_long() {
        let open = wait(10 * S, None);
        let has_been = |now: Nanos, lasting: Nanos| waits(&open).have_been_bad(now, lasting, &is_long);
        assert!(!has_been(40 * S, 0) && has_been(41 * S, 0));
        assert!(!has_been(45 * S, 5 * S) && has_been(46 * S, 5 * S));
        let over = wait(10 * S, Some(50 * S));
        assert!(!waits(&over).have_been_bad(60 * S, 0, &is_long));
    }
}
