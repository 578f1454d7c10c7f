//! Cuts links on a host.
//!
//! Guarantees: one table of our own per Injection and namespace, owned by a socket that the node and the guardian hold
//! together; every address in it expires by itself half a second after the deadline; it is refused where the pod shares
//! the node's own network. Nothing else in the namespace is changed.

use std::collections::BTreeSet;
use std::io;
use std::net::{IpAddr, Ipv4Addr};
use std::os::fd::BorrowedFd;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::api::{HostFault, InjectionSpec, Peer, counted};
use crate::fault::host;
use crate::fault::host::{Effect, HostError, Look, Prepared, Undo};
use crate::host::network_namespace::is_of_the_node;
use crate::host::nftables::{self, Cut, Grip, Sockets};
use crate::host::process::ProcessId;
use crate::host::process::held::Held;
use crate::node::LocatedPod;

/// How much longer than the fault the kernel keeps a cut, so that a node on time is never late for its last proof.
const KERNEL_MARGIN: Duration = Duration::from_millis(500);
/// Where probes go when no port is named: `discard` (RFC 863), where nobody minds one byte.
const PROBE_PORT: u16 = 9;
/// An address that nobody has (RFC 5737), for a probe that stands for every stranger.
const STRANGER: IpAddr = IpAddr::V4(Ipv4Addr::new(192, 0, 2, 1));

/// Which table in which namespace.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Target {
    /// The process that keeps the pod's namespaces.
    pub holder: ProcessId,
    /// The inode of its network namespace.
    pub namespace: u64,
    /// Our table.
    pub table: String,
}

/// Why a cut could not be made, changed or taken back.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// Nothing to cut.
    #[error("the partition names no peer, and no clients either")]
    NobodyToCut,
    /// The pod is gone.
    #[error("the pod's network namespace is gone")]
    Gone,
    /// Nobody holds it any more.
    #[error("nobody holds its table any more, because its guardian has ended too")]
    Unheld,
    /// A cut there would cut the node.
    #[error("the pod uses the network namespace of its node; a partition would cut the node itself")]
    HostNetwork,
    /// The namespace could not be entered.
    #[error("cannot open sockets in the pod's network namespace: {0}")]
    Enter(#[source] io::Error),
    /// The kernel refused the table.
    #[error("cannot make the nftables table {table}: {source}{}", hint(.source))]
    Install {
        /// Its name.
        table: String,
        /// The answer.
        source: io::Error,
    },
    /// The kernel refused new addresses.
    #[error("cannot change the addresses in the nftables table {table}: {source}")]
    Exchange {
        /// Its name.
        table: String,
        /// The answer.
        source: io::Error,
    },
    /// The kernel refused to remove the table.
    #[error("cannot remove the nftables table {table}: {source}")]
    Remove {
        /// Its name.
        table: String,
        /// The answer.
        source: io::Error,
    },
    /// What the kernel holds could not be read.
    #[error("cannot read the nftables table {table} back: {source}")]
    ReadBack {
        /// Its name.
        table: String,
        /// The answer.
        source: io::Error,
    },
    /// The table is still there.
    #[error("the nftables table {0} is still there after its removal: expected none")]
    StillThere(String),
    /// Rules cannot change while they are in force.
    #[error("ports and clients of a partition cannot change while it is injected; revert it first")]
    Unchangeable,
}

fn hint(source: &io::Error) -> &'static str {
    match source.raw_os_error() {
        Some(nix::libc::EPERM) => "; this needs CAP_NET_ADMIN over the pod's network namespace",
        Some(nix::libc::EOPNOTSUPP | nix::libc::EPROTONOSUPPORT) => {
            "; this needs a kernel with nf_tables, 5.12 or later"
        }
        Some(_) | None => "",
    }
}

/// What is cut at this end.
#[derive(Debug, Clone, Copy)]
pub struct Links<'a> {
    /// The members at the other ends.
    pub peers: &'a [Peer],
    /// Only these ports; all where empty.
    pub ports: &'a [u16],
    /// Whether everybody else is cut off too.
    pub clients: bool,
}

impl<'a> Links<'a> {
    /// Those of a partition.
    fn of(fault: &'a HostFault) -> Result<Self, HostError> {
        match fault {
            HostFault::Partition { peers, ports, clients } => Ok(Self { peers, ports, clients: *clients }),
            HostFault::Kill {}
            | HostFault::Pause {}
            | HostFault::StopKubelet {}
            | HostFault::PowerLoss { .. }
            | HostFault::DiskLatency(_)
            | HostFault::DiskError(_)
            | HostFault::DiskStall(_)
            | HostFault::DiskThrottle(_)
            | HostFault::DiskFill(_)
            | HostFault::DiskReadOnly(_)
            | HostFault::IoStress(_)
            | HostFault::HoldVolume(_)
            | HostFault::Shape(_)
            | HostFault::Measure {}
            | HostFault::Api(_) => Err(HostError::AnotherFault),
        }
    }

