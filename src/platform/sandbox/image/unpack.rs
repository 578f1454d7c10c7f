//! Layers, one over the other, in one folder (OCI image specification, "Image Layer Filesystem Changeset").
//!
//! A path is always resolved as a container would see it, so that no link of an earlier entry leads out of the folder.

use std::cell::Cell;
use std::collections::BTreeSet;
use std::ffi::{OsStr, OsString};
use std::fs::{self, File, OpenOptions, Permissions};
use std::io::{self, BufReader, Read, Seek};
use std::os::fd::OwnedFd;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt, PermissionsExt, lchown, symlink};
use std::path::{Component, Path, PathBuf};
use std::rc::Rc;

use flate2::read::MultiGzDecoder;
use nix::libc;
use nix::sys::stat::{Mode, futimens};
use nix::sys::time::TimeSpec;
use nix::unistd::mkfifo;
use tar::{Entry, EntryType};
use xattr::FileExt;

use super::archive::{Archive, Compression, too_large};
use super::choose::check;
use super::digest::Hashing;
use super::{Bounds, ImageError, Layer};
use crate::host::rooted::{Rooted, path_of, remove};

/// How names begin that take away what lower layers have.
const WHITEOUT: &str = ".wh.";
/// Takes everything away that lower layers have in the same folder.
const OPAQUE: &str = ".wh..wh..opq";
/// More than the headers of an entry take, long names and attributes included.
const LARGEST_HEADERS: u64 = 8 << 20;
/// As long as the kernel takes a path (path_resolution(7)), without the zero at its end.
const LONGEST_PATH: usize = 4095;
/// How the attributes begin by which GNU tar tells where a file has holes, in its newer formats.
const SPARSE: &[u8] = b"GNU.sparse.";
/// The rights that a program has when it is started, whoever starts it (capabilities(7)).
const CAPABILITIES: &str = "security.capability";

/// Unpacks all `layers` into `folder`.
pub fn layers<R: Read + Seek>(
    archive: &mut Archive<R>,
    layers: &[Layer],
    folder: &Path,
    is_root: bool,
    bounds: Bounds,
) -> Result<(), ImageError> {
    let failed = |source| ImageError::File { what: format!("{} cannot be filled", folder.display()), source };
    let root = Rooted::at(folder).map_err(failed)?;
    let mut unpacking = Unpacking { root, is_root, layer: 0, seen: BTreeSet::new(), left: bounds, bounds };
    for layer in layers {
        unpacking.layer += 1;
        unpacking.seen.clear();
        unpacking.layer(archive, layer)?;
    }
    Ok(())
}

struct Unpacking {
    root: Rooted,
    is_root: bool,
    /// Which layer, from 1.
    layer: usize,
    /// What this layer has, and the folders above it: whiteouts take only lower layers' away.
    seen: BTreeSet<PathBuf>,
    left: Bounds,
    bounds: Bounds,
}

/// Passes on what is read, up to an allowance that somebody else renews.
struct Metered<R> {
    inner: R,
    allowance: Rc<Cell<u64>>,
}

impl<R: Read> Read for Metered<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let allowed = self.allowance.get();
        if allowed == 0 && !buffer.is_empty() {
            return Err(io::Error::new(io::ErrorKind::FileTooLarge, "it is longer than may be"));
        }
        let most = usize::try_from(allowed).unwrap_or(usize::MAX).min(buffer.len());
        let length = self.inner.read(&mut buffer[..most])?;
        self.allowance.set(allowed - length as u64);
        Ok(length)
    }
}

