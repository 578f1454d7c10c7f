//! A root made of an image: an overlay over its files, forgotten when the container ends.
//!
//! Nothing in an image is trusted: every place is looked up as the container would see it, because a link there may name any
//! file of this machine.

use std::cell::RefCell;
use std::fs::{self, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::{OpenOptionsExt, PermissionsExt};
use std::path::Path;

use nix::libc;
use nix::mount::MsFlags;

use super::root::{OVERLAY_LIMIT, mount_devices, overlay_options};
use super::{RootPlan, bind, stage};
use crate::host::mount;
use crate::host::rooted::{Rooted, path_of, remove};

/// Builds the root over `image` and moves the process into it. The process works in `working_dir`, which is made where it is
/// missing.
pub fn enter(plan: &RootPlan, image: &Path, working_dir: &Path) -> io::Result<()> {
    mount::make_private()?;
    mount::filesystem("tmpfs", &plan.scratch, MsFlags::MS_NODEV, OVERLAY_LIMIT)?;
    let [upper, work, root] = ["upper", "work", "root"].map(|name| plan.scratch.join(name));
    stage::make_folder_like(image, &upper, plan.is_root)?;
    fs::create_dir(&work)?;
    fs::create_dir(&root)?;
    let options = overlay_options(image, &upper, &work, plan.is_root);
    mount::filesystem("overlay", &root, MsFlags::MS_NODEV, &options)?;
    let rooted = Rooted::at(&root)?;
    let held = RefCell::new(Vec::new());
    mount_devices(&|name| {
        let folder = rooted.folder(Path::new(name))?;
        let path = path_of(&folder);
        held.borrow_mut().push(folder);
        Ok(path)
    })?;
    for (path, content) in &plan.files {
        write(&rooted, path, content)?;
    }
    bind::all(&rooted, &plan.binds)?;
    rooted.folder(working_dir)?;
    drop(held);
    if plan.read_only {
        mount::make_read_only(&root)?;
    }
    mount::become_root(&root)
}

/// Puts a file in the place of whatever the image has there.
fn write(rooted: &Rooted, path: &Path, content: &str) -> io::Result<()> {
    let (folder, name) = rooted.parent(path)?;
    remove(&folder, name)?;
    let mut file = OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(0o644)
        .custom_flags(libc::O_NOFOLLOW)
        .open(path_of(&folder).join(name))?;
    file.write_all(content.as_bytes())?;
    // Whatever the mask is.
    file.set_permissions(fs::Permissions::from_mode(0o644))
}
