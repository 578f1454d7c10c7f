//! The known bugs that can be switched on, each by its name.
//!
//! A checker that has never seen a bug proves nothing. Each switch here is a mistake that real stores have shipped;
//! with no switch on, the store is honest. Each entry says what the switch does, who had the bug, and what makes it
//! visible from outside. Where a switch also shortens something that would hide the bug for long, it says so.

use std::collections::BTreeSet;
use std::fmt;
use std::str::FromStr;

/// One known bug.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Bug {
    /// The leader answers a write when it is in its own log, before any other member has it. Compare-and-set and
    /// deletion still wait, because their answers need the outcome.
    ///
    /// Who had it: MongoDB with write concern 1, Redis and its replicas, Elasticsearch before 5.
    /// Seen by: cutting the leader off while clients still reach it. What it acknowledges meanwhile is overwritten
    /// by the next leader: a lost acknowledged write.
    AckBeforeQuorum,
    /// An append is answered before it is on the disk, and is really not there: the log is synced at most every
    /// thirty seconds. The entry with the membership is synced, so that the cluster comes back and shows its loss
    /// instead of hanging.
    ///
    /// Who had it: MongoDB without journaling, Redis with `appendfsync everysec`, etcd with `--unsafe-no-fsync`,
    /// Kafka's default of leaving it to the page cache.
    /// Seen by: a power cut of all members: lost acknowledged writes. A SIGKILL alone loses nothing, because
    /// the page cache outlives the process.
    AckBeforeFsync,
    /// A read that is declared linearizable is answered from the member's own state, leader or not, without asking
    /// a majority.
    ///
    /// Who had it: etcd before `quorum=true` reads, Consul's default mode, MongoDB's majority reads on a deposed
    /// primary.
    /// Seen by: cutting a member off while clients still reach it and others write. The longer the cut, the staler;
    /// without any fault a follower's read is stale by its replication lag only, a few milliseconds.
    StaleRead,
    /// The hard state (term, voted-for and commit index, one record in most implementations) is written but not
    /// read back on start, so that a restarted member accepts a leader of an older term and votes again in a term
    /// in which it has voted. It also waits five seconds before it campaigns, instead of one election timeout: a
    /// member without a term that campaigns at once is usually told the current term before anything happens,
    /// which hides the bug.
    ///
    /// Who had it: several Raft implementations that wrote the vote without fsync; MongoDB's old election protocol
    /// kept votes in memory for thirty seconds only.
    /// Seen by: cutting the leader off until another one is elected and has acknowledged writes, then killing all
    /// the others one to two seconds before the cut ends: the old leader goes on in its old term and overwrites
    /// them. Killing all members at once, repeatedly, makes terms go back and soon shows two leaders in one term.
    /// (A pause instead of the cut hides it sometimes: what the new leader sent meanwhile waits in the sockets of
    /// the paused one and tells it the new term.)
    ForgottenVote,
}

impl Bug {
    /// Every bug there is, in the order in which they are listed to people.
    pub const ALL: [Self; 4] =
        [Self::AckBeforeQuorum, Self::AckBeforeFsync, Self::StaleRead, Self::ForgottenVote];

    /// The name that switches it on.
    pub fn name(self) -> &'static str {
        match self {
            Self::AckBeforeQuorum => "ack-before-quorum",
            Self::AckBeforeFsync => "ack-before-fsync",
            Self::StaleRead => "stale-read",
            Self::ForgottenVote => "forgotten-vote",
        }
    }
}

/// The bugs that are switched on.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Bugs(BTreeSet<Bug>);

impl Bugs {
    /// Whether `bug` is on.
    pub fn has(&self, bug: Bug) -> bool {
        self.0.contains(&bug)
    }

    /// Whether the store is honest.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// These and those.
    #[must_use]
    pub fn union(mut self, other: &Self) -> Self {
        self.0.extend(&other.0);
        self
    }
}

impl fmt::Display for Bugs {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let names: Vec<_> = self.0.iter().map(|bug| bug.name()).collect();
        out.write_str(&names.join(","))
    }
}

/// A name that is no bug's name.
#[derive(Debug, thiserror::Error)]
#[error("no bug is called {given:?}; there are: {}", Bug::ALL.map(Bug::name).join(", "))]
pub struct UnknownBug {
    given: String,
}

impl FromStr for Bugs {
    type Err = UnknownBug;

    /// Reads names with commas between them. Nothing at all means no bug, so that a manifest can set the variable
    /// to an empty string.
    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let names = text.split(',').map(str::trim).filter(|name| !name.is_empty());
        let find = |name: &str| {
            Bug::ALL
                .into_iter()
                .find(|bug| bug.name() == name)
                .ok_or_else(|| UnknownBug { given: name.to_owned() })
        };
        names.map(find).collect::<Result<_, _>>().map(Self)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_every_name_it_prints() {
        let all = Bugs(Bug::ALL.into());
        assert_eq!(all.to_string().parse::<Bugs>().expect("its own names"), all);
    }

    #[test]
    fn takes_empty_text_for_no_bug() {
        assert!("".parse::<Bugs>().expect("nothing is no bug").is_empty());
    }

    #[test]
    fn lists_the_bugs_when_a_name_is_wrong() {
        let error = "stale-reads".parse::<Bugs>().expect_err("no such bug").to_string();
        assert!(error.contains("\"stale-reads\"") && error.contains("ack-before-fsync"), "{error}");
    }
}
