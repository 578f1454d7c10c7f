//! What a volume claim can be on this machine.

use std::path::Path;

use serde::{Deserialize, Serialize};

use crate::host::user_namespace::is_root_of_machine;

/// Where programs are that make and mount volumes, whatever the caller's `PATH`: that of an ordinary user, which `su`
/// keeps, lacks half of these.
pub const PROGRAMS: &str = "/usr/local/sbin:/usr/sbin:/sbin:/usr/local/bin:/usr/bin:/bin";
/// Makes filesystems.
pub const FORMAT: &str = "mkfs.ext4";

/// What a claim is, and why it is no more than that.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum ClaimKind {
    /// An ext4 filesystem on a loop device.
    Filesystem,
    /// A folder: only root can mount a filesystem.
    FolderOfUser,
    /// A folder: no program here makes filesystems.
    FolderWithoutFormat,
}

impl ClaimKind {
    /// What a new sandbox of this process has.
    pub fn here() -> Self {
        let has_format = PROGRAMS.split(':').any(|folder| Path::new(folder).join(FORMAT).is_file());
        match (is_root_of_machine(), has_format) {
            (false, _) => Self::FolderOfUser,
            (true, false) => Self::FolderWithoutFormat,
            (true, true) => Self::Filesystem,
        }
    }
}
