//! `apiErrors`: the run's own requests to the API server that failed. There is one a second: what is not heard of for some
//! seconds is unknown.

use std::collections::VecDeque;

use crate::api::Nanos;
use crate::judge::series::{Kind, Measure, Point, Sample, Series, Window};
use crate::judge::signals::ALL;

/// Requests, each with whether it failed.
#[derive(Debug, Clone)]
pub(super) struct Requests {
    made: VecDeque<(Nanos, bool)>,
    /// When there was one.
    heard: Series,
}

impl Default for Requests {
    fn default() -> Self {
        Self { made: VecDeque::new(), heard: Series::new(Kind::RareLooks) }
    }
}

impl Requests {
    pub(super) fn take(&mut self, time: Nanos, has_failed: bool) {
        self.made.push_back((time, has_failed));
        self.heard.push(Point { at: time, sample: Sample::Value(ALL), why: String::new() });
    }

    pub(super) fn forget(&mut self, before: Nanos) {
        while self.made.front().is_some_and(|&(time, _)| time < before) {
            self.made.pop_front();
        }
        self.heard.forget(before);
    }

    pub(super) fn measure(&self, windows: &[Window]) -> Measure {
        let made = self.made.iter().filter(|(time, _)| windows.iter().any(|window| window.contains(*time)));
        let (mut samples, mut failed) = (0, 0);
        for &(_, has_failed) in made {
            samples += 1;
            failed += u64::from(has_failed);
        }
        let unknown_time = self.heard.measure(windows).unknown_time;
        Measure { samples, unknown_time, value: (samples > 0).then_some(failed), ..Measure::default() }
    }
}
