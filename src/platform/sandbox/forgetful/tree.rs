//! Names, folders and attributes: what a journaling filesystem writes into its log.
//!
//! A tree changes by [`Entry`]s alone, so that a tree at any moment is an earlier tree with a run of entries applied to it.

use std::collections::BTreeMap;

use nix::errno::Errno;
use serde::{Deserialize, Serialize};

use super::content::Content;

/// A file or folder, whatever its names.
pub type Ino = u64;
/// The folder on top.
pub const ROOT: Ino = 1;
/// The longest name in bytes.
pub const LONGEST_NAME: usize = 255;

/// Nanoseconds since 1970.
pub type Time = u64;

/// Who may do what, and when something was done.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Attributes {
    /// Permissions, with set-user-ID, set-group-ID and sticky bits.
    pub mode: u16,
    /// The owner.
    pub user: u32,
    /// The owner's group.
    pub group: u32,
    /// When it was read, as far as somebody set it.
    pub accessed: Time,
    /// When its content changed.
    pub modified: Time,
    /// When anything of it changed.
    pub changed: Time,
}

/// A name in a folder.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Place {
    /// Where.
    pub folder: Ino,
    /// Under which name.
    pub name: String,
}

/// What is made.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Kind {
    /// An empty file.
    File,
    /// An empty folder.
    Folder,
    /// A symbolic link with its target.
    Link(String),
}

/// One change, which is on the disk as a whole or not at all.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Entry {
    /// When.
    pub time: Time,
    /// What.
    pub what: What,
}

/// See [`Entry`].
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum What {
    /// Something new.
    Create {
        /// What it is known by.
        ino: Ino,
        /// Its first name.
        at: Place,
        /// What it is.
        kind: Kind,
        /// Its attributes.
        attributes: Attributes,
    },
    /// One more name of a file.
    Link {
        /// Which.
        ino: Ino,
        /// The name.
        at: Place,
    },
    /// One name less.
    Remove {
        /// Of which.
        ino: Ino,
        /// The name.
        at: Place,
    },
    /// Another name.
    Rename {
        /// Of which.
        ino: Ino,
        /// The old one.
        from: Place,
        /// The new one.
        to: Place,
        /// What had that name, and has it no more.
        replaced: Option<Ino>,
    },
    /// Other attributes.
    Change {
        /// Of which.
        ino: Ino,
        /// All of them.
        attributes: Attributes,
    },
    /// Another length.
    Resize {
        /// Of which file.
        ino: Ino,
        /// In bytes.
        length: u64,
    },
}

impl What {
    /// Everything that it is about.
    pub fn about(&self) -> Vec<Ino> {
        match self {
            Self::Create { ino, at, .. } | Self::Link { ino, at } | Self::Remove { ino, at } => {
                vec![*ino, at.folder]
            }
            Self::Rename { ino, from, to, replaced } => {
                [*ino, from.folder, to.folder].into_iter().chain(*replaced).collect()
            }
            Self::Change { ino, .. } | Self::Resize { ino, .. } => vec![*ino],
        }
    }

    /// The file whose bytes cannot be found, or mean something else, without it.
    pub fn carries(&self) -> Option<Ino> {
        match self {
            Self::Create { ino, .. } | Self::Resize { ino, .. } => Some(*ino),
            Self::Link { .. } | Self::Remove { .. } | Self::Rename { .. } | Self::Change { .. } => None,
        }
    }
}

/// What has names.
#[derive(Debug, Clone)]
pub struct Node {
    /// Its attributes.
    pub attributes: Attributes,
    /// How many names it has; of a folder, whether it is there.
    pub names: u32,
    /// What it is.
    pub body: Body,
}

/// What a node holds.
#[derive(Debug, Clone)]
pub enum Body {
    /// Bytes.
    File(Content),
    /// Names.
    Folder {
        /// What is in it.
        entries: BTreeMap<String, Ino>,
        /// What it is in; itself, where it is on top.
        parent: Ino,
    },
    /// A path.
    Link(String),
}

/// Everything that has a name, and what is used still without one.
#[derive(Debug, Clone)]
pub struct Tree {
    nodes: BTreeMap<Ino, Node>,
    /// One more than was ever used.
    next: Ino,
}

impl Tree {
    /// An empty folder of root's.
    pub fn new() -> Self {
        let attributes = Attributes { mode: 0o755, user: 0, group: 0, accessed: 0, modified: 0, changed: 0 };
        let body = Body::Folder { entries: BTreeMap::new(), parent: ROOT };
        Self { nodes: [(ROOT, Node { attributes, names: 1, body })].into(), next: ROOT + 1 }
    }

    /// A number that nothing in it ever had.
    pub fn next(&self) -> Ino {
        self.next
    }

