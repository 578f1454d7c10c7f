//! The JSON of an archive: what names its layers, and how its program is run.
//!
//! After the OCI's image specification (index, manifest and configuration) and the manifest.json of `docker save`.

use serde::Deserialize;
use serde::de::DeserializeOwned;

use super::digest::Digest;
use super::{Annotations, ImageError};

/// An item of manifest.json.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct Saved {
    /// The file with the configuration.
    pub config: String,
    /// The image's names.
    #[serde(default, deserialize_with = "or_default")]
    pub repo_tags: Vec<String>,
    /// The files with the layers, the lowest first.
    #[serde(default, deserialize_with = "or_default")]
    pub layers: Vec<String>,
}

/// An index, of an archive or of an image for several machines.
#[derive(Debug, Deserialize)]
pub struct Index {
    /// What it has.
    pub manifests: Vec<Descriptor>,
}

/// What names a blob.
#[derive(Debug, Clone, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Descriptor {
    /// What it is.
    #[serde(default)]
    pub media_type: String,
    /// Its digest.
    pub digest: Digest,
    /// For which machine it is.
    #[serde(default)]
    pub platform: Option<Platform>,
    /// What else is said about it.
    #[serde(default, deserialize_with = "or_default")]
    pub annotations: Annotations,
}

/// A kind of machine.
#[derive(Debug, Clone, Deserialize)]
pub struct Platform {
    /// As Go names it.
    pub architecture: String,
    /// The same.
    pub os: String,
}

/// A manifest.
#[derive(Debug, Deserialize)]
pub struct Manifest {
    /// The configuration.
    pub config: Descriptor,
    /// The layers, the lowest first.
    pub layers: Vec<Descriptor>,
}

/// A configuration.
#[derive(Debug, Deserialize)]
pub struct Config {
    /// For which machine it is, as Go names it.
    #[serde(default)]
    pub architecture: String,
    /// The same.
    #[serde(default)]
    pub os: String,
    /// How its program is run.
    #[serde(default, rename = "config")]
    pub run: Option<RunConfig>,
    /// What is in it.
    pub rootfs: RootFs,
}

/// What an image is made of.
#[derive(Debug, Deserialize)]
pub struct RootFs {
    /// The digests of its layers' contents, the lowest first.
    #[serde(default, deserialize_with = "or_default")]
    pub diff_ids: Vec<Digest>,
}

/// How the program of an image is run.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct RunConfig {
    /// `USER`: a name or a number, and a group behind a colon.
    #[serde(default, deserialize_with = "or_default")]
    pub user: String,
    /// `ENV`: `NAME=VALUE`.
    #[serde(default, deserialize_with = "or_default")]
    pub env: Vec<String>,
    /// `ENTRYPOINT`
    #[serde(default, deserialize_with = "or_default")]
    pub entrypoint: Vec<String>,
    /// `CMD`
    #[serde(default, deserialize_with = "or_default")]
    pub cmd: Vec<String>,
    /// `WORKDIR`
    #[serde(default, deserialize_with = "or_default")]
    pub working_dir: String,
    /// `STOPSIGNAL`
    #[serde(default, deserialize_with = "or_default")]
    pub stop_signal: String,
}

/// Builders write null for what is empty.
fn or_default<'de, D, T>(deserializer: D) -> Result<T, D::Error>
where
    D: serde::Deserializer<'de>,
    T: Deserialize<'de> + Default,
{
    Option::<T>::deserialize(deserializer).map(Option::unwrap_or_default)
}

/// Reads a part of the metadata, which is named `what`.
pub fn read<T: DeserializeOwned>(what: &str, bytes: &[u8]) -> Result<T, ImageError> {
    serde_json::from_slice(bytes)
        .map_err(|error| ImageError::Metadata { what: what.to_owned(), why: error.to_string() })
}

/// Reads the configuration.
pub fn config(bytes: &[u8]) -> Result<Config, ImageError> {
    let config: Config = read("its configuration", bytes)?;
    let texts = config.run.iter().flat_map(|run| run.env.iter().chain(&run.entrypoint).chain(&run.cmd));
    let has_zero = texts.into_iter().any(|text| text.contains('\0'));
    if has_zero {
        let why = "it has a zero byte in a text for the kernel".to_owned();
        return Err(ImageError::Metadata { what: "its configuration".to_owned(), why });
    }
    Ok(config)
}
