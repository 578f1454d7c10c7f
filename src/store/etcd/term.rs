//! Which leader a term belongs to, although etcd tells the two apart from each other.
//!
//! etcd's status takes the leader from the newest message and the term from the newest entry that was *applied*. Between
//! an election and the first entry of the new leader it names the new leader with the old term, for longer the slower
//! the disk is. Taken as it is, that would be two leaders in one term: a broken promise that nobody broke. So a leader
//! that changes while the term stays is not believed at first; one that goes on saying so for [`PATIENCE`] is.

use std::time::Duration;

use tokio::time::Instant;

/// Far longer than an entry takes to be applied, and far shorter than anybody would overlook two leaders.
const PATIENCE: Duration = Duration::from_secs(3);

/// What one member said of its leader and its term.
#[derive(Debug, Default)]
pub(super) struct Terms {
    believed: Option<(u64, u64)>,
    doubted_since: Option<Instant>,
}

impl Terms {
    /// Whether this leader leads in this term, as far as the member's earlier answers tell. 0 is no leader.
    pub(super) fn fit(&mut self, leader: u64, term: u64, now: Instant) -> bool {
        if leader == 0 {
            return true;
        }
        let contradicts = self.believed.is_some_and(|(before, at)| at == term && before != leader);
        if contradicts {
            let since = *self.doubted_since.get_or_insert(now);
            if now.duration_since(since) < PATIENCE {
                return false;
            }
        }
        self.believed = Some((leader, term));
        self.doubted_since = None;
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_new_leader_is_believed_with_its_own_term() {
        let (mut terms, now) = (Terms::default(), Instant::now());
        let told = [(7, 2), (0, 2), (8, 2), (8, 2), (8, 3), (8, 3)];
        let fits: Vec<bool> = told.iter().map(|&(leader, term)| terms.fit(leader, term, now)).collect();
        assert_eq!(fits, [true, true, false, false, true, true]);
    }

    #[test]
    fn a_second_leader_that_stays_in_the_term_is_told() {
        let (mut terms, now) = (Terms::default(), Instant::now());
        assert!(terms.fit(7, 2, now));
        assert!(!terms.fit(8, 2, now));
        assert!(terms.fit(8, 2, now + PATIENCE));
    }
}
