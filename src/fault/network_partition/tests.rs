//! What each shape cuts.

use super::*;

/// Members `0..n`, led by 0, in ascending "random" order.
pub(in crate::fault) struct Fixed(pub u32);

impl Chooser for Fixed {
    fn seed(&self) -> u32 {
        0
    }

    fn node(&self, _: Ordinal) -> Option<String> {
        None
    }

    fn all(&self) -> Vec<Ordinal> {
        (0..self.0).collect()
    }

    fn pick(&mut self, selection: &Selection) -> Result<Vec<Ordinal>, String> {
        match selection {
            Selection::Ordinals(set) => Ok(set.iter().collect()),
            Selection::Role { .. } => Ok(vec![0]),
            Selection::Count(count) => Ok((0..count.of(self.0)).collect()),
        }
    }

    fn shuffled(&mut self) -> Vec<Ordinal> {
        self.all()
    }

    fn leader(&self) -> Option<Ordinal> {
        Some(0)
    }
}

fn cut(json: &str, members: u32) -> BTreeSet<(Ordinal, Ordinal)> {
    let partition: NetworkPartition = serde_json::from_str(json).expect(json);
    partition.resolve(&mut Fixed(members)).expect(json).damage.cut
}

/// How many members `member` still exchanges packets with, itself included.
fn sees(cut: &BTreeSet<(Ordinal, Ordinal)>, member: Ordinal, members: u32) -> u32 {
    (0..members).filter(|&other| !cut.contains(&(member, other)) && !cut.contains(&(other, member))).count()
        as u32
}

#[test]
fn isolating_two_of_three_cuts_every_link() {
    assert_eq!(cut(r#"{"isolate":{"count":2}}"#, 3).len(), 6);
}

#[test]
fn one_way_cuts_one_direction_only() {
    assert_eq!(
        cut(r#"{"isolate":{"role":"leader"},"direction":"inbound"}"#, 3),
        BTreeSet::from([(1, 0), (2, 0)])
    );
    assert_eq!(
        cut(r#"{"isolate":{"role":"leader"},"direction":"outbound"}"#, 3),
        BTreeSet::from([(0, 1), (0, 2)])
    );
}

#[test]
fn both_ends_of_a_cut_drop() {
    let partition: NetworkPartition =
        serde_json::from_str(r#"{"isolate":{"ordinals":[1]},"direction":"outbound","ports":[2380]}"#)
            .expect("valid");
    let hits = partition.resolve(&mut Fixed(3)).expect("resolves").hits;
    let end = |ordinal: Ordinal| match &hits[&ordinal] {
        Action::Cut { drop_from, drop_to, ports, .. } => (drop_from.clone(), drop_to.clone(), ports.clone()),
        other => panic!("{other:?}"),
    };
    assert_eq!(end(1), (BTreeSet::new(), BTreeSet::from([0, 2]), vec![2380]));
    assert_eq!(end(0), (BTreeSet::from([1]), BTreeSet::new(), vec![2380]));
}

#[test]
fn a_minority_of_five_is_two_and_holds_the_leader_when_asked() {
    let cut = cut(r#"{"majorityMinority":{"leaderIn":"minority"}}"#, 5);
    assert_eq!(sees(&cut, 0, 5), 2);
    assert_eq!(cut.len(), 12);
}

#[test]
fn in_a_ring_each_sees_a_majority_and_no_two_the_same() {
    for n in 5..10 {
        let cut = cut(r#"{"ring":{}}"#, n);
        for member in 0..n {
            assert!(sees(&cut, member, n) > n / 2, "{member} of {n}");
            assert!(sees(&cut, member, n) < n, "{member} of {n}");
        }
    }
}

#[test]
fn a_bridge_has_one_member_that_sees_all() {
    let cut = cut(r#"{"bridge":{}}"#, 5);
    assert_eq!((0..5).filter(|&member| sees(&cut, member, 5) == 5).count(), 1);
}

#[test]
fn refuses_none_or_two_shapes() {
    for json in [
        "{}",
        r#"{"halves":{},"ring":{}}"#,
        r#"{"halves":{},"direction":"inbound"}"#,
        r#"{"halves":{},"from":"clients"}"#,
    ] {
        assert!(serde_json::from_str::<NetworkPartition>(json).is_err(), "{json}");
    }
}

#[test]
fn reads_what_it_writes() {
    for json in [
        r#"{"isolate":{"role":"leader"},"direction":"inbound","ports":[2380],"from":"clients"}"#,
        r#"{"halves":{}}"#,
        r#"{"majorityMinority":{"leaderIn":"minority"}}"#,
        r#"{"ring":{}}"#,
        r#"{"bridge":{}}"#,
    ] {
        let partition: NetworkPartition = serde_json::from_str(json).expect(json);
        assert_eq!(serde_json::to_string(&partition).expect("serialises"), json);
    }
}