    fn cut(&self) -> Cut {
        let addresses = |chosen: fn(&Peer) -> bool| -> Vec<IpAddr> {
            self.peers
                .iter()
                .filter(|peer| chosen(peer))
                .flat_map(|peer| peer.addresses.iter().copied())
                .collect()
        };
        Cut {
            from: addresses(|peer| peer.drop_from),
            to: addresses(|peer| peer.drop_to),
            ports: self.ports.to_vec(),
            strangers: self.clients,
            spared_from: addresses(|peer| !peer.drop_from),
            spared_to: addresses(|peer| !peer.drop_to),
        }
    }
}

impl Target {
    /// Finds the namespace, opens what is needed there, and says whether it may be cut. Nothing is changed.
    pub fn find(pod: &LocatedPod, table: String, links: Links<'_>) -> Result<(Self, Sockets), Error> {
        if links.peers.is_empty() && !links.clients {
            return Err(Error::NobodyToCut);
        }
        let holder = ProcessId::of(pod.holder).map_err(Error::Enter)?.ok_or(Error::Gone)?;
        let namespace = holder.namespace("net").map_err(Error::Enter)?.ok_or(Error::Gone)?;
        if is_of_the_node(namespace) {
            return Err(Error::HostNetwork);
        }
        let (sockets, inode) = Sockets::open(&holder).map_err(Error::Enter)?.ok_or(Error::Gone)?;
        Ok((Self { holder, namespace: inode, table }, sockets))
    }

    /// Removes the table and reads back that it is gone. Where nobody holds the owning socket any more, the kernel has
    /// removed it already; that is read back as well.
    fn take_back(&self, grip: Option<&Grip>) -> Result<(), Error> {
        if let Some(grip) = grip {
            return self.remove(grip);
        }
        match Sockets::open(&self.holder).map_err(Error::Enter)? {
            Some((sockets, inode)) if inode == self.namespace => self.remove(&sockets.grip),
            Some(_) | None => Ok(()),
        }
    }

    fn remove(&self, grip: &Grip) -> Result<(), Error> {
        let table = self.table.clone();
        nftables::remove(&grip.owner, &table)
            .map_err(|source| Error::Remove { table: table.clone(), source })?;
        match nftables::exists(&grip.reader, &table) {
            Ok(false) => Ok(()),
            Ok(true) => Err(Error::StillThere(table)),
            Err(source) => Err(Error::ReadBack { table, source }),
        }
    }
}

/// A namespace that may be cut, with what is held open there.
pub struct Uncut {
    target: Target,
    sockets: Sockets,
}

/// Finds the namespace of a partition's pod. `mark` names the table.
pub(in crate::fault) fn prepare(fault: &HostFault, pod: &LocatedPod, mark: &str) -> Result<Uncut, HostError> {
    let (target, sockets) = Target::find(pod, format!("seatrial-{mark}"), Links::of(fault)?)?;
    Ok(Uncut { target, sockets })
}

impl Prepared for Uncut {
    fn target(&self) -> host::Target {
        host::Target::Partition(self.target.clone())
    }

    fn descriptors(&self) -> Vec<BorrowedFd<'_>> {
        self.sockets.grip.descriptors().to_vec()
    }

    fn inject(self: Box<Self>, spec: &InjectionSpec, left: Duration) -> Result<Box<dyn Effect>, HostError> {
        let links = Links::of(&spec.fault)?;
        Ok(Box::new(Partition::inject(&self.target, self.sockets, links, left + KERNEL_MARGIN)?))
    }
}

impl Undo for Target {
    fn anchors(&self) -> Vec<ProcessId> {
        vec![self.holder]
    }

    fn revert(&self, held: &Held) -> Result<(), HostError> {
        let grip = Grip::from_held(held.try_clone().map_err(Error::Enter)?);
        Ok(self.take_back(grip.as_ref())?)
    }

    fn adopt(&self, fault: &HostFault, held: Held) -> Result<Box<dyn Effect>, HostError> {
        let grip = Grip::from_held(held).ok_or(Error::Unheld)?;
        Ok(Box::new(Partition::adopt(self, grip, Links::of(fault)?)?))
    }
}

/// A cut in force.
#[derive(Debug)]
pub struct Partition {
    target: Target,
    sockets: Sockets,
    cut: Cut,
    /// Probes that were refused and so counted as dropped packets.
    probes: u64,
    /// Packets of others dropped at the last look.
    dropped: u64,
}

