//! Why there is no sandbox, for a person.

use std::io;
use std::path::PathBuf;

use super::image::ImageError;

/// A sandbox that could not be made, found or left.
#[derive(Debug, thiserror::Error)]
pub enum SandboxError {
    /// A name that cannot be a folder and a host name.
    #[error(
        "`{0}` cannot be a sandbox's name: use at most 40 lower-case letters, digits and `-`, starting with a letter"
    )]
    Name(String),
    /// There is no folder to keep state in.
    #[error("no place for state: set SEATRIAL_STATE to a folder, or HOME")]
    NoStateRoot,
    /// A sandbox with this name is there already.
    #[error(
        "a sandbox named `{0}` is running already: `seatrial sandbox down {0}` ends it, or choose another name"
    )]
    Exists(String),
    /// A kept sandbox died and left its volumes and logs.
    #[error(
        "a sandbox named `{0}` was kept and is dead: `seatrial sandbox down {0}` removes its volumes and logs, or \
         choose another name"
    )]
    Dead(String),
    /// No sandbox has this name.
    #[error("no sandbox named `{0}` is running; `seatrial sandbox ls` lists those that are")]
    Absent(String),
    /// Something in the state folder could not be read or written.
    #[error("cannot use {path}: {source}")]
    State {
        /// The file or folder.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// The manifest needs another user or group and we may not become one.
    #[error(
        "container `{container}` asks for {field}: {id}, which needs root: an ordinary user can be nobody else; run \
         with sudo, or remove {field}"
    )]
    RunAs {
        /// The container.
        container: String,
        /// `runAsUser` or `runAsGroup`.
        field: &'static str,
        /// What it asks for.
        id: u32,
    },
    /// An image says another user and we may not become one.
    #[error(
        "container `{container}` runs as the user `{user}` of its image, which needs root: an ordinary user can be nobody \
         else; run with sudo"
    )]
    ImageUser {
        /// The container.
        container: String,
        /// The user.
        user: String,
    },
    /// An image could not be unpacked.
    #[error("cannot unpack image {name}: {file} {source}")]
    Image {
        /// As the manifest names it.
        name: String,
        /// The archive.
        file: PathBuf,
        /// Why.
        source: Box<ImageError>,
    },
    /// The sandbox's first process could not be started, or ended before it was ready.
    #[error("the sandbox did not start: {0}")]
    Start(String),
    /// The program could not be started at all.
    #[error("cannot start {program}: {source}")]
    Program {
        /// The program.
        program: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// Its namespaces could not be entered.
    #[error("cannot enter the sandbox `{name}`: {source}")]
    Enter {
        /// The sandbox.
        name: String,
        /// Why.
        source: io::Error,
    },
    /// It did not go away.
    #[error("the sandbox `{name}` could not be removed: {source}")]
    Down {
        /// The sandbox.
        name: String,
        /// Why.
        source: io::Error,
    },
}
