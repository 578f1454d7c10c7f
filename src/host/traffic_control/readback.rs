//! What the kernel holds of disciplines.

use std::io;

use netlink_bindings::tc::{Request, Tcmsg};

use super::{Link, OF_INTERFACE, Settings, Tree};
use crate::host::netlink::socket::Socket;

/// A dump that is interrupted by a change elsewhere is repeated.
const TRIES: usize = 16;

/// A discipline of an interface.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Found {
    /// The interface's number.
    pub link: i32,
    /// Its own name, `MAJOR:`, as tc(8) writes it; 0 of what an interface has by default.
    pub handle: u32,
    parent: u32,
    /// What it is.
    pub kind: String,
    /// What went through it.
    pub counted: Counted,
    /// What it was told, where it is one that ours could be.
    settings: Option<Settings>,
}

/// What went through a discipline.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Counted {
    /// Packets that have left it.
    pub packets: u64,
    /// Bytes of those.
    pub bytes: u64,
    /// Packets that wait in it now.
    pub waiting: u64,
    /// Packets that it has dropped.
    pub dropped: u64,
    /// How often a packet had to wait for the rate.
    pub overlimits: u64,
}

impl Counted {
    /// Every packet that has come to it.
    pub fn came(&self) -> u64 {
        self.packets + self.waiting + self.dropped
    }
}

impl Found {
    /// Whether it is in the place of the interface's own.
    pub fn is_root(&self) -> bool {
        self.parent == OF_INTERFACE
    }

    /// Whether it is what an interface has where nobody gave it another one.
    pub fn is_default(&self) -> bool {
        self.handle == 0
    }

    /// Whether it is the root of this tree.
    pub fn is_root_of(&self, tree: Tree) -> bool {
        self.is_root_of_ours() && self.handle == tree.root()
    }

    /// Whether it is the root of any tree of ours.
    pub fn is_root_of_ours(&self) -> bool {
        let major = self.handle >> 16;
        self.is_root() && self.kind == "htb" && (Tree::FIRST.into()..=Tree::LAST.into()).contains(&major)
    }
}

/// What went through what is below the class of a tree on an interface; or, in words, what there is not as `wanted` asks for.
pub fn counted(found: &[Found], link: &Link, tree: Tree, wanted: &Settings) -> Result<Counted, String> {
    let here = || found.iter().filter(|found| found.link == link.index);
    let name = &link.name;
    if !here().any(|found| found.is_root_of(tree)) {
        return Err(format!("our queueing discipline on {name} is gone"));
    }
    let leaf = here().find(|found| found.handle == tree.leaf() && found.parent == tree.class());
    let leaf = leaf.ok_or_else(|| format!("nothing is below our class on {name} any more"))?;
    match &leaf.settings {
        Some(read) if wanted.is_told(read) => Ok(leaf.counted),
        read => Err(format!("{} on {name} is not as it was made: {read:?}, expected {wanted:?}", leaf.kind)),
    }
}

/// Every discipline of the socket's namespace.
pub fn read(socket: &Socket) -> io::Result<Vec<Found>> {
    uninterrupted(|| read_once(socket))
}

/// A dump without a change in the middle of it.
pub(super) fn uninterrupted<T>(mut dump: impl FnMut() -> io::Result<T>) -> io::Result<T> {
    let mut tries = 0;
    loop {
        tries += 1;
        match dump() {
            Err(error) if error.kind() == io::ErrorKind::Interrupted && tries < TRIES => {}
            result => return result,
        }
    }
}

fn read_once(socket: &Socket) -> io::Result<Vec<Found>> {
    let mut all = Vec::new();
    socket.query(&Request::new().op_getqdisc_dump(&Tcmsg::new()), |(header, found)| {
        let stats = found.get_stats2().ok();
        let basic = stats.as_ref().and_then(|stats| stats.get_basic().ok()).unwrap_or_default();
        let queue = stats.as_ref().and_then(|stats| stats.get_queue().ok()).unwrap_or_default();
        all.push(Found {
            link: header.ifindex,
            handle: header.handle,
            parent: header.parent,
            kind: found.get_kind().map_err(io::Error::other)?.to_string_lossy().into_owned(),
            settings: found.get_options().ok().and_then(|options| Settings::of(&options)),
            counted: Counted {
                packets: u64::from(basic.packets),
                bytes: basic.bytes,
                waiting: u64::from(queue.qlen),
                dropped: u64::from(queue.drops),
                overlimits: u64::from(queue.overlimits),
            },
        });
        Ok(())
    })?;
    Ok(all)
}
