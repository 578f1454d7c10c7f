//! What every member holds of the ledger in the end.
//!
//! A member that lags is not a member that lost: durability is promised of the store once it has converged. So each
//! member is read only when it is as far as the leader was after the last operation. How far that is, is asked after
//! a linearizable read through the leader, which the leader answers only when it has applied everything that had been
//! acknowledged before. Positions of different terms cannot be compared: a member that still follows a leader that was
//! replaced may be further, on a way of its own. A member that does not get there in time is unreadable, with how far it came: not being able to
//! tell is told, and is neither loss nor health.
//!
//! The leader's place is the measure, not the highest one that was ever seen: a store that forgot acknowledged
//! writes converges on less, and must be caught by what is missing, not excused as lagging.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use futures::future::join_all;
use tokio::time::{Instant, sleep};

use super::scope::{LEDGER, heartbeat_key};
use crate::api::{Member, MemberSample, Members, Ordinal};
use crate::journal::entry::Held;
use crate::platform::Endpoint;
use crate::store::{Adapter, Client, Failure, ReadMode};

/// For how long [`read_ledger`] usually waits for a member to catch up.
pub const CATCH_UP: Duration = Duration::from_secs(30);
/// How long one question may take.
const REQUEST: Duration = Duration::from_secs(2);
/// How long one listing may take.
const LISTING: Duration = Duration::from_secs(10);
/// Between two looks at a member that is not there yet.
const PAUSE: Duration = Duration::from_millis(100);

/// Reads the ledger from every member itself, once it has caught up, and gives up on those that have not after `limit`.
/// Keys are without the scope's prefix. To be called after the workload has stopped.
pub async fn read_ledger(
    adapter: Arc<dyn Adapter>,
    members: &[Ordinal],
    prefix: &str,
    limit: Duration,
) -> Vec<(Ordinal, Held)> {
    let until = Instant::now() + limit;
    let goal = match goal(&*adapter, members, prefix, until).await {
        Ok(goal) => goal,
        Err(why) => {
            let unreadable = |&member| (member, Held::Unreadable(why.clone()));
            return members.iter().map(unreadable).collect();
        }
    };
    let reads = members.iter().map(|&member| {
        let client = adapter.client(Endpoint::Member(member));
        async move {
            let held = held_by(client, prefix, goal, until).await;
            (member, held.unwrap_or_else(Held::Unreadable))
        }
    });
    join_all(reads).await
}

/// A place in the log of a store.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Place {
    term: u64,
    position: u64,
}

impl Place {
    fn of(sample: &MemberSample) -> Result<Self, &str> {
        match sample {
            MemberSample::Answer { term, position, .. } => Ok(Self { term: *term, position: *position }),
            MemberSample::Unreachable(reason) | MemberSample::NotSampled(reason) => Err(reason),
        }
    }

    /// Whether everything is there that is at this other place.
    fn holds(self, other: Self) -> bool {
        self.term >= other.term && self.position >= other.position
    }
}

impl std::fmt::Display for Place {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "position {} of term {}", self.position, self.term)
    }
}

/// The place that holds everything acknowledged so far.
async fn goal(
    adapter: &dyn Adapter,
    members: &[Ordinal],
    prefix: &str,
    until: Instant,
) -> Result<Place, String> {
    let key = heartbeat_key(prefix);
    loop {
        let why = match leader(adapter, members, &key).await {
            Some(leader) => match leaders_place(adapter, leader, &key).await {
                Ok(place) => return Ok(place),
                Err(failure) => format!("member {leader} leads, but does not answer: {failure}"),
            },
            None => "no member leads".to_owned(),
        };
        if Instant::now() >= until {
            return Err(format!("{why}, so nobody can tell what every member should hold by now"));
        }
        sleep(PAUSE).await;
    }
}

async fn leader(adapter: &dyn Adapter, members: &[Ordinal], heartbeat: &str) -> Option<Ordinal> {
    let asked = members.iter().map(|&ordinal| {
        let mut client = adapter.client(Endpoint::Member(ordinal));
        async move {
            let sample = client.member(heartbeat, Instant::now() + REQUEST).await;
            Member { ordinal, sample }
        }
    });
    let members = join_all(asked).await;
    Members { members }.leader()
}

async fn leaders_place(adapter: &dyn Adapter, leader: Ordinal, heartbeat: &str) -> Result<Place, Failure> {
    let mut client = adapter.client(Endpoint::Member(leader));
    client.read(heartbeat, ReadMode::Linearizable, Instant::now() + REQUEST).await?;
    let sample = client.member(heartbeat, Instant::now() + REQUEST).await;
    Place::of(&sample).map_err(|reason| Failure::NotApplied(reason.to_owned()))
}

async fn held_by(
    mut client: Box<dyn Client>,
    prefix: &str,
    goal: Place,
    until: Instant,
) -> Result<Held, String> {
    let key = heartbeat_key(prefix);
    loop {
        let sample = client.member(&key, Instant::now() + REQUEST).await;
        let why = match Place::of(&sample) {
            Ok(place) if place.holds(goal) => {
                match client.list(&format!("{prefix}{LEDGER}"), Instant::now() + LISTING).await {
                    // A value that is no number is not what was written: left out, it counts as missing.
                    Ok(found) => return Ok(Held::Values(without_prefix(found.values, prefix))),
                    Err(failure) => format!("its ledger cannot be read: {failure}"),
                }
            }
            Ok(place) => format!("it is at {place} and has not reached the leader's {goal}"),
            Err(reason) => format!("it does not answer: {reason}"),
        };
        if Instant::now() >= until {
            return Err(why);
        }
        sleep(PAUSE).await;
    }
}

fn without_prefix(values: BTreeMap<String, u64>, prefix: &str) -> BTreeMap<String, u64> {
    values
        .into_iter()
        .filter_map(|(key, value)| Some((key.strip_prefix(prefix)?.to_owned(), value)))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_member_on_the_way_of_a_leader_that_was_replaced_has_not_arrived() {
        let goal = Place { term: 2, position: 100 };
        for (term, position, holds) in [(2, 100, true), (2, 99, false), (3, 100, true), (1, 500, false)] {
            assert_eq!(Place { term, position }.holds(goal), holds, "{term} {position}");
        }
    }
}