impl Unpacking {
    fn layer<R: Read + Seek>(&mut self, archive: &mut Archive<R>, layer: &Layer) -> Result<(), ImageError> {
        let what = format!("layer {}", self.layer);
        let unreadable = |source| ImageError::File { what: format!("{what} cannot be read"), source };
        let compression = archive.compression(layer.place).map_err(unreadable)?;
        let blob = Hashing::new(BufReader::new(archive.content(layer.place).map_err(unreadable)?));
        let (found, rest) = match compression {
            Compression::Zstd => return Err(ImageError::Zstd(what)),
            Compression::None => self.content(Hashing::new(blob), &what)?,
            Compression::Gzip => {
                let (content, rest) = self.content(Hashing::new(MultiGzDecoder::new(blob)), &what)?;
                (content, rest.into_inner())
            }
        };
        check(&format!("the content of {what}"), layer.content, found)?;
        let (blob, _) = rest.finish().map_err(unreadable)?;
        layer.digest.map_or(Ok(()), |expected| check(&what, expected, blob))
    }

    /// Unpacks the entries; the result is the digest of all that was read.
    fn content<C: Read>(
        &mut self,
        content: Hashing<C>,
        what: &str,
    ) -> Result<(super::Digest, C), ImageError> {
        let unreadable = |source| ImageError::File { what: format!("{what} cannot be read"), source };
        let allowance = Rc::new(Cell::new(0));
        let metered = Metered { inner: content, allowance: Rc::clone(&allowance) };
        let mut layer = tar::Archive::new(metered);
        let mut entries = layer.entries().map_err(unreadable)?;
        loop {
            // Names of any length are kept in memory, and so must not be of any length.
            allowance.set(LARGEST_HEADERS);
            let Some(entry) = entries.next() else { break };
            let mut entry = entry.map_err(unreadable)?;
            self.count().map_err(unreadable)?;
            // What the header says is not what is there: a file may have holes.
            self.left.bytes = self.left.bytes.checked_sub(entry.size()).ok_or_else(|| {
                unreadable(io::Error::new(io::ErrorKind::FileTooLarge, too_large(self.bounds)))
            })?;
            allowance.set(u64::MAX);
            let path = entry.path_bytes().into_owned();
            self.entry(&mut entry, Path::new(OsStr::from_bytes(&path)))?;
            io::copy(&mut entry, &mut io::sink()).map_err(unreadable)?;
        }
        let mut rest = layer.into_inner();
        allowance.set(self.left.bytes.saturating_add(LARGEST_HEADERS));
        io::copy(&mut rest, &mut io::sink()).map_err(unreadable)?;
        rest.inner.finish().map_err(unreadable)
    }

    /// One more file, folder or link.
    fn count(&mut self) -> io::Result<()> {
        let left = self.left.entries.checked_sub(1);
        let too_many = || io::Error::other(format!("the image has more than {} files", self.bounds.entries));
        self.left.entries = left.ok_or_else(too_many)?;
        Ok(())
    }

    /// This layer has something at `path`. A folder above it that no entry has spoken of may have to be made, and counts.
    fn see(&mut self, path: &Path) -> io::Result<()> {
        self.keep(path)?;
        for folder in path.ancestors().skip(1).filter(|folder| !folder.as_os_str().is_empty()) {
            if !self.keep(folder)? {
                break;
            }
            self.count()?;
        }
        Ok(())
    }

    /// Keeps a path of this layer in memory, and says whether it was not there yet.
    fn keep(&mut self, path: &Path) -> io::Result<bool> {
        if self.seen.contains(path) {
            return Ok(false);
        }
        let left = self.left.paths.checked_sub(path.as_os_str().len() as u64);
        let too_long = || {
            io::Error::other(format!(
                "the paths in the image are longer than {} bytes together",
                self.bounds.paths
            ))
        };
        self.left.paths = left.ok_or_else(too_long)?;
        Ok(self.seen.insert(path.to_owned()))
    }

