//! To whom a pod's volumes belong.

use std::fs::{self, Permissions};
use std::io;
use std::os::unix::fs::{MetadataExt, PermissionsExt, lchown};
use std::path::Path;

/// What the group gets on files, and what on folders besides: they can be entered, and what is made in them is its own.
const ON_FILES: u32 = 0o660;
const ON_FOLDERS: u32 = 0o2770;

/// The group that a pod's volumes belong to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Group {
    /// Its number.
    pub id: u32,
    /// Whether a volume whose root is the group's already is taken as it is (`OnRootMismatch`).
    pub trusts_root: bool,
}

/// Any user may write to a new volume, as with the provisioners of local clusters. With a group everything in it becomes that
/// group's, whenever it is mounted, as a kubelet sees to it.
pub fn open(path: &Path, is_new: bool, group: Option<Group>) -> io::Result<()> {
    let Some(group) = group else {
        return if is_new { fs::set_permissions(path, Permissions::from_mode(0o777)) } else { Ok(()) };
    };
    let found = fs::metadata(path)?;
    if group.trusts_root && found.gid() == group.id && found.mode() & ON_FOLDERS == ON_FOLDERS {
        return Ok(());
    }
    give(path, group.id)
}

fn give(path: &Path, group: u32) -> io::Result<()> {
    let found = fs::symlink_metadata(path)?;
    lchown(path, None, Some(group))?;
    if found.is_symlink() {
        return Ok(());
    }
    if found.is_dir() {
        for child in fs::read_dir(path)? {
            give(&child?.path(), group)?;
        }
    }
    let more = if found.is_dir() { ON_FOLDERS } else { ON_FILES };
    fs::set_permissions(path, Permissions::from_mode(found.mode() & 0o7777 | more))
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::unix::fs::{MetadataExt, PermissionsExt, symlink};

    use nix::unistd::geteuid;

    use super::{Group, open};

    #[test]
    fn everything_becomes_the_groups_unless_the_root_is_and_may_be_trusted() {
        if !geteuid().is_root() {
            return;
        }
        let folder = tempfile::tempdir().expect("a temporary folder can be made");
        let volume = folder.path().join("volume");
        fs::create_dir_all(volume.join("below")).expect("writable");
        let file = volume.join("below/file");
        fs::write(&file, "x").expect("writable");
        fs::set_permissions(&file, fs::Permissions::from_mode(0o600)).expect("writable");
        fs::write(folder.path().join("outside"), "x").expect("writable");
        symlink("../outside", volume.join("link")).expect("writable");
        open(&volume, false, Some(Group { id: 4242, trusts_root: true })).expect("root may");
        let of = |path: &std::path::Path| {
            fs::metadata(path).map(|at| (at.gid(), at.mode() & 0o7777)).expect("there")
        };
        assert_eq!((of(&file), of(&volume.join("below"))), ((4242, 0o660), (4242, 0o2775)));
        assert_ne!(of(&folder.path().join("outside")).0, 4242);
        std::os::unix::fs::chown(&file, None, Some(7)).expect("root may");
        open(&volume, false, Some(Group { id: 4242, trusts_root: true })).expect("root may");
        assert_eq!(of(&file).0, 7, "the root is the group's");
        open(&volume, false, Some(Group { id: 4242, trusts_root: false })).expect("root may");
        assert_eq!(of(&file).0, 4242);
    }
}
