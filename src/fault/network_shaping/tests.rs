//! Who is meant, and what counts as cut.

use std::net::IpAddr;

use super::*;
use crate::api::{HostFault, ShapedTraffic};
use crate::experiment::Rate;
use crate::fault::network_partition::tests::Fixed;
use crate::fault::{Fault, Hold};

fn fault(json: &str) -> Fault {
    serde_json::from_str(json).expect(json)
}

fn resolved(json: &str, members: u32) -> Resolved {
    fault(json).resolve(&mut Fixed(members)).expect(json)
}

/// What the node of `ordinal` is asked for, where member `n` has the address `10.0.0.n`.
fn asked(resolved: &Resolved, ordinal: Ordinal) -> ShapedTraffic {
    let addresses = (0..9).map(|n| (n, IpAddr::from([10, 0, 0, n as u8]))).collect();
    match resolved.hits[&ordinal].on_host(&addresses) {
        Some(HostFault::Shape(traffic)) => traffic,
        other => panic!("{other:?}"),
    }
}

#[test]
fn each_that_is_hit_is_shaped_towards_all_other_members_and_nobody_else() {
    let resolved =
        resolved(r#"{"networkDelay":{"members":{"ordinals":[0,1]},"delay":"100ms","jitter":"10ms"}}"#, 3);
    assert_eq!(resolved.members(), BTreeSet::from([0, 1]));
    assert_eq!(resolved.damage, Damage::default(), "who is slow answers still");
    let traffic = asked(&resolved, 1);
    assert_eq!(traffic.members, [IpAddr::from([10, 0, 0, 0]), IpAddr::from([10, 0, 0, 2])]);
    assert!(!traffic.everybody && traffic.ports.is_empty());
    let [delay, jitter] = [100, 10].map(std::time::Duration::from_millis);
    assert_eq!(traffic.shape, Shape::Delay { delay, jitter });
    assert!(resolved.hits[&0].needs_an_address());
}

#[test]
fn everybody_is_meant_where_the_document_says_so() {
    let json = r#"{"networkBandwidth":{"members":{"role":"leader"},"to":"everybody","ports":[2380],"rate":"1mbit"}}"#;
    let traffic = asked(&resolved(json, 1), 0);
    assert!(traffic.everybody && traffic.members.is_empty());
    assert_eq!(traffic.ports, [2380]);
    assert_eq!(traffic.shape, Shape::Bandwidth { rate: Rate::of_bits(1_000_000) });
    assert_eq!((fault(json).fewest_members(), fault(json).holds()), (1, vec![Hold::Shaped]));
}

#[test]
fn whoever_loses_half_counts_as_cut_off() {
    let of = |loss: &str| {
        let json = format!(r#"{{"networkLoss":{{"members":{{"ordinals":[0]}},"loss":"{loss}"}}}}"#);
        resolved(&json, 3).damage.cut
    };
    assert_eq!(of("49.9%"), BTreeSet::new());
    assert_eq!(of("50%"), BTreeSet::from([(0, 1), (0, 2)]), "it still hears");
}

#[test]
fn reads_what_it_writes() {
    for json in [
        r#"{"networkDelay":{"members":{"role":"leader"},"delay":"100ms"}}"#,
        r#"{"networkDelay":{"members":{"ordinals":[0]},"to":"everybody","ports":[2380],"delay":"100ms","jitter":"10ms"}}"#,
        r#"{"networkLoss":{"members":{"ordinals":[0]},"loss":"0.5%","burst":3}}"#,
        r#"{"networkBandwidth":{"members":{"ordinals":[0]},"rate":"512kbit"}}"#,
    ] {
        assert_eq!(serde_json::to_string(&fault(json)).expect("serialises"), json);
        assert_eq!(fault(json).wrong(), Vec::new(), "{json}");
    }
}
