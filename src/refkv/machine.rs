//! The state machine: keys and values, in memory, rebuilt on start from the last snapshot and the log after it.

use std::collections::BTreeMap;
use std::io::{self, Cursor};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};

use openraft::storage::RaftStateMachine;
use openraft::{
    AnyError, BasicNode, EntryPayload, OptionalSend, RaftSnapshotBuilder, Snapshot, SnapshotMeta,
    StorageError, StorageIOError,
};

use super::disk::{record, replace};
use super::replica::{Answer, Command, Entry, Id, LogId, Membership, Types, Value};

type Meta = SnapshotMeta<Id, BasicNode>;

#[derive(Debug, Clone, Default)]
struct State {
    keys: BTreeMap<String, Value>,
    applied: Option<LogId>,
    membership: Membership,
}

impl State {
    /// The state that a snapshot holds: keys and values in its bytes, the rest in its meta.
    fn restore(meta: &Meta, bytes: &[u8]) -> io::Result<Self> {
        let keys = serde_json::from_slice(bytes)?;
        Ok(Self { keys, applied: meta.last_log_id, membership: meta.last_membership.clone() })
    }

    fn apply(&mut self, command: Command) -> Answer {
        match command {
            Command::Put { key, value } => {
                self.keys.insert(key, value);
                Answer::Put
            }
            Command::CompareAndSet { key, expect, value } => {
                let swapped = self.keys.get(&key) == expect.as_ref();
                if swapped {
                    self.keys.insert(key.clone(), value);
                }
                Answer::CompareAndSet { swapped, current: self.keys.get(&key).cloned() }
            }
            Command::DeletePrefix { prefix } => {
                let before = self.keys.len();
                self.keys.retain(|key, _| !key.starts_with(&prefix));
                Answer::Deleted((before - self.keys.len()) as u64)
            }
        }
    }
}

/// The state of one member. Clones share it.
#[derive(Debug, Clone)]
pub struct Machine {
    folder: PathBuf,
    state: Arc<RwLock<State>>,
    /// What the snapshot on the disk covers; held while one is written, so that an older one never replaces a newer.
    saved: Arc<Mutex<Option<LogId>>>,
}

impl Machine {
    /// Reads the snapshot in `folder`, if there is one.
    pub fn open(folder: &Path) -> io::Result<Self> {
        let (state, saved) = match load(folder)? {
            Some((meta, bytes)) => (State::restore(&meta, &bytes)?, meta.last_log_id),
            None => (State::default(), None),
        };
        Ok(Self {
            folder: folder.to_owned(),
            state: Arc::new(RwLock::new(state)),
            saved: Arc::new(Mutex::new(saved)),
        })
    }

    /// What `key` holds here and now.
    pub fn get(&self, key: &str) -> Option<Value> {
        self.read().keys.get(key).cloned()
    }

    /// Every key that starts with `prefix`, and what it holds here and now.
    pub fn list(&self, prefix: &str) -> BTreeMap<String, Value> {
        let state = self.read();
        let from_prefix = state.keys.range(prefix.to_owned()..);
        from_prefix
            .take_while(|(key, _)| key.starts_with(prefix))
            .map(|(key, value)| (key.clone(), value.clone()))
            .collect()
    }

    /// The last entry that is part of the state.
    pub fn applied(&self) -> Option<LogId> {
        self.read().applied
    }

    fn read(&self) -> RwLockReadGuard<'_, State> {
        self.state.read().unwrap_or_else(PoisonError::into_inner)
    }

    fn write(&self) -> RwLockWriteGuard<'_, State> {
        self.state.write().unwrap_or_else(PoisonError::into_inner)
    }

    /// Puts a snapshot on the disk, unless what is there covers as much.
    fn save(&self, meta: &Meta, bytes: &[u8]) -> io::Result<()> {
        let mut saved = self.saved.lock().unwrap_or_else(PoisonError::into_inner);
        if *saved >= meta.last_log_id && saved.is_some() {
            return Ok(());
        }
        let mut file = Vec::new();
        record::write(&mut file, &serde_json::to_vec(meta)?);
        record::write(&mut file, bytes);
        replace::replace(&self.folder, "snapshot", &file)?;
        *saved = meta.last_log_id;
        Ok(())
    }
}