    fn entry(&mut self, entry: &mut Entry<'_, impl Read>, path: &Path) -> Result<(), ImageError> {
        let shown: String = path.to_string_lossy().chars().take(200).collect();
        let layer = self.layer;
        let refused = |why: String| ImageError::Entry { layer, path: shown.clone(), why };
        let plain = below(path).map_err(|why| refused(why.to_owned()))?;
        let done = match plain.file_name() {
            // The root itself.
            None => self.settle_folder(entry, &plain),
            Some(name) if name == OPAQUE => self.clear(plain.parent().unwrap_or(Path::new(""))),
            Some(name) => match name.as_bytes().strip_prefix(WHITEOUT.as_bytes()) {
                None => self.see(&plain).and_then(|()| self.make(entry, &plain)),
                // What aufs kept for itself.
                Some(hidden) if hidden.starts_with(WHITEOUT.as_bytes()) => Ok(()),
                Some(b"" | b"." | b"..") => return Err(refused("takes away no file".to_owned())),
                Some(hidden) => self.whiteout(&plain.with_file_name(OsStr::from_bytes(hidden))),
            },
        };
        done.map_err(|error| refused(format!("cannot be unpacked: {error}")))
    }

    /// Takes away what lower layers have at `path`.
    fn whiteout(&mut self, path: &Path) -> io::Result<()> {
        let (above, name) = (path.parent().unwrap_or(Path::new("")), path.file_name().unwrap_or_default());
        let Some(folder) = self.root.find_folder(above)? else {
            return Ok(());
        };
        if !self.seen.contains(path) {
            return remove(&folder, name);
        }
        // This layer has something there itself, in which lower layers have nothing any more.
        let is_folder = fs::symlink_metadata(path_of(&folder).join(name)).is_ok_and(|found| found.is_dir());
        if is_folder { self.clear(path) } else { Ok(()) }
    }

    /// Takes away what lower layers have below `path`.
    fn clear(&mut self, path: &Path) -> io::Result<()> {
        let Some(folder) = self.root.find_folder(path)? else {
            return Ok(());
        };
        for child in fs::read_dir(path_of(&folder))? {
            let child = child?;
            let path = path.join(child.file_name());
            if !self.seen.contains(&path) {
                remove(&folder, &child.file_name())?;
            } else if child.file_type()?.is_dir() {
                self.clear(&path)?;
            }
        }
        Ok(())
    }

    fn make(&mut self, entry: &mut Entry<'_, impl Read>, path: &Path) -> io::Result<()> {
        let kind = entry.header().entry_type();
        let (folder, name) = self.root.parent(path)?;
        let place = path_of(&folder).join(name);
        if kind == EntryType::Directory {
            if !fs::symlink_metadata(&place).is_ok_and(|found| found.is_dir()) {
                remove(&folder, name)?;
                fs::DirBuilder::new().mode(0o700).create(&place)?;
            }
            return self.settle_folder(entry, path);
        }
        match kind {
            EntryType::Regular | EntryType::Continuous | EntryType::GNUSparse => {
                remove(&folder, name)?;
                self.file(entry, &place)
            }
            EntryType::Symlink => {
                let target = link_of(entry)?;
                remove(&folder, name)?;
                symlink(target, &place)?;
                self.own(entry, &place)
            }
            EntryType::Link => {
                let target = PathBuf::from(link_of(entry)?);
                let target = below(&target).map_err(io::Error::other)?;
                if target == path {
                    return Ok(());
                }
                let (from, from_name) = self.root.parent(&target)?;
                let source = path_of(&from).join(from_name);
                if fs::symlink_metadata(&source)?.is_dir() {
                    return Err(io::Error::other("it is a second name of a folder"));
                }
                remove(&folder, name)?;
                fs::hard_link(source, &place)
            }
            EntryType::Fifo => {
                remove(&folder, name)?;
                mkfifo(&place, Mode::from_bits_truncate(0o600))?;
                self.own(entry, &place)?;
                fs::set_permissions(&place, Permissions::from_mode(mode_of(entry)?))
            }
            // Containers have the devices of the sandbox, and their roots none.
            EntryType::Char | EntryType::Block | EntryType::XGlobalHeader => Ok(()),
            other => Err(io::Error::other(format!("it is of an unknown kind, {:?}", other.as_byte()))),
        }
    }

