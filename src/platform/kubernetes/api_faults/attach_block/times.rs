//! When what happened to the volumes of a block, and the sentences that say so.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use crate::api::counted;
use crate::experiment::duration;

/// What this process has seen. A runner that was started again knows only the end.
#[derive(Default)]
pub(super) struct Times {
    /// The pods were about to be deleted.
    pub(super) deleted: Option<Instant>,
    /// The last of the old VolumeAttachments was gone.
    pub(super) detached: Option<Instant>,
    /// The policies were gone.
    pub(super) lifted: Option<Instant>,
    /// Every volume was denied once.
    denied: Option<Instant>,
    /// How often each claim's was.
    count: BTreeMap<String, i32>,
    /// When each claim's was attached again; nothing where it was not waited for any longer.
    attached: BTreeMap<String, Option<Instant>>,
}

impl Times {
    /// Attaches were denied, so often by claim.
    pub(super) fn denied(&mut self, count: &BTreeMap<String, i32>) {
        self.denied.get_or_insert_with(Instant::now);
        self.count.clone_from(count);
    }

    /// A claim's volume is attached again.
    pub(super) fn attached(&mut self, claim: &str) {
        self.attached.entry(claim.to_owned()).or_insert_with(|| Some(Instant::now()));
    }

    /// Whether it is.
    pub(super) fn is_attached(&self, claim: &str) -> bool {
        self.attached.contains_key(claim)
    }

    /// Those of these that are not attached are not waited for any longer.
    pub(super) fn gave_up<'a>(&mut self, claims: impl Iterator<Item = &'a str>) {
        for claim in claims {
            self.attached.entry(claim.to_owned()).or_insert(None);
        }
    }

    /// For how long the policies have been gone.
    pub(super) fn since_lifted(&self) -> Duration {
        self.lifted.map_or(Duration::ZERO, |lifted| lifted.elapsed())
    }

    /// The proof, while it holds.
    pub(super) fn during(&self, policy: &str, count: &BTreeMap<String, i32>) -> String {
        let each = count.iter().map(|(claim, count)| format!("{claim} {}", counted(*count, "time")));
        let each = each.collect::<Vec<_>>().join(", ");
        let detached = self.deleted.zip(self.detached).map(|(deleted, detached)| detached - deleted);
        let detached = detached.map_or_else(String::new, |after| {
            format!(", detached {} after the pods were deleted", duration::format(rounded(after)))
        });
        format!("FailedAttachVolume names {policy}: {each}{detached}")
    }

    /// What was measured, once it is over; nothing where nothing was.
    pub(super) fn told(&self) -> Option<String> {
        let lifted = self.lifted?;
        let from = self.detached.or(self.denied)?;
        let took = |from: Instant, to: Instant| duration::format(rounded(to.saturating_duration_since(from)));
        let each = self.attached.iter().map(|(claim, attached)| {
            let count = self.count.get(claim).copied().unwrap_or(0);
            let denied = counted(count, "time");
            let blocked =
                format!("claim {claim} could not be attached for {}, denied {denied}", took(from, lifted));
            match (attached, self.deleted) {
                (Some(at), Some(deleted)) => format!(
                    "{blocked}; Kubernetes attached it {} after that, {} after its pod was deleted",
                    took(lifted, *at),
                    took(deleted, *at)
                ),
                (Some(at), None) => format!("{blocked}; Kubernetes attached it {} after that", took(lifted, *at)),
                (None, _) => format!(
                    "{blocked}; Kubernetes backs off after denials, for up to two minutes, and has not attached it \
                     {} after that",
                    took(lifted, Instant::now())
                ),
            }
        });
        Some(each.collect::<Vec<_>>().join("; ")).filter(|told| !told.is_empty())
    }
}

/// To tenths of a second: it was looked at no oftener.
fn rounded(time: Duration) -> Duration {
    Duration::from_millis(u64::try_from(time.as_millis()).unwrap_or(u64::MAX) / 100 * 100)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_kubernetes_takes_longer_is_told_apart() {
        let second = Duration::from_secs(1);
        let start = Instant::now();
        let mut times = Times {
            deleted: Some(start),
            detached: Some(start + second * 3),
            lifted: Some(start + second * 20),
            ..Times::default()
        };
        assert_eq!(times.told(), None, "nothing was waited for");
        times.denied(&BTreeMap::from([("data-db-0".into(), 5), ("log-db-0".into(), 4)]));
        times.attached.insert("data-db-0".into(), Some(start + second * 22));
        times.attached.insert("log-db-0".into(), None);
        let told = times.told().expect("it is over");
        assert!(
            told.starts_with(
                "claim data-db-0 could not be attached for 17s, denied 5 times; Kubernetes attached it 2s after that, \
                 22s after its pod was deleted; claim log-db-0 could not be attached for 17s, denied 4 times; \
                 Kubernetes backs off after denials"
            ),
            "{told}"
        );
    }
}
