//! Answers the kernel for a forgetful volume: what it asks becomes a call of [`Volume`], and nothing is decided here.
//!
//! One thread, so that requests are answered in the order in which they come. The kernel checks permissions and keeps
//! locks itself, and its cache is always right, because nobody else changes the volume.

use std::collections::BTreeMap;
use std::ffi::OsStr;
use std::io;
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, SystemTime};

use fuser::{
    Config, Errno, FileHandle, FileType, Filesystem, FopenFlags, Generation, INodeNo, InitFlags, IoctlFlags,
    KernelConfig, LockOwner, OpenFlags, RenameFlags, ReplyAttr, ReplyCreate, ReplyData, ReplyDirectory,
    ReplyEmpty, ReplyEntry, ReplyIoctl, ReplyOpen, ReplyStatfs, ReplyWrite, Request, Session, SessionACL,
    TimeOrNow, WriteFlags,
};
use nix::libc;

use super::content::PAGE;
use super::folder::Folder;
use super::tree::{Body, Ino, Kind, LONGEST_NAME};
use super::volume::{Change, Depth, Volume, Wanted};
use crate::host::forgetful::{self, Left};

mod words;

use words::{attributes, kind, maker, now, place, text, time};

/// For how long the kernel may believe what it was told: always, it is told of every change because it asks for it.
const ALWAYS: Duration = Duration::from_hours(24);

/// Serves the volume that this folder keeps on a mounted /dev/fuse, until it is unmounted; then all of it is durable.
pub fn serve(folder: PathBuf, size: u64, device: OwnedFd) -> io::Result<()> {
    let (folder, tree) = Folder::open(folder)?;
    let state = State { volume: Volume::new(tree, size), folder, is_off: false };
    let state = Arc::new(Mutex::new(state));
    let server = Server { state: Arc::clone(&state), listings: Mutex::default() };
    Session::from_fd(server, device, SessionACL::All, Config::default())?.run()?;
    let mut state = lock(&state);
    if state.is_off {
        return Ok(());
    }
    let changes = state.volume.sync_all();
    state.folder.keep(&changes)
}

struct State {
    volume: Volume,
    folder: Folder,
    /// Whether it has lost its power.
    is_off: bool,
}

impl State {
    /// Keeps what has become durable. A disk that refuses is a power cut, which nobody goes on after: the kernel answers
    /// whoever waits with an error, and what the disk has is what is durable.
    fn keep(&mut self, changes: &[Change]) {
        if let Err(error) = self.folder.keep(changes) {
            eprintln!("seatrial: a volume's disk failed: {error}");
            std::process::exit(1);
        }
    }
}

/// What a folder held when somebody began to read it.
type Listing = Vec<(Ino, FileType, String)>;

struct Server {
    state: Arc<Mutex<State>>,
    listings: Mutex<(u64, BTreeMap<u64, Listing>)>,
}

fn lock(state: &Mutex<State>) -> MutexGuard<'_, State> {
    state.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Server {
    /// Does something with the volume, unless it is without power.
    fn with<T>(&self, act: impl FnOnce(&mut State) -> Result<T, nix::errno::Errno>) -> Result<T, Errno> {
        let mut state = lock(&self.state);
        if state.is_off {
            return Err(Errno::EIO);
        }
        let changes = state.volume.relieve(now());
        state.keep(&changes);
        act(&mut state).map_err(|errno| Errno::from_i32(errno as i32))
    }

    /// Does it and tells the kernel of what came of it.
    fn entry(&self, reply: ReplyEntry, act: impl FnOnce(&mut State) -> Result<Ino, nix::errno::Errno>) {
        let done = self.with(|state| {
            let ino = act(state)?;
            state.volume.meet(ino);
            Ok(attributes(ino, state.volume.tree().node(ino)?))
        });
        match done {
            Ok(attributes) => reply.entry(&ALWAYS, &attributes, Generation(0)),
            Err(error) => reply.error(error),
        }
    }

    fn empty(&self, reply: ReplyEmpty, act: impl FnOnce(&mut State) -> Result<(), nix::errno::Errno>) {
        match self.with(act) {
            Ok(()) => reply.ok(),
            Err(error) => reply.error(error),
        }
    }

    fn sync(&self, ino: INodeNo, only_data: bool, reply: ReplyEmpty) {
        self.empty(reply, |state| {
            let changes = state.volume.sync(ino.0, if only_data { Depth::Data } else { Depth::Everything });
            state.keep(&changes);
            Ok(())
        });
    }

    fn list(&self, folder: Ino) -> Result<Listing, Errno> {
        self.with(|state| {
            let tree = state.volume.tree();
            let parent = match tree.node(folder)?.body {
                Body::Folder { parent, .. } => parent,
                Body::File(_) | Body::Link(_) => return Err(nix::errno::Errno::ENOTDIR),
            };
            let dots = [
                (folder, FileType::Directory, ".".to_owned()),
                (parent, FileType::Directory, "..".to_owned()),
            ];
            let entries = tree.entries(folder)?.iter().map(|(name, &ino)| {
                let kind = tree.node(ino).map_or(FileType::RegularFile, kind);
                (ino, kind, name.clone())
            });
            Ok(dots.into_iter().chain(entries).collect())
        })
    }
}

