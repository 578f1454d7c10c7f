//! What is shown, and that it fits.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use super::*;
use crate::api::Member;

/// A terminal that can be read.
#[derive(Clone, Default)]
struct Page(Arc<Mutex<Vec<u8>>>);

impl Write for Page {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0.lock().expect("no test panics while it writes").extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

fn members(leader: u32) -> Entry {
    let member = |ordinal| Member {
        ordinal,
        sample: MemberSample::Answer {
            role: if ordinal == leader { Role::Leader } else { Role::Follower },
            term: 2,
            leader: Some(leader),
            position: 1,
            heartbeat: None,
            voter: true,
            writes_need: None,
        },
    };
    Entry::Input(Input::Members(Members { members: vec![member(0), member(1)] }))
}

#[test]
fn tells_a_change_once() {
    let page = Page::default();
    let mut live = Live::writing_to("x", Style::Lines, Box::new(page.clone()));
    for (now, leader) in [(1, 0), (2, 0), (3_200_000_000, 1)] {
        live.observe(now, &members(leader));
    }
    let text = String::from_utf8(page.0.lock().expect("unlocked").clone()).expect("text");
    assert_eq!(text, "    0.0s  member 0 leads\n    3.2s  member 1 leads\n");
}

#[test]
fn plain_lines_say_what_takes_long_once() {
    let page = Page::default();
    let mut live = Live::writing_to("x", Style::Lines, Box::new(page.clone()));
    for second in 0..20 {
        live.tick(second * 1_000_000_000, Rates::default(), Some("a leader".into()));
    }
    let text = String::from_utf8(page.0.lock().expect("unlocked").clone()).expect("text");
    assert_eq!(text, "    5.0s  waiting for a leader\n");
}

#[test]
fn quiet_is_silent() {
    let page = Page::default();
    let mut live = Live::writing_to("x", Style::Quiet, Box::new(page.clone()));
    live.observe(1, &members(0));
    live.tick(2, Rates::default(), None);
    live.finish();
    assert!(page.0.lock().expect("unlocked").is_empty());
}

#[test]
fn the_block_is_never_wider_than_the_terminal() {
    let mut state = State { experiment: "a-rather-long-name-of-an-experiment".into(), ..State::default() };
    state.pods = Snapshot { name: "etcd".into(), replicas: 3, ..Snapshot::default() };
    state.waiting = Some("quorum: no majority agrees on a leader".repeat(5));
    state.rates =
        Rates { ok: 200, fail: 1, unknown: 2, missed: 0, p50: Some(Duration::from_millis(2)), p99: None };
    for width in [20, 40, 80, 200] {
        for line in screen::block(&state, 1, width) {
            assert!(line.chars().count() <= width, "{width}: {line}");
        }
    }
}

#[test]
fn pods_and_faults_of_a_further_set_are_told_by_its_name() {
    let page = Page::default();
    let mut live = Live::writing_to("x", Style::Lines, Box::new(page.clone()));
    let pods = |name: &str| Snapshot { name: name.into(), replicas: 3, ..Snapshot::default() };
    live.observe(0, &Entry::Input(Input::Pods(pods("kafka"))));
    live.observe(0, &Entry::Input(Input::OtherPods(pods("zookeeper"))));
    live.observe(0, &Entry::Input(Input::OtherPods(pods("zookeeper"))));
    let chosen = |step: &str, set: Option<&str>, members: &[u32], down: &[u32]| Entry::Effect {
        id: 0,
        effect: Effect::Chosen {
            step: step.into(),
            occurrence: 0,
            picked: None,
            set: set.map(str::to_owned),
            members: members.to_vec(),
            damage: crate::fault::Damage { down: down.iter().copied().collect(), ..Default::default() },
            along: Vec::new(),
        },
    };
    live.observe(1, &chosen("lost", Some("zookeeper"), &[1], &[1]));
    live.observe(1, &chosen("own", None, &[1], &[1]));
    // What takes nobody away is told by where it is applied.
    live.observe(1, &chosen("slow", None, &[0, 2], &[]));
    live.observe(1, &chosen("late", Some("zookeeper"), &[0], &[]));
    live.observe(1, &chosen("roll", None, &[], &[]));
    let text = String::from_utf8(page.0.lock().expect("unlocked").clone()).expect("text");
    let told: Vec<&str> = text.lines().map(|line| line[10..].trim_end()).collect();
    let expected = [
        "0 of 3 pods are Ready",
        "0 of 3 pods of zookeeper are Ready",
        "lost: injecting on zookeeper-1",
        "own: injecting on member 1",
        "slow: injecting on members 0 and 2",
        "late: injecting on zookeeper-0",
        "roll: injecting on the StatefulSet",
    ];
    assert_eq!(told, expected);
    let block = screen::block(&live.state, 1, 80).join("\n");
    assert!(block.contains("  zookeeper        0 of 3 ready"), "{block}");
    assert!(block.contains("fault   lost on zookeeper-1"), "{block}");
}
