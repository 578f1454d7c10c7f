//! What is replicated: commands, what applying them answers, and the types that openraft is told.

use std::io::Cursor;
use std::sync::Arc;

use openraft::BasicNode;
use serde::{Deserialize, Serialize};
use tokio::sync::watch;

/// A member's number.
pub type Id = u64;
/// The place of an entry in the log, with the term in which it was written.
pub type LogId = openraft::LogId<Id>;
/// A term, and whom a member voted for in it.
pub type Vote = openraft::Vote<Id>;
/// One entry of the log.
pub type Entry = openraft::Entry<Types>;
/// The members, as an entry of the log says.
pub type Membership = openraft::StoredMembership<Id, BasicNode>;
/// A running member.
pub type Raft = openraft::Raft<Types>;

openraft::declare_raft_types!(
    /// The types that openraft works with.
    pub Types:
        D = Batch,
        R = Vec<Answer>,
        NodeId = Id,
        Node = BasicNode,
        Entry = openraft::Entry<Types>,
        SnapshotData = Cursor<Vec<u8>>,
);

/// The longest key, in bytes.
pub const LONGEST_KEY: usize = 512;
/// The longest text, in bytes.
pub const LONGEST_TEXT: usize = 64 * 1024;

/// What a key holds: a JSON number or a string. Numbers are equal when they are written alike: 1 is not 1.0.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "serde_json::Value", into = "serde_json::Value")]
pub enum Value {
    /// A number.
    Number(serde_json::Number),
    /// A string.
    Text(String),
}

impl TryFrom<serde_json::Value> for Value {
    type Error = String;

    fn try_from(json: serde_json::Value) -> Result<Self, Self::Error> {
        match json {
            serde_json::Value::Number(number) => Ok(Self::Number(number)),
            serde_json::Value::String(text) if text.len() <= LONGEST_TEXT => Ok(Self::Text(text)),
            serde_json::Value::String(text) => {
                Err(format!("a value is at most {LONGEST_TEXT} bytes long; this one has {}", text.len()))
            }
            serde_json::Value::Null
            | serde_json::Value::Bool(_)
            | serde_json::Value::Array(_)
            | serde_json::Value::Object(_) => Err("a value is a JSON number or a string".to_owned()),
        }
    }
}

impl From<Value> for serde_json::Value {
    fn from(value: Value) -> Self {
        match value {
            Value::Number(number) => Self::Number(number),
            Value::Text(text) => Self::String(text),
        }
    }
}

/// One change that a client asked for.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Command {
    /// Sets a key.
    Put {
        /// The key.
        key: String,
        /// What it holds from then on.
        value: Value,
    },
    /// Sets a key if it holds what is expected.
    CompareAndSet {
        /// The key.
        key: String,
        /// What it must hold; `None` if it must not exist.
        expect: Option<Value>,
        /// What it holds from then on.
        value: Value,
    },
    /// Removes every key that starts with the prefix.
    DeletePrefix {
        /// The prefix.
        prefix: String,
    },
}

/// What applying a command answers.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Answer {
    /// The key is set.
    Put,
    /// The outcome of a compare-and-set.
    CompareAndSet {
        /// Whether the key held what was expected and was set.
        swapped: bool,
        /// What the key holds after the command.
        current: Option<Value>,
    },
    /// How many keys were removed.
    Deleted(u64),
}

/// How far an entry has come on the member that proposed it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Stage {
    /// Handed to openraft; in no log yet.
    Proposed,
    /// About to be in this member's log: from here on it may be applied some day, whatever openraft says.
    Appended,
    /// Synced to this member's disk.
    Durable,
}

/// Follows one batch from its proposal to this member's disk. It travels with the batch as far as the log of the
/// proposing member and is never written or sent.
#[derive(Debug, Clone)]
pub struct Ticket(Arc<watch::Sender<Stage>>);

impl Ticket {
    /// A ticket of a batch that is in no log yet.
    pub fn new() -> Self {
        Self(Arc::new(watch::Sender::new(Stage::Proposed)))
    }

    /// The batch has come further.
    pub fn advance(&self, stage: Stage) {
        self.0.send_if_modified(|now| {
            let is_news = stage > *now;
            *now = stage.max(*now);
            is_news
        });
    }

    /// Whether the batch is in this member's log, or was.
    pub fn is_appended(&self) -> bool {
        *self.0.borrow() >= Stage::Appended
    }

    /// Returns when the batch is on this member's disk.
    pub async fn durable(&self) {
        let mut stages = self.0.subscribe();
        // The sender lives in self, so the wait ends only when the stage is reached.
        let _ = stages.wait_for(|stage| *stage >= Stage::Durable).await;
    }
}

impl Default for Ticket {
    fn default() -> Self {
        Self::new()
    }
}

/// Commands that share one entry of the log, so that one sync of the disk serves many clients.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Batch {
    /// The commands in the order in which they apply.
    pub commands: Vec<Command>,
    /// Only on the member that proposes the batch, and only until it is in the log.
    #[serde(skip)]
    pub ticket: Option<Ticket>,
}
