//! Queueing disciplines of our own on the interfaces of a network namespace (tc(8)).
//!
//! The tree on an interface is always the same: the root, htb, sends what nobody has steered into its class on at once; the
//! class has no limit; below it is what a [`Shaper`] asks for. Nothing goes through the class unless a packet carries it as its priority, which a [`Steering`](super::nftables::Steering) sees to. htb is the root and not
//! prio, because more kernels have it; the kernel's log says once that what is below it is "non-work-conserving", which is meant.
//!
//! Only an interface without a discipline of somebody else gets ours, which the kernel itself sees to (`NLM_F_EXCL`; the
//! default of an interface has the handle 0), and only the very tree that is meant is removed: each has [handles of its
//! own](Tree), which the kernel compares. When it goes, the default is back by itself.

use std::io;
use std::time::Duration;

use netlink_bindings::rt_link;
use netlink_bindings::tc::{
    OpDelqdiscDo, OpNewqdiscDo, OpNewtclassDo, Request, TcHtbGlob, TcHtbOpt, TcRatespec, Tcmsg,
};
use netlink_bindings::traits::NetlinkRequest;
use nix::libc;
use serde::{Deserialize, Serialize};

use super::netlink::socket::Socket;

mod discipline;
mod probe;
mod readback;
#[cfg(test)]
mod tests;
mod works;

pub use discipline::{Settings, Shaper};
pub use probe::{Probes, Seen};
pub use readback::{Counted, Found, counted, read};
pub use works::works_here;

use readback::uninterrupted;

/// `TC_H_ROOT`: in the place of an interface's own discipline.
const OF_INTERFACE: u32 = u32::MAX;

/// `HTB_VER` of the kernel, of which the first half has to be the same.
const HTB_VERSION: u32 = 3;
/// Packets that are not shaped wait nowhere else than on any other interface.
const DIRECT: u32 = 1_000;
/// The unit in which the kernel is told times (`PSCHED_TICKS2NS`).
const TICK: Duration = Duration::from_nanos(64);
/// What the class may send at once, as the ticks that it takes: 10 ms of no limit.
const BURST_TICKS: u32 = 156_250;
/// How much the class sends before others have their turn, of which there are none; without it the kernel warns.
const QUANTUM: u32 = 60_000;
/// `TC_LINKLAYER_ETHERNET`: the kernel reckons itself, and needs no table of times.
const ETHERNET: u8 = 1;

/// The first half of the handles of a tree: an even one from 5000 to 5ffe for the root, the next one for what is below its
/// class. The kernel gives out those from 8000 on, and people take small ones.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Tree(u16);

impl Tree {
    const FIRST: u16 = 0x5000;
    const LAST: u16 = 0x5fff;

    /// That of whoever has this mark. Two marks rarely have the same.
    pub fn of(mark: &str) -> Self {
        let mixed = mark.bytes().fold(0_u16, |sum, byte| sum.wrapping_mul(31).wrapping_add(byte.into()));
        Self(Self::FIRST | (mixed << 1) & (Self::LAST - Self::FIRST))
    }

    /// Its root.
    fn root(self) -> u32 {
        u32::from(self.0) << 16
    }

    /// The class whose packets are shaped.
    pub fn class(self) -> u32 {
        self.root() | 1
    }

    /// What shapes them.
    fn leaf(self) -> u32 {
        u32::from(self.0 + 1) << 16
    }
}

/// An interface.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Link {
    /// Its number in its network namespace.
    pub index: i32,
    /// Its name.
    pub name: String,
    /// The longest packet that it sends.
    pub mtu: u32,
}

/// Why there is no discipline of ours on an interface.
#[derive(Debug, thiserror::Error)]
pub enum InstallError {
    /// Nobody has it.
    #[error(
        "this kernel has no {kind} (CONFIG_NET_SCH_{}): load the module sch_{kind}, which many a distribution keeps in a \
         package of its own, such as linux-modules-extra",
        .kind.to_uppercase()
    )]
    Lacking {
        /// What.
        kind: &'static str,
    },
    /// Another one of ours was quicker.
    #[error(
        "packets of the pod are shaped already, on interface {0}: only one such fault at a time; if no Injection of this pod \
         is left, remove it in the pod's network namespace by `tc qdisc del dev {0} root`"
    )]
    Shaped(String),
    /// Somebody else was quicker.
    #[error("interface {0} has got a queueing discipline of somebody else meanwhile; it is left as it is")]
    Taken(String),
    /// The kernel refused it.
    #[error("cannot add {kind} to interface {link}: {source}")]
    Refused {
        /// What.
        kind: &'static str,
        /// Whereto.
        link: String,
        /// The answer.
        source: io::Error,
    },
}

