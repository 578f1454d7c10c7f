//! A volume as it is reached from outside of its pod.

use std::fs::{File, OpenOptions};
use std::io;
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use nix::fcntl::{OFlag, OpenHow, ResolveFlag, openat2};

/// Opens a folder. What follows `/proc/PID/root` is resolved as that process would, so that a symbolic link in a container
/// never leads out of it (openat2(2)).
pub fn open(path: &Path) -> io::Result<File> {
    let mut folder = OpenOptions::new();
    folder.read(true).custom_flags(OFlag::O_DIRECTORY.bits());
    let Some((root, inside)) = split(path) else {
        return folder.open(path);
    };
    let how = OpenHow::new()
        .flags(OFlag::O_RDONLY | OFlag::O_DIRECTORY | OFlag::O_CLOEXEC)
        .resolve(ResolveFlag::RESOLVE_IN_ROOT);
    Ok(openat2(folder.open(root)?, inside.as_path(), how)?.into())
}

/// The folder, if it is on the filesystem with this device number.
pub fn open_on(path: &Path, device: u64) -> io::Result<Option<File>> {
    let root = open(path)?;
    Ok((root.metadata()?.dev() == device).then_some(root))
}

/// The process through whose root a path leads, if it does.
pub fn process(path: &Path) -> Option<i32> {
    Some(parts(path)?.0)
}

/// Whose mounts lead to a volume, and where it is mounted among them.
pub fn place(path: &Path) -> (i32, PathBuf) {
    match parts(path) {
        Some((pid, inside)) => (pid, Path::new("/").join(inside)),
        None => (std::process::id().cast_signed(), path.to_owned()),
    }
}

/// The root of a process and what lies below it.
fn split(path: &Path) -> Option<(PathBuf, PathBuf)> {
    let (pid, inside) = parts(path)?;
    Some((format!("/proc/{pid}/root").into(), Path::new(".").join(inside)))
}

fn parts(path: &Path) -> Option<(i32, &Path)> {
    let mut parts = path.strip_prefix("/proc").ok()?.components();
    let pid = parts.next()?.as_os_str().to_str()?.parse::<i32>().ok()?;
    let is_root = parts.next()?.as_os_str() == "root";
    is_root.then_some((pid, parts.as_path()))
}

#[cfg(test)]
mod tests {
    use std::path::{Path, PathBuf};

    use super::{open, process, split};

    #[test]
    fn what_follows_the_root_of_a_process_is_told_from_it() {
        let found = split(Path::new("/proc/7/root/var/lib/data"));
        assert_eq!(found, Some((PathBuf::from("/proc/7/root"), PathBuf::from("./var/lib/data"))));
        assert_eq!(process(Path::new("/proc/7/root/var")), Some(7));
        assert_eq!(process(Path::new("/var/lib/data")), None);
        assert_eq!(split(Path::new("/proc/7/cwd/data")), None);
        assert_eq!(split(Path::new("/data")), None);
    }

    #[test]
    fn only_folders_are_opened() {
        let own = format!("/proc/{}/root/proc", std::process::id());
        assert!(open(Path::new(&own)).is_ok());
        assert!(open(Path::new(&format!("{own}/version"))).is_err());
    }
}
