//! What must be in a container's root before anything is mounted on it: files of its own and mount points.

use std::fs;
use std::io;
use std::os::unix::fs::{MetadataExt, PermissionsExt, chown};
use std::path::{Path, PathBuf};

use super::root::{OWN, inside};
use super::{Bind, RootPlan, bind};

/// The plan's places with the host's symbolic links resolved, because the container's root mirrors them: a path
/// through `/var/run` must not lead out of the container.
pub struct Points {
    /// Files with their content.
    pub files: Vec<(PathBuf, String)>,
    /// What is bound where.
    pub binds: Vec<Bind>,
}

/// Puts files and mount points into the layer that will cover the host's folders.
pub fn stage(plan: &RootPlan, upper: &Path) -> io::Result<Points> {
    let mut points = Points { files: Vec::new(), binds: Vec::new() };
    for (path, content) in &plan.files {
        // The file itself may be a link on the host, and is replaced.
        let name = path.file_name().unwrap_or_default();
        let path = settle(path.parent().unwrap_or(Path::new("/"))).join(name);
        make_parents(upper, &path, plan.is_root)?;
        let place = inside(upper, &path);
        fs::write(&place, content)?;
        fs::set_permissions(&place, fs::Permissions::from_mode(0o644))?;
        points.files.push((path, content.clone()));
    }
    for shown in &plan.binds {
        let target = settle(&shown.target);
        if is_covered(&target) && !target.exists() {
            make_parents(upper, &target, plan.is_root)?;
            let place = inside(upper, &target);
            if bind::is_folder(&shown.open()?)? {
                fs::create_dir_all(place)?;
            } else {
                fs::write(place, "")?;
            }
        }
        points.binds.push(Bind { target, ..shown.clone() });
    }
    Ok(points)
}

/// Makes `folder` look like `lower`: an overlay shows the upper folder's owner and mode for both.
pub fn make_folder_like(lower: &Path, folder: &Path, is_root: bool) -> io::Result<()> {
    fs::create_dir_all(folder)?;
    let metadata = fs::metadata(lower)?;
    if is_root {
        chown(folder, Some(metadata.uid()), Some(metadata.gid()))?;
    }
    fs::set_permissions(folder, metadata.permissions())
}

fn make_parents(upper: &Path, path: &Path, is_root: bool) -> io::Result<()> {
    let parents: Vec<&Path> = path.ancestors().skip(1).filter(|parent| *parent != Path::new("/")).collect();
    for parent in parents.into_iter().rev() {
        let folder = inside(upper, parent);
        if folder.exists() {
            continue;
        }
        if parent.exists() {
            make_folder_like(parent, &folder, is_root)?;
        } else {
            fs::create_dir_all(&folder)?;
        }
    }
    Ok(())
}

/// Whether the path is in a folder of the host that gets an overlay.
fn is_covered(path: &Path) -> bool {
    let top: PathBuf = path.components().take(2).collect();
    top.is_dir() && !OWN.iter().any(|own| path.starts_with(own))
}

/// Resolves links in as much of the path as the host has.
fn settle(path: &Path) -> PathBuf {
    for ancestor in path.ancestors() {
        if let Ok(real) = fs::canonicalize(ancestor) {
            return real.join(path.strip_prefix(ancestor).unwrap_or(Path::new("")));
        }
    }
    path.to_owned()
}

#[cfg(test)]
mod tests {
    use std::path::{Path, PathBuf};

    use super::settle;

    #[test]
    fn resolves_links_of_the_host_and_keeps_what_it_does_not_have() {
        let folder = tempfile::tempdir().expect("a temporary folder can be made");
        let real = folder.path().canonicalize().expect("it is there");
        std::os::unix::fs::symlink("/usr", real.join("link")).expect("a link can be made");
        assert_eq!(settle(&real.join("link/no/such")), PathBuf::from("/usr/no/such"));
        assert_eq!(settle(Path::new("/no-such/place")), PathBuf::from("/no-such/place"));
    }
}
