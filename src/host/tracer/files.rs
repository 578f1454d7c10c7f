//! Whether a file is on a volume that is meant, at a path that is.
//!
//! The kernel is asked at each call, because a descriptor can be closed and given again, and a file renamed, between two of
//! them, and nobody would tell. What is remembered is where filesystems are mounted, until the next order. A file that was
//! reached by a mount of another mount namespace is at no path that is known here, and a hard link at that by which it was
//! opened.

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::ffi::OsStr;
use std::io;
use std::os::fd::AsRawFd;
use std::path::{Path, PathBuf};

use super::Rules;
use super::calls::File;
use super::opens::{Found, Wants};
use super::patterns::Patterns;
use crate::host::mount::place::{Seen, look, path_of};
use crate::host::mount::table::Mounted;

/// The files that are meant.
pub(super) struct Files {
    devices: Vec<u64>,
    paths: Option<Paths>,
}

struct Paths {
    patterns: Patterns,
    /// Where each volume begins, and on which filesystem.
    roots: Vec<(u64, PathBuf)>,
    mounts: HashMap<u64, Mounted>,
}

impl Files {
    pub(super) fn new(rules: &Rules) -> io::Result<Self> {
        let paths = match &rules.paths {
            None => None,
            Some(super::Paths { patterns, roots }) => Some(Paths {
                patterns: Patterns::new(patterns).map_err(io::Error::other)?,
                roots: roots.clone(),
                mounts: HashMap::new(),
            }),
        };
        Ok(Self { devices: rules.devices.clone(), paths })
    }

    /// Forgets what may have changed: mounts come and go, and their numbers are given again.
    pub(super) fn look_anew(&mut self) {
        self.paths.iter_mut().for_each(|paths| paths.mounts.clear());
    }

    /// What a call of this thread wants of the disk, where its file is meant.
    pub(super) fn wanted(&mut self, thread: i32, file: &File) -> Option<Wants> {
        match file {
            File::Descriptor(number) => {
                let link = format!("/proc/{thread}/fd/{number}");
                self.has(thread, Path::new(&link), None).then_some(Wants::Using)
            }
            File::Named(open) => {
                let Found { at, name, wants } = open.find(thread)?;
                let link = format!("/proc/self/fd/{}", at.as_raw_fd());
                self.has(thread, Path::new(&link), name.as_deref()).then_some(wants)
            }
        }
    }

    /// Whether the file at a link of `/proc` is meant, or the one with this name in the folder there.
    fn has(&mut self, thread: i32, link: &Path, name: Option<&OsStr>) -> bool {
        let Ok(seen) = look(link) else { return false };
        if !self.devices.contains(&seen.device) {
            return false;
        }
        let Some(paths) = &mut self.paths else { return true };
        path_of(link)
            .is_ok_and(|path| paths.mean(thread, seen, &name.map(|name| path.join(name)).unwrap_or(path)))
    }
}

impl Paths {
    /// Whether the file at a path of the thread's mount namespace is meant.
    fn mean(&mut self, thread: i32, seen: Seen, path: &Path) -> bool {
        let Some(number) = seen.mount else { return false };
        let mounted = match self.mounts.entry(number) {
            Entry::Occupied(known) => known.into_mut(),
            // What this thread's table does not tell, that of another may.
            Entry::Vacant(place) => match Mounted::find(thread, number) {
                Ok(Some(mounted)) => place.insert(mounted),
                Ok(None) | Err(_) => return false,
            },
        };
        let Some(inside) = mounted.inside(path) else { return false };
        let mut roots = self.roots.iter().filter(|(device, _)| *device == seen.device);
        roots.any(|(_, root)| inside.strip_prefix(root).is_ok_and(|below| self.patterns.mean(below)))
    }
}
