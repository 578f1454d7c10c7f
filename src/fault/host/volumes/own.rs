//! Whose processes have a volume open: the pod's, and ours.

use std::collections::BTreeSet;
use std::ffi::OsStr;
use std::fs;
use std::io;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use crate::fault::host::Running;
use crate::host::mount::table::Namespace;
use crate::host::process::{ProcessId, descendants};
use crate::node::LocatedPod;
use crate::undo::Store;
use crate::undo::guardian::SUBCOMMAND;

/// The processes of a pod, and ours.
pub(super) struct Own {
    uid: String,
    undo_dir: PathBuf,
    processes: BTreeSet<i32>,
    /// Mount namespaces that nobody but the pod has.
    pub(super) namespaces: BTreeSet<PathBuf>,
}

impl Own {
    pub(super) fn of(pod: &LocatedPod, containers: &[Running], undo_dir: &Path) -> io::Result<Self> {
        let first = containers.iter().map(|container| container.first);
        let roots: Vec<ProcessId> = first.chain(ProcessId::of(pod.holder)?).collect();
        let mut processes: BTreeSet<i32> = descendants(&roots)?.iter().map(|process| process.pid).collect();
        for container in containers {
            processes.extend(container.processes().unwrap_or_default().iter().map(|process| process.pid));
        }
        // Whoever looks is no user, though it has opened the volume; nor is whoever makes another fault, of which there may be
        // no record yet: which of them go together is decided before.
        let this = ProcessId::of(std::process::id().cast_signed())?;
        processes.extend(descendants(this.as_slice())?.iter().map(|process| process.pid));
        processes.extend(of_faults(undo_dir)?);
        let shared = [std::process::id().cast_signed(), 1].map(namespace_of);
        let namespaces = roots.iter().filter_map(|root| namespace_of(root.pid));
        let namespaces = namespaces.filter(|name| !shared.contains(&Some(name.clone()))).collect();
        Ok(Self { uid: pod.uid.clone(), undo_dir: undo_dir.to_owned(), processes, namespaces })
    }

    pub(super) fn is_own(&self, pid: i32, namespace: &Namespace) -> bool {
        self.processes.contains(&pid)
            || self.namespaces.contains(&namespace.name)
            || cgroups(pid).contains(&self.uid)
            || cgroups(pid).contains(&self.uid.replace('-', "_"))
    }

    /// Whether a process guards a record of this node, by what it was started with: it has the volume open from before its
    /// record is there until after that is gone, and lives on when the node that started it is killed.
    pub(super) fn is_guardian(&self, pid: i32) -> bool {
        let words = fs::read(format!("/proc/{pid}/cmdline")).unwrap_or_default();
        guards(&words, &self.undo_dir)
    }
}

/// Whether a command line is that of the guardian of a record in `undo_dir` (proc_pid_cmdline(5)).
fn guards(words: &[u8], undo_dir: &Path) -> bool {
    let mut words = words.split(|byte| *byte == 0).skip(1).map(OsStr::from_bytes);
    words.next().is_some_and(|word| word == SUBCOMMAND)
        && words.next().is_some_and(|path| Path::new(path).parent() == Some(undo_dir))
}

/// Whether a process is about to close what it has open, because it ends.
pub(super) fn is_ending(pid: i32) -> io::Result<bool> {
    let Some(process) = ProcessId::of(pid)? else { return Ok(true) };
    Ok(process.stat()?.is_none_or(|stat| stat.is_ending || stat.has_ended()))
}

/// Guardians and helpers of the faults that are in force on this node, by their records.
fn of_faults(undo_dir: &Path) -> io::Result<Vec<i32>> {
    let mut found = Vec::new();
    for path in Store::open(undo_dir).and_then(|store| store.list()).map_err(io::Error::other)? {
        // One that has just been removed has been taken back; one that cannot be read is set aside when a node starts.
        let Ok(record) = Store::read(&path) else { continue };
        let guardians = record.guardians().map(|guardian| guardian.process);
        for process in guardians.chain(record.target.undo().helpers()) {
            if process.is_alive()? {
                found.push(process.pid);
            }
        }
    }
    Ok(found)
}

fn namespace_of(pid: i32) -> Option<PathBuf> {
    fs::read_link(format!("/proc/{pid}/ns/mnt")).ok()
}

pub(super) fn cgroups(pid: i32) -> String {
    fs::read_to_string(format!("/proc/{pid}/cgroup")).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::guards;

    #[test]
    fn a_guardian_is_known_by_the_folder_of_its_record() {
        let line = b"/proc/self/exe\0__guardian\0/undo/r.7.undo.json\0apart\0";
        assert!(guards(line, Path::new("/undo")));
        assert!(!guards(line, Path::new("/")) && !guards(line, Path::new("/undo/r.7.undo.json")));
        assert!(!guards(b"seatrial\0__load\0/undo/r.7.undo.json\0", Path::new("/undo")));
        assert!(!guards(b"cat\0/undo/r.7.undo.json\0", Path::new("/undo")));
        assert!(!guards(b"", Path::new("/undo")), "one that ends has no command line");
    }
}
