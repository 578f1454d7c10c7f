//! The log as openraft sees it: all of it in memory since the last purge, every change a record on the disk.

use std::collections::BTreeMap;
use std::fmt::Debug;
use std::io;
use std::ops::RangeBounds;
use std::path::Path;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use openraft::storage::{LogFlushed, RaftLogStorage};
use openraft::{AnyError, EntryPayload, LogState, OptionalSend, RaftLogReader, StorageError, StorageIOError};
use serde::{Deserialize, Serialize};

use super::segments::Segments;
use super::writer::{Honesty, Sync, Work, Writer};
use super::{record, replace};
use crate::bugs::{Bug, Bugs};
use crate::replica::{Entry, Id, LogId, Stage, Types, Vote};

/// At most this much is sent to a follower at once.
const LARGEST_READ: usize = 1024 * 1024;

/// One record of the log. Replaying all of them in order gives the log.
#[derive(Serialize, Deserialize)]
enum Record {
    Entry(Entry),
    /// Entries from this index on are void.
    Truncated(u64),
    /// Entries up to this one are in a snapshot.
    Purged(LogId),
    /// Entries up to this one are committed. Not synced for its own sake: it only says what is known anyway.
    Committed(LogId),
}

impl Record {
    fn append_to(&self, out: &mut Vec<u8>) -> io::Result<usize> {
        let payload = serde_json::to_vec(self).map_err(io::Error::other)?;
        record::write(out, &payload);
        Ok(payload.len())
    }

    fn bytes(&self) -> io::Result<Vec<u8>> {
        let mut out = Vec::new();
        self.append_to(&mut out)?;
        Ok(out)
    }
}

#[derive(Default)]
struct Memory {
    /// Entries with their size on the disk.
    entries: BTreeMap<u64, (Entry, usize)>,
    purged: Option<LogId>,
    committed: Option<LogId>,
    vote: Option<Vote>,
}

impl Memory {
    fn replay(&mut self, payload: &[u8]) -> io::Result<Option<u64>> {
        match serde_json::from_slice(payload)? {
            Record::Entry(entry) => {
                let index = entry.log_id.index;
                self.entries.insert(index, (entry, payload.len()));
                return Ok(Some(index));
            }
            Record::Truncated(since) => drop(self.entries.split_off(&since)),
            Record::Purged(upto) => self.purge(upto),
            Record::Committed(upto) => self.committed = Some(upto),
        }
        Ok(None)
    }

    fn purge(&mut self, upto: LogId) {
        self.entries = self.entries.split_off(&(upto.index + 1));
        self.purged = Some(upto);
    }

    fn last(&self) -> Option<LogId> {
        self.entries.last_key_value().map(|(_, (entry, _))| entry.log_id).or(self.purged)
    }

    /// A commit index beyond the log is of no use: the entries went with a disk that lied.
    fn forget_committed_beyond_the_log(&mut self) {
        self.committed = self.committed.filter(|committed| {
            let held = self.entries.get(&committed.index).map(|(entry, _)| entry.log_id);
            held.or(self.purged).is_some_and(|held| held >= *committed)
        });
    }
}

/// The log of one member. Clones share it.
#[derive(Clone)]
pub struct Log {
    memory: Arc<Mutex<Memory>>,
    writer: Writer,
}

impl Log {
    /// Reads what is in `folder` and starts the thread that writes to it.
    ///
    /// A member that led when it went down comes back as one that only voted for itself, so that it has to be elected
    /// again. openraft would let it lead on in its old term; but how far it had committed is not synced, and until it
    /// commits anew it would answer linearizable reads from before that point.
    pub fn open(folder: &Path, id: Id, bugs: &Bugs) -> io::Result<Self> {
        let mut memory = Memory::default();
        let segments = Segments::open(folder, |payload| memory.replay(payload))?;
        if let Some(purged) = memory.purged {
            memory.purge(purged);
        }
        memory.forget_committed_beyond_the_log();
        if let Some(bytes) = replace::read(folder, "vote")? {
            let (payload, _) = record::read_whole(&bytes, "vote")?;
            let mut vote: Vote = serde_json::from_slice(payload)?;
            vote.committed &= vote.leader_id.voted_for() != Some(id);
            memory.vote = Some(vote);
        }
        if bugs.has(Bug::ForgottenVote) {
            memory.vote = None;
            memory.committed = None;
        }
        let honesty =
            if bugs.has(Bug::AckBeforeFsync) { Honesty::AcknowledgesBeforeSync } else { Honesty::Honest };
        let writer = Writer::start(folder.to_owned(), segments, honesty)?;
        Ok(Self { memory: Arc::new(Mutex::new(memory)), writer })
    }

    /// The highest entry that this member knows to be committed.
    pub fn committed(&self) -> Option<LogId> {
        self.memory().committed
    }

    /// The index of the last entry, committed or not.
    pub fn last_index(&self) -> Option<u64> {
        self.memory().last().map(|last| last.index)
    }

