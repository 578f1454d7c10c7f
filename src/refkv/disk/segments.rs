//! The files of the log: records are appended to the last one, and the oldest are removed once nothing in them is
//! needed.

use std::collections::VecDeque;
use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use super::{record, replace};

/// A file of this size is closed and the next one started.
const FULL: u64 = 8 * 1024 * 1024;

#[derive(Debug)]
struct Segment {
    path: PathBuf,
    /// The highest log index that an entry in it has.
    highest: Option<u64>,
}

/// The files, open for appending.
#[derive(Debug)]
pub struct Segments {
    folder: PathBuf,
    closed: VecDeque<Segment>,
    active: Segment,
    number: u64,
    file: File,
    length: u64,
}

fn path(folder: &Path, number: u64) -> PathBuf {
    folder.join(format!("log-{number:020}"))
}

fn numbers(folder: &Path) -> io::Result<Vec<u64>> {
    let mut numbers = Vec::new();
    for file in fs::read_dir(folder)? {
        let name = file?.file_name();
        if let Some(number) = name.to_str().and_then(|name| name.strip_prefix("log-")?.parse().ok()) {
            numbers.push(number);
        }
    }
    numbers.sort_unstable();
    Ok(numbers)
}

fn create(path: &Path) -> io::Result<File> {
    OpenOptions::new().create(true).append(true).open(path)
}

impl Segments {
    /// Opens the files in `folder` and hands every record to `replay`, oldest first; it answers the log index of
    /// the record's entry, if it is one.
    ///
    /// The last file may end in a torn record, which is cut off. Files before it were synced before their successor
    /// was made, so anything torn in them is damage and an error.
    pub fn open(folder: &Path, mut replay: impl FnMut(&[u8]) -> io::Result<Option<u64>>) -> io::Result<Self> {
        let numbers = numbers(folder)?;
        let last = numbers.last().copied();
        let mut closed = VecDeque::new();
        let mut active = Segment { path: path(folder, last.unwrap_or(1)), highest: None };
        let mut length = 0;
        for number in numbers {
            let path = path(folder, number);
            let bytes = fs::read(&path)?;
            let mut rest = bytes.as_slice();
            let mut highest: Option<u64> = None;
            while let Some((payload, after)) = record::read(rest) {
                highest = highest.max(replay(payload)?);
                rest = after;
            }
            if Some(number) == last {
                length = (bytes.len() - rest.len()) as u64;
                active = Segment { path, highest };
            } else if rest.is_empty() {
                closed.push_back(Segment { path, highest });
            } else {
                let place = bytes.len() - rest.len();
                return Err(io::Error::new(
                    io::ErrorKind::InvalidData,
                    format!("{} is damaged at byte {place}, and later files exist", path.display()),
                ));
            }
        }
        let file = create(&active.path)?;
        if file.metadata()?.len() > length {
            tracing::warn!(file = %active.path.display(), at = length, "cut a torn record off the log");
            file.set_len(length)?;
        }
        file.sync_all()?;
        replace::sync_folder(folder)?;
        let number = last.unwrap_or(1);
        Ok(Self { folder: folder.to_owned(), closed, active, number, file, length })
    }

    /// Appends whole records; `highest` is the highest log index among their entries.
    pub fn append(&mut self, records: &[u8], highest: Option<u64>) -> io::Result<()> {
        if self.length >= FULL {
            self.start_next()?;
        }
        self.file.write_all(records)?;
        self.length += records.len() as u64;
        self.active.highest = self.active.highest.max(highest);
        Ok(())
    }

    /// Makes all that was appended durable.
    pub fn sync(&self) -> io::Result<()> {
        self.file.sync_data()
    }

    /// Removes the oldest files as long as they hold entries up to `upto` only. The record that says so must be
    /// synced before.
    pub fn remove_upto(&mut self, upto: u64) -> io::Result<()> {
        let mut removed = false;
        while self.closed.front().is_some_and(|oldest| oldest.highest.is_none_or(|highest| highest <= upto)) {
            if let Some(oldest) = self.closed.pop_front() {
                fs::remove_file(&oldest.path)?;
                removed = true;
            }
        }
        if removed {
            replace::sync_folder(&self.folder)?;
        }
        Ok(())
    }

    fn start_next(&mut self) -> io::Result<()> {
        self.sync()?;
        let next = Segment { path: path(&self.folder, self.number + 1), highest: None };
        self.file = create(&next.path)?;
        self.file.sync_all()?;
        replace::sync_folder(&self.folder)?;
        self.number += 1;
        self.closed.push_back(std::mem::replace(&mut self.active, next));
        self.length = 0;
        Ok(())
    }
}
