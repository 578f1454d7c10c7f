//! Queueing disciplines of our own on the interfaces of a network namespace (tc(8)).
//!
//! The tree on an interface is always the same: the root, `htb 5ea0:`, sends what nobody has steered into its class on at
//! once; the class, `5ea0:1`, has no limit; below it is what a [`Shaper`] asks for, `5ea1:`. Nothing goes through the class
//! unless a packet carries it as its priority, which a [`Steering`](super::nftables::Steering) sees to. htb is the root and not
//! prio, because more kernels have it; the kernel's log says once that what is below it is "non-work-conserving", which is meant.
//!
//! Only an interface without a discipline of somebody else gets ours, which the kernel itself sees to (`NLM_F_EXCL`; the
//! default of an interface has the handle 0), and only ours is removed, told by its handle and its kind. When it goes, the
//! default is back by itself.

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

/// Our root.
const ROOT: u32 = 0x5ea0_0000;
/// The class whose packets are shaped.
pub const CLASS: u32 = ROOT | 1;
/// What shapes them.
const LEAF: u32 = 0x5ea1_0000;
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
    /// Somebody else was quicker.
    #[error("interface {0} has got a queueing discipline of somebody else meanwhile")]
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
pub fn install(socket: &Socket, link: &Link, shaper: &Shaper) -> Result<(), InstallError> {
    let told = |kind: &'static str, made: io::Result<()>| {
        made.map_err(|source| match source.kind() {
            // "Specified qdisc kind is unknown" (`qdisc_create`).
            io::ErrorKind::NotFound => InstallError::Lacking { kind },
            io::ErrorKind::AlreadyExists => InstallError::Taken(link.name.clone()),
            _ => InstallError::Refused { kind, link: link.name.clone(), source },
        })
    };
    told("htb", ask(socket, &root(link)).and_then(|()| ask(socket, &class(link))))?;
    told(shaper.kind(), ask(socket, &shaper.settings(link.mtu).request(link)))
}

fn at(link: &Link, handle: u32, parent: u32) -> Tcmsg {
    Tcmsg { ifindex: link.index, handle, parent, ..Tcmsg::new() }
}

fn ask(socket: &Socket, request: &impl NetlinkRequest) -> io::Result<()> {
    socket.query(request, |_| Ok(()))
}

fn root(link: &Link) -> OpNewqdiscDo<'static> {
    let mut request = Request::new().set_create().set_excl().op_newqdisc_do(&at(link, ROOT, OF_INTERFACE));
    let settings = TcHtbGlob { version: HTB_VERSION, rate2quantum: 10, ..TcHtbGlob::new() };
    request.encode().nested_options_htb().push_init(settings).push_direct_qlen(DIRECT).end_nested();
    request
}

fn class(link: &Link) -> OpNewtclassDo<'static> {
    let mut request = Request::new().set_create().set_excl().op_newtclass_do(&at(link, CLASS, ROOT));
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

/// Removes our tree from an interface; one that is gone already, with its interface perhaps, is no error.
pub fn remove(socket: &Socket, link: &Link) -> io::Result<()> {
    if !is_there(socket, link)? {
        return Ok(());
    }
    match ask(socket, &removal(link)) {
        Err(error) if is_there(socket, link)? => Err(error),
        Ok(()) | Err(_) => Ok(()),
    }
}

fn removal(link: &Link) -> OpDelqdiscDo<'static> {
    let mut request = Request::new().op_delqdisc_do(&at(link, ROOT, OF_INTERFACE));
    request.encode().push_kind(c"htb");
    request
}

/// Whether our tree is on an interface.
pub fn is_there(socket: &Socket, link: &Link) -> io::Result<bool> {
    Ok(read(socket)?.iter().any(|found| found.link == link.index && found.is_our_root()))
}