    fn memory(&self) -> MutexGuard<'_, Memory> {
        self.memory.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn write_failed(error: &io::Error) -> StorageError<Id> {
    StorageIOError::write_logs(AnyError::new(error)).into()
}

fn vote_failed(error: &io::Error) -> StorageError<Id> {
    StorageIOError::write_vote(AnyError::new(error)).into()
}

impl RaftLogReader<Types> for Log {
    async fn try_get_log_entries<RB: RangeBounds<u64> + Clone + Debug + OptionalSend>(
        &mut self,
        range: RB,
    ) -> Result<Vec<Entry>, StorageError<Id>> {
        Ok(self.memory().entries.range(range).map(|(_, (entry, _))| entry.clone()).collect())
    }

    async fn limited_get_log_entries(
        &mut self,
        start: u64,
        end: u64,
    ) -> Result<Vec<Entry>, StorageError<Id>> {
        let memory = self.memory();
        let mut room = LARGEST_READ;
        let mut entries = Vec::new();
        for (entry, size) in memory.entries.range(start..end).map(|(_, held)| held) {
            if *size > room && !entries.is_empty() {
                break;
            }
            room = room.saturating_sub(*size);
            entries.push(entry.clone());
        }
        Ok(entries)
    }
}

impl RaftLogStorage<Types> for Log {
    type LogReader = Self;

    async fn get_log_state(&mut self) -> Result<LogState<Types>, StorageError<Id>> {
        let memory = self.memory();
        Ok(LogState { last_purged_log_id: memory.purged, last_log_id: memory.last() })
    }

    async fn get_log_reader(&mut self) -> Self::LogReader {
        self.clone()
    }

    async fn save_vote(&mut self, vote: &Vote) -> Result<(), StorageError<Id>> {
        let mut bytes = Vec::new();
        let payload = serde_json::to_vec(vote).map_err(|error| vote_failed(&error.into()))?;
        record::write(&mut bytes, &payload);
        self.writer.finish(Work::Vote(bytes)).await.map_err(|error| vote_failed(&error))?;
        self.memory().vote = Some(*vote);
        Ok(())
    }

    async fn read_vote(&mut self) -> Result<Option<Vote>, StorageError<Id>> {
        Ok(self.memory().vote)
    }

    async fn save_committed(&mut self, committed: Option<LogId>) -> Result<(), StorageError<Id>> {
        self.memory().committed = committed;
        if let Some(committed) = committed {
            let bytes = Record::Committed(committed).bytes().map_err(|error| write_failed(&error))?;
            let work = Work::Records { bytes, highest: None, sync: Sync::WithNext };
            // A failure comes back with the next append, which is synced.
            self.writer.write(work, Box::new(drop));
        }
        Ok(())
    }

    async fn read_committed(&mut self) -> Result<Option<LogId>, StorageError<Id>> {
        Ok(self.memory().committed)
    }

    async fn append<I>(&mut self, entries: I, callback: LogFlushed<Types>) -> Result<(), StorageError<Id>>
    where
        I: IntoIterator<Item = Entry> + OptionalSend,
        I::IntoIter: OptionalSend,
    {
        let mut bytes = Vec::new();
        let mut tickets = Vec::new();
        let mut sync = Sync::BeforeAnswer;
        let mut highest = None;
        {
            let mut memory = self.memory();
            for mut entry in entries {
                match &mut entry.payload {
                    EntryPayload::Normal(batch) => tickets.extend(batch.ticket.take()),
                    EntryPayload::Membership(_) => sync = Sync::Always,
                    EntryPayload::Blank => {}
                }
                let index = entry.log_id.index;
                let record = Record::Entry(entry);
                let size = record.append_to(&mut bytes).map_err(|error| write_failed(&error))?;
                let Record::Entry(entry) = record else { continue };
                memory.entries.insert(index, (entry, size));
                highest = Some(index);
            }
        }
        for ticket in &tickets {
            ticket.advance(Stage::Appended);
        }
        let done = move |result: io::Result<()>| {
            if result.is_ok() {
                for ticket in &tickets {
                    ticket.advance(Stage::Durable);
                }
            }
            callback.log_io_completed(result);
        };
        self.writer.write(Work::Records { bytes, highest, sync }, Box::new(done));
        Ok(())
    }

    async fn truncate(&mut self, log_id: LogId) -> Result<(), StorageError<Id>> {
        drop(self.memory().entries.split_off(&log_id.index));
        let bytes = Record::Truncated(log_id.index).bytes().map_err(|error| write_failed(&error))?;
        let work = Work::Records { bytes, highest: None, sync: Sync::Always };
        self.writer.finish(work).await.map_err(|error| write_failed(&error))
    }

    async fn purge(&mut self, log_id: LogId) -> Result<(), StorageError<Id>> {
        self.memory().purge(log_id);
        let bytes = Record::Purged(log_id).bytes().map_err(|error| write_failed(&error))?;
        let work = Work::Purge { bytes, upto: log_id.index };
        self.writer.finish(work).await.map_err(|error| write_failed(&error))
    }
}
