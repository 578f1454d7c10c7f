//! Delays, loses and slows down packets on a host.
//!
//! Guarantees: one discipline of our own per interface and one table of our own per Injection and namespace; nothing is made
//! where somebody else has a discipline, or where the pod shares the node's own network. The table is owned by a socket
//! that the node and the guardian reach together, and every element of it expires by itself half a second after the deadline:
//! from then on nothing goes through the discipline. The guardian holds the namespace no longer than the fault lasts.

use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::time::Duration;

use nix::sys::socket::SockProtocol;
use serde::{Deserialize, Serialize};

use crate::api::{HostFault, InjectionSpec, Shape, ShapedTraffic};
use crate::fault::Kind;
use crate::fault::host;
use crate::fault::host::{Effect, HostError, Prepared, Undo};
use crate::fault::network_bandwidth::NetworkBandwidth;
use crate::fault::network_delay::NetworkDelay;
use crate::fault::network_loss::NetworkLoss;
use crate::host::netlink::socket::Socket;
use crate::host::network_namespace::{inside, is_of_the_node};
use crate::host::nftables::{self, Grip, Steering};
use crate::host::process::ProcessId;
use crate::host::process::held::Held;
use crate::host::traffic_control::{self, InstallError, Link, Probes, Shaper, Tree};
use crate::node::LocatedPod;

mod shaping;

use shaping::Shaping;

/// How much longer than the fault the kernel steers, so that a node on time is never late for its last proof.
const KERNEL_MARGIN: Duration = Duration::from_millis(500);

/// Which disciplines and which table in which namespace.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Target {
    /// The process that keeps the pod's namespaces.
    pub holder: ProcessId,
    /// The inode of its network namespace.
    pub namespace: u64,
    /// Our table.
    pub table: String,
    /// Which tree of disciplines is that of this Injection.
    pub tree: Tree,
    /// The interfaces that have a discipline of ours.
    pub links: Vec<Link>,
}

