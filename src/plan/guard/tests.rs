//! What leaves a majority and what does not.

use proptest::prelude::*;

use super::*;
use crate::api::{
    DisruptionBudget, Disturbance, Member, MemberSample, Members, Pod, PodPhase, Role, Snapshot, WriteNeeds,
};
use crate::experiment::Step;
use crate::plan::{Choice, View};

const BOTH: Asked = Asked { quorum: true, budgets: true };

fn pod(ordinal: Ordinal, ready: bool) -> Pod {
    Pod {
        name: format!("etcd-{ordinal}"),
        ordinal,
        uid: format!("uid-{ordinal}"),
        ip: None,
        node: "node".into(),
        phase: PodPhase::Running,
        ready,
        revision: None,
        containers: Vec::new(),
    }
}

fn snapshot(replicas: u32) -> Snapshot {
    Snapshot {
        name: "etcd".into(),
        namespace: "default".into(),
        replicas,
        first_ordinal: 0,
        numbered: None,
        rollout: None,
        pods: (0..replicas).map(|ordinal| pod(ordinal, true)).collect(),
        ..Snapshot::default()
    }
}

fn answer(voter: bool) -> MemberSample {
    MemberSample::Answer {
        role: Role::Follower,
        term: 1,
        leader: Some(0),
        position: 1,
        heartbeat: None,
        voter,
        writes_need: None,
    }
}

/// Member 0 leads a store that does not vote.
fn leading(needs: u32, of: &[Ordinal]) -> MemberSample {
    let MemberSample::Answer { term, leader, position, heartbeat, .. } = answer(false) else {
        unreachable!("it answers")
    };
    let writes_need = Some(WriteNeeds { acknowledgements: needs, of: of.iter().copied().collect() });
    MemberSample::Answer { role: Role::Leader, term, leader, position, heartbeat, voter: false, writes_need }
}

fn members(samples: Vec<MemberSample>) -> Members {
    Members {
        members: samples.into_iter().zip(0..).map(|(sample, ordinal)| Member { ordinal, sample }).collect(),
    }
}

fn standing(samples: Vec<MemberSample>) -> Standing {
    let snapshot = snapshot(samples.len() as u32);
    let members = members(samples);
    let view = View { snapshot: &snapshot, members: Some(&members) };
    Standing::of(view, &BTreeSet::new())
}

fn healthy(members: u32) -> Standing {
    standing((0..members).map(|_| answer(true)).collect())
}

fn down(ordinals: &[Ordinal]) -> Damage {
    Damage { down: ordinals.iter().copied().collect(), ..Damage::default() }
}

