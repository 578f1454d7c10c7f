//! Takes back what earlier processes left behind.

use std::io;
use std::path::{Path, PathBuf};

use super::{Record, Store, StoreError, UndoError, store, undo};
use crate::host::process::boot::Era;
use crate::host::process::held::Held;

/// Which records are taken back.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Scope {
    /// All: a person wants everything to be as before.
    Everything,
    /// Those that are overdue or whose target is gone; the others are reported as kept.
    Leftover,
}

/// What became of a record.
#[derive(Debug)]
pub enum Outcome {
    /// Taken back, verified, removed.
    Reverted(Box<Record>),
    /// Removed, because it is from another boot: nothing of it can be left in this one.
    AnotherBoot(Box<Record>),
    /// Left as it is: its fault may still be wanted.
    Kept(PathBuf, Box<Record>),
    /// Left as it is: its pids mean something only in another pid namespace.
    AnotherPidNamespace(PathBuf, Box<Record>),
    /// Could not be taken back; the record stays.
    Failed(PathBuf, Box<Record>, UndoError),
    /// Unreadable; kept under the second name.
    SetAside(StoreError, PathBuf),
}

/// Goes through the records in `folder`. Needs no node and no runtime.
pub fn replay(folder: &Path, scope: Scope) -> Result<Vec<Outcome>, StoreError> {
    let era = Era::current().map_err(|error| StoreError::Folder(folder.to_owned(), error))?;
    let mut outcomes = Vec::new();
    let store = Store::open(folder)?;
    // Drafts were never acted upon: one that cannot be removed keeps no fault in force.
    if let Err(error) = store.clear() {
        tracing::warn!(%error, "cannot remove drafts of undo records");
    }
    for path in store.list()? {
        match Store::read(&path) {
            Ok(record) => outcomes.push(settle(path, Box::new(record), &era, scope)?),
            // Somebody else, its guardian perhaps, has just taken it back.
            Err(StoreError::Read(_, error)) if error.kind() == io::ErrorKind::NotFound => {}
            Err(error) => outcomes.push(Outcome::SetAside(error, Store::set_aside(&path)?)),
        }
    }
    Ok(outcomes)
}

fn settle(path: PathBuf, record: Box<Record>, era: &Era, scope: Scope) -> Result<Outcome, StoreError> {
    if record.era.boot != era.boot {
        store::remove(&path)?;
        return Ok(Outcome::AnotherBoot(record));
    }
    if record.era.pid_namespace != era.pid_namespace {
        return Ok(Outcome::AnotherPidNamespace(path, record));
    }
    let is_wanted = match scope {
        Scope::Everything => false,
        Scope::Leftover => !record.expires.is_over() && !record.target.is_gone(),
    };
    if is_wanted {
        return Ok(Outcome::Kept(path, record));
    }
    Ok(match undo(&path, &record, &Held::default()) {
        Ok(()) => Outcome::Reverted(record),
        Err(error) => Outcome::Failed(path, record, error),
    })
}