/// Why packets could not be shaped, or not any more be left alone.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// Nobody to shape.
    #[error("no other member has an address, and nobody else is meant")]
    Nobody,
    /// The pod is gone.
    #[error("the pod's network namespace is gone")]
    Gone,
    /// Nobody holds it any more.
    #[error("nobody holds its table any more, because its guardian has ended too")]
    Unheld,
    /// A discipline there would be the node's.
    #[error(
        "the pod uses the network namespace of its node; what is done to its packets would be done to the node's"
    )]
    HostNetwork,
    /// The namespace could not be entered.
    #[error("cannot open sockets in the pod's network namespace: {0}")]
    Enter(#[source] io::Error),
    /// Nothing to put a discipline on.
    #[error("the pod has no network interface that is up")]
    NoLink,
    /// Somebody else's discipline.
    #[error(
        "interface {link} of the pod has a queueing discipline of somebody else, {kind} {handle:x}:, which is never \
         replaced: if nobody needs it, remove it there with: tc qdisc del dev {link} root"
    )]
    Foreign {
        /// Of which interface.
        link: String,
        /// What it is.
        kind: String,
        /// The first half of its handle.
        handle: u32,
    },
    /// No discipline.
    #[error(transparent)]
    Install(#[from] InstallError),
    /// The kernel refused the table.
    #[error("cannot make the nftables table {table}: {source}")]
    Table {
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
    /// The kernel refused to remove something.
    #[error("cannot remove {what}: {source}")]
    Remove {
        /// What.
        what: String,
        /// The answer.
        source: io::Error,
    },
    /// What the kernel holds could not be read.
    #[error("cannot read the queueing disciplines of the pod: {0}")]
    ReadBack(#[source] io::Error),
    /// Something is still there.
    #[error("{0} is still there after its removal: expected none")]
    StillThere(String),
    /// How packets are treated cannot change.
    #[error("what is done to packets, and to which, cannot change while it is injected; revert it first")]
    Unchangeable,
}

/// What is held open in a namespace to shape it and to take that back.
#[derive(Debug)]
struct Reach {
    grip: Grip,
    /// Speaks of disciplines.
    route: Socket,
}

impl Reach {
    /// Into the network namespace of the calling thread.
    fn open() -> io::Result<Self> {
        Ok(Self { grip: Grip::open()?, route: Socket::open(SockProtocol::NetlinkRoute)? })
    }

    fn descriptors(&self) -> Vec<BorrowedFd<'_>> {
        let [owner, reader] = self.grip.descriptors();
        vec![owner, reader, self.route.as_fd()]
    }

    /// What these descriptors are; none where they are not three.
    fn from_held(held: Held) -> Option<Self> {
        let mut descriptors: Vec<OwnedFd> = held.into_iter().collect();
        let route = Socket::from_fd(descriptors.pop()?);
        Some(Self { grip: Grip::from_held(descriptors.into_iter().collect())?, route })
    }
}

impl From<Reach> for Held {
    fn from(Reach { grip, route }: Reach) -> Self {
        Self::from(grip).into_iter().chain([route.into_fd()]).collect()
    }
}

fn shaper(shape: &Shape) -> Shaper {
    match shape {
        Shape::Delay { delay, jitter } => Shaper::Delay { delay: *delay, jitter: *jitter },
        Shape::Loss { millionths, burst } => Shaper::Loss { millionths: *millionths, burst: *burst },
        Shape::Bandwidth { rate } => Shaper::Rate { bytes: rate.bytes() },
    }
}

/// Why this kernel cannot do what a fault needs, by its name, tried out; `None` where it can, and of any other fault.
pub fn obstacle(fault: &str) -> Option<String> {
    let some = Duration::from_millis(1);
    let shaper = match fault {
        NetworkDelay::NAME => Shaper::Delay { delay: some, jitter: some },
        NetworkLoss::NAME => Shaper::Loss { millionths: 1_000, burst: Some(2) },
        NetworkBandwidth::NAME => Shaper::Rate { bytes: 1_000_000 },
        _ => return None,
    };
    traffic_control::works_here(&shaper).err().map(|error| error.to_string())
}

fn steering(traffic: &ShapedTraffic, tree: Tree) -> Steering {
    Steering {
        to: traffic.members.clone(),
        everybody: traffic.everybody,
        ports: traffic.ports.clone(),
        class: tree.class(),
    }
}

/// A namespace that may be shaped, with what is held open there.
pub struct Unshaped {
    target: Target,
    reach: Reach,
    probes: Probes,
}

/// Finds the namespace of the pod and looks whether there is room for a discipline. `mark` names the table and the
/// disciplines, so that what is taken back is never that of another Injection.
pub(in crate::fault) fn prepare(
    traffic: &ShapedTraffic,
    pod: &LocatedPod,
    mark: &str,
) -> Result<Unshaped, Error> {
    let tree = Tree::of(mark);
    if steering(traffic, tree).is_nothing() {
        return Err(Error::Nobody);
    }
    let holder = ProcessId::of(pod.holder).map_err(Error::Enter)?.ok_or(Error::Gone)?;
    let namespace = holder.namespace("net").map_err(Error::Enter)?.ok_or(Error::Gone)?;
    if is_of_the_node(namespace) {
        return Err(Error::HostNetwork);
    }
    let opened = inside(&holder, || Ok((Reach::open()?, Probes::open()?))).map_err(Error::Enter)?;
    let ((reach, probes), namespace) = opened.ok_or(Error::Gone)?;
    let links = traffic_control::links(&reach.route).map_err(Error::ReadBack)?;
    if links.is_empty() {
        return Err(Error::NoLink);
    }
    let found = traffic_control::read(&reach.route).map_err(Error::ReadBack)?;
    for link in &links {
        let mut roots = found.iter().filter(|found| found.link == link.index && found.is_root());
        match roots.find(|root| !root.is_default()) {
            None => {}
            Some(root) if root.is_root_of_ours() => {
                return Err(InstallError::Shaped(link.name.clone()).into());
            }
            Some(root) => {
                let (link, kind, handle) = (link.name.clone(), root.kind.clone(), root.handle >> 16);
                return Err(Error::Foreign { link, kind, handle });
            }
        }
    }
    let table = format!("seatrial-{mark}");
    Ok(Unshaped { target: Target { holder, namespace, table, tree, links }, reach, probes })
}

impl Prepared for Unshaped {
    fn target(&self) -> host::Target {
        host::Target::Shape(self.target.clone())
    }

    fn descriptors(&self) -> Vec<BorrowedFd<'_>> {
        self.reach.descriptors()
    }

    fn inject(self: Box<Self>, spec: &InjectionSpec, left: Duration) -> Result<Box<dyn Effect>, HostError> {
        let HostFault::Shape(traffic) = &spec.fault else { return Err(HostError::AnotherFault) };
        let Self { target, reach, probes } = *self;
        let shaper = shaper(&traffic.shape);
        for link in &target.links {
            traffic_control::install(&reach.route, link, target.tree, &shaper).map_err(Error::from)?;
        }
        let steering = steering(traffic, target.tree);
        // Last, so that nothing is steered into a class that is not there yet.
        reach
            .grip
            .install(&target.table, &steering.table(), left + KERNEL_MARGIN)
            .map_err(|source| Error::Table { table: target.table.clone(), source })?;
        Ok(Box::new(Shaping::new(target, reach, probes, shaper, steering)))
    }
}