/// The interfaces that are up, but for the loopback device.
pub fn links(socket: &Socket) -> io::Result<Vec<Link>> {
    uninterrupted(|| links_once(socket))
}

fn links_once(socket: &Socket) -> io::Result<Vec<Link>> {
    let mut found = Vec::new();
    socket.query(
        &rt_link::Request::new().op_getlink_dump(&rt_link::Ifinfomsg::new()),
        |(header, link)| {
            let has = |flag: libc::c_int| header.ifi_flags & flag as u32 != 0;
            if has(libc::IFF_UP) && !has(libc::IFF_LOOPBACK) {
                found.push(Link {
                    index: header.ifi_index,
                    name: link.get_ifname().map_err(io::Error::other)?.to_string_lossy().into_owned(),
                    mtu: link.get_mtu().map_err(io::Error::other)?,
                });
            }
            Ok(())
        },
    )?;
    Ok(found)
}

/// Makes the tree on an interface.
pub fn install(socket: &Socket, link: &Link, tree: Tree, shaper: &Shaper) -> Result<(), InstallError> {
    let is_shaped = || {
        let found = read(socket).unwrap_or_default();
        found.iter().any(|found| found.link == link.index && found.is_root_of_ours())
    };
    let told = |kind: &'static str, made: io::Result<()>| {
        made.map_err(|source| match source.kind() {
            // "Specified qdisc kind is unknown" (`qdisc_create`).
            io::ErrorKind::NotFound => InstallError::Lacking { kind },
            io::ErrorKind::AlreadyExists if is_shaped() => InstallError::Shaped(link.name.clone()),
            io::ErrorKind::AlreadyExists => InstallError::Taken(link.name.clone()),
            _ => InstallError::Refused { kind, link: link.name.clone(), source },
        })
    };
    told("htb", ask(socket, &root(link, tree)).and_then(|()| ask(socket, &class(link, tree))))?;
    told(shaper.kind(), ask(socket, &shaper.settings(link.mtu).request(link, tree)))
}

fn at(link: &Link, handle: u32, parent: u32) -> Tcmsg {
    Tcmsg { ifindex: link.index, handle, parent, ..Tcmsg::new() }
}

fn ask(socket: &Socket, request: &impl NetlinkRequest) -> io::Result<()> {
    socket.query(request, |_| Ok(()))
}

fn root(link: &Link, tree: Tree) -> OpNewqdiscDo<'static> {
    let mut request =
        Request::new().set_create().set_excl().op_newqdisc_do(&at(link, tree.root(), OF_INTERFACE));
    let settings = TcHtbGlob { version: HTB_VERSION, rate2quantum: 10, ..TcHtbGlob::new() };
    request.encode().nested_options_htb().push_init(settings).push_direct_qlen(DIRECT).end_nested();
    request
}

fn class(link: &Link, tree: Tree) -> OpNewtclassDo<'static> {
    let mut request =
        Request::new().set_create().set_excl().op_newtclass_do(&at(link, tree.class(), tree.root()));
    // The highest rate that fits.
    let unlimited = TcRatespec { linklayer: ETHERNET, rate: u32::MAX, ..TcRatespec::new() };
    let settings = TcHtbOpt {
        rate: unlimited.clone(),
        ceil: unlimited,
        buffer: BURST_TICKS,
        cbuffer: BURST_TICKS,
        quantum: QUANTUM,
        ..TcHtbOpt::new()
    };
    request.encode().nested_options_htb().push_parms(settings).end_nested();
    request
}

/// Removes a tree from an interface; one that is gone already, with its interface perhaps, is no error.
pub fn remove(socket: &Socket, link: &Link, tree: Tree) -> io::Result<()> {
    if !is_there(socket, link, tree)? {
        return Ok(());
    }
    match ask(socket, &removal(link, tree)) {
        Err(error) if is_there(socket, link, tree)? => Err(error),
        Ok(()) | Err(_) => Ok(()),
    }
}

fn removal(link: &Link, tree: Tree) -> OpDelqdiscDo<'static> {
    let mut request = Request::new().op_delqdisc_do(&at(link, tree.root(), OF_INTERFACE));
    request.encode().push_kind(c"htb");
    request
}

/// Whether a tree is on an interface.
pub fn is_there(socket: &Socket, link: &Link, tree: Tree) -> io::Result<bool> {
    Ok(read(socket)?.iter().any(|found| found.link == link.index && found.is_root_of(tree)))
}
