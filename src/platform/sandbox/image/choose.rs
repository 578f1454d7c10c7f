//! Which image of an archive is meant, and where its parts are.

use std::io::{Read, Seek};

use super::archive::{Archive, Place};
use super::digest::Digest;
use super::metadata::{self, Config, Descriptor, Index, Manifest, Platform, Saved};
use super::{ImageError, full_name};

/// An index may stand in an index, and that in one.
const MOST_INDEXES: usize = 4;

/// The parts of an image.
pub struct Chosen {
    /// Its configuration.
    pub config: Vec<u8>,
    /// Its layers, with the digests of their blobs where they are known.
    pub layers: Vec<(Place, Option<Digest>)>,
}

/// Finds the image `wanted`, or the only one.
pub fn image<R: Read + Seek>(archive: &mut Archive<R>, wanted: &str) -> Result<Chosen, ImageError> {
    if let Some(bytes) = archive.metadata("index.json")? {
        return of_layout(archive, &bytes, wanted);
    }
    match archive.metadata("manifest.json")? {
        Some(bytes) => of_docker(archive, &bytes, wanted),
        None => Err(ImageError::NoImage),
    }
}

/// After `docker save`.
fn of_docker<R: Read + Seek>(
    archive: &mut Archive<R>,
    bytes: &[u8],
    wanted: &str,
) -> Result<Chosen, ImageError> {
    let all: Vec<Saved> = metadata::read("manifest.json", bytes)?;
    let named = |saved: &Saved| saved.repo_tags.iter().any(|tag| full_name(tag) == full_name(wanted));
    let saved = match all.as_slice() {
        [only] => only,
        several => several.iter().find(|saved| named(saved)).ok_or_else(|| ImageError::Ambiguous {
            wanted: wanted.to_owned(),
            names: several.iter().flat_map(|saved| saved.repo_tags.iter().cloned()).collect(),
        })?,
    };
    let config = archive.metadata(&saved.config)?.ok_or_else(|| missing(&saved.config))?;
    if let Some(expected) = named_digest(&saved.config) {
        check("its configuration", expected, Digest::of(&config))?;
    }
    let place = |name: &String| {
        let place = archive.find(name).ok_or_else(|| missing(name))?;
        Ok((place, name.starts_with("blobs/sha256/").then(|| named_digest(name)).flatten()))
    };
    Ok(Chosen { config, layers: saved.layers.iter().map(place).collect::<Result<_, ImageError>>()? })
}

/// After the OCI's layout.
fn of_layout<R: Read + Seek>(
    archive: &mut Archive<R>,
    bytes: &[u8],
    wanted: &str,
) -> Result<Chosen, ImageError> {
    let mut index: Index = metadata::read("index.json", bytes)?;
    for _ in 0..MOST_INDEXES {
        let chosen = of_index(&index, wanted)?.clone();
        let bytes = blob(archive, chosen.digest)?;
        if chosen.media_type.contains("index") || chosen.media_type.contains("manifest.list") {
            index = metadata::read("an index", &bytes)?;
            continue;
        }
        let manifest: Manifest = metadata::read("the manifest", &bytes)?;
        let config = blob(archive, manifest.config.digest)?;
        let place = |layer: &Descriptor| {
            let name = blob_name(layer.digest);
            let place = archive.find(&name).ok_or_else(|| missing(&name))?;
            Ok((place, Some(layer.digest)))
        };
        let layers = manifest.layers.iter().map(place).collect::<Result<_, ImageError>>()?;
        return Ok(Chosen { config, layers });
    }
    let why = format!("it leads through more than {MOST_INDEXES} others");
    Err(ImageError::Metadata { what: "index.json".to_owned(), why })
}

