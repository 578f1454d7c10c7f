//! Whether this kernel can do what cuts need.

use std::io;
use std::net::{Ipv4Addr, Ipv6Addr};
use std::time::Duration;

use nix::sched::{CloneFlags, unshare};
use nix::sys::socket::SockProtocol;

use super::{Cut, Socket, encode, exists, readback, remove};

const TABLE: &str = "seatrial-probe";
const LIFETIME: Duration = Duration::from_secs(10);

/// Makes a cut of every kind in a network namespace of its own, reads it back and removes it.
pub fn works_here() -> io::Result<()> {
    // The namespace ends with the thread.
    let probe = std::thread::spawn(|| {
        unshare(CloneFlags::CLONE_NEWNET)?;
        try_out(&everything())
    });
    probe.join().unwrap_or_else(|_| Err(io::Error::other("the thread inside the network namespace panicked")))
}

fn everything() -> Cut {
    let members = vec![Ipv4Addr::LOCALHOST.into(), Ipv6Addr::LOCALHOST.into()];
    Cut {
        from: members.clone(),
        to: members.clone(),
        ports: vec![1],
        strangers: true,
        spared_from: members.clone(),
        spared_to: members,
    }
}

fn try_out(cut: &Cut) -> io::Result<()> {
    let socket = || Socket::open(SockProtocol::NetlinkNetFilter);
    let (owner, reader) = (socket()?, socket()?);
    encode::install(TABLE, cut, LIFETIME).transact(&owner)?;
    let reading = readback::read(&reader, TABLE)?.ok_or(io::ErrorKind::NotFound)?;
    if let Some(difference) = reading.difference(cut) {
        return Err(io::Error::other(format!("a table is not as it was made: {difference}")));
    }
    remove(&owner, TABLE)?;
    if exists(&reader, TABLE)? {
        return Err(io::Error::other("a table is still there after its removal"));
    }
    Ok(())
}