impl Partition {
    /// Makes the cut, which ends by itself after `lifetime`.
    pub fn inject(
        target: &Target,
        sockets: Sockets,
        links: Links<'_>,
        lifetime: Duration,
    ) -> Result<Self, Error> {
        let cut = links.cut();
        sockets
            .grip
            .install(&target.table, &cut.table(), lifetime)
            .map_err(|source| Error::Install { table: target.table.clone(), source })?;
        Ok(Self { target: target.clone(), sockets, cut, probes: 0, dropped: 0 })
    }

    /// Takes up a cut that an earlier process made, with its guardian's hold on it.
    pub fn adopt(target: &Target, grip: Grip, links: Links<'_>) -> Result<Self, Error> {
        let (mut sockets, inode) = Sockets::open(&target.holder).map_err(Error::Enter)?.ok_or(Error::Gone)?;
        if inode != target.namespace {
            return Err(Error::Gone);
        }
        sockets.grip = grip;
        let cut = links.cut();
        // What an earlier process sent as probes is not known: counting starts with what is there.
        let dropped = sockets
            .grip
            .read(&target.table)
            .map_err(|source| Error::ReadBack { table: target.table.clone(), source })?
            .ok_or(Error::Gone)?
            .packets();
        Ok(Self { target: target.clone(), sockets, cut, probes: 0, dropped })
    }

    /// Changes whom it cuts off, or when it ends, without a gap.
    fn exchange(&mut self, links: Links<'_>, lifetime: Duration) -> Result<(), Error> {
        let wanted = links.cut();
        if wanted.ports != self.cut.ports || wanted.strangers != self.cut.strangers {
            return Err(Error::Unchangeable);
        }
        let table = &self.target.table;
        self.sockets
            .grip
            .exchange(table, &wanted.table(), lifetime)
            .map_err(|source| Error::Exchange { table: table.clone(), source })?;
        self.cut = wanted;
        Ok(())
    }

    /// Whether the kernel still holds and applies the cut, or what contradicts it.
    fn verify(&mut self) -> Result<String, String> {
        let table = &self.target.table;
        let reading = self
            .sockets
            .grip
            .read(table)
            .map_err(|error| format!("cannot read the nftables table {table}: {error}"))?
            .ok_or_else(|| format!("the nftables table {table} is gone"))?;
        if let Some(difference) = reading.difference(&self.cut.table()) {
            return Err(format!("the nftables table {table} is not as it was made: {difference}"));
        }
        if self.cut.is_nothing() {
            return Err("no peer has an address, so that nothing is cut".to_owned());
        }
        let refused = self.probe()?;
        let dropped = reading.packets().saturating_sub(self.probes);
        let new = dropped.saturating_sub(std::mem::replace(&mut self.dropped, dropped));
        self.probes += refused;
        let shown = match refused {
            0 => "no probe possible: shown by its rules and addresses alone".to_owned(),
            probes => format!("{} refused (EPERM)", counted(probes, "probe")),
        };
        Ok(format!(
            "table {table} holds {}, {} of others dropped, {new} since the last look; {shown}",
            counted(reading.addresses(), "address"),
            counted(dropped, "packet")
        ))
    }

    /// Sends a probe to everybody to whom packets are dropped; how many were sent, or who was reached.
    fn probe(&self) -> Result<u64, String> {
        let port = self.cut.ports.first().copied().unwrap_or(PROBE_PORT);
        let mut towards: BTreeSet<IpAddr> = self.cut.to.iter().copied().collect();
        if self.cut.strangers {
            towards.insert(STRANGER);
        }
        let mut refused = 0;
        for address in towards {
            match self.sockets.is_refused(address, port) {
                Ok(true) => refused += 1,
                Ok(false) => return Err(format!("a probe to {address} was not refused: packets get out")),
                // No IPv6 or no route: nothing gets there either, but it is not our doing and shows nothing.
                Err(error) if is_unreachable(&error) => {}
                Err(error) => return Err(format!("cannot send a probe to {address}: {error}")),
            }
        }
        Ok(refused)
    }
}

impl Effect for Partition {
    fn look(&mut self, _: Option<&LocatedPod>) -> Look {
        match self.verify() {
            Ok(observed) => Look::Holds(observed),
            Err(observed) => Look::Fails(observed),
        }
    }

    fn change(&mut self, wanted: &HostFault, left: Duration) -> Result<(), HostError> {
        Ok(self.exchange(Links::of(wanted)?, left + KERNEL_MARGIN)?)
    }

    fn descriptors(&self) -> Vec<BorrowedFd<'_>> {
        self.sockets.grip.descriptors().to_vec()
    }

    fn into_held(self: Box<Self>) -> Held {
        self.sockets.grip.into()
    }
}

fn is_unreachable(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::Unsupported | io::ErrorKind::NetworkUnreachable | io::ErrorKind::HostUnreachable
    ) || error.raw_os_error() == Some(nix::libc::EADDRNOTAVAIL)
}
