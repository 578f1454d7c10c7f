//! Messages, compared with those of tc(8), iproute2 6.1.

use std::time::Duration;

use netlink_bindings::traits::NetlinkRequest;

use super::*;

/// Where the attributes begin.
const ATTRIBUTES: usize = 20;
/// `NLA_F_NESTED`, which tc leaves out of its options and the kernel does not ask for.
const NESTED: u8 = 0x80;

const TREE: Tree = Tree(0x5ea0);

fn lo() -> Link {
    Link { index: 1, name: "lo".to_owned(), mtu: 1_500 }
}

/// What tc sends without the header, in hexadecimal; its options, which come after the kind, are marked as nested.
fn tc(hexadecimal: &str) -> Vec<u8> {
    let digits: Vec<u8> = hexadecimal.bytes().filter(u8::is_ascii_hexdigit).collect();
    let byte =
        |pair: &[u8]| u8::from_str_radix(std::str::from_utf8(pair).expect("ASCII"), 16).expect("digits");
    let mut bytes: Vec<u8> = digits.chunks(2).map(byte).collect();
    let kind = usize::from(bytes[ATTRIBUTES]).next_multiple_of(4);
    bytes[ATTRIBUTES + kind + 3] |= NESTED;
    bytes
}

#[test]
fn the_root_is_asked_for_as_tc_does() {
    // qdisc add dev lo root handle 5ea0: htb default 0 direct_qlen 1000
    let expected = "00000000 01000000 0000a05e ffffffff 00000000 08000100 68746200 \
        24000200 18000200 03000000 0a000000 00000000 00000000 00000000 08000500 e8030000";
    let request = root(&lo(), TREE);
    assert_eq!(request.payload(), tc(expected));
    let asked = i32::from(request.flags());
    assert_eq!(asked, libc::NLM_F_CREATE | libc::NLM_F_EXCL, "nobody else's is replaced");
}

#[test]
fn the_class_is_asked_for_as_tc_does_but_for_its_tables() {
    // class add dev lo parent 5ea0: classid 5ea0:1 htb rate … quantum 60000. tc adds tables of times by size (0804…), for which
    // cell_log is 3 and cell_align -1; a kernel that knows the link layer (…01) reckons itself.
    let expected = "00000000 01000000 0100a05e 0000a05e 00000000 08000100 68746200 \
        34000200 30000100 00010000 00000000 ffffffff 00010000 00000000 ffffffff \
        5a620200 5a620200 60ea0000 00000000 00000000";
    assert_eq!(class(&lo(), TREE).payload(), tc(expected));
}

#[test]
fn a_delay_is_asked_for_as_tc_does() {
    // qdisc add dev lo parent 5ea0:1 handle 5ea1: netem limit 100000 delay 100ms 10ms
    let expected = "00000000 01000000 0000a15e 0100a05e 00000000 0a000100 6e657465 6d000000 \
        1c000200 84d71700 a0860100 00000000 00000000 00000000 5a620200";
    let shaper = Shaper::Delay { delay: Duration::from_millis(100), jitter: Duration::from_millis(10) };
    let request = shaper.settings(1_500).request(&lo(), TREE);
    assert_eq!(request.payload(), tc(expected));
    assert_eq!(i32::from(request.flags()), libc::NLM_F_CREATE | libc::NLM_F_EXCL);
}

#[test]
fn a_loss_is_asked_for_as_tc_does() {
    // qdisc add dev lo parent 5ea0:1 handle 5ea1: netem limit 100000 loss 5%
    let expected = "00000000 01000000 0000a15e 0100a05e 00000000 0a000100 6e657465 6d000000 \
        1c000200 00000000 a0860100 cdcccc0c 00000000 00000000 00000000";
    let shaper = Shaper::Loss { millionths: 50_000, burst: None };
    assert_eq!(shaper.settings(1_500).request(&lo(), TREE).payload(), tc(expected));
}

