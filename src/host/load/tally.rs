//! What a load has done so far, in memory that node and guardian hold as well.

use std::fs::File;
use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::fs::FileExt;
use std::time::Duration;

use nix::sys::memfd::{MFdFlags, memfd_create};

/// What one worker has done.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Entry {
    /// Reads that are done.
    pub reads: u64,
    /// Writes that are done.
    pub writes: u64,
    /// How long they took, all together, in nanoseconds.
    pub took: u64,
    /// How long the longest of them took, in nanoseconds.
    pub longest: u64,
    /// Why it does no more (errno(3)); 0 while it goes on.
    pub errno: i32,
}

const WORDS: usize = 5;
const ENTRY: usize = WORDS * 8;

impl Entry {
    pub(super) fn add(&mut self, is_write: bool, took: Duration) {
        if is_write {
            self.writes += 1;
        } else {
            self.reads += 1;
        }
        let took = took.as_nanos() as u64;
        self.took += took;
        self.longest = self.longest.max(took);
    }

    /// How many reads and writes are done.
    pub fn count(&self) -> u64 {
        self.reads + self.writes
    }

    /// What was done since the same had done `before`; the longest of all is what it was.
    #[must_use]
    pub fn since(&self, before: &Self) -> Self {
        Self {
            reads: self.reads - before.reads,
            writes: self.writes - before.writes,
            took: self.took - before.took,
            ..*self
        }
    }

    /// What several have done together.
    #[must_use]
    pub fn with(self, other: Self) -> Self {
        Self {
            reads: self.reads + other.reads,
            writes: self.writes + other.writes,
            took: self.took + other.took,
            longest: self.longest.max(other.longest),
            errno: if self.errno == 0 { other.errno } else { self.errno },
        }
    }
}

/// What all workers have done, by their numbers.
#[derive(Debug)]
pub struct Tally(File);

impl Tally {
    /// An empty one for `count` workers.
    pub fn new(count: u32) -> io::Result<Self> {
        let memory = File::from(memfd_create(c"seatrial-load", MFdFlags::MFD_CLOEXEC)?);
        memory.set_len(place(count))?;
        Ok(Self(memory))
    }

    /// What those on each of so many files have done together, who are as many on each.
    pub fn read(&self, files: usize) -> io::Result<Vec<Entry>> {
        let mut bytes = vec![0; self.0.metadata()?.len() as usize];
        self.0.read_exact_at(&mut bytes, 0)?;
        let each = (bytes.len() / files.max(1)).max(ENTRY);
        let together =
            |bytes: &[u8]| bytes.chunks_exact(ENTRY).map(entry).fold(Entry::default(), Entry::with);
        Ok(bytes.chunks(each).map(together).collect())
    }

    pub(super) fn note(&self, number: u32, entry: &Entry) -> io::Result<()> {
        let Entry { reads, writes, took, longest, errno } = *entry;
        let mut bytes = [0; ENTRY];
        for (place, word) in bytes.chunks_exact_mut(8).zip([reads, writes, took, longest, errno as u64]) {
            place.copy_from_slice(&word.to_le_bytes());
        }
        self.0.write_all_at(&bytes, place(number))
    }
}

fn entry(bytes: &[u8]) -> Entry {
    let mut words = [0; WORDS];
    for (word, place) in words.iter_mut().zip(bytes.chunks_exact(8)) {
        *word = place.iter().rev().fold(0, |all, &byte| all << 8 | u64::from(byte));
    }
    let [reads, writes, took, longest, errno] = words;
    Entry { reads, writes, took, longest, errno: errno as i32 }
}

fn place(number: u32) -> u64 {
    u64::from(number) * ENTRY as u64
}

impl From<File> for Tally {
    fn from(memory: File) -> Self {
        Self(memory)
    }
}

impl From<Tally> for OwnedFd {
    fn from(tally: Tally) -> Self {
        tally.0.into()
    }
}

impl AsFd for Tally {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::{Entry, Tally};

    #[test]
    fn what_those_on_a_file_have_noted_is_read_together() {
        let tally = Tally::new(4).expect("memory");
        assert_eq!(tally.read(2).expect("readable"), [Entry::default(); 2]);
        let mut one = Entry::default();
        one.add(true, Duration::from_millis(3));
        one.add(false, Duration::from_millis(1));
        tally.note(0, &one).expect("writable");
        let mut other = Entry { errno: 28, ..Entry::default() };
        other.add(false, Duration::from_millis(8));
        tally.note(1, &other).expect("writable");
        let all = Entry { reads: 2, writes: 1, took: 12_000_000, longest: 8_000_000, errno: 28 };
        assert_eq!(tally.read(2).expect("readable"), [all, Entry::default()]);
        assert_eq!(tally.read(1).expect("readable"), [all]);
        let since = Entry { reads: 1, writes: 0, took: 8_000_000, ..all };
        assert_eq!(all.since(&one), since);
    }
}