impl Target {
    fn take_back(&self, reach: &Reach) -> Result<(), Error> {
        // First, so that nothing goes through the disciplines any more.
        let table = format!("the nftables table {}", self.table);
        nftables::remove(&reach.grip.owner, &self.table)
            .map_err(|source| Error::Remove { what: table.clone(), source })?;
        for link in &self.links {
            let ours = || format!("the queueing discipline of {}", link.name);
            traffic_control::remove(&reach.route, link, self.tree)
                .map_err(|source| Error::Remove { what: ours(), source })?;
            if traffic_control::is_there(&reach.route, link, self.tree).map_err(Error::ReadBack)? {
                return Err(Error::StillThere(ours()));
            }
        }
        match nftables::exists(&reach.grip.reader, &self.table) {
            Ok(false) => Ok(()),
            Ok(true) => Err(Error::StillThere(table)),
            Err(source) => Err(Error::ReadBack(source)),
        }
    }
}

impl Undo for Target {
    fn anchors(&self) -> Vec<ProcessId> {
        vec![self.holder]
    }

    fn revert(&self, held: &Held) -> Result<(), HostError> {
        if let Some(reach) = Reach::from_held(held.try_clone().map_err(Error::Enter)?) {
            return Ok(self.take_back(&reach)?);
        }
        // Where nobody holds the owning socket any more, the kernel has removed the table, and the disciplines are left.
        match inside(&self.holder, Reach::open).map_err(Error::Enter)? {
            Some((reach, namespace)) if namespace == self.namespace => Ok(self.take_back(&reach)?),
            Some(_) | None => Ok(()),
        }
    }

    fn adopt(&self, fault: &HostFault, held: Held) -> Result<Box<dyn Effect>, HostError> {
        let HostFault::Shape(traffic) = fault else { return Err(HostError::AnotherFault) };
        let reach = Reach::from_held(held).ok_or(Error::Unheld)?;
        let (probes, namespace) =
            inside(&self.holder, Probes::open).map_err(Error::Enter)?.ok_or(Error::Gone)?;
        if namespace != self.namespace {
            return Err(Error::Gone.into());
        }
        let (shaper, steering) = (shaper(&traffic.shape), steering(traffic, self.tree));
        Ok(Box::new(Shaping::new(self.clone(), reach, probes, shaper, steering)))
    }
}
