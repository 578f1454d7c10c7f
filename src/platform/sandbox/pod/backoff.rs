//! How long a container waits before it is started again.

use std::time::Duration;

const FIRST: Duration = Duration::from_secs(10);
const LONGEST: Duration = Duration::from_mins(5);
/// A container that ran this long starts over.
const FORGIVEN_AFTER: Duration = Duration::from_mins(10);

/// The kubelet's rule: the first restart is immediate, then 10 s, 20 s, 40 s and so on up to 5 min; forgotten after
/// 10 min of running.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Backoff {
    next: Option<Duration>,
}

impl Backoff {
    /// What to wait for after a run that lasted `ran`.
    pub fn after(&mut self, ran: Duration) -> Duration {
        if ran >= FORGIVEN_AFTER {
            self.next = None;
        }
        match self.next {
            None => {
                self.next = Some(FIRST);
                Duration::ZERO
            }
            Some(wait) => {
                self.next = Some((wait * 2).min(LONGEST));
                wait
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::Backoff;

    #[test]
    fn restarts_at_once_first_then_doubles_up_to_five_minutes() {
        let mut backoff = Backoff::default();
        let waits: Vec<u64> = (0..8).map(|_| backoff.after(Duration::from_secs(1)).as_secs()).collect();
        assert_eq!(waits, [0, 10, 20, 40, 80, 160, 300, 300]);
    }

    #[test]
    fn forgets_crashes_after_ten_minutes_of_running() {
        let mut backoff = Backoff::default();
        backoff.after(Duration::ZERO);
        backoff.after(Duration::ZERO);
        assert_eq!(backoff.after(Duration::from_mins(10)), Duration::ZERO);
        assert_eq!(backoff.after(Duration::ZERO), Duration::from_secs(10));
    }
}
