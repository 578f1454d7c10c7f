//! The folder of records: every change is on the disk when it returns.

use std::fs::{self, File, OpenOptions, TryLockError};
use std::io::{self, Write};
use std::os::fd::AsRawFd;
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use nix::fcntl::{AT_FDCWD, AtFlags};
use nix::libc;
use nix::unistd::linkat;

use super::Record;

/// Why a record could not be written, read or removed.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// The folder.
    #[error("cannot use {0} for undo records: {1}")]
    Folder(PathBuf, #[source] io::Error),
    /// Without a record nothing may be changed.
    #[error("cannot write the undo record {0}: {1}")]
    Write(PathBuf, #[source] io::Error),
    /// A record that stays would be replayed.
    #[error("cannot remove the undo record {0}: {1}")]
    Remove(PathBuf, #[source] io::Error),
    /// A record that is damaged or not a record.
    #[error("cannot read the undo record {0}: {1}")]
    Read(PathBuf, #[source] io::Error),
}

const RECORD: &str = "undo.json";
const DRAFT: &str = "draft";
const ASIDE: &str = "unreadable";

/// The right to do what a record tells, or to remove it: one process has it at a time, and with its death it ends
/// (flock(2)). Without it, a fault whose making is slow could come into force after its guardian has taken it back, with
/// nobody left to end it.
#[derive(Debug)]
pub struct Claim {
    path: PathBuf,
    _locked: File,
}

impl Claim {
    /// Replaces the record: the old one or the new one is there at any time, never half of one. It stays claimed.
    pub fn rewrite(&mut self, record: &Record) -> Result<(), StoreError> {
        *self = Store::write(&self.path, record)?;
        Ok(())
    }
}

/// What became of an attempt to claim a record.
#[derive(Debug)]
pub enum Claiming {
    /// It is ours until the claim is dropped.
    Ours(Claim),
    /// Somebody else is acting upon it.
    Busy,
    /// There is no record any more.
    Gone,
}

/// Records of one node.
#[derive(Debug, Clone)]
pub struct Store {
    folder: PathBuf,
}

impl Store {
    /// Opens the folder, and makes it where it is missing.
    pub fn open(folder: &Path) -> Result<Self, StoreError> {
        let failed = |error| StoreError::Folder(folder.to_owned(), error);
        if !folder.is_dir() {
            fs::create_dir_all(folder).map_err(failed)?;
            // Records in a folder that is not on the disk itself would be lost with it.
            sync_folder_of(folder).map_err(failed)?;
        }
        Ok(Self { folder: folder.to_owned() })
    }

    /// Where a record of this Injection and generation is kept.
    pub fn path(&self, name: &str, generation: u64) -> PathBuf {
        let readable: String = name
            .chars()
            .take(150)
            .map(|letter| if letter.is_ascii_alphanumeric() || "._-".contains(letter) { letter } else { '_' })
            .collect();
        self.folder.join(format!("{}.{generation:x}.{RECORD}", readable.trim_start_matches('.')))
    }

    /// Writes a record that is whole from its first moment, and claimed for the caller before anybody else can see it.
    pub fn write(path: &Path, record: &Record) -> Result<Claim, StoreError> {
        let failed = |error| StoreError::Write(path.to_owned(), error);
        let text = serde_json::to_vec_pretty(record).map_err(|error| failed(error.into()))?;
        let draft = path.with_extension(DRAFT);
        let placed = write_claimed(&draft, &text).and_then(|file| fs::rename(&draft, path).map(|()| file));
        if placed.is_err() {
            let _ = fs::remove_file(&draft);
        }
        let placed = placed.and_then(|file| sync_folder_of(path).map(|()| file));
        Ok(Claim { path: path.to_owned(), _locked: placed.map_err(failed)? })
    }

    /// Claims a record that is there, without waiting for anybody.
    pub fn claim(path: &Path) -> Result<Claiming, StoreError> {
        let failed = |error| StoreError::Read(path.to_owned(), error);
        let gone = |error: &io::Error| error.kind() == io::ErrorKind::NotFound;
        loop {
            let file = match File::open(path) {
                Ok(file) => file,
                Err(error) if gone(&error) => return Ok(Claiming::Gone),
                Err(error) => return Err(failed(error)),
            };
            match file.try_lock() {
                Ok(()) => {}
                Err(TryLockError::WouldBlock) => return Ok(Claiming::Busy),
                Err(TryLockError::Error(error)) => return Err(failed(error)),
            }
            let ours = file.metadata().map_err(failed)?.ino();
            match fs::metadata(path) {
                Ok(there) if there.ino() == ours => {
                    return Ok(Claiming::Ours(Claim { path: path.to_owned(), _locked: file }));
                }
                // It was replaced before it was locked.
                Ok(_) => {}
                Err(error) if gone(&error) => return Ok(Claiming::Gone),
                Err(error) => return Err(failed(error)),
            }
        }
    }

    /// Reads one record.
    pub fn read(path: &Path) -> Result<Record, StoreError> {
        let failed = |error| StoreError::Read(path.to_owned(), error);
        let text = fs::read(path).map_err(failed)?;
        let record: Record = serde_json::from_slice(&text).map_err(|error| failed(error.into()))?;
        if record.schema != Record::SCHEMA {
            let message = format!("its schema is {}, this version reads {}", record.schema, Record::SCHEMA);
            return Err(failed(io::Error::new(io::ErrorKind::InvalidData, message)));
        }
        Ok(record)
    }

    /// Every record that is there.
    pub fn list(&self) -> Result<Vec<PathBuf>, StoreError> {
        self.named(RECORD)
    }

    /// Removes drafts, which were never acted upon; somebody who is just finishing one fails.
    pub fn clear(&self) -> Result<(), StoreError> {
        self.named(&format!("undo.{DRAFT}"))?.iter().try_for_each(|path| remove(path))
    }

    fn named(&self, ending: &str) -> Result<Vec<PathBuf>, StoreError> {
        let failed = |error| StoreError::Folder(self.folder.clone(), error);
        let mut found = Vec::new();
        for entry in fs::read_dir(&self.folder).map_err(failed)? {
            let path = entry.map_err(failed)?.path();
            let name = path.file_name().unwrap_or_default().to_string_lossy();
            if name.ends_with(&format!(".{ending}")) {
                found.push(path);
            }
        }
        found.sort_unstable();
        Ok(found)
    }

    /// Keeps a record that cannot be read for a person to look at, out of the way of everybody else.
    pub fn set_aside(path: &Path) -> Result<PathBuf, StoreError> {
        let aside = path.with_extension(ASIDE);
        let failed = |error| StoreError::Write(aside.clone(), error);
        fs::rename(path, &aside).map_err(failed)?;
        sync_folder_of(&aside).map_err(failed)?;
        Ok(aside)
    }
}

/// Removes a record; one that is gone already is no error.
pub(super) fn remove(path: &Path) -> Result<(), StoreError> {
    let failed = |error| StoreError::Remove(path.to_owned(), error);
    match fs::remove_file(path) {
        Ok(()) => sync_folder_of(path).map_err(failed),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        Err(error) => Err(failed(error)),
    }
}

fn write_claimed(path: &Path, text: &[u8]) -> io::Result<File> {
    let (mut file, is_unnamed) = match unnamed_beside(path) {
        Ok(file) => (file, true),
        // Not every filesystem has such files (open(2)).
        Err(error) if matches!(error.raw_os_error(), Some(libc::EOPNOTSUPP | libc::EISDIR)) => {
            (File::create(path)?, false)
        }
        Err(error) => return Err(error),
    };
    file.try_lock()?;
    file.write_all(text)?;
    file.sync_all()?;
    if is_unnamed {
        // Of somebody who was killed in between.
        let _ = fs::remove_file(path);
        let unnamed = format!("/proc/self/fd/{}", file.as_raw_fd());
        linkat(AT_FDCWD, unnamed.as_str(), AT_FDCWD, path, AtFlags::AT_SYMLINK_FOLLOW)?;
    }
    Ok(file)
}

/// A file without a name, so that nothing is left of a writer that is killed, however long a busy disk takes to write it.
fn unnamed_beside(path: &Path) -> io::Result<File> {
    let folder = path.parent().ok_or(io::ErrorKind::InvalidInput)?;
    OpenOptions::new().write(true).custom_flags(libc::O_TMPFILE).open(folder)
}

fn sync_folder_of(path: &Path) -> io::Result<()> {
    match path.parent() {
        // The name of a file is on the disk only when its folder is synced (fsync(2)).
        Some(folder) => match File::open(folder).and_then(|folder| folder.sync_all()) {
            // Whoever removes the folder removes the records.
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
            result => result,
        },
        None => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::{Store, unnamed_beside, write_claimed};

    #[test]
    fn what_is_being_written_has_no_name_and_a_draft_of_the_dead_is_in_nobodys_way() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("r.1.undo.draft");
        let _unnamed = unnamed_beside(&path).expect("a file");
        assert_eq!(fs::read_dir(folder.path()).expect("readable").count(), 0);
        fs::write(&path, "half").expect("writable");
        let _claimed = write_claimed(&path, b"whole").expect("written");
        assert_eq!(fs::read(&path).expect("readable"), b"whole");
        let store = Store::open(folder.path()).expect("a folder");
        assert!(store.list().expect("readable").is_empty(), "a draft is no record");
        store.clear().expect("removable");
        assert_eq!(fs::read_dir(folder.path()).expect("readable").count(), 0);
    }
}