    fn file(&self, entry: &mut Entry<'_, impl Read>, place: &Path) -> io::Result<()> {
        let capabilities = capabilities(entry)?;
        let mut file = OpenOptions::new()
            .write(true)
            .create_new(true)
            .mode(0o600)
            .custom_flags(libc::O_NOFOLLOW)
            .open(place)?;
        io::copy(entry, &mut file)?;
        self.own(entry, place)?;
        // Both are lost with a change of the owner.
        if let Some(capabilities) = capabilities.filter(|_| self.is_root) {
            file.set_xattr(CAPABILITIES, &capabilities)?;
        }
        file.set_permissions(Permissions::from_mode(mode_of(entry)?))?;
        set_time(entry, &file)
    }

    fn settle_folder(&mut self, entry: &Entry<'_, impl Read>, path: &Path) -> io::Result<()> {
        let folder: OwnedFd = self.root.folder(path)?;
        let place = path_of(&folder);
        let mode = mode_of(entry)?;
        if self.is_root {
            std::os::unix::fs::chown(&place, Some(uid(entry)?), Some(gid(entry)?))?;
        }
        // Otherwise nobody could fill it, or remove it in the end.
        let mode = if self.is_root { mode } else { mode | 0o700 };
        fs::set_permissions(place, Permissions::from_mode(mode))
    }

    fn own(&self, entry: &Entry<'_, impl Read>, place: &Path) -> io::Result<()> {
        if self.is_root { lchown(place, Some(uid(entry)?), Some(gid(entry)?)) } else { Ok(()) }
    }
}

/// The path below the root, without dots; or why it is none. One that begins with a slash begins at the image's own root.
fn below(path: &Path) -> Result<PathBuf, &'static str> {
    if path.as_os_str().len() > LONGEST_PATH {
        return Err("is longer than a path can be");
    }
    let mut plain = PathBuf::new();
    for part in path.components() {
        match part {
            Component::Normal(name) => plain.push(name),
            Component::CurDir | Component::RootDir | Component::Prefix(_) => {}
            Component::ParentDir => return Err("leads out of the image"),
        }
    }
    Ok(plain)
}

fn link_of(entry: &Entry<'_, impl Read>) -> io::Result<OsString> {
    let target = entry.link_name_bytes().ok_or_else(|| io::Error::other("it is a link to nothing"))?;
    Ok(OsStr::from_bytes(&target).to_owned())
}

fn mode_of(entry: &Entry<'_, impl Read>) -> io::Result<u32> {
    Ok(entry.header().mode()? & 0o7777)
}

fn uid(entry: &Entry<'_, impl Read>) -> io::Result<u32> {
    id(entry.header().uid()?)
}

fn gid(entry: &Entry<'_, impl Read>) -> io::Result<u32> {
    id(entry.header().gid()?)
}

fn id(id: u64) -> io::Result<u32> {
    // The kernel keeps the largest number for "no change" (chown(2)).
    u32::try_from(id)
        .ok()
        .filter(|id| *id != u32::MAX)
        .ok_or_else(|| io::Error::other(format!("it belongs to {id}, which is no user or group")))
}

/// What gives the program rights of its own. A file whose holes are told beside it is another one than it seems.
fn capabilities(entry: &mut Entry<'_, impl Read>) -> io::Result<Option<Vec<u8>>> {
    let key = format!("SCHILY.xattr.{CAPABILITIES}");
    let mut found = None;
    for extension in entry.pax_extensions()?.into_iter().flatten() {
        let extension = extension?;
        if extension.key_bytes().starts_with(SPARSE) {
            return Err(io::Error::other("it has holes that are written in a way that is not read"));
        }
        if extension.key_bytes() == key.as_bytes() {
            found = Some(extension.value_bytes().to_vec());
        }
    }
    Ok(found)
}

/// Programs compare the times of their files.
fn set_time(entry: &Entry<'_, impl Read>, file: &File) -> io::Result<()> {
    let seconds = i64::try_from(entry.header().mtime()?).unwrap_or(i64::MAX);
    let time = TimeSpec::new(seconds, 0);
    Ok(futimens(file, &time, &time)?)
}
