//! How long Kubernetes waits before it tries again what a fault has kept from happening. It waits twice as long each time,
//! so that the longer a fault was there, the later the target comes back after it.

use std::time::Duration;

/// How often and for how long a step does it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Repeated {
    /// For how long each time; zero where it happens once.
    pub lasting: Duration,
    /// How many times.
    pub times: u32,
    /// Whether every new pod is hit meanwhile.
    pub follow: bool,
}

/// A wait that may still go on when a fault is over.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct BackOff {
    /// For how long at most.
    pub wait: Duration,
    /// Who waits.
    pub who: &'static str,
    /// Before what.
    pub before: &'static str,
}

/// The kubelet's waits for a container that ends again and again: at once, then 10 s, 20 s and so on up to five minutes.
const RESTART: Duration = Duration::from_secs(10);
const LONGEST_RESTART: Duration = Duration::from_mins(5);
/// Those of the attach/detach controller: 0.5 s, 1 s and so on up to about two minutes
/// (k8s.io/kubernetes/pkg/util/goroutinemap/exponentialbackoff).
const ATTACH: Duration = Duration::from_millis(500);
const LONGEST_ATTACH: Duration = Duration::from_secs(122);
/// A revert waits for the attach for so long, and counts for nobody's recovery.
const WAITED_FOR: Duration = Duration::from_secs(20);

impl BackOff {
    /// Of a container that could not stay up for `lasting`.
    pub(super) fn of_restarts_during(lasting: Duration) -> Self {
        Self::of_restarts(in_force(RESTART, LONGEST_RESTART, lasting))
    }

    /// Of a container that was ended so often, if it has to wait at all.
    pub(super) fn of_kills(times: u32) -> Option<Self> {
        // The first restart is immediate.
        let doubled = times.checked_sub(2)?;
        let wait =
            2_u32.checked_pow(doubled).map_or(LONGEST_RESTART, |factor| RESTART.saturating_mul(factor));
        Some(Self::of_restarts(wait.min(LONGEST_RESTART)))
    }

    fn of_restarts(wait: Duration) -> Self {
        Self { wait, who: "the kubelet", before: "it starts a container again that has ended several times" }
    }

    /// Of an attach that was denied for `lasting`, beyond what the revert waits for.
    pub(super) fn of_attaches(lasting: Duration) -> Option<Self> {
        let wait = in_force(ATTACH, LONGEST_ATTACH, lasting).saturating_sub(WAITED_FOR);
        let before = "it tries the attach again, beyond the 20s that the revert waits for it";
        (!wait.is_zero()).then_some(Self { wait, who: "the attach/detach controller", before })
    }
}

/// The wait that is under way after `elapsed` of trying again and again.
fn in_force(first: Duration, longest: Duration, elapsed: Duration) -> Duration {
    let (mut wait, mut begun) = (first, Duration::ZERO);
    while begun + wait <= elapsed && wait < longest {
        begun += wait;
        wait = (wait * 2).min(longest);
    }
    wait
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waits_double_as_those_of_kubernetes_do() {
        let restart = |seconds| BackOff::of_restarts_during(Duration::from_secs(seconds)).wait.as_secs();
        assert_eq!([0, 9, 10, 29, 30, 120, 3600].map(restart), [10, 10, 20, 20, 40, 80, 300]);
        let kills = |times| BackOff::of_kills(times).map(|back_off| back_off.wait.as_secs());
        assert_eq!([0, 1, 2, 3, 7, 99].map(kills), [None, None, Some(10), Some(20), Some(300), Some(300)]);
        let attach = |seconds| BackOff::of_attaches(Duration::from_secs(seconds)).map(|it| it.wait.as_secs());
        assert_eq!([15, 31, 60, 1000].map(attach), [None, None, Some(12), Some(102)]);
    }
}
