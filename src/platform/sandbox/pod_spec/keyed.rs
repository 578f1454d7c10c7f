//! Secrets and ConfigMaps, and volumes that show them.

use std::fmt;
use std::path::PathBuf;

use secrecy::{ExposeSecret, SecretSlice};
use serde::{Deserialize, Serialize};

use super::FieldPath;

/// A Secret or a ConfigMap.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Keyed {
    /// `metadata.name`.
    pub name: String,
    /// `data`, `stringData` and `binaryData`.
    pub keys: Vec<Key>,
}

/// Which of the two.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum KeyedKind {
    /// A Secret.
    Secret,
    /// A ConfigMap.
    ConfigMap,
}

impl fmt::Display for KeyedKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Secret => "Secret",
            Self::ConfigMap => "ConfigMap",
        })
    }
}

/// A key of one of them.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct KeyRef {
    /// What it is a key of.
    pub kind: KeyedKind,
    /// The name of that.
    pub object: String,
    /// The key.
    pub key: String,
}

impl fmt::Display for KeyRef {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} of {} {}", self.key, self.kind, self.object)
    }
}

/// A key with its content, which is never written along with the rest: the sandbox keeps it in files of its own.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Key {
    /// The key.
    pub name: String,
    /// Whether it is of `binaryData`, which no variable has; not told by sandboxes of earlier versions.
    #[serde(default)]
    pub is_binary: bool,
    /// What it holds; nothing once it has been written and read.
    #[serde(skip, default = "nothing")]
    pub content: SecretSlice<u8>,
}

fn nothing() -> SecretSlice<u8> {
    Vec::new().into()
}

impl PartialEq for Key {
    fn eq(&self, other: &Self) -> bool {
        self.name == other.name && self.content.expose_secret() == other.content.expose_secret()
    }
}

impl Eq for Key {}

/// A `secret`, `configMap`, `downwardAPI` or `projected` volume: files that are made for the pod.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ShownVolume {
    /// Its name.
    pub name: String,
    /// What is in it.
    pub files: Vec<ShownFile>,
}

/// A file of such a volume.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ShownFile {
    /// Where in the volume.
    pub path: PathBuf,
    /// Its permissions.
    pub mode: u32,
    /// What it holds.
    pub content: Shown,
}

/// What a file of such a volume holds.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Shown {
    /// What a key holds.
    Key(KeyRef),
    /// A field of the pod.
    Field(FieldPath),
    /// A text: a limit or a request of a container.
    Text(String),
}

#[cfg(test)]
mod tests {
    use super::Key;

    #[test]
    fn key_that_an_earlier_version_kept_is_read() {
        // A kept sandbox whose setup cannot be read is taken for one that nobody wants, and removed with its volumes.
        let key: Key = serde_json::from_str(r#"{"name":"app.conf"}"#).expect("all that there was");
        assert_eq!((key.name.as_str(), key.is_binary), ("app.conf", false));
    }
}
