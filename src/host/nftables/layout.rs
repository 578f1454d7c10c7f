//! What a cut consists of: its sets and its rules, as data.
//!
//! Both chains run before every other filter (priority -310, before `raw`). There is no exception for established
//! connections. Neighbour discovery of IPv6 always passes: without it a cut in one direction would, after a few seconds,
//! cut both (ARP of IPv4 never reaches this family).

use std::net::IpAddr;

use netlink_bindings::nftables::{MetaKeys, PayloadBase};

/// What is dropped.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Cut {
    /// Addresses whose packets are dropped on their way in.
    pub from: Members,
    /// Addresses to which packets are dropped on their way out.
    pub to: Members,
    /// Only packets with one of these ports on either side; every packet where empty.
    pub ports: Vec<u16>,
    /// Whether everybody else is cut off in both directions as well: all but the loopback device, name lookups, and
    /// the spared.
    pub strangers: bool,
    /// Who is not a stranger on the way in.
    pub spared_from: Members,
    /// Who is not a stranger on the way out.
    pub spared_to: Members,
}

/// Addresses of both families.
pub type Members = Vec<IpAddr>;

pub(super) const INPUT: &str = "input";
pub(super) const OUTPUT: &str = "output";

/// The device type of `lo` (ARPHRD_LOOPBACK, netdevice(7)).
const LOOPBACK: u16 = 772;
const IPPROTO_ICMPV6: u8 = 58;
/// Router and neighbour solicitations, advertisements and redirects (RFC 4861).
const NEIGHBOUR_DISCOVERY: [u8; 2] = [133, 137];
/// Protocols with ports at the same place: TCP, UDP, SCTP.
const WITH_PORTS: [u8; 3] = [6, 17, 132];
const NAME_SERVICE: u16 = 53;

/// What a table holds, complete.
#[derive(Debug, Clone)]
pub struct Table {
    pub(super) sets: Vec<Set>,
    /// In order.
    pub(super) rules: Vec<Rule>,
}

/// Where the destination is in a packet of each family.
pub(super) const DESTINATION_V4: Load = network(16, 4);
pub(super) const DESTINATION_V6: Load = network(24, 16);

/// A named set.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Set {
    pub name: &'static str,
    /// How nft(8) prints its keys (`TYPE_…` in its datatype.h).
    pub key_type: u32,
    pub key_len: u32,
    pub keys: Vec<Vec<u8>>,
    /// Whether its elements expire.
    pub expires: bool,
}

/// Where a value comes from.
#[derive(Debug, Clone, Copy)]
pub(super) enum Load {
    Meta(MetaKeys),
    Payload { base: PayloadBase, offset: u32, len: u32 },
}

/// What must hold for a rule to go on.
#[derive(Debug, Clone)]
pub(super) enum Test {
    Equals(Load, Vec<u8>),
    Within(Load, Vec<u8>, Vec<u8>),
    In(Load, &'static str),
}

/// What becomes of a packet for which a rule's tests hold.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Then {
    /// Nothing more of this chain.
    Accept,
    /// It is dropped, and counted.
    Drop,
    /// It gets this priority and goes on, and is counted.
    Steer(u32),
}

/// One rule.
#[derive(Debug, Clone)]
pub(super) struct Rule {
    pub chain: &'static str,
    /// Its comment, by which it is found again.
    pub name: String,
    pub tests: Vec<Test>,
    pub then: Then,
}

impl Set {
    /// Addresses of IPv4, which expire.
    pub(super) fn v4(name: &'static str, members: &Members) -> Self {
        Self { name, key_type: 7, key_len: 4, keys: keys_v4(members), expires: true }
    }

    /// Addresses of IPv6, which expire.
    pub(super) fn v6(name: &'static str, members: &Members) -> Self {
        Self { name, key_type: 8, key_len: 16, keys: keys_v6(members), expires: true }
    }

    /// Both families, which expire: a rule that asks for them ends with the time of its table, also where it names nobody.
    pub(super) fn families(name: &'static str) -> Self {
        let keys = vec![vec![nix::libc::NFPROTO_IPV4 as u8], vec![nix::libc::NFPROTO_IPV6 as u8]];
        Self { name, key_type: 2, key_len: 1, keys, expires: true }
    }

    /// The ports that [`on_ports`] asks for; none where all are meant.
    pub(super) fn ports(ports: &[u16]) -> Option<Self> {
        let keys = sorted(ports.iter().map(|port| port.to_be_bytes().to_vec()).collect());
        (!keys.is_empty()).then_some(Self { name: "ports", key_type: 13, key_len: 2, keys, expires: false })
    }

    /// The protocols that have ports.
    pub(super) fn protocols() -> Self {
        let keys = WITH_PORTS.iter().map(|protocol| vec![*protocol]).collect();
        Self { name: "protocols", key_type: 12, key_len: 1, keys, expires: false }
    }
}

fn keys_v4(members: &Members) -> Vec<Vec<u8>> {
    let octets = members.iter().filter_map(|address| match address.to_canonical() {
        IpAddr::V4(address) => Some(address.octets().to_vec()),
        IpAddr::V6(_) => None,
    });
    sorted(octets.collect())
}

fn keys_v6(members: &Members) -> Vec<Vec<u8>> {
    let octets = members.iter().filter_map(|address| match address.to_canonical() {
        IpAddr::V4(_) => None,
        IpAddr::V6(address) => Some(address.octets().to_vec()),
    });
    sorted(octets.collect())
}

