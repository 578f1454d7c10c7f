//! `apiErrors`: the run's own requests to the API server that failed.

use std::collections::VecDeque;

use crate::api::Nanos;
use crate::judge::series::{Measure, Window};

/// Requests, each with whether it failed.
#[derive(Debug, Clone, Default)]
pub(super) struct Requests {
    made: VecDeque<(Nanos, bool)>,
}

impl Requests {
    pub(super) fn take(&mut self, time: Nanos, has_failed: bool) {
        self.made.push_back((time, has_failed));
    }

    pub(super) fn forget(&mut self, before: Nanos) {
        while self.made.front().is_some_and(|&(time, _)| time < before) {
            self.made.pop_front();
        }
    }

    pub(super) fn measure(&self, windows: &[Window]) -> Measure {
        let made = self.made.iter().filter(|(time, _)| windows.iter().any(|window| window.contains(*time)));
        let (mut samples, mut failed) = (0, 0);
        for &(_, has_failed) in made {
            samples += 1;
            failed += u64::from(has_failed);
        }
        Measure { samples, value: (samples > 0).then_some(failed), ..Measure::default() }
    }
}
