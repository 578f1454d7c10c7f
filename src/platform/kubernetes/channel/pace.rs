//! How long to wait before a request is tried again.

use std::time::Duration;

use kube::runtime::utils::Backoff;

const FIRST: Duration = Duration::from_millis(100);
/// A node should hear of a Halt soon after the API server is back, and a thousand nodes should not keep it from coming
/// back.
const LONGEST: Duration = Duration::from_secs(5);

/// Twice as long each time, less a random part of up to a third.
#[derive(Debug, Clone)]
pub(super) struct Pace(Duration);

impl Default for Pace {
    fn default() -> Self {
        Self(FIRST)
    }
}

impl Iterator for Pace {
    type Item = Duration;

    fn next(&mut self) -> Option<Duration> {
        let wait = self.0;
        self.0 = (wait * 2).min(LONGEST);
        Some(wait.mul_f64(rand::random_range(0.67..=1.0)))
    }
}

impl Backoff for Pace {
    fn reset(&mut self) {
        *self = Self::default();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waits_grow_to_a_limit_and_begin_again_after_a_success() {
        let mut pace = Pace::default();
        let waits: Vec<Duration> = pace.by_ref().take(20).collect();
        assert!(waits[0] <= FIRST && waits[0] >= FIRST / 2);
        assert!(waits.iter().all(|wait| *wait <= LONGEST));
        assert!(waits[19] > LONGEST / 2);
        pace.reset();
        assert!(pace.next().expect("endless") <= FIRST);
    }
}