fn load(folder: &Path) -> io::Result<Option<(Meta, Vec<u8>)>> {
    let Some(file) = replace::read(folder, "snapshot")? else {
        return Ok(None);
    };
    let (meta, rest) = record::read_whole(&file, "snapshot")?;
    let (bytes, _) = record::read_whole(rest, "snapshot")?;
    Ok(Some((serde_json::from_slice(meta)?, bytes.to_owned())))
}

/// Runs what blocks on the disk where it stalls nobody else.
async fn blocking<T: Send + 'static>(work: impl FnOnce() -> io::Result<T> + Send + 'static) -> io::Result<T> {
    tokio::task::spawn_blocking(work).await.unwrap_or_else(|error| Err(io::Error::other(error)))
}

fn write_failed(error: &io::Error) -> StorageError<Id> {
    StorageIOError::write_snapshot(None, AnyError::new(error)).into()
}

fn read_failed(error: &io::Error) -> StorageError<Id> {
    StorageIOError::read_snapshot(None, AnyError::new(error)).into()
}

impl RaftSnapshotBuilder<Types> for Machine {
    async fn build_snapshot(&mut self) -> Result<Snapshot<Types>, StorageError<Id>> {
        let machine = self.clone();
        let built = blocking(move || {
            let (meta, bytes) = {
                let state = machine.read();
                let meta = Meta {
                    last_log_id: state.applied,
                    last_membership: state.membership.clone(),
                    snapshot_id: state
                        .applied
                        .map_or_else(|| "nothing".to_owned(), |applied| applied.to_string()),
                };
                (meta, serde_json::to_vec(&state.keys)?)
            };
            machine.save(&meta, &bytes)?;
            Ok((meta, bytes))
        });
        let (meta, bytes) = built.await.map_err(|error| write_failed(&error))?;
        Ok(Snapshot { meta, snapshot: Box::new(Cursor::new(bytes)) })
    }
}

impl RaftStateMachine<Types> for Machine {
    type SnapshotBuilder = Self;

    async fn applied_state(&mut self) -> Result<(Option<LogId>, Membership), StorageError<Id>> {
        let state = self.read();
        Ok((state.applied, state.membership.clone()))
    }

    async fn apply<I>(&mut self, entries: I) -> Result<Vec<Vec<Answer>>, StorageError<Id>>
    where
        I: IntoIterator<Item = Entry> + OptionalSend,
        I::IntoIter: OptionalSend,
    {
        let mut state = self.write();
        let mut answers = Vec::new();
        for entry in entries {
            state.applied = Some(entry.log_id);
            answers.push(match entry.payload {
                EntryPayload::Blank => Vec::new(),
                EntryPayload::Normal(batch) => {
                    batch.commands.into_iter().map(|command| state.apply(command)).collect()
                }
                EntryPayload::Membership(members) => {
                    state.membership = Membership::new(Some(entry.log_id), members);
                    Vec::new()
                }
            });
        }
        Ok(answers)
    }

    async fn get_snapshot_builder(&mut self) -> Self::SnapshotBuilder {
        self.clone()
    }

    async fn begin_receiving_snapshot(&mut self) -> Result<Box<Cursor<Vec<u8>>>, StorageError<Id>> {
        Ok(Box::default())
    }

    async fn install_snapshot(
        &mut self,
        meta: &Meta,
        snapshot: Box<Cursor<Vec<u8>>>,
    ) -> Result<(), StorageError<Id>> {
        let (machine, meta) = (self.clone(), meta.clone());
        let installed = blocking(move || {
            let bytes = snapshot.into_inner();
            let state = State::restore(&meta, &bytes)?;
            machine.save(&meta, &bytes)?;
            *machine.write() = state;
            Ok(())
        });
        installed.await.map_err(|error| write_failed(&error))
    }

    async fn get_current_snapshot(&mut self) -> Result<Option<Snapshot<Types>>, StorageError<Id>> {
        let folder = self.folder.clone();
        let loaded = blocking(move || load(&folder)).await.map_err(|error| read_failed(&error))?;
        Ok(loaded.map(|(meta, bytes)| Snapshot { meta, snapshot: Box::new(Cursor::new(bytes)) }))
    }
}
