//! Images from archives, as `docker save` and `skopeo copy` to `docker-archive:` or `oci-archive:` make them.
//!
//! Guarantees: every blob that has a digest is held against it, every layer also against the one of its content; nothing
//! that an archive says leads out of the folder that it is unpacked into; how much is unpacked, and how much of an archive
//! is read at once, is bounded. What cannot be unpacked as it is meant is refused, but devices, which no container sees, and
//! extended attributes other than capabilities, which are left out.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{self, Read, Seek};
use std::path::{Path, PathBuf};

mod archive;
mod choose;
mod digest;
mod metadata;
mod unpack;

#[cfg(test)]
mod tests;

use archive::{Archive, Place};
pub use digest::Digest;
pub use metadata::RunConfig;

/// Why an image cannot be used, for a person.
#[derive(Debug, thiserror::Error)]
pub enum ImageError {
    /// A file cannot be read or written.
    #[error("{what}: {source}")]
    File {
        /// What was done.
        what: String,
        /// Why it failed.
        source: io::Error,
    },
    /// It is no archive of an image.
    #[error(
        "is no archive of an image: it has neither index.json nor manifest.json; make one with `docker save` or `skopeo copy … docker-archive:FILE`"
    )]
    NoImage,
    /// It is compressed in a way that is not read.
    #[error(
        "{0} is compressed with zstd, which is not read: save the image with gzip or without compression"
    )]
    Zstd(String),
    /// It names a file that it does not have.
    #[error("has no {0}, which its metadata names")]
    Missing(String),
    /// A part of its metadata is not what it must be.
    #[error("{what} cannot be read: {why}")]
    Metadata {
        /// The part.
        what: String,
        /// What is wrong with it.
        why: String,
    },
    /// A blob is not what its digest says.
    #[error("{what} is damaged: its digest is {found}, and must be {expected}")]
    Damaged {
        /// The blob.
        what: String,
        /// What the metadata says.
        expected: Digest,
        /// What it is.
        found: Digest,
    },
    /// It is for another machine.
    #[error("is for {found}, and this machine is {here}")]
    Platform {
        /// What it is for.
        found: String,
        /// What this is.
        here: String,
    },
    /// It has several images, and none of them has the wanted name.
    #[error("has the images {} and none named {wanted}", .names.join(", "))]
    Ambiguous {
        /// What was looked for.
        wanted: String,
        /// What there is.
        names: Vec<String>,
    },
    /// Something in a layer must not or cannot be unpacked.
    #[error("layer {layer} has {path:?}, which {why}")]
    Entry {
        /// The layer, from 1.
        layer: usize,
        /// What it is about, as the layer names it.
        path: String,
        /// What is wrong with it.
        why: String,
    },
    /// It changed between two looks.
    #[error("is another image than a moment ago")]
    Changed,
}

/// How much may be in an image.
#[derive(Debug, Clone, Copy)]
pub struct Bounds {
    /// Bytes of all its layers, unpacked, and of an archive that is compressed as a whole.
    pub bytes: u64,
    /// Files, folders and links of all its layers.
    pub entries: u64,
    /// Bytes of the paths of all of these, counted once in a layer: those of a layer are held in memory while it is
    /// unpacked, and many long ones are small in an archive.
    pub paths: u64,
}

impl Default for Bounds {
    fn default() -> Self {
        Self { bytes: 32 << 30, entries: 4_000_000, paths: 1 << 30 }
    }
}

/// An image in an archive, of which the metadata has been read and nothing else.
#[derive(Debug)]
pub struct Image<R> {
    archive: Archive<R>,
    /// Of its configuration, which has the digests of all layers: two images with the same one are the same.
    pub id: Digest,
    /// How its program is run.
    pub config: RunConfig,
    layers: Vec<Layer>,
}

/// A layer of an image.
#[derive(Debug)]
struct Layer {
    place: Place,
    /// Of the blob, where the archive names it by that.
    digest: Option<Digest>,
    /// Of what is in it, uncompressed.
    content: Digest,
}

/// Opens the image `wanted` in the archive `file`, which may have only one.
pub fn open(file: &Path, wanted: &str, bounds: Bounds) -> Result<Image<File>, ImageError> {
    let opened = File::open(file)
        .map_err(|source| ImageError::File { what: "cannot be opened".to_owned(), source })?;
    Image::read(archive::plain(opened, bounds)?, wanted)
}

impl<R: Read + Seek> Image<R> {
    /// Reads the metadata of the image `wanted` in an archive that is not compressed as a whole.
    pub fn read(archive: R, wanted: &str) -> Result<Self, ImageError> {
        let mut archive = Archive::index(archive)?;
        let chosen = choose::image(&mut archive, wanted)?;
        let described = metadata::config(&chosen.config)?;
        choose::fits_this_machine(&described)?;
        let contents = described.rootfs.diff_ids;
        if contents.len() != chosen.layers.len() {
            return Err(ImageError::Metadata {
                what: "its configuration".to_owned(),
                why: format!("it speaks of {} layers, and there are {}", contents.len(), chosen.layers.len()),
            });
        }
        let layers = chosen.layers.into_iter().zip(contents);
        let layers = layers.map(|((place, digest), content)| Layer { place, digest, content }).collect();
        let id = Digest::of(&chosen.config);
        Ok(Self { archive, id, config: described.run.unwrap_or_default(), layers })
    }

    /// Unpacks all layers into `folder`, which must be empty. As an ordinary user everything belongs to that user.
    pub fn unpack(&mut self, folder: &Path, is_root: bool, bounds: Bounds) -> Result<(), ImageError> {
        unpack::layers(&mut self.archive, &self.layers, folder, is_root, bounds)
    }
}

/// An image of the command line.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Given {
    /// As manifests name it.
    pub name: String,
    /// The archive.
    pub file: PathBuf,
    /// Which image that is.
    pub id: Digest,
    /// How its program is run.
    pub config: RunConfig,
}

impl Given {
    /// Looks into the archive `file` of the image `name`.
    pub fn read(name: &str, file: &Path) -> Result<Self, ImageError> {
        let image = open(file, name, Bounds::default())?;
        Ok(Self { name: name.to_owned(), file: file.to_owned(), id: image.id, config: image.config })
    }
}

/// `name` as registries know it: with its registry, its library and its tag, where those are left out.
pub fn full_name(name: &str) -> String {
    let (path, digest) = name.split_once('@').map_or((name, None), |(path, digest)| (path, Some(digest)));
    // A colon before a slash belongs to a registry's port.
    let (repository, tag) = match path.rsplit_once(':') {
        Some((repository, tag)) if !tag.contains('/') => (repository, Some(tag)),
        Some(_) | None => (path, None),
    };
    let repository = match repository.split_once('/') {
        None => format!("docker.io/library/{repository}"),
        Some((first, _)) if first.contains(['.', ':']) || first == "localhost" => repository.to_owned(),
        Some(_) => format!("docker.io/{repository}"),
    };
    match (digest, tag) {
        (Some(digest), _) => format!("{repository}@{digest}"),
        (None, tag) => format!("{repository}:{}", tag.unwrap_or("latest")),
    }
}

/// The names and labels of a descriptor.
type Annotations = BTreeMap<String, String>;