/// The damage of a partition on a healthy group.
fn cut(members: u32, shape: &str) -> Damage {
    let json = format!(r#"{{"name":"s","for":"1s","fault":{{"networkPartition":{shape}}}}}"#);
    let step: Step = serde_json::from_str(&json).expect("a step");
    let snapshot = snapshot(members);
    let view = View { snapshot: &snapshot, members: None };
    let mut choice = Choice::new(view, 1, "s", 0);
    step.works().next().expect("it does something").resolve(&mut choice).expect("resolves").damage
}

#[test]
fn tells_the_arithmetic_with_who_is_down_already() {
    let silent = MemberSample::Unreachable("timed out".into());
    let ruling = standing(vec![answer(true), answer(true), silent]).judge(&[], &down(&[0]), BOTH);
    assert!(!ruling.holds && ruling.would_hold_if_all_were_up);
    assert_eq!(
        ruling.refusal(),
        "3 voters, 1 already down (etcd-2: unreachable), this takes 1 (etcd-0): 1 of 3 left, a majority is 2; \
         spec.guards.allowQuorumLoss: true allows it"
    );
}

#[test]
fn a_member_that_is_down_already_can_be_taken_again() {
    let silent = MemberSample::Unreachable("timed out".into());
    let ruling = standing(vec![answer(true), answer(true), silent]).judge(&[], &down(&[2]), BOTH);
    assert!(ruling.holds, "{}", ruling.arithmetic);
}

#[test]
fn one_or_two_members_are_a_plain_answer() {
    let ruling = healthy(1).judge(&[], &down(&[0]), BOTH);
    assert!(!ruling.holds && !ruling.would_hold_if_all_were_up);
    assert_eq!(ruling.arithmetic, "1 voter, this takes 1 (etcd-0): 0 of 1 left, a majority is 1");
    let ruling = healthy(2).judge(&[], &down(&[1]), BOTH);
    assert_eq!(ruling.arithmetic, "2 voters, this takes 1 (etcd-1): 1 of 2 left, a majority is 2");
    assert!(!ruling.holds);
}

#[test]
fn who_has_no_vote_may_go() {
    let learner = || standing(vec![answer(true), answer(true), answer(true), answer(false)]);
    assert!(learner().judge(&[], &down(&[3]), BOTH).holds);
    assert!(learner().judge(&[], &down(&[0, 3]), BOTH).holds);
    assert!(!learner().judge(&[], &down(&[0, 1]), BOTH).holds);
    let snapshot = snapshot(4);
    let silent = members(vec![
        answer(true),
        answer(true),
        answer(true),
        MemberSample::Unreachable("timed out".into()),
    ]);
    let view = View { snapshot: &snapshot, members: Some(&silent) };
    assert!(Standing::of(view, &BTreeSet::from([3])).judge(&[], &down(&[0]), BOTH).holds);
    assert!(
        !Standing::of(view, &BTreeSet::new()).judge(&[], &down(&[0]), BOTH).holds,
        "a voter until it is told"
    );
}

#[test]
fn a_store_that_does_not_vote_needs_its_leader_and_nobody_else_unless_its_writes_do() {
    let alone = standing(vec![leading(0, &[]), answer(false), answer(false)]);
    assert!(alone.judge(&[], &down(&[1, 2]), BOTH).holds);
    let ruling = alone.judge(&[], &down(&[0]), BOTH);
    assert!(!ruling.holds && !ruling.would_hold_if_all_were_up);
    assert_eq!(
        ruling.refusal(),
        "1 member for writes, this takes 1 (etcd-0): 0 of 1 left, writes need etcd-0; \
         spec.guards.allowQuorumLoss: true allows it"
    );
    let with_one = || vec![leading(1, &[1, 2]), answer(false), answer(false)];
    assert!(standing(with_one()).judge(&[], &down(&[1]), BOTH).holds);
    let ruling = standing(with_one()).judge(&[], &down(&[1, 2]), BOTH);
    assert_eq!(
        ruling.arithmetic,
        "3 members for writes, this takes 2 (etcd-1, etcd-2): 1 of 3 left, writes need etcd-0 and 1 more"
    );
    assert!(!ruling.holds);
    // Two that reach each other are no help to a leader that reaches nobody.
    let cut_off = cut(3, r#"{"isolate":{"ordinals":[0]}}"#);
    assert!(!standing(with_one()).judge(&[], &cut_off, BOTH).holds);
    assert!(standing(with_one()).judge(&[], &cut(3, r#"{"isolate":{"ordinals":[1]}}"#), BOTH).holds);
}

#[test]
fn a_standby_that_is_no_member_acknowledges_nothing() {
    for (needs, of, taken, holds) in [
        (1, vec![1, 2, 7, 8], vec![1], true),
        (1, vec![1, 2, 7, 8], vec![1, 2], false),
        (1, vec![1, 7], vec![1], false),
        (2, vec![1, 2, 7], vec![2], false),
    ] {
        let standing = standing(vec![leading(needs, &of), answer(false), answer(false)]);
        assert_eq!(standing.judge(&[], &down(&taken), BOTH).holds, holds, "{needs} of {of:?}");
        let away = down(&taken);
        assert_eq!(still_holds(&standing, &[&away], BOTH).is_ok(), holds, "{needs} of {of:?}");
    }
}

#[test]
fn what_a_leader_said_of_its_writes_is_remembered_while_it_is_silent() {
    let told = members(vec![leading(1, &[1, 2]), answer(false), answer(false)]);
    let told = Writes::told(&told).expect("the leader says so");
    let silent = MemberSample::Unreachable("timed out".into());
    let snapshot = snapshot(3);
    let now = members(vec![silent, answer(false), answer(false)]);
    let view = View { snapshot: &snapshot, members: Some(&now) };
    let standing = Standing::of(view, &BTreeSet::from([0, 1, 2])).remembering(Some(&told));
    let why = still_holds(&standing, &[&down(&[1])], BOTH).expect_err("the leader is gone");
    assert!(why.contains("1 already down (etcd-0: unreachable)") && why.ends_with("and 1 more"), "{why}");
}

#[test]
fn without_a_store_ready_pods_are_up_and_the_text_says_so() {
    let mut snapshot = snapshot(3);
    snapshot.pods[2].ready = false;
    let view = View { snapshot: &snapshot, members: None };
    let ruling = Standing::of(view, &BTreeSet::new()).judge(&[], &down(&[0]), BOTH);
    assert!(!ruling.holds);
    assert_eq!(
        ruling.arithmetic,
        "3 voters, 1 already down (etcd-2: not ready), this takes 1 (etcd-0): 1 of 3 left, a majority is 2 \
         (members were not asked: every replica counts as a voter, every Ready pod as up)"
    );
}

#[test]
fn cutting_off_a_minority_leaves_a_majority_and_halves_do_not() {
    for (members, shape, holds) in [
        (3, r#"{"isolate":{"ordinals":[0]}}"#, true),
        (3, r#"{"isolate":{"ordinals":[0,1]}}"#, false),
        (3, r#"{"halves":{}}"#, true),
        (4, r#"{"halves":{}}"#, false),
        (2, r#"{"halves":{}}"#, false),
        (5, r#"{"majorityMinority":{}}"#, true),
    ] {
        let ruling = healthy(members).judge(&[], &cut(members, shape), BOTH);
        assert_eq!(ruling.holds, holds, "{members} {shape}: {}", ruling.arithmetic);
    }
}

#[test]
fn one_direction_is_as_good_as_none() {
    for direction in ["inbound", "outbound"] {
        let shape = format!(r#"{{"isolate":{{"ordinals":[0,1]}},"direction":"{direction}"}}"#);
        assert!(!healthy(3).judge(&[], &cut(3, &shape), BOTH).holds, "{direction}");
    }
}

#[test]
fn a_ring_and_a_bridge_leave_a_leader_possible() {
    for members in 4..9 {
        assert!(
            healthy(members).judge(&[], &cut(members, r#"{"ring":{}}"#), BOTH).holds,
            "ring of {members}"
        );
    }
    for members in 3..9 {
        let ruling = healthy(members).judge(&[], &cut(members, r#"{"bridge":{}}"#), BOTH);
        assert!(ruling.holds, "bridge of {members}");
    }
}

#[test]
fn what_overlaps_counts_together() {
    let ring = cut(5, r#"{"ring":{}}"#);
    let ruling = healthy(5).judge(&[&ring], &down(&[0]), BOTH);
    assert!(ruling.holds, "who is opposite still sees three: {}", ruling.arithmetic);
    let opposite = (1..5).find(|&other| ring.cut.contains(&(0, other))).expect("a ring cuts");
    let ruling = healthy(5).judge(&[&ring, &down(&[0])], &down(&[opposite]), BOTH);
    assert!(!ruling.holds);
    let start = format!(
        "5 voters, 1 held down by this run (etcd-0), 10 links cut by this run, this takes 1 (etcd-{opposite})"
    );
    assert!(ruling.arithmetic.starts_with(&start), "{}", ruling.arithmetic);
}

#[test]
fn still_holds_blames_only_what_the_run_did_not_do() {
    let silent = || MemberSample::Unreachable("timed out".into());
    let held = down(&[0]);
    assert_eq!(still_holds(&standing(vec![silent(), answer(true), answer(true)]), &[&held], BOTH), Ok(()));
    let why = still_holds(&standing(vec![silent(), answer(true), silent()]), &[&held], BOTH);
    assert_eq!(
        why,
        Err("the fault leaves no quorum any more: 3 voters, 1 already down (etcd-2: unreachable), \
             1 held down by this run (etcd-0): 1 of 3 left, a majority is 2"
            .into())
    );
}

#[test]
fn who_answers_without_being_ready_is_not_counted_on_for_something_new() {
    let mut snapshot = snapshot(3);
    snapshot.pods[2].ready = false;
    let members = members((0..3).map(|_| answer(true)).collect());
    let standing = Standing::of(View { snapshot: &snapshot, members: Some(&members) }, &BTreeSet::new());
    let ruling = standing.judge(&[], &down(&[0]), BOTH);
    assert!(!ruling.holds && ruling.would_hold_if_all_were_up);
    assert!(ruling.arithmetic.contains("1 already down (etcd-2: not ready)"), "{}", ruling.arithmetic);
    assert_eq!(still_holds(&standing, &[&down(&[0])], BOTH), Ok(()), "an election makes all unready");
}

fn disturbed(disturbance: Disturbance) -> Standing {
    let mut snapshot = snapshot(3);
    snapshot.disturbances = vec![disturbance];
    let members = members((0..3).map(|_| answer(true)).collect());
    Standing::of(View { snapshot: &snapshot, members: Some(&members) }, &BTreeSet::new())
}

#[test]
fn what_other_runs_do_counts_before_and_meanwhile() {
    let by = "Injection r.pause.0.2".to_owned();
    let standing = disturbed(Disturbance { by: by.clone(), down: [2].into(), ..Disturbance::default() });
    let ruling = standing.judge(&[], &down(&[0]), BOTH);
    assert!(!ruling.holds && ruling.would_hold_if_all_were_up, "it ends, so waiting may help");
    assert_eq!(
        ruling.arithmetic,
        "3 voters, 1 held down (etcd-2) by Injection r.pause.0.2, this takes 1 (etcd-0): 1 of 3 left, a majority is 2"
    );
    assert!(standing.judge(&[], &down(&[2]), BOTH).holds, "the same member again");
    let why = still_holds(&standing, &[&down(&[0])], BOTH).expect_err("one of three is left");
    assert!(why.contains("1 held down (etcd-2) by Injection r.pause.0.2, 1 held down by this run"), "{why}");
    let links = [(1, 2), (2, 1)].into();
    let cut_off = disturbed(Disturbance { by, cut: links, ..Disturbance::default() });
    assert!(cut_off.judge(&[], &down(&[1]), BOTH).holds);
    assert!(!cut_off.judge(&[], &down(&[0]), BOTH).holds, "1 and 2 do not reach each other");
}

fn under_budget(wants: u32, members: Option<&Members>) -> Standing {
    let mut snapshot = snapshot(5);
    let covers = (0..5).collect();
    snapshot.budgets = vec![DisruptionBudget { name: "db".into(), covers, wants }];
    Standing::of(View { snapshot: &snapshot, members }, &BTreeSet::new())
}

#[test]
fn a_budget_speaks_for_a_store_that_nobody_can_ask() {
    let ruling = under_budget(4, None).judge(&[], &down(&[0, 1]), BOTH);
    assert!(!ruling.holds && !ruling.would_hold_if_all_were_up);
    assert_eq!(
        ruling.refusal(),
        "5 pods under PodDisruptionBudget db, this takes 2 (etcd-0, etcd-1): 3 of 5 left, the budget wants 4; \
         budgets: ignore in the step allows it"
    );
    assert!(under_budget(4, None).judge(&[], &down(&[0]), BOTH).holds);
    assert!(under_budget(1, None).judge(&[], &down(&[0, 1, 2]), BOTH).holds, "its author knows the store");
    let ignoring = Asked { budgets: false, ..BOTH };
    assert!(
        !under_budget(1, None).judge(&[], &down(&[0, 1, 2]), ignoring).holds,
        "then a majority must stay"
    );
}

#[test]
fn where_a_store_is_named_budget_and_quorum_both_count() {
    let asked = members((0..5).map(|_| answer(true)).collect());
    let strict = under_budget(4, Some(&asked));
    assert_eq!(strict.judge(&[], &down(&[0, 1]), BOTH).rule, Rule::Budget);
    assert!(strict.judge(&[], &down(&[0, 1]), Asked { budgets: false, ..BOTH }).holds);
    let loose = under_budget(1, Some(&asked));
    assert_eq!(loose.judge(&[], &down(&[0, 1, 2]), BOTH).rule, Rule::Quorum);
    let lost = Asked { quorum: false, ..BOTH };
    assert!(!strict.judge(&[], &down(&[0, 1, 2]), lost).holds, "allowQuorumLoss does not pass by a budget");
    assert!(strict.judge(&[], &cut(5, r#"{"isolate":{"ordinals":[0]}}"#), BOTH).holds);
    assert!(!strict.judge(&[], &cut(5, r#"{"isolate":{"ordinals":[0,1]}}"#), BOTH).holds);
    let why = still_holds(&strict, &[&down(&[0, 1])], BOTH).expect_err("3 of 5 are left");
    assert!(why.starts_with("the fault leaves less than PodDisruptionBudget db wants: 5 pods"), "{why}");
}

#[test]
fn a_member_that_we_failed_to_ask_is_not_taken_for_dead() {
    let unasked = MemberSample::NotSampled("the sampler was busy".into());
    assert!(standing(vec![answer(true), answer(true), unasked]).judge(&[], &down(&[0]), BOTH).holds);
}

/// Tries every group and every leader in it, as the definition says.
fn by_brute_force(voters: u32, gone: &BTreeSet<Ordinal>, cut: &BTreeSet<(Ordinal, Ordinal)>) -> bool {
    (0_u32..1 << voters).any(|group| {
        let inside: Vec<_> = (0..voters).filter(|ordinal| group >> ordinal & 1 == 1).collect();
        inside.len() * 2 > voters as usize
            && inside.iter().all(|ordinal| !gone.contains(ordinal))
            && inside.iter().any(|&leader| {
                inside.iter().all(|&other| {
                    other == leader || (!cut.contains(&(leader, other)) && !cut.contains(&(other, leader)))
                })
            })
    })
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 2000, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn agrees_with_trying_every_leader(
        voters in 1_u32..7,
        silent in prop::collection::btree_set(0_u32..7, 0..3),
        taken in prop::collection::btree_set(0_u32..7, 0..3),
        cut in prop::collection::btree_set((0_u32..7, 0_u32..7), 0..24),
    ) {
        let standing = standing((0..voters).map(|ordinal| if silent.contains(&ordinal) {
            MemberSample::Unreachable("timed out".into())
        } else {
            answer(true)
        }).collect());
        let damage = Damage { down: taken.clone(), cut: cut.clone(), ..Damage::default() };
        let gone = silent.union(&taken).copied().collect();
        let holds = by_brute_force(voters, &gone, &cut);
        prop_assert_eq!(standing.judge(&[], &damage, BOTH).holds, holds);
        prop_assert_eq!(still_holds(&standing, &[&damage], BOTH).is_ok(), holds);
    }
}
