//! A table that changes nothing of packets but their priority, by which a queueing discipline tells them from others.
//!
//! The priority is set where a pod's own packets leave its stack, also of established connections. It stays with a packet
//! until its device has sent it, and no longer (`____dev_forward_skb` of the kernel clears it on the way to another
//! namespace). Neighbour discovery is left alone, as ARP is.

use super::layout::{DESTINATION_V4, DESTINATION_V6, Load, Members, OUTPUT, Rule, Set, Table, Test, Then};
use super::layout::{is_v4, is_v6, neighbours, on_ports};
use netlink_bindings::nftables::MetaKeys;

/// Which packets get which priority.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Steering {
    /// Those to these addresses.
    pub to: Members,
    /// Those to everybody.
    pub everybody: bool,
    /// Only packets with one of these ports on either side; every packet where empty.
    pub ports: Vec<u16>,
    /// The class (`MAJOR:MINOR`, tc(8)) that they get as their priority.
    pub class: u32,
}

impl Steering {
    /// Whether it steers nothing at all.
    pub fn is_nothing(&self) -> bool {
        self.to.is_empty() && !self.everybody
    }

    /// It as a table. Sets that a change of addresses touches are always there, even when empty.
    pub fn table(&self) -> Table {
        let mut sets = vec![Set::v4("to4", &self.to), Set::v6("to6", &self.to)];
        if self.everybody {
            sets.push(Set::families("everybody"));
        }
        if let Some(ports) = Set::ports(&self.ports) {
            sets.extend([ports, Set::protocols()]);
        }
        let mut whom = vec![
            ("to4", vec![is_v4(), Test::In(DESTINATION_V4, "to4")]),
            ("to6", vec![is_v6(), Test::In(DESTINATION_V6, "to6")]),
        ];
        if self.everybody {
            whom = vec![("everybody", vec![Test::In(Load::Meta(MetaKeys::Nfproto), "everybody")])];
        }
        let mut rules = vec![neighbours(OUTPUT)];
        for (ports, on_ports) in on_ports(&self.ports) {
            rules.extend(whom.iter().map(|(name, tests)| Rule {
                chain: OUTPUT,
                name: format!("{OUTPUT} steer {name}{ports}"),
                tests: [tests.clone(), on_ports.clone()].concat(),
                then: Then::Steer(self.class),
            }));
        }
        Table { sets, rules }
    }
}