#[test]
fn a_loss_in_bursts_is_asked_for_as_tc_does() {
    // qdisc add dev lo parent 5ea0:1 handle 5ea1: netem limit 100000 loss gemodel 20% 20%: half of the time it is bad, for five
    // packets in the mean.
    let mut expected = tc("00000000 01000000 0000a15e 0100a05e 00000000 0a000100 6e657465 6d000000 \
        34000200 00000000 a0860100 00000000 00000000 00000000 00000000 \
        18000580 14000200 33333333 33333333 00000000 00000000");
    let shaper = Shaper::Loss { millionths: 500_000, burst: Some(5) };
    assert_eq!(shaper.settings(1_500).request(&lo(), TREE).payload(), expected);
    // A tenth: nine times as many arrive in a row as are lost.
    let tenth = (f64::from(u32::MAX) / 45.0).round() as u32;
    let bad = expected.len() - 16;
    expected[bad..bad + 4].copy_from_slice(&tenth.to_ne_bytes());
    let shaper = Shaper::Loss { millionths: 100_000, burst: Some(5) };
    assert_eq!(shaper.settings(1_500).request(&lo(), TREE).payload(), expected);
}

#[test]
fn a_rate_is_asked_for_as_tc_does_but_for_its_table() {
    // qdisc add dev lo parent 5ea0:1 handle 5ea1: tbf rate 10mbit burst 12500 limit 637500. tc tells the burst as the time that it
    // takes as well (`buffer`, after the limit), which the kernel takes only where nobody tells the bytes.
    let expected = "00000000 01000000 0000a15e 0100a05e 00000000 08000100 74626600 \
        34000200 28000100 00010000 00000000 d0121300 00000000 00000000 00000000 \
        3cba0900 00000000 00000000 08000600 d4300000";
    let shaper = Shaper::Rate { bytes: 1_250_000 };
    assert_eq!(shaper.settings(1_500).request(&lo(), TREE).payload(), tc(expected));
}

#[test]
fn the_removal_names_what_it_removes() {
    let payload = removal(&lo(), TREE).payload().to_vec();
    let expected = [
        [0, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0xa0, 0x5e, 0xff, 0xff, 0xff, 0xff, 0, 0, 0, 0].as_slice(),
        &[8, 0, 1, 0, b'h', b't', b'b', 0],
    ];
    assert_eq!(payload, expected.concat(), "the kernel refuses another handle or kind");
}

#[test]
fn every_mark_has_handles_in_our_range_and_another_mark_has_others() {
    let trees: Vec<Tree> =
        (0..2_000_u64).map(|n| Tree::of(&format!("{:x}", 81_204_551_013 + n * 977))).collect();
    for tree in &trees {
        assert!((0x5000..=0x5ffe).contains(&tree.0) && tree.0.is_multiple_of(2), "{tree:?}");
        assert_eq!((tree.class(), tree.leaf()), (tree.root() + 1, tree.root() + 0x1_0000));
    }
    let same = trees.windows(2).filter(|pair| pair[0] == pair[1]).count();
    assert!(same < 10, "{same} of 1999 follow one with the same handles");
}

#[test]
fn a_narrow_place_lets_a_longest_packet_through_at_any_rate() {
    for mtu in [1_500, 9_001, 65_520] {
        let Settings::Tbf { burst, limit, .. } = (Shaper::Rate { bytes: 1_000 }).settings(mtu) else {
            panic!("tbf limits rates")
        };
        assert!(burst >= mtu + 14 && limit > burst, "{mtu}: {burst}, {limit}");
    }
}

#[test]
fn more_than_a_rate_and_its_burst_is_too_much() {
    let settings = Shaper::Rate { bytes: 1_250_000 }.settings(1_500);
    assert_eq!(settings.most_in(Duration::from_secs(2)), Some(2_500_000 + 12_500));
    let delay = Shaper::Delay { delay: Duration::from_millis(1), jitter: Duration::ZERO };
    assert_eq!(delay.settings(1_500).most_in(Duration::from_secs(2)), None);
}

/// This kernel may lack netem; htb and tbf are in every one that these tests have met.
#[test]
fn what_a_kernel_lacks_is_named() {
    let delay = Shaper::Delay { delay: Duration::from_millis(1), jitter: Duration::ZERO };
    match works_here(&delay) {
        Ok(()) => {}
        Err(error) => {
            let told = error.to_string();
            let needs_root = error.kind() == io::ErrorKind::PermissionDenied;
            assert!(needs_root || told.contains("this kernel has no netem (CONFIG_NET_SCH_NETEM)"), "{told}");
        }
    }
}
