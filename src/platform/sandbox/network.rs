//! The sandbox's network: one bridge in init's network namespace, one cable to each pod.

use std::io;
use std::net::Ipv4Addr;
use std::sync::Mutex;
use std::sync::PoisonError;

use nix::unistd::Pid;

use crate::host::netlink;

/// Init's address: every pod's gateway and name server.
pub const GATEWAY: Ipv4Addr = Ipv4Addr::new(10, 244, 0, 1);
/// The length of the network's prefix.
pub const PREFIX: u8 = 16;
/// The interface that a pod sees.
pub const POD_INTERFACE: &str = "eth0";

const BRIDGE: &str = "pods";
/// The first and the last address of pods, as numbers below the network's.
const HOSTS: std::ops::Range<u16> = 10..65_000;

/// Gives out addresses and cables.
pub struct Network {
    next: Mutex<u64>,
}

/// What a pod gets.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Lease {
    /// Its address.
    pub address: Ipv4Addr,
    number: u64,
}

impl Network {
    /// Makes the bridge in the calling thread's network namespace.
    pub fn create() -> io::Result<Self> {
        netlink::set_up("lo")?;
        netlink::add_bridge(BRIDGE)?;
        netlink::add_address(BRIDGE, GATEWAY, PREFIX)?;
        netlink::set_up(BRIDGE)?;
        Ok(Self { next: Mutex::new(0) })
    }

    /// An address that no earlier pod has had, until 64,990 of them were given out.
    pub fn lease(&self) -> Lease {
        let mut next = self.next.lock().unwrap_or_else(PoisonError::into_inner);
        let number = *next;
        *next += 1;
        Lease { address: address(number), number }
    }

    /// Connects the pod under `holder` to the bridge. The cable goes away with the pod's network namespace.
    pub fn connect(lease: Lease, holder: Pid) -> io::Result<()> {
        netlink::add_veth(&format!("pod{}", lease.number), BRIDGE, POD_INTERFACE, holder)
    }
}

fn address(number: u64) -> Ipv4Addr {
    let host = HOSTS.start + (number % HOSTS.len() as u64) as u16;
    let [_, _, high, low] = u32::from(host).to_be_bytes();
    Ipv4Addr::new(10, 244, high, low)
}

#[cfg(test)]
mod tests {
    use super::{GATEWAY, HOSTS, address};

    #[test]
    fn gives_every_pod_another_address_than_those_before_it() {
        let mut seen: Vec<_> = (0..HOSTS.len() as u64).map(address).collect();
        seen.sort_unstable();
        seen.dedup();
        assert_eq!(seen.len(), HOSTS.len());
        assert!(!seen.contains(&GATEWAY));
    }
}
