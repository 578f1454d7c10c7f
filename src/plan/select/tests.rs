//! Who is meant.

use std::collections::BTreeSet;

use proptest::prelude::*;

use super::*;
use crate::api::{Member, MemberSample};

fn snapshot(replicas: u32) -> Snapshot {
    Snapshot {
        name: "etcd".into(),
        namespace: "default".into(),
        replicas,
        first_ordinal: 0,
        numbered: None,
        rollout: None,
        pods: Vec::new(),
        ..Snapshot::default()
    }
}

/// Members that answered with these roles.
fn members(roles: &[(Role, u64)]) -> Members {
    Members {
        members: roles
            .iter()
            .zip(0..)
            .map(|(&(role, term), ordinal)| Member {
                ordinal,
                sample: MemberSample::Answer {
                    role,
                    term,
                    leader: None,
                    position: 0,
                    heartbeat: None,
                    voter: true,
                    writes_need: None,
                },
            })
            .collect(),
    }
}

fn selection(json: &str) -> Selection {
    serde_json::from_str(json).expect(json)
}

fn pick(members: Option<&Members>, replicas: u32, seed: u64, json: &str) -> Result<Vec<Ordinal>, String> {
    let snapshot = snapshot(replicas);
    let view = View { snapshot: &snapshot, members };
    Choice::new(view, seed, "step", 0).pick(&selection(json))
}

const LED_BY_ONE: [(Role, u64); 3] = [(Role::Leader, 3), (Role::Leader, 4), (Role::Follower, 4)];

#[test]
fn an_ordinal_outside_of_the_set_is_refused_with_the_valid_ones() {
    for (replicas, why) in [
        (3, "there is no ordinal 3: write 0 to 2"),
        (1, "there is no ordinal 3: the only one is 0"),
        (0, "there is no ordinal 3: etcd has no replicas"),
    ] {
        assert_eq!(pick(None, replicas, 1, r#"{"ordinals":[3]}"#), Err(why.into()));
    }
    assert_eq!(pick(None, 3, 1, r#"{"ordinals":["1..2"]}"#), Ok(vec![1, 2]));
}

#[test]
fn the_leader_is_the_one_of_the_newest_term() {
    let members = members(&LED_BY_ONE);
    assert_eq!(pick(Some(&members), 3, 1, r#"{"role":"leader"}"#), Ok(vec![1]));
    assert_eq!(pick(Some(&members), 3, 1, r#"{"role":"follower"}"#), Ok(vec![2]));
}

#[test]
fn says_why_nobody_is_there() {
    let nobody = members(&[(Role::Other, 1)]);
    for (members, json, why) in [
        (Some(&nobody), r#"{"role":"leader"}"#, "there is no leader now"),
        (Some(&nobody), r#"{"role":"follower"}"#, "there is no follower now"),
        (
            None,
            r#"{"role":"leader"}"#,
            "nobody tells who has which role: name the store in spec.target.store",
        ),
        (None, r#"{"count":"minority"}"#, "minority of 1 members is nobody"),
        (None, r#"{"count":2}"#, "asks for 2 members, but there are 1"),
    ] {
        assert_eq!(pick(members, 1, 1, json), Err(why.into()), "{json}");
    }
}

#[test]
fn a_seed_means_the_same_for_ever() {
    let snapshot = snapshot(9);
    let view = View { snapshot: &snapshot, members: None };
    let order = |seed, step, occurrence| Choice::new(view, seed, step, occurrence).shuffled();
    assert_eq!(order(7, "cut", 0), [1, 3, 7, 4, 5, 6, 2, 0, 8]);
    let others = [order(8, "cut", 0), order(7, "cat", 0), order(7, "cut", 1)];
    assert!(others.iter().all(|other| *other != order(7, "cut", 0)));
}

#[test]
fn over_many_seeds_everyone_is_chosen_about_equally_often() {
    let mut chosen = [0_u32; 5];
    for seed in 0..5000 {
        for ordinal in pick(None, 5, seed, r#"{"count":2}"#).expect("two of five") {
            chosen[ordinal as usize] += 1;
        }
    }
    assert!(chosen.iter().all(|times| (1850..2150).contains(times)), "{chosen:?}");
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn a_share_is_as_many_as_it_says_and_asking_twice_changes_nothing(
        seed in any::<u64>(), replicas in 2_u32..30, percent in 1_u32..=100,
    ) {
        for count in ["\"minority\"".to_string(), "\"majority\"".into(), "\"all\"".into(), "1".into(), format!("\"{percent}%\"")] {
            let json = format!(r#"{{"count":{count}}}"#);
            let Selection::Count(share) = selection(&json) else { unreachable!("a count") };
            let snapshot = snapshot(replicas);
            let view = View { snapshot: &snapshot, members: None };
            let mut choice = Choice::new(view, seed, "step", 0);
            if share.of(replicas) == 0 {
                prop_assert!(choice.pick(&selection(&json)).is_err());
                continue;
            }
            let picked = choice.pick(&selection(&json)).expect("so many are there");
            prop_assert_eq!(picked.len() as u32, share.of(replicas));
            prop_assert_eq!(picked.iter().collect::<BTreeSet<_>>().len(), picked.len());
            prop_assert!(picked.is_sorted() && picked.iter().all(|&ordinal| ordinal < replicas));
            prop_assert_eq!(choice.pick(&selection(&json)), Ok(picked));
        }
    }
}