impl Filesystem for Server {
    fn init(&mut self, _: &Request, config: &mut KernelConfig) -> io::Result<()> {
        // So that somebody who breaks the connection off is told from an unmount, which makes everything durable.
        config
            .add_capabilities(InitFlags::FUSE_ABORT_ERROR)
            .map_err(|_| io::Error::new(io::ErrorKind::Unsupported, "Linux 4.17 or later is needed"))?;
        // So that the kernel holds no page back which a tear has it write: what comes after those must be the cut.
        let _ = config.set_max_background(u16::MAX);
        Ok(())
    }

    fn lookup(&self, _: &Request, parent: INodeNo, name: &OsStr, reply: ReplyEntry) {
        self.entry(reply, |state| state.volume.tree().find(&place(parent, name)?));
    }

    fn forget(&self, _: &Request, ino: INodeNo, times: u64) {
        lock(&self.state).volume.forget(ino.0, times);
    }

    fn getattr(&self, _: &Request, ino: INodeNo, _: Option<FileHandle>, reply: ReplyAttr) {
        match self.with(|state| Ok(attributes(ino.0, state.volume.tree().node(ino.0)?))) {
            Ok(attributes) => reply.attr(&ALWAYS, &attributes),
            Err(error) => reply.error(error),
        }
    }

    fn setattr(
        &self,
        _: &Request,
        ino: INodeNo,
        mode: Option<u32>,
        user: Option<u32>,
        group: Option<u32>,
        size: Option<u64>,
        accessed: Option<TimeOrNow>,
        modified: Option<TimeOrNow>,
        _: Option<SystemTime>,
        _: Option<FileHandle>,
        _: Option<SystemTime>,
        _: Option<SystemTime>,
        _: Option<SystemTime>,
        _: Option<fuser::BsdFileFlags>,
        reply: ReplyAttr,
    ) {
        let done = self.with(|state| {
            let volume = &mut state.volume;
            if let Some(length) = size {
                volume.resize(ino.0, length, now())?;
            }
            let mode = mode.map(|mode| (mode & 0o7777) as u16);
            let (accessed, modified) = (accessed.map(time), modified.map(time));
            let wanted = Wanted { mode, user, group, accessed, modified };
            // The kernel sends times along with a length that is cut off by itself.
            if mode.is_some() || user.is_some() || group.is_some() || size.is_none() {
                volume.change(ino.0, wanted, now())?;
            }
            Ok(attributes(ino.0, volume.tree().node(ino.0)?))
        });
        match done {
            Ok(attributes) => reply.attr(&ALWAYS, &attributes),
            Err(error) => reply.error(error),
        }
    }

    fn readlink(&self, _: &Request, ino: INodeNo, reply: ReplyData) {
        let found = self.with(|state| match &state.volume.tree().node(ino.0)?.body {
            Body::Link(target) => Ok(target.clone()),
            Body::File(_) | Body::Folder { .. } => Err(nix::errno::Errno::EINVAL),
        });
        match found {
            Ok(target) => reply.data(target.as_bytes()),
            Err(error) => reply.error(error),
        }
    }

