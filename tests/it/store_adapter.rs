//! Both adapters give the same answers to the same questions, on real groups.

use std::time::Duration;

use seatrial::api::{MemberSample, Members, Ordinal, Role};
use seatrial::platform::Endpoint;
use seatrial::sli::members::sample;
use seatrial::store::{Failure, ReadMode, Swap};

use super::store_group::{Group, HEARTBEAT, IN_TIME, Kind, MEMBERS, in_};

const IMPATIENT: Duration = Duration::from_millis(500);

#[tokio::test(flavor = "multi_thread")]
async fn etcd_answers_every_question() {
    answers_every_question(Kind::Etcd).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn refkv_answers_every_question() {
    answers_every_question(Kind::Refkv).await;
}

async fn answers_every_question(kind: Kind) {
    let group = Group::start(kind).await;
    let mut client = group.adapter.client(Endpoint::Member(1));
    let (key, absent) = ("seatrial/r/1", Ok(None));
    assert_eq!(client.read(key, ReadMode::Linearizable, in_(IN_TIME)).await, absent);
    assert_eq!(client.cas(key, Some(4), 5, in_(IN_TIME)).await, Ok(Swap::Mismatch { current: None }));
    assert_eq!(client.cas(key, None, 5, in_(IN_TIME)).await, Ok(Swap::Swapped));
    assert_eq!(client.cas(key, None, 6, in_(IN_TIME)).await, Ok(Swap::Mismatch { current: Some(5) }));
    assert_eq!(client.cas(key, Some(5), 7, in_(IN_TIME)).await, Ok(Swap::Swapped));
    let large = (1 << 53) - 1;
    assert_eq!(client.write(key, large, in_(IN_TIME)).await, Ok(()));
    assert_eq!(client.read(key, ReadMode::Linearizable, in_(IN_TIME)).await, Ok(Some(large)));
    assert_eq!(client.write(HEARTBEAT, 99, in_(IN_TIME)).await, Ok(()));
    assert_eq!(client.write("seatriaL-neighbour", 1, in_(IN_TIME)).await, Ok(()));
    assert_eq!(client.write("odd key/?&%#é", 8, in_(IN_TIME)).await, Ok(()));
    assert_eq!(client.read("odd key/?&%#é", ReadMode::Linearizable, in_(IN_TIME)).await, Ok(Some(8)));

    // Each member answers through the service; all see the same leader, and tell what they hold themselves.
    let mut service = group.adapter.client(Endpoint::Service);
    for _ in MEMBERS {
        assert_eq!(service.read(HEARTBEAT, ReadMode::Linearizable, in_(IN_TIME)).await, Ok(Some(99)));
    }
    let members = group.members_once_all_hold(99).await;
    let leader = members.leader().expect("a leader");
    assert_eq!(members.with_role(Role::Follower).count(), 2);
    for member in &members.members {
        let agrees = matches!(
            member.sample,
            MemberSample::Answer { leader: seen, term: 1.., position: 1.., voter: true, .. } if seen == Some(leader)
        );
        assert!(agrees, "{member:?}");
    }

    // A listing of more than one page, and a removal that spares the neighbours.
    let writers = (0..8u64).map(|writer| {
        let mut client = group.adapter.client(Endpoint::Member(0));
        async move {
            for number in 0..135 {
                let value = writer * 1000 + number;
                client
                    .write(&format!("seatrial/ledger/{value:08}"), value, in_(IN_TIME))
                    .await
                    .expect("a write");
            }
        }
    });
    futures::future::join_all(writers).await;
    let mut at_leader = group.adapter.client(Endpoint::Member(leader));
    let listing = at_leader.list("seatrial/ledger/", in_(IN_TIME)).await.expect("a listing");
    assert_eq!((listing.values.len(), listing.foreign.len()), (8 * 135, 0));
    assert_eq!(listing.values["seatrial/ledger/00003007"], 3007);
    assert_eq!(at_leader.remove("seatrial/", in_(IN_TIME)).await, Ok(()));
    assert_eq!(at_leader.list("seatrial/", in_(IN_TIME)).await.expect("a listing").values.len(), 0);
    assert_eq!(client.read("seatriaL-neighbour", ReadMode::Linearizable, in_(IN_TIME)).await, Ok(Some(1)));
}

#[tokio::test(flavor = "multi_thread")]
async fn etcd_tells_known_from_unknown() {
    tells_known_from_unknown(Kind::Etcd).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn refkv_tells_known_from_unknown() {
    tells_known_from_unknown(Kind::Refkv).await;
}

async fn tells_known_from_unknown(kind: Kind) {
    let group = Group::start(kind).await;
    let leader = group.leader().await;
    let followers: Vec<_> = MEMBERS.into_iter().filter(|&member| member != leader).collect();
    let (frozen, ended) = (followers[0], followers[1]);
    let mut at_frozen = group.adapter.client(Endpoint::Member(frozen));
    assert_eq!(at_frozen.write("seatrial/r/0", 1, in_(IN_TIME)).await, Ok(()));

    // Frozen after it took the connection: the request may be read later.
    group.stop(frozen);
    let write = at_frozen.write("seatrial/r/0", 2, in_(IMPATIENT)).await;
    assert!(matches!(write, Err(Failure::Unknown(_))), "{write:?}");
    let read = at_frozen.read("seatrial/r/0", ReadMode::Local, in_(IMPATIENT)).await;
    assert!(matches!(read, Err(Failure::NotApplied(_))), "{read:?}");

    // Nobody listens: it was not sent.
    group.end(ended);
    let mut at_ended = group.adapter.client(Endpoint::Member(ended));
    let write = at_ended.write("seatrial/r/0", 3, in_(IMPATIENT)).await;
    assert!(matches!(write, Err(Failure::NotApplied(_))), "{write:?}");
    let ended = at_ended.member(HEARTBEAT, in_(IMPATIENT)).await;
    assert!(matches!(ended, MemberSample::Unreachable(_)), "{ended:?}");

    // No majority: the leader takes it, cannot finish it, and may finish it later.
    let mut at_leader = group.adapter.client(Endpoint::Member(leader));
    let write = at_leader.write("seatrial/r/1", 4, in_(IMPATIENT)).await;
    assert!(matches!(write, Err(Failure::Unknown(_))), "{write:?}");
    let local = at_leader.read("seatrial/r/1", ReadMode::Local, in_(IN_TIME)).await;
    assert_eq!(local, Ok(None), "a local read needs nobody else");
    let read = at_leader.read("seatrial/r/1", ReadMode::Linearizable, in_(IMPATIENT)).await;
    assert!(matches!(read, Err(Failure::NotApplied(_))), "{read:?}");
    group.go_on(frozen);
}

/// Whether everybody was asked each time and answered, but for this one, which was found out.
fn all_but_one_answer(rounds: &[Members], frozen: Ordinal) -> bool {
    let mut unreachable = 0;
    for member in rounds.iter().flat_map(|round| &round.members) {
        match &member.sample {
            MemberSample::Answer { .. } => {}
            MemberSample::Unreachable(_) if member.ordinal == frozen => unreachable += 1,
            MemberSample::Unreachable(_) | MemberSample::NotSampled(_) => return false,
        }
    }
    unreachable >= 6
}

#[tokio::test(flavor = "multi_thread")]
async fn a_frozen_member_is_unreachable_and_delays_nobody() {
    let group = Group::start(Kind::Refkv).await;
    let leader = group.leader().await;
    let frozen = (leader + 1) % 3;
    let mut rounds = sample(&*group.adapter, &MEMBERS, HEARTBEAT.into());
    // Who has not answered in time in the first one has in a later one.
    let until = in_(IN_TIME);
    while rounds.recv().await.expect("a round").leader().is_none() {
        assert!(tokio::time::Instant::now() < until, "nobody is told to lead");
    }

    group.stop(frozen);
    // Ten rounds on end that each waited for the frozen one would take four seconds. A busy machine may be late with one of
    // them, or with an answer of the others, but not with one of each ten.
    let until = in_(IN_TIME);
    loop {
        let since = tokio::time::Instant::now();
        let mut seen = Vec::new();
        for _ in 0..10 {
            seen.push(rounds.recv().await.expect("a round"));
        }
        let took = since.elapsed();
        if took < Duration::from_millis(2900) && all_but_one_answer(&seen, frozen) {
            break;
        }
        assert!(tokio::time::Instant::now() < until, "ten rounds took {took:?}: {seen:?}");
    }

    group.go_on(frozen);
    let until = in_(IN_TIME);
    loop {
        let round = rounds.recv().await.expect("a round");
        let answers = |sample: &MemberSample| matches!(sample, MemberSample::Answer { .. });
        if round.members.iter().all(|member| answers(&member.sample)) {
            break;
        }
        assert!(tokio::time::Instant::now() < until, "{round:?}");
    }
}

#[tokio::test]
async fn a_receiver_that_does_not_look_gets_rounds_that_were_not_sampled() {
    let group = Group::start(Kind::Refkv).await;
    let mut rounds = sample(&*group.adapter, &MEMBERS, HEARTBEAT.into());
    rounds.recv().await.expect("a round");
    tokio::time::sleep(Duration::from_millis(1500)).await;
    let mut missed = false;
    for _ in 0..4 {
        let round = rounds.recv().await.expect("a round");
        missed |= round.members.iter().all(|member| matches!(member.sample, MemberSample::NotSampled(_)));
    }
    assert!(missed, "our own lateness must not be taken for the target's");
}