fn of_index<'i>(index: &'i Index, wanted: &str) -> Result<&'i Descriptor, ImageError> {
    // What builders say about an image stands beside it, for a machine that there is not.
    let is_image = |descriptor: &&Descriptor| {
        descriptor.platform.as_ref().is_none_or(|platform| platform.os != "unknown")
    };
    let images: Vec<&Descriptor> = index.manifests.iter().filter(is_image).collect();
    if let [only] = images.as_slice() {
        return Ok(*only);
    }
    let is_for_here = |descriptor: &&Descriptor| {
        descriptor.platform.as_ref().is_some_and(|platform| is_here(&platform.os, &platform.architecture))
    };
    let full = full_name(wanted);
    let those = |is_meant: &dyn Fn(&Descriptor) -> bool| -> Vec<&'i Descriptor> {
        images.iter().copied().filter(|descriptor| is_meant(descriptor)).collect()
    };
    let named = those(&|image| names(image).any(|name| full_name(name) == full));
    if let Some(found) = named.iter().copied().find(is_for_here).or(named.first().copied()) {
        return Ok(found);
    }
    // Other images may have the same tag.
    let tag = full.rsplit_once(':').map(|(_, tag)| tag);
    let tagged = those(&|image| name_of(image, FULL).is_none() && name_of(image, OWN) == tag);
    if let [only] = tagged.as_slice() {
        return Ok(*only);
    }
    let nameless = those(&|image| names(image).next().is_none());
    if let Some(found) = nameless.into_iter().find(is_for_here) {
        return Ok(found);
    }
    let told = images.iter().map(|descriptor| {
        let platform = descriptor.platform.as_ref().map(Platform::to_string);
        names(descriptor)
            .next()
            .map(str::to_owned)
            .or(platform)
            .unwrap_or_else(|| descriptor.digest.to_string())
    });
    Err(ImageError::Ambiguous { wanted: wanted.to_owned(), names: told.collect() })
}

/// Where a descriptor has its whole name.
const FULL: &str = "io.containerd.image.name";
/// Where it has a name, which may be no more than a tag.
const OWN: &str = "org.opencontainers.image.ref.name";

/// The names that tools give to a descriptor.
fn names(descriptor: &Descriptor) -> impl Iterator<Item = &str> {
    [FULL, OWN].into_iter().filter_map(|key| name_of(descriptor, key))
}

fn name_of<'d>(descriptor: &'d Descriptor, key: &str) -> Option<&'d str> {
    descriptor.annotations.get(key).map(String::as_str)
}

fn blob_name(digest: Digest) -> String {
    format!("blobs/sha256/{}", digest.hex())
}

fn blob<R: Read + Seek>(archive: &mut Archive<R>, digest: Digest) -> Result<Vec<u8>, ImageError> {
    let name = blob_name(digest);
    let bytes = archive.metadata(&name)?.ok_or_else(|| missing(&name))?;
    check(&name, digest, Digest::of(&bytes))?;
    Ok(bytes)
}

/// The digest that a file is named after.
fn named_digest(name: &str) -> Option<Digest> {
    let name = name.rsplit('/').next().unwrap_or(name);
    Digest::from_hex(name.strip_suffix(".json").unwrap_or(name))
}

fn missing(name: &str) -> ImageError {
    ImageError::Missing(name.chars().take(200).collect())
}

/// Whether a blob is what its digest says.
pub fn check(what: &str, expected: Digest, found: Digest) -> Result<(), ImageError> {
    if expected == found {
        return Ok(());
    }
    Err(ImageError::Damaged { what: what.to_owned(), expected, found })
}

impl std::fmt::Display for Platform {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}/{}", self.os, self.architecture)
    }
}

/// What this machine is, as Go names it.
fn architecture() -> &'static str {
    match std::env::consts::ARCH {
        "x86_64" => "amd64",
        "aarch64" => "arm64",
        "x86" => "386",
        other => other,
    }
}

fn is_here(os: &str, arch: &str) -> bool {
    os == "linux" && arch == architecture()
}

/// Refuses an image for another machine; one that does not say for which it is may fit.
pub fn fits_this_machine(config: &Config) -> Result<(), ImageError> {
    let (os, arch) = (config.os.as_str(), config.architecture.as_str());
    if is_here(if os.is_empty() { "linux" } else { os }, if arch.is_empty() { architecture() } else { arch })
    {
        return Ok(());
    }
    let found = Platform { os: os.to_owned(), architecture: arch.to_owned() }.to_string();
    Err(ImageError::Platform { found, here: format!("linux/{}", architecture()) })
}
