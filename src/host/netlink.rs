//! Links, addresses and routes of the calling thread's network namespace (rtnetlink(7)).

use std::io;
use std::net::Ipv4Addr;

use netlink_bindings::traits::{NetlinkRequest, Pusher};
use netlink_bindings::utils::{finalize_nested_header, push_header, push_nested_header};
use netlink_bindings::{rt_addr, rt_link, rt_route};
use nix::libc;
use nix::net::if_::if_nametoindex;
use nix::sys::socket::SockProtocol;
use nix::unistd::Pid;

pub mod socket;

use socket::Socket;

/// `IFLA_INFO_DATA` of `linux/if_link.h`.
const INFO_DATA: u16 = 2;
/// `VETH_INFO_PEER` of `linux/veth.h`: a link message of its own.
const VETH_PEER: u16 = 1;
const IFNAME: u16 = 3;
const NET_NS_PID: u16 = 19;

fn acknowledged<R: NetlinkRequest>(request: &R, what: &str) -> io::Result<()> {
    Socket::open(SockProtocol::NetlinkRoute)
        .and_then(|socket| socket.query(request, |_| Ok(())))
        .map_err(|error| io::Error::new(error.kind(), format!("cannot {what}: {error}")))
}

fn index_of(name: &str) -> io::Result<u32> {
    if_nametoindex(name).map_err(|errno| io::Error::other(format!("no network interface {name}: {errno}")))
}

/// Makes a bridge, down and without an address.
pub fn add_bridge(name: &str) -> io::Result<()> {
    let mut request =
        rt_link::Request::new().set_create().set_excl().op_newlink_do(&rt_link::Ifinfomsg::new());
    request.encode().push_ifname_bytes(name.as_bytes()).nested_linkinfo().push_kind(c"bridge").end_nested();
    acknowledged(&request, &format!("make the bridge {name}"))
}

/// Makes a cable: `name` here, as a port of `bridge` and up, and `peer_name` in the network namespace of `peer`.
pub fn add_veth(name: &str, bridge: &str, peer_name: &str, peer: Pid) -> io::Result<()> {
    let header = rt_link::Ifinfomsg {
        ifi_flags: libc::IFF_UP as u32,
        ifi_change: libc::IFF_UP as u32,
        ..rt_link::Ifinfomsg::default()
    };
    let mut request = rt_link::Request::new().set_create().set_excl().op_newlink_do(&header);
    let mut info = request
        .encode()
        .push_ifname_bytes(name.as_bytes())
        .push_master(index_of(bridge)?)
        .nested_linkinfo()
        .push_kind(c"veth");
    let message = info.as_vec_mut();
    let data = push_nested_header(message, INFO_DATA);
    let nested = push_nested_header(message, VETH_PEER);
    message.extend(rt_link::Ifinfomsg::new().as_slice());
    push_header(message, IFNAME, peer_name.len() as u16 + 1);
    message.extend(peer_name.as_bytes());
    message.push(0);
    push_header(message, NET_NS_PID, 4);
    message.extend(peer.as_raw().to_ne_bytes());
    finalize_nested_header(message, nested);
    finalize_nested_header(message, data);
    info.end_nested();
    acknowledged(&request, &format!("make the cable {name} to process {peer}"))
}

/// Switches an interface on.
pub fn set_up(name: &str) -> io::Result<()> {
    let header = rt_link::Ifinfomsg {
        ifi_index: index_of(name)?.cast_signed(),
        ifi_flags: libc::IFF_UP as u32,
        ifi_change: libc::IFF_UP as u32,
        ..rt_link::Ifinfomsg::default()
    };
    acknowledged(&rt_link::Request::new().op_newlink_do(&header), &format!("switch the interface {name} on"))
}

/// Gives an interface an address.
pub fn add_address(name: &str, address: Ipv4Addr, prefix: u8) -> io::Result<()> {
    let header = rt_addr::Ifaddrmsg {
        ifa_family: libc::AF_INET as u8,
        ifa_prefixlen: prefix,
        ifa_index: index_of(name)?,
        ..rt_addr::Ifaddrmsg::default()
    };
    let mut request = rt_addr::Request::new().set_create().op_newaddr_do(&header);
    request.encode().push_local(address.into()).push_address(address.into());
    acknowledged(&request, &format!("give {name} the address {address}/{prefix}"))
}

/// Sends what has no other route to `gateway`.
pub fn add_default_route(gateway: Ipv4Addr) -> io::Result<()> {
    let header = rt_route::Rtmsg {
        rtm_family: libc::AF_INET as u8,
        rtm_table: libc::RT_TABLE_MAIN,
        rtm_protocol: libc::RTPROT_BOOT,
        rtm_scope: libc::RT_SCOPE_UNIVERSE,
        rtm_type: libc::RTN_UNICAST,
        ..rt_route::Rtmsg::default()
    };
    let mut request = rt_route::Request::new().set_create().op_newroute_do(&header);
    request.encode().push_gateway(gateway.into());
    acknowledged(&request, &format!("route through {gateway}"))
}