    /// Everything in it.
    pub fn nodes(&self) -> impl Iterator<Item = (Ino, &Node)> {
        self.nodes.iter().map(|(&ino, node)| (ino, node))
    }

    /// What is known by this number.
    pub fn node(&self, ino: Ino) -> Result<&Node, Errno> {
        self.nodes.get(&ino).ok_or(Errno::ESTALE)
    }

    /// The same, to be changed.
    pub fn node_mut(&mut self, ino: Ino) -> Result<&mut Node, Errno> {
        self.nodes.get_mut(&ino).ok_or(Errno::ESTALE)
    }

    /// What a folder holds.
    pub fn entries(&self, folder: Ino) -> Result<&BTreeMap<String, Ino>, Errno> {
        match &self.node(folder)?.body {
            Body::Folder { entries, .. } => Ok(entries),
            Body::File(_) | Body::Link(_) => Err(Errno::ENOTDIR),
        }
    }

    /// What has a name.
    pub fn find(&self, at: &Place) -> Result<Ino, Errno> {
        self.entries(at.folder)?.get(&at.name).copied().ok_or(Errno::ENOENT)
    }

    /// A file's bytes.
    pub fn content(&self, ino: Ino) -> Result<&Content, Errno> {
        match &self.node(ino)?.body {
            Body::File(content) => Ok(content),
            Body::Folder { .. } => Err(Errno::EISDIR),
            Body::Link(_) => Err(Errno::EINVAL),
        }
    }

    /// The same, to be changed.
    pub fn content_mut(&mut self, ino: Ino) -> Result<&mut Content, Errno> {
        match &mut self.node_mut(ino)?.body {
            Body::File(content) => Ok(content),
            Body::Folder { .. } => Err(Errno::EISDIR),
            Body::Link(_) => Err(Errno::EINVAL),
        }
    }

    /// Makes a change that was found possible. What has no name any more by it is told, and is still there.
    pub fn apply(&mut self, entry: &Entry) -> Option<Ino> {
        match &entry.what {
            What::Create { ino, at, kind, attributes } => {
                let body = match kind {
                    Kind::File => Body::File(Content::default()),
                    Kind::Folder => Body::Folder { entries: BTreeMap::new(), parent: at.folder },
                    Kind::Link(target) => Body::Link(target.clone()),
                };
                self.nodes.insert(*ino, Node { attributes: *attributes, names: 1, body });
                self.next = self.next.max(ino + 1);
                self.put(at, *ino, entry.time);
                None
            }
            What::Link { ino, at } => {
                self.put(at, *ino, entry.time);
                self.count(*ino, entry.time, |names| names + 1)
            }
            What::Remove { ino, at } => {
                self.take(at, entry.time);
                self.count(*ino, entry.time, |names| names - 1)
            }
            What::Rename { ino, from, to, replaced } => {
                self.take(from, entry.time);
                self.put(to, *ino, entry.time);
                if let Some(Node { body: Body::Folder { parent, .. }, .. }) = self.nodes.get_mut(ino) {
                    *parent = to.folder;
                }
                let _ = self.count(*ino, entry.time, |names| names);
                replaced.and_then(|replaced| self.count(replaced, entry.time, |names| names - 1))
            }
            What::Change { ino, attributes } => {
                if let Some(node) = self.nodes.get_mut(ino) {
                    node.attributes = *attributes;
                }
                None
            }
            What::Resize { ino, length } => {
                if let Ok(content) = self.content_mut(*ino) {
                    content.resize(*length);
                    self.touch(*ino, entry.time);
                }
                None
            }
        }
    }

    /// Forgets what has no name.
    pub fn forget(&mut self, ino: Ino) -> Option<Node> {
        self.nodes.remove(&ino)
    }

    /// Remembers when a content changed.
    pub fn touch(&mut self, ino: Ino, time: Time) {
        if let Some(node) = self.nodes.get_mut(&ino) {
            (node.attributes.modified, node.attributes.changed) = (time, time);
        }
    }

    fn put(&mut self, at: &Place, ino: Ino, time: Time) {
        if let Some(Node { body: Body::Folder { entries, .. }, .. }) = self.nodes.get_mut(&at.folder) {
            entries.insert(at.name.clone(), ino);
        }
        self.touch(at.folder, time);
    }

    fn take(&mut self, at: &Place, time: Time) {
        if let Some(Node { body: Body::Folder { entries, .. }, .. }) = self.nodes.get_mut(&at.folder) {
            entries.remove(&at.name);
        }
        self.touch(at.folder, time);
    }

    fn count(&mut self, ino: Ino, time: Time, change: impl Fn(u32) -> u32) -> Option<Ino> {
        let node = self.nodes.get_mut(&ino)?;
        node.names = change(node.names);
        node.attributes.changed = time;
        (node.names == 0).then_some(ino)
    }
}
