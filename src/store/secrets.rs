//! Secrets as files: a folder for each Secret, a file for each of its keys, as a kubelet mounts them.
//!
//! What is read here is never shown: errors name Secrets and keys, and types that hold content hide it.

use std::collections::BTreeSet;
use std::io;
use std::path::PathBuf;

use secrecy::{ExposeSecret, SecretSlice, SecretString};

use crate::experiment::{SecretName, ServerName};

/// More than any key of a Secret can hold (1 MiB), so that a wrong file does not fill the memory.
const LARGEST: u64 = 2 << 20;

/// Where the Secrets of a run are.
#[derive(Debug, Clone)]
pub struct Secrets {
    folder: Option<PathBuf>,
}

/// Why a store cannot be asked with what a Secret holds. Never says what it holds.
#[derive(Debug, thiserror::Error)]
pub enum SecretError {
    /// There is none of this name.
    #[error("there is no Secret `{0}`")]
    Absent(SecretName),
    /// It lacks a key.
    #[error("Secret `{secret}` has no key `{key}`: {}", has(.found))]
    NoKey {
        /// The Secret.
        secret: SecretName,
        /// The key.
        key: &'static str,
        /// The keys that it has.
        found: BTreeSet<String>,
    },
    /// It has one of two keys that belong together.
    #[error(
        "Secret `{secret}` has `{has}` and no `{lacks}`: a client certificate needs both, and its store may need none"
    )]
    Half {
        /// The Secret.
        secret: SecretName,
        /// The key that is there.
        has: &'static str,
        /// The key that is not.
        lacks: &'static str,
    },
    /// A key holds something else.
    #[error("`{key}` of Secret `{secret}` {why}")]
    Content {
        /// The Secret.
        secret: SecretName,
        /// The key.
        key: &'static str,
        /// What it is not.
        why: String,
    },
    /// A file cannot be read.
    #[error("`{key}` of Secret `{secret}` cannot be read")]
    Unreadable {
        /// The Secret.
        secret: SecretName,
        /// The key.
        key: &'static str,
        /// Why not.
        source: io::Error,
    },
    /// `serverName` is none.
    #[error("`{}` cannot be the name in a certificate: write a DNS name or an address as tls.serverName", .0.as_str())]
    ServerName(ServerName),
}

fn has(found: &BTreeSet<String>) -> String {
    if found.is_empty() {
        return "it is empty".into();
    }
    let found: Vec<_> = found.iter().map(|key| format!("`{key}`")).collect();
    format!("it has {}", found.join(", "))
}

impl Secrets {
    /// Below this folder.
    pub fn at(folder: impl Into<PathBuf>) -> Self {
        Self { folder: Some(folder.into()) }
    }

    /// There are none.
    pub fn none() -> Self {
        Self { folder: None }
    }

    /// Where a Secret is.
    fn folder(&self, secret: &SecretName) -> Option<PathBuf> {
        self.folder.as_ref().map(|folder| folder.join(secret.as_str())).filter(|folder| folder.is_dir())
    }

    /// The content of a key, if the Secret has it.
    pub(super) fn find(
        &self,
        secret: &SecretName,
        key: &'static str,
    ) -> Result<Option<SecretSlice<u8>>, SecretError> {
        use std::io::Read;
        let folder = self.folder(secret).ok_or_else(|| SecretError::Absent(secret.clone()))?;
        let read = std::fs::File::open(folder.join(key)).and_then(|file| {
            let mut content = Vec::new();
            file.take(LARGEST).read_to_end(&mut content)?;
            Ok(content)
        });
        match read {
            Ok(content) => Ok(Some(content.into())),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(source) => Err(SecretError::Unreadable { secret: secret.clone(), key, source }),
        }
    }

    /// The content of a key that must be there.
    pub(super) fn get(&self, secret: &SecretName, key: &'static str) -> Result<SecretSlice<u8>, SecretError> {
        self.find(secret, key)?.ok_or_else(|| SecretError::NoKey {
            secret: secret.clone(),
            key,
            found: self.keys(secret),
        })
    }

    /// The same as text. A line end behind it is not part of it: `echo` and editors leave one, and no store takes it.
    pub(super) fn text(&self, secret: &SecretName, key: &'static str) -> Result<SecretString, SecretError> {
        let content = self.get(secret, key)?;
        let wrong = |why: &str| SecretError::Content { secret: secret.clone(), key, why: why.into() };
        let text = std::str::from_utf8(content.expose_secret()).map_err(|_| wrong("is not UTF-8 text"))?;
        let text = text.strip_suffix('\n').map_or(text, |line| line.strip_suffix('\r').unwrap_or(line));
        if text.is_empty() {
            return Err(wrong("is empty"));
        }
        Ok(SecretString::from(text))
    }

    fn keys(&self, secret: &SecretName) -> BTreeSet<String> {
        let folder = self.folder(secret);
        let entries =
            folder.and_then(|folder| std::fs::read_dir(folder).ok()).into_iter().flatten().flatten();
        let names = entries.map(|entry| entry.file_name().to_string_lossy().into_owned());
        // What a kubelet keeps its versions in begins with two dots.
        names.filter(|name| !name.starts_with("..")).collect()
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    fn name(text: &str) -> SecretName {
        text.to_owned().try_into().expect("a name")
    }

    fn secrets(files: &[(&str, &[u8])]) -> (tempfile::TempDir, Secrets) {
        let folder = tempfile::tempdir().expect("a folder");
        fs::create_dir(folder.path().join("root")).expect("a folder");
        for (key, content) in files {
            fs::write(folder.path().join("root").join(key), content).expect("a file");
        }
        let secrets = Secrets::at(folder.path());
        (folder, secrets)
    }

    #[test]
    fn what_is_missing_is_told_with_what_is_there() {
        let (_folder, secrets) = secrets(&[("user", b"root"), ("..data", b"")]);
        let told = secrets.get(&name("root"), "username").expect_err("no such key").to_string();
        assert_eq!(told, "Secret `root` has no key `username`: it has `user`");
        let told = secrets.get(&name("rot"), "username").expect_err("no such Secret").to_string();
        assert_eq!(told, "there is no Secret `rot`");
    }

    #[test]
    fn content_is_never_told() {
        let (_folder, secrets) =
            secrets(&[("password", b"hunter2\n"), ("broken", b"hunter2\xff"), ("empty", b"\n")]);
        let password = secrets.text(&name("root"), "password").expect("text");
        assert_eq!(password.expose_secret(), "hunter2");
        let shown = format!("{password:?} {:?}", secrets.get(&name("root"), "password"));
        assert!(!shown.contains("hunter2"), "{shown}");
        for key in ["broken", "empty"] {
            let told = secrets.text(&name("root"), key).expect_err(key);
            assert!(!format!("{told} {told:?}").contains("hunter2"), "{told:?}");
        }
    }
}
