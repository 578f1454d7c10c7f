//! Showing something of init's mount namespace in a container.
//!
//! Both ends are looked up so that no link leads astray: the places as the container would see them, and parts of volumes as
//! parts of these, because containers write there. What was found is held until it is bound.

use std::fs::{self, OpenOptions};
use std::io;
use std::os::fd::OwnedFd;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use nix::libc;

use super::Bind;
use crate::host::mount::{self, Access};
use crate::host::rooted::{Rooted, path_of};

impl Bind {
    /// A handle on what is shown.
    pub(super) fn open(&self) -> io::Result<OwnedFd> {
        if let Some(path) = &self.sub_path {
            return Rooted::at(&self.source)?.beneath(path);
        }
        let opened = OpenOptions::new().read(true).custom_flags(libc::O_PATH).open(&self.source)?;
        Ok(opened.into())
    }
}

/// Whether a folder is shown, and no file.
pub fn is_folder(source: &OwnedFd) -> io::Result<bool> {
    Ok(fs::metadata(path_of(source))?.is_dir())
}

/// Shows all of `binds` below `root`, in places that are made where they are missing.
pub fn all(root: &Rooted, binds: &[Bind]) -> io::Result<()> {
    for bind in binds {
        one(root, bind).map_err(|error| {
            let (source, target) = (bind.source.display(), bind.target.display());
            io::Error::new(error.kind(), format!("cannot show {source} at {target}: {error}"))
        })?;
    }
    Ok(())
}

fn one(root: &Rooted, bind: &Bind) -> io::Result<()> {
    let source = bind.open()?;
    let place = if is_folder(&source)? { root.folder(&bind.target)? } else { file(root, &bind.target)? };
    mount::bind(&path_of(&source), &path_of(&place), Access::ReadWrite)?;
    if bind.read_only {
        // The handle is on what is below the mount.
        mount::make_read_only(&path_of(&root.find(&bind.target)?))?;
    }
    Ok(())
}

/// A handle on the file at `path`, which is made where it is missing.
fn file(root: &Rooted, path: &Path) -> io::Result<OwnedFd> {
    match root.find(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => {}
        found => return found,
    }
    let (folder, name) = root.parent(path)?;
    let place: PathBuf = path_of(&folder).join(name);
    OpenOptions::new().write(true).create_new(true).mode(0o644).custom_flags(libc::O_NOFOLLOW).open(place)?;
    root.find(path)
}
