//! The folder of records: every change is on the disk when it returns.

use std::fs::{self, File};
use std::io::{self, Write};
use std::path::{Path, PathBuf};

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

    /// Writes or replaces a record: the old one or the new one is there at any time, never half of one.
    pub fn write(path: &Path, record: &Record) -> Result<(), StoreError> {
        let failed = |error| StoreError::Write(path.to_owned(), error);
        let text = serde_json::to_vec_pretty(record).map_err(|error| failed(error.into()))?;
        let draft = path.with_extension(DRAFT);
        let placed = write_synced(&draft, &text).and_then(|()| fs::rename(&draft, path));
        if placed.is_err() {
            let _ = fs::remove_file(&draft);
        }
        placed.and_then(|()| sync_folder_of(path)).map_err(failed)
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

    /// Every record that is there. Drafts, which were never finished and so never acted upon, are removed.
    pub fn list(&self) -> Result<Vec<PathBuf>, StoreError> {
        let failed = |error| StoreError::Folder(self.folder.clone(), error);
        let mut records = Vec::new();
        for entry in fs::read_dir(&self.folder).map_err(failed)? {
            let path = entry.map_err(failed)?.path();
            let name = path.file_name().unwrap_or_default().to_string_lossy();
            if name.ends_with(&format!(".{RECORD}")) {
                records.push(path);
            } else if name.ends_with(&format!(".undo.{DRAFT}")) {
                remove(&path)?;
            }
        }
        records.sort_unstable();
        Ok(records)
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

fn write_synced(path: &Path, text: &[u8]) -> io::Result<()> {
    let mut file = File::create(path)?;
    file.write_all(text)?;
    file.sync_all()
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