    fn mknod(
        &self,
        request: &Request,
        parent: INodeNo,
        name: &OsStr,
        mode: u32,
        umask: u32,
        _: u32,
        reply: ReplyEntry,
    ) {
        // Sockets, pipes and devices have no place here (mknod(2), EPERM).
        if mode & libc::S_IFMT != libc::S_IFREG {
            return reply.error(Errno::EPERM);
        }
        let maker = maker(request, mode, umask);
        self.entry(reply, |state| state.volume.create(place(parent, name)?, Kind::File, maker, now()));
    }

    fn mkdir(
        &self,
        request: &Request,
        parent: INodeNo,
        name: &OsStr,
        mode: u32,
        umask: u32,
        reply: ReplyEntry,
    ) {
        let maker = maker(request, mode, umask);
        self.entry(reply, |state| state.volume.create(place(parent, name)?, Kind::Folder, maker, now()));
    }

    fn unlink(&self, _: &Request, parent: INodeNo, name: &OsStr, reply: ReplyEmpty) {
        self.empty(reply, |state| state.volume.remove_file(place(parent, name)?, now()));
    }

    fn rmdir(&self, _: &Request, parent: INodeNo, name: &OsStr, reply: ReplyEmpty) {
        self.empty(reply, |state| state.volume.remove_folder(place(parent, name)?, now()));
    }

    fn symlink(&self, request: &Request, parent: INodeNo, name: &OsStr, target: &Path, reply: ReplyEntry) {
        let maker = maker(request, 0o777, 0);
        self.entry(reply, |state| {
            let target = text(target.as_os_str())?;
            state.volume.create(place(parent, name)?, Kind::Link(target), maker, now())
        });
    }

    fn rename(
        &self,
        _: &Request,
        parent: INodeNo,
        name: &OsStr,
        new_parent: INodeNo,
        new_name: &OsStr,
        flags: RenameFlags,
        reply: ReplyEmpty,
    ) {
        self.empty(reply, |state| {
            let (from, to) = (place(parent, name)?, place(new_parent, new_name)?);
            if flags == RenameFlags::RENAME_NOREPLACE {
                if state.volume.tree().find(&to).is_ok() {
                    return Err(nix::errno::Errno::EEXIST);
                }
            } else if !flags.is_empty() {
                return Err(nix::errno::Errno::EINVAL);
            }
            state.volume.rename(from, to, now())
        });
    }

    fn link(&self, _: &Request, ino: INodeNo, parent: INodeNo, name: &OsStr, reply: ReplyEntry) {
        self.entry(reply, |state| {
            state.volume.link(ino.0, place(parent, name)?, now())?;
            Ok(ino.0)
        });
    }

    fn open(&self, _: &Request, _: INodeNo, _: OpenFlags, reply: ReplyOpen) {
        match self.with(|_| Ok(())) {
            Ok(()) => reply.opened(FileHandle(0), FopenFlags::FOPEN_KEEP_CACHE),
            Err(error) => reply.error(error),
        }
    }

    fn create(
        &self,
        request: &Request,
        parent: INodeNo,
        name: &OsStr,
        mode: u32,
        umask: u32,
        _: i32,
        reply: ReplyCreate,
    ) {
        let maker = maker(request, mode, umask);
        let done = self.with(|state| {
            let ino = state.volume.create(place(parent, name)?, Kind::File, maker, now())?;
            state.volume.meet(ino);
            Ok(attributes(ino, state.volume.tree().node(ino)?))
        });
        match done {
            Ok(attributes) => {
                reply.created(
                    &ALWAYS,
                    &attributes,
                    Generation(0),
                    FileHandle(0),
                    FopenFlags::FOPEN_KEEP_CACHE,
                );
            }
            Err(error) => reply.error(error),
        }
    }

    fn read(
        &self,
        _: &Request,
        ino: INodeNo,
        _: FileHandle,
        at: u64,
        length: u32,
        _: OpenFlags,
        _: Option<LockOwner>,
        reply: ReplyData,
    ) {
        match self.with(|state| Ok(state.volume.tree().content(ino.0)?.read(at, length as usize))) {
            Ok(bytes) => reply.data(&bytes),
            Err(error) => reply.error(error),
        }
    }

