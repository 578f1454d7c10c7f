//! The archive itself: which files it has, and where.

use std::collections::BTreeMap;
use std::fs::{File, OpenOptions};
use std::io::{self, Read, Seek, SeekFrom};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Component, Path};

use flate2::read::MultiGzDecoder;
use nix::libc;
use tar::EntryType;

use super::{Bounds, ImageError};

/// More files than any archive of images has.
const MOST_FILES: usize = 100_000;
/// More than any part of its metadata takes.
const LARGEST_METADATA: u64 = 16 << 20;
/// As many links in a row as are followed.
const MOST_LINKS: usize = 8;

/// Where a file is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Place {
    at: u64,
    length: u64,
}

enum Found {
    File(Place),
    Link(String),
}

/// An archive whose files are known.
pub struct Archive<R> {
    reader: R,
    files: BTreeMap<String, Found>,
}

impl<R> std::fmt::Debug for Archive<R> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Archive").field("files", &self.files.len()).finish_non_exhaustive()
    }
}

/// The archive without the gzip around it, if it has one.
pub fn plain(mut file: File, bounds: Bounds) -> Result<File, ImageError> {
    let failed = |what: &str| {
        let what = what.to_owned();
        move |source| ImageError::File { what, source }
    };
    let kind = Compression::of(&mut file).map_err(failed("cannot be read"))?;
    match kind {
        Compression::None => Ok(file),
        Compression::Zstd => Err(ImageError::Zstd("it".to_owned())),
        Compression::Gzip => {
            // Without a name: it goes with its last descriptor.
            let folder = std::env::temp_dir();
            let mut plain = OpenOptions::new()
                .read(true)
                .write(true)
                .custom_flags(libc::O_TMPFILE)
                .open(&folder)
                .map_err(failed(&format!("cannot be unpacked in {}", folder.display())))?;
            let mut unpacked = MultiGzDecoder::new(file).take(bounds.bytes + 1);
            let length =
                io::copy(&mut unpacked, &mut plain).map_err(failed("cannot be uncompressed with gzip"))?;
            if length > bounds.bytes {
                let source = io::Error::new(io::ErrorKind::FileTooLarge, too_large(bounds));
                return Err(failed("cannot be uncompressed with gzip")(source));
            }
            plain.rewind().map_err(failed("cannot be read"))?;
            Ok(plain)
        }
    }
}

/// What is said of more than may be in an image.
pub fn too_large(bounds: Bounds) -> String {
    format!("it is more than the {} GiB that an image may have here", bounds.bytes >> 30)
}

/// How something is compressed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Compression {
    None,
    Gzip,
    Zstd,
}

impl Compression {
    /// By its first bytes; the reader is where it was then.
    pub fn of(reader: &mut (impl Read + Seek)) -> io::Result<Self> {
        let mut magic = Vec::new();
        let at = reader.stream_position()?;
        reader.by_ref().take(4).read_to_end(&mut magic)?;
        reader.seek(SeekFrom::Start(at))?;
        Ok(match magic.as_slice() {
            [0x1f, 0x8b, ..] => Self::Gzip,
            [0x28, 0xb5, 0x2f, 0xfd] => Self::Zstd,
            _ => Self::None,
        })
    }
}

impl<R: Read + Seek> Archive<R> {
    /// Looks through an archive that is not compressed.
    pub fn index(mut reader: R) -> Result<Self, ImageError> {
        let unreadable =
            |source| ImageError::File { what: "cannot be read as an archive".to_owned(), source };
        let mut files = BTreeMap::new();
        {
            let mut archive = tar::Archive::new(&mut reader);
            for entry in archive.entries_with_seek().map_err(unreadable)? {
                let entry = entry.map_err(unreadable)?;
                if files.len() >= MOST_FILES {
                    return Err(unreadable(io::Error::other(format!("it has more than {MOST_FILES} files"))));
                }
                let path = entry.path().map_err(unreadable)?.into_owned();
                let Some(name) = plain_name(&path, Path::new("")) else { continue };
                let found = match entry.header().entry_type() {
                    EntryType::Regular | EntryType::Continuous => {
                        Found::File(Place { at: entry.raw_file_position(), length: entry.size() })
                    }
                    // `docker save` wrote a layer that two images share once.
                    kind @ (EntryType::Symlink | EntryType::Link) => {
                        let target = entry.link_name().map_err(unreadable)?.unwrap_or_default();
                        let from = match kind {
                            EntryType::Symlink => path.parent().unwrap_or(Path::new("")),
                            _ => Path::new(""),
                        };
                        let Some(target) = plain_name(&target, from) else { continue };
                        Found::Link(target)
                    }
                    _ => continue,
                };
                files.insert(name, found);
            }
        }
        Ok(Self { reader, files })
    }

    /// Where the file `name` is.
    pub fn find(&self, name: &str) -> Option<Place> {
        let mut name = plain_name(Path::new(name), Path::new(""))?;
        for _ in 0..MOST_LINKS {
            match self.files.get(&name)? {
                Found::File(place) => return Some(*place),
                Found::Link(target) => name.clone_from(target),
            }
        }
        None
    }

    /// What a file of the metadata holds.
    pub fn metadata(&mut self, name: &str) -> Result<Option<Vec<u8>>, ImageError> {
        let Some(place) = self.find(name) else { return Ok(None) };
        if place.length > LARGEST_METADATA {
            let why = format!("it is longer than {} MiB", LARGEST_METADATA >> 20);
            return Err(ImageError::Metadata { what: name.to_owned(), why });
        }
        let mut bytes = Vec::new();
        self.content(place)
            .and_then(|mut content| content.read_to_end(&mut bytes))
            .map_err(|source| ImageError::File { what: format!("{name} cannot be read"), source })?;
        Ok(Some(bytes))
    }

    /// How a file is compressed.
    pub fn compression(&mut self, place: Place) -> io::Result<Compression> {
        self.reader.seek(SeekFrom::Start(place.at))?;
        Compression::of(&mut self.reader)
    }

    /// What a file holds.
    pub fn content(&mut self, place: Place) -> io::Result<io::Take<&mut R>> {
        self.reader.seek(SeekFrom::Start(place.at))?;
        Ok(self.reader.by_ref().take(place.length))
    }
}

/// `path` as seen from `from`, without dots; `None` where it leads out of the archive.
fn plain_name(path: &Path, from: &Path) -> Option<String> {
    let mut parts: Vec<&str> = Vec::new();
    for part in from.components().chain(path.components()) {
        match part {
            Component::Normal(name) => parts.push(name.to_str()?),
            Component::CurDir => {}
            Component::ParentDir => {
                parts.pop()?;
            }
            Component::RootDir | Component::Prefix(_) => return None,
        }
    }
    Some(parts.join("/"))
}
