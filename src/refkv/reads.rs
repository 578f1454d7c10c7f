//! Linearizable reads: a majority confirms that this member still leads, and all that was committed by then is
//! applied. Reads that wait together are confirmed together.

use std::time::Duration;

use openraft::error::{CheckIsLeaderError, RaftError};
use tokio::sync::{mpsc, oneshot};
use tokio::time::timeout;

use super::outcome::Refusal;
use super::replica::Raft;

const QUEUE: usize = 4096;

type Reply = oneshot::Sender<Result<(), Refusal>>;

/// Confirms reads. Clones share the queue.
#[derive(Debug, Clone)]
pub struct Reads {
    queue: mpsc::Sender<Reply>,
}

impl Reads {
    /// Starts the task that confirms; it ends with the last handle.
    pub fn start(raft: Raft, patience: Duration) -> Self {
        let (queue, waiting) = mpsc::channel(QUEUE);
        tokio::spawn(confirm(raft, patience, waiting));
        Self { queue }
    }

    /// Returns when this member's state holds everything that was acknowledged before the call.
    pub async fn confirm(&self) -> Result<(), Refusal> {
        let (reply, replied) = oneshot::channel();
        if self.queue.try_send(reply).is_err() {
            return Err(Refusal::Unavailable("too many reads wait on this member".to_owned()));
        }
        replied.await.unwrap_or_else(|_| Err(Refusal::Unavailable("this member is stopping".to_owned())))
    }
}

async fn confirm(raft: Raft, patience: Duration, mut waiting: mpsc::Receiver<Reply>) {
    let mut round = Vec::new();
    // Who joins after a round has begun waits for the next: leadership must be confirmed after the read was asked.
    while waiting.recv_many(&mut round, QUEUE).await > 0 {
        let outcome = match timeout(patience, raft.ensure_linearizable()).await {
            Ok(Ok(_)) => Ok(()),
            Ok(Err(error)) => Err(refuse(error)),
            Err(_) => Err(Refusal::Unavailable("this member cannot catch up in time".to_owned())),
        };
        for reply in round.drain(..) {
            // A client that has gone does not want its answer.
            let _ = reply.send(outcome.clone());
        }
    }
}

fn refuse(error: RaftError<u64, CheckIsLeaderError<u64, openraft::BasicNode>>) -> Refusal {
    match error {
        RaftError::APIError(CheckIsLeaderError::ForwardToLeader(forward)) => {
            Refusal::NotTheLeader { leader: forward.leader_id }
        }
        RaftError::APIError(CheckIsLeaderError::QuorumNotEnough(_)) => {
            Refusal::Unavailable("no majority confirms that this member leads".to_owned())
        }
        RaftError::Fatal(fatal) => Refusal::Unavailable(fatal.to_string()),
    }
}