    fn write(
        &self,
        _: &Request,
        ino: INodeNo,
        _: FileHandle,
        at: u64,
        bytes: &[u8],
        _: WriteFlags,
        _: OpenFlags,
        _: Option<LockOwner>,
        reply: ReplyWrite,
    ) {
        // What must be synced with the write (O_SYNC, O_DSYNC) the kernel asks for by itself (generic_write_sync).
        match self.with(|state| state.volume.write(ino.0, at, bytes, now())) {
            Ok(()) => reply.written(bytes.len() as u32),
            Err(error) => reply.error(error),
        }
    }

    fn fsync(&self, _: &Request, ino: INodeNo, _: FileHandle, only_data: bool, reply: ReplyEmpty) {
        self.sync(ino, only_data, reply);
    }

    fn fsyncdir(&self, _: &Request, ino: INodeNo, _: FileHandle, _: bool, reply: ReplyEmpty) {
        self.sync(ino, false, reply);
    }

    fn fallocate(
        &self,
        _: &Request,
        ino: INodeNo,
        _: FileHandle,
        at: u64,
        length: u64,
        mode: i32,
        reply: ReplyEmpty,
    ) {
        self.empty(reply, |state| match mode {
            0 => state.volume.allocate(ino.0, at, length, now()),
            libc::FALLOC_FL_KEEP_SIZE => state.volume.refuse_full(ino.0, at, length).map(drop),
            _ => Err(nix::errno::Errno::EOPNOTSUPP),
        });
    }

    fn opendir(&self, _: &Request, ino: INodeNo, _: OpenFlags, reply: ReplyOpen) {
        match self.list(ino.0) {
            Ok(listing) => {
                let mut listings = self.listings.lock().unwrap_or_else(PoisonError::into_inner);
                listings.0 += 1;
                let handle = listings.0;
                listings.1.insert(handle, listing);
                reply.opened(FileHandle(handle), FopenFlags::empty());
            }
            Err(error) => reply.error(error),
        }
    }

    fn readdir(&self, _: &Request, ino: INodeNo, handle: FileHandle, offset: u64, mut reply: ReplyDirectory) {
        // Whoever begins again gets what is there now (rewinddir(3)).
        let afresh = (offset == 0).then(|| self.list(ino.0));
        let mut listings = self.listings.lock().unwrap_or_else(PoisonError::into_inner);
        match afresh {
            Some(Ok(listing)) => {
                listings.1.insert(handle.0, listing);
            }
            Some(Err(error)) => return reply.error(error),
            None => {}
        }
        let listing = listings.1.get(&handle.0).map(Vec::as_slice).unwrap_or_default();
        for (place, (ino, kind, name)) in listing.iter().enumerate().skip(offset as usize) {
            if reply.add(INodeNo(*ino), place as u64 + 1, *kind, name) {
                break;
            }
        }
        reply.ok();
    }

    fn releasedir(&self, _: &Request, _: INodeNo, handle: FileHandle, _: OpenFlags, reply: ReplyEmpty) {
        self.listings.lock().unwrap_or_else(PoisonError::into_inner).1.remove(&handle.0);
        reply.ok();
    }

    fn statfs(&self, _: &Request, _: INodeNo, reply: ReplyStatfs) {
        match self.with(|state| Ok(state.volume.space())) {
            Ok((all, free)) => {
                reply.statfs(all, free, free, all, free, PAGE as u32, LONGEST_NAME as u32, PAGE as u32);
            }
            Err(error) => reply.error(error),
        }
    }

    fn ioctl(
        &self,
        _: &Request,
        _: INodeNo,
        _: FileHandle,
        _: IoctlFlags,
        request: u32,
        bytes: &[u8],
        _: u32,
        reply: ReplyIoctl,
    ) {
        if request != forgetful::REQUEST {
            return reply.error(Errno::ENOTTY);
        }
        let done = self.with(|state| match forgetful::Request::decode(bytes) {
            Some(forgetful::Request::Ask) => Ok(Left::default()),
            Some(forgetful::Request::Cut(how)) => {
                let (left, changes) = state.volume.cut(how);
                state.keep(&changes);
                state.is_off = true;
                Ok(left)
            }
            None => Err(nix::errno::Errno::EINVAL),
        });
        match done {
            Ok(left) => reply.ioctl(0, &left.encode()),
            Err(error) => reply.error(error),
        }
    }
}
