//! Whether this kernel can do what shaping needs.

use std::io;
use std::net::{Ipv4Addr, Ipv6Addr};
use std::time::Duration;

use nix::sys::socket::SockProtocol;

use super::{Link, Shaper, Tree, counted, install, is_there, read, remove};
use crate::host::netlink::socket::Socket;
use crate::host::network_namespace::in_a_new_one;
use crate::host::nftables::{Grip, Steering};

const TABLE: &str = "seatrial-probe";
const LIFETIME: Duration = Duration::from_secs(10);

/// Shapes the loopback device of a network namespace of its own, with a table that steers, reads both back and removes
/// them.
pub fn works_here(shaper: &Shaper) -> io::Result<()> {
    in_a_new_one(|| try_out(shaper))
}

fn try_out(shaper: &Shaper) -> io::Result<()> {
    // The first interface of every namespace.
    let link = Link { index: 1, name: "lo".to_owned(), mtu: 65_536 };
    let socket = Socket::open(SockProtocol::NetlinkRoute)?;
    let tree = Tree::of(TABLE);
    install(&socket, &link, tree, shaper).map_err(io::Error::other)?;
    counted(&read(&socket)?, &link, tree, &shaper.settings(link.mtu)).map_err(io::Error::other)?;
    let table = Steering {
        to: vec![Ipv4Addr::LOCALHOST.into(), Ipv6Addr::LOCALHOST.into()],
        everybody: true,
        ports: vec![1],
        class: tree.class(),
    }
    .table();
    let grip = Grip::open()?;
    grip.install(TABLE, &table, LIFETIME).map_err(|error| {
        io::Error::other(format!(
            "cannot make an nftables table: {error}; the kernel needs nf_tables, 5.12 or later"
        ))
    })?;
    let reading = grip.read(TABLE)?.ok_or(io::ErrorKind::NotFound)?;
    if let Some(difference) = reading.difference(&table) {
        return Err(io::Error::other(format!("a table is not as it was made: {difference}")));
    }
    remove(&socket, &link, tree)?;
    if is_there(&socket, &link, tree)? {
        return Err(io::Error::other("a queueing discipline is still there after its removal"));
    }
    Ok(())
}
