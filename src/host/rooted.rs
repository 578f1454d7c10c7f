//! Paths below a folder that stands for the root, as a container sees them: no link and no `..` leads out of it
//! (openat2(2) with `RESOLVE_IN_ROOT`, Linux 5.6 and later).
//!
//! What is found is held by a descriptor, so that nobody can exchange what has been looked at.

use std::ffi::OsStr;
use std::fs::{self, File, Permissions};
use std::io;
use std::os::fd::{AsRawFd, OwnedFd};
use std::os::unix::fs::PermissionsExt;
use std::path::{Component, Path, PathBuf};

use nix::errno::Errno;
use nix::fcntl::{OFlag, OpenHow, ResolveFlag, openat, openat2};
use nix::sys::stat::{Mode, mkdirat};

/// As many links to nothing in a row as are followed; the kernel's own limit (path_resolution(7)).
const MOST_LINKS: usize = 40;

/// The permissions of folders that are made.
const FOLDER_MODE: u32 = 0o755;

/// How often the kernel may be unsure.
const UNSURE: usize = 1000;

/// A folder that stands for the root.
#[derive(Debug)]
pub struct Rooted {
    root: OwnedFd,
}

impl Rooted {
    /// Takes `folder` for the root.
    pub fn at(folder: &Path) -> io::Result<Self> {
        Ok(Self { root: File::open(folder)?.into() })
    }

    /// A handle on what is at `path`, with all links followed.
    pub fn find(&self, path: &Path) -> io::Result<OwnedFd> {
        self.open(path, OFlag::O_PATH)
    }

    /// The same, but a link that leads out is refused instead (`RESOLVE_BENEATH`).
    pub fn beneath(&self, path: &Path) -> io::Result<OwnedFd> {
        self.resolve(path, OFlag::O_PATH, ResolveFlag::RESOLVE_BENEATH)
    }

    /// A handle on the folder at `path`, with all links followed, if there is one.
    pub fn find_folder(&self, path: &Path) -> io::Result<Option<OwnedFd>> {
        match self.open(path, OFlag::O_PATH | OFlag::O_DIRECTORY) {
            Err(error) if matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory) => {
                Ok(None)
            }
            found => found.map(Some),
        }
    }

    /// Opens the file at `path` for reading.
    pub fn read(&self, path: &Path) -> io::Result<File> {
        self.open(path, OFlag::O_RDONLY).map(File::from)
    }

    /// A handle on the folder at `path`, which is made, with those above it, where it is missing. Links to nothing lead to
    /// folders that are made.
    pub fn folder(&self, path: &Path) -> io::Result<OwnedFd> {
        self.folder_behind(path, MOST_LINKS)
    }

    fn folder_behind(&self, path: &Path, links: usize) -> io::Result<OwnedFd> {
        let open = |path: &Path| self.open(path, OFlag::O_PATH | OFlag::O_DIRECTORY);
        let is_missing = |opened: &io::Result<OwnedFd>| {
            opened.as_ref().is_err_and(|error| error.kind() == io::ErrorKind::NotFound)
        };
        let opened = open(path);
        if !is_missing(&opened) {
            return opened;
        }
        let mut reached = PathBuf::new();
        let mut folder = open(&reached)?;
        for part in path.components() {
            let name = match part {
                Component::Normal(name) => name,
                Component::ParentDir => OsStr::new(".."),
                Component::RootDir | Component::CurDir | Component::Prefix(_) => continue,
            };
            let above = reached.clone();
            reached.push(name);
            let mut opened = open(&reached);
            if is_missing(&opened) {
                opened = match mkdirat(&folder, name, Mode::from_bits_truncate(FOLDER_MODE)) {
                    Ok(()) => open_up(&folder, name).and_then(|()| open(&reached)),
                    Err(Errno::EEXIST) => {
                        let left = links.checked_sub(1).ok_or(Errno::ELOOP)?;
                        let target = fs::read_link(path_of(&folder).join(name))?;
                        self.folder_behind(&above.join(target), left)
                    }
                    Err(errno) => Err(errno.into()),
                };
            }
            folder = opened?;
        }
        Ok(folder)
    }

    /// The folder that holds `path`, made where it is missing, and the name in it.
    pub fn parent<'p>(&self, path: &'p Path) -> io::Result<(OwnedFd, &'p OsStr)> {
        let name = path.file_name().ok_or_else(|| {
            io::Error::new(io::ErrorKind::InvalidInput, format!("{} has no name", path.display()))
        })?;
        Ok((self.folder(path.parent().unwrap_or(Path::new("")))?, name))
    }

    fn open(&self, path: &Path, flags: OFlag) -> io::Result<OwnedFd> {
        self.resolve(path, flags, ResolveFlag::RESOLVE_IN_ROOT)
    }

    fn resolve(&self, path: &Path, flags: OFlag, links: ResolveFlag) -> io::Result<OwnedFd> {
        let path = if path.as_os_str().is_empty() { Path::new(".") } else { path };
        let how = OpenHow::new().flags(flags | OFlag::O_CLOEXEC).resolve(links);
        // Whoever mounts or renames something elsewhere in the meantime makes the kernel unsure of `..`.
        for _ in 0..UNSURE {
            match openat2(&self.root, path, how) {
                Err(Errno::EAGAIN) => {}
                done => return Ok(done?),
            }
        }
        Err(Errno::EAGAIN.into())
    }
}