fn sorted(mut keys: Vec<Vec<u8>>) -> Vec<Vec<u8>> {
    keys.sort_unstable();
    keys.dedup();
    keys
}

impl Cut {
    /// Whether it drops nothing at all.
    pub fn is_nothing(&self) -> bool {
        self.from.is_empty() && self.to.is_empty() && !self.strangers
    }

    /// It as a table. Sets that a change of addresses touches are always there, even when empty.
    pub fn table(&self) -> Table {
        let mut sets = vec![
            Set::v4("from4", &self.from),
            Set::v6("from6", &self.from),
            Set::v4("to4", &self.to),
            Set::v6("to6", &self.to),
        ];
        if self.strangers {
            sets.extend([
                Set::v4("spared_from4", &self.spared_from),
                Set::v6("spared_from6", &self.spared_from),
                Set::v4("spared_to4", &self.spared_to),
                Set::v6("spared_to6", &self.spared_to),
                Set::families("strangers"),
            ]);
        }
        sets.extend(Set::ports(&self.ports));
        if !self.ports.is_empty() || self.strangers {
            sets.push(Set::protocols());
        }
        let mut rules = self.chain(INPUT, ["from4", "from6"], ["spared_from4", "spared_from6"]);
        rules.extend(self.chain(OUTPUT, ["to4", "to6"], ["spared_to4", "spared_to6"]));
        Table { sets, rules }
    }

    fn chain(&self, chain: &'static str, cut: [&'static str; 2], spared: [&'static str; 2]) -> Vec<Rule> {
        let is_input = chain == INPUT;
        let rule = |name: &str, tests, then| Rule { chain, name: format!("{chain} {name}"), tests, then };
        // In the fixed header, the source address comes right before the destination address.
        let v4 = if is_input { network(12, 4) } else { DESTINATION_V4 };
        let v6 = if is_input { network(8, 16) } else { DESTINATION_V6 };
        let mut rules = vec![neighbours(chain)];
        for (ports, on_ports) in on_ports(&self.ports) {
            let drop = |set: &str, tests: Vec<Test>| {
                rule(&format!("drop {set}{ports}"), [tests, on_ports.clone()].concat(), Then::Drop)
            };
            rules.push(drop(cut[0], vec![is_v4(), Test::In(v4, cut[0])]));
            rules.push(drop(cut[1], vec![is_v6(), Test::In(v6, cut[1])]));
        }
        if self.strangers {
            let device = if is_input { MetaKeys::Iftype } else { MetaKeys::Oiftype };
            let name_server = transport(if is_input { 0 } else { 2 }, 2);
            let accept = |name: &str, tests| rule(name, tests, Then::Accept);
            rules.extend([
                accept("loopback", vec![Test::Equals(Load::Meta(device), LOOPBACK.to_ne_bytes().to_vec())]),
                accept(
                    "names",
                    vec![
                        Test::In(Load::Meta(MetaKeys::L4Proto), "protocols"),
                        Test::Equals(name_server, NAME_SERVICE.to_be_bytes().to_vec()),
                    ],
                ),
                accept(spared[0], vec![is_v4(), Test::In(v4, spared[0])]),
                accept(spared[1], vec![is_v6(), Test::In(v6, spared[1])]),
            ]);
            for (ports, on_ports) in on_ports(&self.ports) {
                let armed = vec![Test::In(Load::Meta(MetaKeys::Nfproto), "strangers")];
                rules.push(rule(&format!("drop strangers{ports}"), [armed, on_ports].concat(), Then::Drop));
            }
        }
        rules
    }
}

pub(super) fn is_v4() -> Test {
    Test::Equals(Load::Meta(MetaKeys::Nfproto), vec![nix::libc::NFPROTO_IPV4 as u8])
}

pub(super) fn is_v6() -> Test {
    Test::Equals(Load::Meta(MetaKeys::Nfproto), vec![nix::libc::NFPROTO_IPV6 as u8])
}

/// Neighbour discovery passes.
pub(super) fn neighbours(chain: &'static str) -> Rule {
    let tests = vec![
        is_v6(),
        Test::Equals(Load::Meta(MetaKeys::L4Proto), vec![IPPROTO_ICMPV6]),
        Test::Within(transport(0, 1), vec![NEIGHBOUR_DISCOVERY[0]], vec![NEIGHBOUR_DISCOVERY[1]]),
    ];
    Rule { chain, name: format!("{chain} neighbours"), tests, then: Then::Accept }
}

/// The variants of a rule that together match the ports on either side, of which there are none where all are meant.
pub(super) fn on_ports(ports: &[u16]) -> Vec<(&'static str, Vec<Test>)> {
    if ports.is_empty() {
        return vec![("", Vec::new())];
    }
    let on = |offset| {
        vec![Test::In(Load::Meta(MetaKeys::L4Proto), "protocols"), Test::In(transport(offset, 2), "ports")]
    };
    vec![(" source port", on(0)), (" destination port", on(2))]
}

const fn network(offset: u32, len: u32) -> Load {
    Load::Payload { base: PayloadBase::NetworkHeader, offset, len }
}

fn transport(offset: u32, len: u32) -> Load {
    Load::Payload { base: PayloadBase::TransportHeader, offset, len }
}
