//! What a volume shows, what of it is on the disk, and what is between the two.
//!
//! Pure: time and seeds come in, and every change of what is on the disk comes out as [`Change`]s, so that somebody can
//! keep it. The rules are in the documentation of [`super`].

use std::collections::{BTreeMap, VecDeque};

use nix::errno::Errno;

use super::content::{Content, PAGE, Page, pages_of};
use super::tree::{Attributes, Body, Entry, Ino, Kind, LONGEST_NAME, Node, Place, Time, Tree, What};

/// As much memory as may wait for a sync. Beyond it everything is written out, as a kernel does when too much is dirty.
const AT_RISK_LIMIT: u64 = 64 << 20;
/// What it takes to remember a write, besides its bytes, and an entry with its names.
const ROOM_OF_WRITE: u64 = 96;
const ROOM_OF_ENTRY: u64 = 384;
/// What is older is written out: Linux writes dirty pages so (vm.dirty_expire_centisecs), XFS its log
/// (fs.xfs.xfssyncd_centisecs); ext4 writes its log earlier (commit=5).
const OLD: Time = 30_000_000_000;
/// How often somebody looks for what is old.
const LOOK: Time = 1_000_000_000;
/// The longest file.
const LONGEST_FILE: u64 = i64::MAX as u64;

/// When something was done, in the order in which all was done.
pub(super) type Turn = u64;

/// Bytes that were written and not synced.
#[derive(Debug, Clone)]
pub(super) struct Write {
    /// When, among all that was done.
    pub turn: Turn,
    /// When.
    pub time: Time,
    /// Where.
    pub at: u64,
    /// What.
    pub bytes: Vec<u8>,
}

impl Write {
    /// What it takes to remember it.
    fn room(&self) -> u64 {
        self.bytes.len() as u64 + ROOM_OF_WRITE
    }
}

/// What has changed on the disk.
#[derive(Debug, Clone)]
pub enum Change {
    /// A change of names, attributes or lengths.
    Entry(Entry),
    /// Pages of a file, and its length.
    Data {
        /// Which file.
        ino: Ino,
        /// Its length.
        length: u64,
        /// The pages, by their numbers.
        pages: Vec<(u64, Page)>,
    },
    /// A file has no name there any more.
    Gone(Ino),
}

/// How much a sync makes durable.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Depth {
    /// fsync(2).
    Everything,
    /// fdatasync(2): what is needed to read the bytes back.
    Data,
}

/// Other attributes, as far as they are given.
#[derive(Debug, Clone, Copy, Default)]
pub struct Wanted {
    /// Permissions.
    pub mode: Option<u16>,
    /// The owner.
    pub user: Option<u32>,
    /// The group.
    pub group: Option<u32>,
    /// The time of the last read.
    pub accessed: Option<Time>,
    /// The time of the last write.
    pub modified: Option<Time>,
}

/// Who makes something.
#[derive(Debug, Clone, Copy)]
pub struct Maker {
    /// With these permissions.
    pub mode: u16,
    /// As this user.
    pub user: u32,
    /// Of this group.
    pub group: u32,
}

/// A volume.
#[derive(Debug)]
pub struct Volume {
    /// How many pages it may have.
    room: u64,
    /// How many it has.
    used: u64,
    pub(super) live: Tree,
    pub(super) durable: Tree,
    /// What the disk has not of what is not bytes, in order.
    pub(super) log: VecDeque<(Turn, Entry)>,
    /// What the disk has not of bytes, in order.
    pub(super) writes: BTreeMap<Ino, Vec<Write>>,
    /// What it takes to remember the writes.
    at_risk: u64,
    /// When somebody looked for what is old.
    looked: Time,
    /// The newest entries about each: any, and one that its bytes depend on.
    newest: BTreeMap<Ino, (Turn, Turn)>,
    /// How often the kernel was told of each.
    known: BTreeMap<Ino, u64>,
    turn: Turn,
}

impl Volume {
    /// One with room for so many bytes and this on its disk.
    pub fn new(durable: Tree, size: u64) -> Self {
        let used = durable.nodes().map(|(_, node)| room(node)).sum();
        Self {
            room: size / PAGE as u64,
            used,
            live: durable.clone(),
            durable,
            log: VecDeque::new(),
            writes: BTreeMap::new(),
            at_risk: 0,
            looked: 0,
            newest: BTreeMap::new(),
            known: BTreeMap::new(),
            turn: 0,
        }
    }