/// Gives a folder that was just made its permissions, whatever the mask is. Whoever writes to the folder above may have put a
/// link in its place meanwhile, which is not followed.
fn open_up(above: &OwnedFd, name: &OsStr) -> io::Result<()> {
    let flags = OFlag::O_PATH | OFlag::O_DIRECTORY | OFlag::O_NOFOLLOW | OFlag::O_CLOEXEC;
    let made = openat(above, name, flags, Mode::empty())?;
    fs::set_permissions(path_of(&made), Permissions::from_mode(FOLDER_MODE))
}

/// A path that leads to what a descriptor holds, for calls that take no descriptor (proc_pid_fd(5)).
pub fn path_of(held: &OwnedFd) -> PathBuf {
    PathBuf::from(format!("/proc/self/fd/{}", held.as_raw_fd()))
}

/// Removes what a folder has under this name, with everything in it; nothing there is fine. No link is followed.
pub fn remove(folder: &OwnedFd, name: &OsStr) -> io::Result<()> {
    let path = path_of(folder).join(name);
    let removed = match fs::symlink_metadata(&path) {
        Ok(found) if found.is_dir() => fs::remove_dir_all(&path),
        Ok(_) => fs::remove_file(&path),
        Err(error) => Err(error),
    };
    match removed {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        done => done,
    }
}

#[cfg(test)]
mod tests {
    use std::ffi::OsStr;
    use std::fs::{self, Permissions};
    use std::io::Read;
    use std::os::unix::fs::{PermissionsExt, symlink};
    use std::path::Path;

    use super::{Rooted, open_up, path_of, remove};

    #[test]
    fn links_and_dots_stay_below_the_root() {
        let folder = tempfile::tempdir().expect("a temporary folder can be made");
        let (outside, root) = (folder.path().join("etc"), folder.path().join("root"));
        fs::create_dir_all(&outside).expect("writable");
        fs::create_dir_all(root.join("etc")).expect("writable");
        fs::write(outside.join("name"), "outside").expect("writable");
        fs::write(root.join("etc/name"), "inside").expect("writable");
        symlink("/etc", root.join("absolute")).expect("writable");
        symlink("../../../etc", root.join("relative")).expect("writable");
        let rooted = Rooted::at(&root).expect("there");
        for path in ["etc/name", "/etc/name", "absolute/name", "relative/name", "../etc/name"] {
            let mut text = String::new();
            rooted.read(Path::new(path)).expect(path).read_to_string(&mut text).expect("readable");
            assert_eq!(text, "inside", "{path}");
        }
    }

    #[test]
    fn a_link_in_the_place_of_a_new_folder_is_not_followed() {
        let folder = tempfile::tempdir().expect("a temporary folder can be made");
        let (outside, root) = (folder.path().join("outside"), folder.path().join("root"));
        for path in [&outside, &root, &root.join("new")] {
            fs::create_dir(path).expect("writable");
            fs::set_permissions(path, Permissions::from_mode(0o700)).expect("it is ours");
        }
        symlink(&outside, root.join("link")).expect("writable");
        let above = Rooted::at(&root).and_then(|rooted| rooted.find(Path::new(""))).expect("there");
        assert!(open_up(&above, OsStr::new("link")).is_err());
        open_up(&above, OsStr::new("new")).expect("it is a folder");
        let mode = |path: &Path| fs::metadata(path).expect("there").permissions().mode() & 0o7777;
        assert_eq!((mode(&outside), mode(&root.join("new"))), (0o700, 0o755));
    }

    #[test]
    fn makes_folders_behind_links_and_removes_trees_without_following_any() {
        let folder = tempfile::tempdir().expect("a temporary folder can be made");
        let root = folder.path().join("root");
        fs::create_dir_all(root.join("real")).expect("writable");
        symlink("/real", root.join("link")).expect("writable");
        symlink("../../nothing/yet", root.join("real/dangling")).expect("writable");
        symlink("loop", root.join("loop")).expect("writable");
        let rooted = Rooted::at(&root).expect("there");
        let made = rooted.folder(Path::new("link/a/b")).expect("it can be made");
        fs::write(path_of(&made).join("file"), "x").expect("writable");
        assert!(root.join("real/a/b/file").exists());
        rooted.folder(Path::new("link/dangling/more")).expect("it can be made");
        assert!(root.join("nothing/yet/more").is_dir());
        assert!(rooted.folder(Path::new("loop/x")).is_err());
        let (parent, name) = rooted.parent(Path::new("link")).expect("there");
        remove(&parent, name).expect("it can be removed");
        assert!(!root.join("link").exists() && root.join("real/a").exists());
        let (parent, name) = rooted.parent(Path::new("real")).expect("there");
        remove(&parent, name).expect("it can be removed");
        remove(&parent, name).expect("nothing is there");
        assert!(!root.join("real").exists());
    }
}
