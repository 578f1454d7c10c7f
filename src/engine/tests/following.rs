//! Pods that are re-created and addresses that change while a fault is there.

use super::rig::{Rig, experiment};
use crate::api::{Desired, HostFault};

fn pause(follow: bool) -> String {
    format!(
        r#"[{{"name":"p","for":"20s","follow":{follow},"fault":{{"processPause":{{"members":{{"ordinals":[1]}}}}}}}}]"#
    )
}

const CUT: &str = r#"[{"name":"c","for":"20s","fault":{"networkPartition":{"isolate":{"ordinals":[0]}}}}]"#;

#[test]
fn a_followed_fault_goes_over_to_the_next_pod_and_keeps_its_deadline() {
    let mut rig = Rig::new(experiment(&pause(true), "{}"), 3);
    rig.run_into_faults(5);
    rig.recreate(1);
    rig.run_into_faults(6);
    let applied = rig.applied();
    let (first, second) = (applied[0].1, applied[1].1);
    assert_eq!(second.desired, Desired::Injected);
    assert_ne!(first.pod.uid, second.pod.uid);
    assert_eq!(first.deadline, second.deadline);
    rig.finish();
    rig.assert_reverted();
}

#[test]
fn a_fault_that_does_not_follow_is_not_proven_any_more() {
    let mut rig = Rig::new(experiment(&pause(false), "{}"), 3);
    rig.proven_for.insert("run.p.0.1".into(), std::time::Duration::from_secs(5));
    rig.run_into_faults(5);
    rig.recreate(1);
    rig.finish();
    assert_eq!(rig.applied().len(), 2);
    let ended = rig.told("ended");
    assert!(ended.contains("etcd-1 was re-created 10.0s into the run"), "{ended}");
}

#[test]
fn a_cut_learns_new_addresses_of_its_peers_at_once() {
    let mut rig = Rig::new(experiment(CUT, "{}"), 3);
    rig.run_into_faults(5);
    let before = rig.applied().len();
    rig.recreate(2);
    let at = rig.now;
    rig.run_into_faults(6);
    let applied = rig.applied();
    let (told_at, told) = applied[before];
    assert_eq!((told_at, told.name.as_str()), (at, "run.c.0.0"));
    let HostFault::Partition { peers, .. } = &told.fault else { unreachable!("{told:?}") };
    let address = rig.pods[2].ip.expect("it has one");
    assert!(peers.iter().any(|peer| peer.ordinal == 2 && peer.addresses == [address]));
    assert_eq!(applied.len(), before + 1, "the pod that was re-created is not followed");
}

#[test]
fn a_slow_network_learns_new_addresses_of_its_peers_at_once() {
    let slow =
        r#"[{"name":"s","for":"20s","fault":{"networkDelay":{"members":{"ordinals":[0]},"delay":"50ms"}}}]"#;
    let mut rig = Rig::new(experiment(slow, "{}"), 3);
    rig.run_into_faults(5);
    let before = rig.applied().len();
    rig.recreate(2);
    rig.run_into_faults(6);
    let applied = rig.applied();
    let HostFault::Shape(traffic) = &applied[before].1.fault else { unreachable!("{:?}", applied[before]) };
    assert!(traffic.members.contains(&rig.pods[2].ip.expect("it has one")));
    rig.finish();
    rig.assert_reverted();
}

#[test]
fn addresses_do_not_matter_while_everything_is_reverted() {
    let mut rig = Rig::new(experiment(CUT, "{}"), 3);
    rig.run_into_faults(21);
    let before = rig.applied().len();
    rig.recreate(2);
    rig.finish();
    assert_eq!(rig.applied().len(), before);
    rig.assert_reverted();
}

#[test]
fn a_followed_kill_deletes_each_new_pod_until_its_time_is_over() {
    let steps = r#"[{"name":"k","for":"3s","follow":true,
        "fault":{"podKill":{"members":{"ordinals":[1]},"mode":"force"}}}]"#;
    let mut rig = Rig::new(experiment(steps, "{}"), 3);
    rig.finish();
    let deleted = rig.story().iter().filter(|line| *line == "delete 1").count();
    assert!((10..=30).contains(&deleted), "{deleted}");
    assert_eq!(rig.told("ended"), "ended k");
}
