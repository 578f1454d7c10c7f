//! Our own nftables table in another network namespace, which ends by itself.
//!
//! One [`Cut`] or [`Steering`] is one table. A cut drops packets to and from the addresses in its sets, established
//! connections included; a steering gives those to its addresses the priority that a queueing discipline knows them by. Three
//! things end it, whichever comes first: its removal, the timeout that every element of its sets carries, and the
//! closing of the netlink socket that made it, because the table is *owned* by that socket (`NFT_TABLE_F_OWNER`,
//! "flags owner" in nft(8)): nobody else can change it, a foreign `nft flush ruleset` skips it, and the kernel removes it
//! when the last holder of the socket is gone. Nothing is shared with other tables, and nothing else is changed.
//!
//! What is opened inside the namespace works from anywhere afterwards, and keeps the namespace alive meanwhile.

use std::collections::BTreeSet;
use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, UdpSocket};
use std::os::fd::{AsFd, BorrowedFd};
use std::time::Duration;

use nix::sys::socket::SockProtocol;

mod batch;
mod encode;
mod layout;
mod probe;
mod readback;
mod steering;

pub use layout::{Cut, Members, Table};
pub use probe::works_here;
pub use readback::Reading;
pub use steering::Steering;

use super::netlink::socket::Socket;
use super::network_namespace::inside;
use super::process::ProcessId;
use super::process::held::Held;

/// The hold on one table. Whoever has it can change and remove the table; while anybody has it, the table stays.
#[derive(Debug)]
pub struct Grip {
    /// Owns the table.
    pub owner: Socket,
    /// Reads back, so that replies never mix with those of another holder of `owner`.
    pub reader: Socket,
}

impl Grip {
    /// A hold on nothing yet, in the network namespace of the calling thread.
    pub fn open() -> io::Result<Self> {
        let socket = || Socket::open(SockProtocol::NetlinkNetFilter);
        Ok(Self { owner: socket()?, reader: socket()? })
    }

    /// Makes the table with everything in it in one transaction.
    pub fn install(&self, name: &str, table: &Table, lifetime: Duration) -> io::Result<()> {
        encode::install(name, table, lifetime).transact(&self.owner)
    }

    /// Exchanges the addresses in the sets in one transaction, so that no packet slips through in between.
    pub fn exchange(&self, name: &str, table: &Table, lifetime: Duration) -> io::Result<()> {
        encode::exchange(name, table, lifetime).transact(&self.owner)
    }

    /// What the kernel holds now; `None` where there is no such table.
    pub fn read(&self, name: &str) -> io::Result<Option<Reading>> {
        readback::read(&self.reader, name)
    }

    /// What another process must inherit in order to have it too.
    pub fn descriptors(&self) -> [BorrowedFd<'_>; 2] {
        [self.owner.as_fd(), self.reader.as_fd()]
    }

    /// The hold that these descriptors are; none where they are not two.
    pub fn from_held(held: Held) -> Option<Self> {
        let mut descriptors = held.into_iter().map(Socket::from_fd);
        let (owner, reader) = (descriptors.next()?, descriptors.next()?);
        descriptors.next().is_none().then_some(Self { owner, reader })
    }
}

impl From<Grip> for Held {
    fn from(Grip { owner, reader }: Grip) -> Self {
        [owner.into_fd(), reader.into_fd()].into_iter().collect()
    }
}

/// What is held open in a network namespace in order to cut it and to look at the cut.
#[derive(Debug)]
pub struct Sockets {
    /// The hold on the table.
    pub grip: Grip,
    probe_v4: UdpSocket,
    /// Where the kernel has IPv6.
    probe_v6: Option<UdpSocket>,
}

impl Sockets {
    /// Opens them in the network namespace of `process`, which is identified by the inode that comes back with them;
    /// `None` where the process is gone.
    pub fn open(process: &ProcessId) -> io::Result<Option<(Self, u64)>> {
        let opened = inside(process, || {
            Ok(Self {
                grip: Grip::open()?,
                probe_v4: UdpSocket::bind((Ipv4Addr::UNSPECIFIED, 0))?,
                probe_v6: UdpSocket::bind((Ipv6Addr::UNSPECIFIED, 0)).ok(),
            })
        })?;
        if let Some((sockets, _)) = &opened {
            for probe in std::iter::once(&sockets.probe_v4).chain(&sockets.probe_v6) {
                probe.set_nonblocking(true)?;
            }
        }
        Ok(opened)
    }

    /// Sends one byte towards `address` and says whether the output hook refused it (EPERM, send(2)).
    pub fn is_refused(&self, address: IpAddr, port: u16) -> io::Result<bool> {
        let probe = match (address, &self.probe_v6) {
            (IpAddr::V4(_), _) => &self.probe_v4,
            (IpAddr::V6(_), Some(probe)) => probe,
            (IpAddr::V6(_), None) => return Err(io::ErrorKind::Unsupported.into()),
        };
        loop {
            match probe.send_to(&[0], (address, port)) {
                Err(error) if error.kind() == io::ErrorKind::PermissionDenied => return Ok(true),
                // An earlier probe that got through may have been answered by ICMP; that error is not about this one.
                Err(error) if error.kind() == io::ErrorKind::ConnectionRefused => {}
                Ok(_) => return Ok(false),
                Err(error) => return Err(error),
            }
        }
    }
}

/// Removes a table by the socket that owns it; one that is gone already is no error.
pub fn remove(owner: &Socket, table: &str) -> io::Result<()> {
    match encode::remove(table).transact(owner) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        result => result,
    }
}

/// Whether a table of this name exists, as a socket of its namespace sees it.
pub fn exists(reader: &Socket, table: &str) -> io::Result<bool> {
    readback::exists(reader, table)
}

/// The names of all tables of the family that cuts use, in the namespace of `process`; empty where it is gone.
pub fn tables_of(process: &ProcessId) -> io::Result<BTreeSet<String>> {
    match Sockets::open(process)? {
        Some((sockets, _)) => readback::names(&sockets.grip.reader),
        None => Ok(BTreeSet::new()),
    }
}