    /// What it shows.
    pub fn tree(&self) -> &Tree {
        &self.live
    }

    /// How many pages it may have, and how many are free.
    pub fn space(&self) -> (u64, u64) {
        (self.room, self.room.saturating_sub(self.used))
    }

    /// The kernel was told of it once more.
    pub fn meet(&mut self, ino: Ino) {
        *self.known.entry(ino).or_default() += 1;
    }

    /// The kernel has forgotten it so many times. What has no name either is gone, and what waited for a sync with it.
    pub fn forget(&mut self, ino: Ino, times: u64) {
        let left = self.known.get(&ino).copied().unwrap_or_default().saturating_sub(times);
        if left > 0 {
            self.known.insert(ino, left);
            return;
        }
        self.known.remove(&ino);
        if self.live.node(ino).is_ok_and(|node| node.names == 0) {
            self.drop(ino);
        }
    }

    /// Makes something.
    pub fn create(&mut self, at: Place, kind: Kind, maker: Maker, time: Time) -> Result<Ino, Errno> {
        self.refuse_taken(&at)?;
        let folder = self.live.node(at.folder)?.attributes;
        let Maker { mut mode, user, mut group } = maker;
        // As inode_init_owner of fs/inode.c.
        if folder.mode & 0o2000 != 0 {
            group = folder.group;
            if kind == Kind::Folder {
                mode |= 0o2000;
            }
        }
        let attributes = Attributes { mode, user, group, accessed: time, modified: time, changed: time };
        let ino = self.live.next();
        self.record(What::Create { ino, at, kind, attributes }, time);
        Ok(ino)
    }

    /// Gives a file one more name.
    pub fn link(&mut self, ino: Ino, at: Place, time: Time) -> Result<(), Errno> {
        self.refuse_taken(&at)?;
        match self.live.node(ino)? {
            Node { body: Body::Folder { .. }, .. } => Err(Errno::EPERM),
            Node { names: 0, .. } => Err(Errno::ENOENT),
            Node { .. } => {
                self.record(What::Link { ino, at }, time);
                Ok(())
            }
        }
    }

    /// Takes a name of what is no folder.
    pub fn remove_file(&mut self, at: Place, time: Time) -> Result<(), Errno> {
        let ino = self.live.find(&at)?;
        if self.live.entries(ino).is_ok() {
            return Err(Errno::EISDIR);
        }
        self.record(What::Remove { ino, at }, time);
        Ok(())
    }

    /// Removes an empty folder.
    pub fn remove_folder(&mut self, at: Place, time: Time) -> Result<(), Errno> {
        let ino = self.live.find(&at)?;
        if !self.live.entries(ino)?.is_empty() {
            return Err(Errno::ENOTEMPTY);
        }
        self.record(What::Remove { ino, at }, time);
        Ok(())
    }

    /// Gives something another name, and takes that from what has it. The kernel has looked whether they fit each other.
    pub fn rename(&mut self, from: Place, to: Place, time: Time) -> Result<(), Errno> {
        let ino = self.live.find(&from)?;
        fitting(&to)?;
        let replaced = match self.live.find(&to) {
            Ok(replaced) => Some(replaced),
            Err(Errno::ENOENT) => None,
            Err(error) => return Err(error),
        };
        if replaced == Some(ino) {
            return Ok(());
        }
        if replaced.is_some_and(|there| self.live.entries(there).is_ok_and(|entries| !entries.is_empty())) {
            return Err(Errno::ENOTEMPTY);
        }
        self.record(What::Rename { ino, from, to, replaced }, time);
        Ok(())
    }

    /// Changes attributes.
    pub fn change(&mut self, ino: Ino, wanted: Wanted, time: Time) -> Result<(), Errno> {
        let known = self.live.node(ino)?.attributes;
        let attributes = Attributes {
            mode: wanted.mode.unwrap_or(known.mode),
            user: wanted.user.unwrap_or(known.user),
            group: wanted.group.unwrap_or(known.group),
            accessed: wanted.accessed.unwrap_or(known.accessed),
            modified: wanted.modified.unwrap_or(known.modified),
            changed: time,
        };
        self.record(What::Change { ino, attributes }, time);
        Ok(())
    }

