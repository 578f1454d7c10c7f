//! What the kernel says and hears of a volume, in the words of the model and back.

use std::ffi::OsStr;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use fuser::{FileAttr, FileType, INodeNo, Request, TimeOrNow};
use nix::errno::Errno;

use crate::platform::sandbox::forgetful::content::PAGE;
use crate::platform::sandbox::forgetful::tree::{Body, Ino, Node, Place, Time};
use crate::platform::sandbox::forgetful::volume::Maker;

/// A name in a folder.
pub fn place(folder: INodeNo, name: &OsStr) -> Result<Place, Errno> {
    Ok(Place { folder: folder.0, name: text(name)? })
}

/// Names are kept as texts; one that is none is refused, as ext4 does where it knows an encoding.
pub fn text(name: &OsStr) -> Result<String, Errno> {
    name.to_str().map(str::to_owned).ok_or(Errno::EILSEQ)
}

/// Who makes something, and how it is to be.
pub fn maker(request: &Request, mode: u32, umask: u32) -> Maker {
    Maker { mode: (mode & !umask & 0o7777) as u16, user: request.uid(), group: request.gid() }
}

/// The time.
pub fn now() -> Time {
    nanoseconds(SystemTime::now())
}

/// A time that somebody wants.
pub fn time(wanted: TimeOrNow) -> Time {
    match wanted {
        TimeOrNow::SpecificTime(time) => nanoseconds(time),
        TimeOrNow::Now => now(),
    }
}

fn nanoseconds(time: SystemTime) -> Time {
    time.duration_since(UNIX_EPOCH).map_or(0, |since| since.as_nanos() as Time)
}

/// What something is.
pub fn kind(node: &Node) -> FileType {
    match node.body {
        Body::File(_) => FileType::RegularFile,
        Body::Folder { .. } => FileType::Directory,
        Body::Link(_) => FileType::Symlink,
    }
}

/// What stat(2) tells of it.
pub fn attributes(ino: Ino, node: &Node) -> FileAttr {
    let (size, room, names) = match &node.body {
        Body::File(content) => (content.length(), content.room(), node.names),
        // Itself and its name: that subfolders are not counted tells programs not to rely on it (find(1), -noleaf).
        Body::Folder { .. } => (PAGE as u64, 1, u32::from(node.names > 0)),
        Body::Link(target) => (target.len() as u64, 0, node.names),
    };
    let at = |time| UNIX_EPOCH + Duration::from_nanos(time);
    FileAttr {
        ino: INodeNo(ino),
        size,
        blocks: room * (PAGE as u64 / 512),
        atime: at(node.attributes.accessed),
        mtime: at(node.attributes.modified),
        ctime: at(node.attributes.changed),
        crtime: UNIX_EPOCH,
        kind: kind(node),
        perm: node.attributes.mode,
        nlink: names,
        uid: node.attributes.user,
        gid: node.attributes.group,
        rdev: 0,
        blksize: PAGE as u32,
        flags: 0,
    }
}