    /// Cuts a file off, or has it grow.
    pub fn resize(&mut self, ino: Ino, length: u64, time: Time) -> Result<(), Errno> {
        if length > LONGEST_FILE {
            return Err(Errno::EFBIG);
        }
        let before = self.live.content(ino)?.room();
        self.record(What::Resize { ino, length }, time);
        self.used -= before - self.live.content(ino)?.room();
        Ok(())
    }

    /// Has a file reach as far as this, where there is room for all of it. The zeroes take none until they are written.
    pub fn allocate(&mut self, ino: Ino, at: u64, length: u64, time: Time) -> Result<(), Errno> {
        let end = at.checked_add(length).ok_or(Errno::EFBIG)?;
        self.refuse_full(ino, at, length)?;
        if end > self.live.content(ino)?.length() { self.resize(ino, end, time) } else { Ok(()) }
    }

    /// How many more pages it takes to have these bytes of a file, if there is room for them.
    pub fn refuse_full(&self, ino: Ino, at: u64, length: u64) -> Result<u64, Errno> {
        let new = self.live.content(ino)?.missing(at, length);
        if new > self.space().1 { Err(Errno::ENOSPC) } else { Ok(new) }
    }

    /// Writes into a file.
    pub fn write(&mut self, ino: Ino, at: u64, bytes: &[u8], time: Time) -> Result<(), Errno> {
        if at.checked_add(bytes.len() as u64).is_none_or(|end| end > LONGEST_FILE) {
            return Err(Errno::EFBIG);
        }
        let new = self.refuse_full(ino, at, bytes.len() as u64)?;
        self.live.content_mut(ino)?.write(at, bytes);
        self.used += new;
        self.live.touch(ino, time);
        let write = Write { turn: self.next_turn(), time, at, bytes: bytes.to_vec() };
        self.at_risk += write.room();
        self.writes.entry(ino).or_default().push(write);
        Ok(())
    }

    /// Makes durable what was written to this one, and every entry up to the newest that is about it.
    pub fn sync(&mut self, ino: Ino, depth: Depth) -> Vec<Change> {
        let (any, carries) = self.newest.get(&ino).copied().unwrap_or_default();
        let mut changes = match depth {
            Depth::Everything => self.commit(any),
            Depth::Data => self.commit(carries),
        };
        changes.extend(self.write_out(ino));
        if depth == Depth::Everything
            && let Ok(attributes) = self.live.node(ino).map(|node| node.attributes)
            && self.durable.node(ino).is_ok_and(|node| node.attributes != attributes)
        {
            let entry = Entry { time: attributes.changed, what: What::Change { ino, attributes } };
            self.durable.apply(&entry);
            changes.push(Change::Entry(entry));
        }
        changes
    }

    /// Makes everything durable.
    pub fn sync_all(&mut self) -> Vec<Change> {
        let mut changes = self.commit(self.turn);
        let written: Vec<Ino> = self.writes.keys().copied().collect();
        for ino in written {
            changes.extend(self.write_out(ino));
        }
        changes
    }

    /// Makes durable what a kernel would not keep in memory any longer: everything where too much waits, and what is old.
    pub fn relieve(&mut self, now: Time) -> Vec<Change> {
        if self.at_risk + self.log.len() as u64 * ROOM_OF_ENTRY > AT_RISK_LIMIT {
            return self.sync_all();
        }
        if now.abs_diff(self.looked) < LOOK {
            return Vec::new();
        }
        self.looked = now;
        let is_old = |time: Time| now.saturating_sub(time) > OLD;
        let old = self.log.iter().take_while(|(_, entry)| is_old(entry.time)).last();
        let mut changes = match old {
            Some(&(turn, _)) => self.commit(turn),
            None => Vec::new(),
        };
        let waiting = self.writes.iter().filter(|(_, waiting)| is_old(waiting[0].time));
        let old: Vec<Ino> = waiting.map(|(&ino, _)| ino).collect();
        for ino in old {
            changes.extend(self.sync(ino, Depth::Data));
        }
        changes
    }

    fn next_turn(&mut self) -> Turn {
        self.turn += 1;
        self.turn
    }

    fn refuse_taken(&self, at: &Place) -> Result<(), Errno> {
        fitting(at)?;
        if self.live.node(at.folder)?.names == 0 {
            return Err(Errno::ENOENT);
        }
        match self.live.find(at) {
            Ok(_) => Err(Errno::EEXIST),
            Err(Errno::ENOENT) => Ok(()),
            Err(error) => Err(error),
        }
    }

    fn record(&mut self, what: What, time: Time) {
        let turn = self.next_turn();
        for ino in what.about() {
            self.newest.entry(ino).or_default().0 = turn;
        }
        if let Some(ino) = what.carries() {
            self.newest.entry(ino).or_default().1 = turn;
        }
        let entry = Entry { time, what };
        let nameless = self.live.apply(&entry);
        self.log.push_back((turn, entry));
        if let Some(ino) = nameless.filter(|ino| !self.known.contains_key(ino)) {
            self.drop(ino);
        }
    }

    fn drop(&mut self, ino: Ino) {
        self.used -= self.live.forget(ino).as_ref().map_or(0, room);
        self.newest.remove(&ino);
        let waiting = self.writes.remove(&ino).unwrap_or_default();
        self.at_risk -= waiting.iter().map(Write::room).sum::<u64>();
    }

    /// Brings the log to the disk, up to a turn.
    fn commit(&mut self, until: Turn) -> Vec<Change> {
        let mut changes = Vec::new();
        while let Some((turn, entry)) = self.log.pop_front_if(|(turn, _)| *turn <= until) {
            if let What::Resize { ino, length } = entry.what {
                self.cut_off(ino, length, turn);
            }
            bring(&mut self.durable, entry, &mut changes);
        }
        changes
    }

    /// What waits from before a file was cut off is cut off as well: it never gets to where it was meant for.
    fn cut_off(&mut self, ino: Ino, length: u64, turn: Turn) {
        let Some(mut waiting) = self.writes.remove(&ino) else { return };
        self.at_risk -= waiting.iter().map(Write::room).sum::<u64>();
        for write in waiting.iter_mut().filter(|write| write.turn < turn) {
            write.bytes.truncate(length.saturating_sub(write.at) as usize);
        }
        waiting.retain(|write| !write.bytes.is_empty());
        self.at_risk += waiting.iter().map(Write::room).sum::<u64>();
        if !waiting.is_empty() {
            self.writes.insert(ino, waiting);
        }
    }

    /// Brings the bytes of a file to the disk whose entries are there.
    fn write_out(&mut self, ino: Ino) -> Option<Change> {
        let waiting = self.writes.remove(&ino)?;
        self.at_risk -= waiting.iter().map(Write::room).sum::<u64>();
        let (Ok(live), Ok(durable)) = (self.live.content(ino), self.durable.content_mut(ino)) else {
            return None;
        };
        let mut pages: Vec<u64> =
            waiting.iter().flat_map(|write| pages_of(write.at, write.bytes.len())).collect();
        pages.sort_unstable();
        pages.dedup();
        for &page in &pages {
            durable.share(live, page);
        }
        durable.resize(live.length());
        Some(data(ino, durable, pages))
    }
}

/// Has an entry on the disk, unless it is about a file that has no name there any more.
pub(super) fn bring(disk: &mut Tree, entry: Entry, changes: &mut Vec<Change>) {
    if let What::Resize { ino, .. } | What::Change { ino, .. } = entry.what
        && disk.node(ino).is_err()
    {
        return;
    }
    let nameless = disk.apply(&entry);
    changes.push(Change::Entry(entry));
    if let Some(ino) = nameless {
        disk.forget(ino);
        changes.push(Change::Gone(ino));
    }
}

/// Pages of a file as they are on the disk.
pub(super) fn data(ino: Ino, content: &Content, pages: impl IntoIterator<Item = u64>) -> Change {
    let pages = pages.into_iter().filter_map(|page| Some((page, content.page(page)?.clone()))).collect();
    Change::Data { ino, length: content.length(), pages }
}

fn room(node: &Node) -> u64 {
    match &node.body {
        Body::File(content) => content.room(),
        Body::Folder { .. } | Body::Link(_) => 0,
    }
}

fn fitting(at: &Place) -> Result<(), Errno> {
    if at.name.len() > LONGEST_NAME { Err(Errno::ENAMETOOLONG) } else { Ok(()) }
}
