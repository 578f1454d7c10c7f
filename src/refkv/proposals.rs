//! From a client's write to an entry of the log: what waits together goes together.
//!
//! A write is answered with success when it has been applied after a majority had it on disk, with "not applied" when
//! it has provably never been in any log, and with "unknown" in all other cases. openraft reports an entry that was cut
//! off a deposed leader's log like one that was never appended; but another member may still have it and lead
//! later. So each batch carries a ticket that the log stamps.

use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use openraft::BasicNode;
use openraft::error::ClientWriteError;
use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc, oneshot};
use tokio::time::timeout;

use super::outcome::Refusal;
use super::replica::{Answer, Batch, Command, Id, Raft, Ticket};

/// Commands in one entry, at most.
const LARGEST_BATCH: usize = 256;
/// Entries that this member has proposed and not yet heard of, at most. More would mean smaller batches.
const IN_FLIGHT: usize = 4;
/// Writes that wait, at most.
const QUEUE: usize = 4096;

/// When a write is acknowledged.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Acknowledge {
    /// When a majority has it and it is applied.
    AfterQuorum,
    /// The bug `ack-before-quorum`: when it is in this member's log.
    BeforeQuorum,
}

struct Proposal {
    command: Command,
    /// Set once, by whoever decides first: the proposer takes it, or the client's time is up.
    taken: Arc<AtomicBool>,
    reply: Reply,
}

impl Proposal {
    fn take(self) -> Option<(Command, Reply)> {
        (!self.taken.swap(true, Ordering::AcqRel)).then_some((self.command, self.reply))
    }
}

/// Takes writes. Clones share the queue.
#[derive(Debug, Clone)]
pub struct Proposals {
    queue: mpsc::Sender<Proposal>,
    patience: Duration,
}

impl Proposals {
    /// Starts the task that turns writes into entries; it ends with the last handle.
    pub fn start(raft: Raft, acknowledge: Acknowledge, patience: Duration) -> Self {
        let (queue, waiting) = mpsc::channel(QUEUE);
        tokio::spawn(propose(Proposer { raft, acknowledge, patience }, waiting));
        Self { queue, patience }
    }

    /// Has `command` written, and says what applying it answered.
    pub async fn submit(&self, command: Command) -> Result<Answer, Refusal> {
        let (reply, replied) = oneshot::channel();
        let taken = Arc::new(AtomicBool::new(false));
        let proposal = Proposal { command, taken: Arc::clone(&taken), reply };
        if self.queue.try_send(proposal).is_err() {
            return Err(Refusal::Unavailable("too many writes wait on this member".to_owned()));
        }
        match timeout(self.patience, replied).await {
            Ok(Ok(outcome)) => outcome,
            Ok(Err(_)) => Err(Refusal::Unknown("this member is stopping".to_owned())),
            Err(_) if taken.swap(true, Ordering::AcqRel) => Err(undecided()),
            Err(_) => {
                Err(Refusal::Unavailable("earlier writes are stuck; this one was not begun".to_owned()))
            }
        }
    }
}

fn undecided() -> Refusal {
    Refusal::Unknown("no majority has confirmed the write in time; it may still happen".to_owned())
}

#[derive(Clone)]
struct Proposer {
    raft: Raft,
    acknowledge: Acknowledge,
    patience: Duration,
}

async fn propose(proposer: Proposer, mut waiting: mpsc::Receiver<Proposal>) {
    let slots = Arc::new(Semaphore::new(IN_FLIGHT));
    while let Some(first) = waiting.recv().await {
        let Ok(slot) = Arc::clone(&slots).acquire_owned().await else {
            return;
        };
        let mut commands = Vec::new();
        let mut replies = Vec::new();
        let mut next = Some(first);
        while let Some(proposal) = next {
            if let Some((command, reply)) = proposal.take() {
                commands.push(command);
                replies.push(reply);
            }
            next = if commands.len() < LARGEST_BATCH { waiting.try_recv().ok() } else { None };
        }
        if !commands.is_empty() {
            tokio::spawn(proposer.clone().settle(commands, replies, slot));
        }
    }
}

type Reply = oneshot::Sender<Result<Answer, Refusal>>;

fn send(reply: &mut Option<Reply>, outcome: Result<Answer, Refusal>) {
    if let Some(reply) = reply.take() {
        // A client that has gone does not want its answer.
        let _ = reply.send(outcome);
    }
}

impl Proposer {
    async fn settle(self, commands: Vec<Command>, replies: Vec<Reply>, slot: OwnedSemaphorePermit) {
        let mut replies: Vec<_> = replies.into_iter().map(Some).collect();
        let is_put: Vec<_> = commands.iter().map(|command| matches!(command, Command::Put { .. })).collect();
        let ticket = Ticket::new();
        let batch = Batch { commands, ticket: Some(ticket.clone()) };
        let outcome = match self.raft.client_write_ff(batch).await {
            Err(stopped) => Err(Refusal::Unavailable(stopped.to_string())),
            Ok(result) => {
                let mut slot = Some(slot);
                let mut result = pin!(timeout(self.patience, result));
                let mut decided = None;
                if self.acknowledge == Acknowledge::BeforeQuorum {
                    tokio::select! {
                        biased;
                        early = &mut result => decided = Some(early),
                        () = ticket.durable() => {
                            let puts = replies.iter_mut().zip(&is_put).filter(|(_, is_put)| **is_put);
                            puts.for_each(|(reply, _)| send(reply, Ok(Answer::Put)));
                            slot = None;
                        }
                    }
                }
                let result = match decided {
                    Some(early) => early,
                    None => result.await,
                };
                drop(slot);
                match result {
                    Ok(Ok(Ok(response))) => Ok(response.data),
                    Ok(Ok(Err(error))) => Err(refuse(error, &ticket)),
                    Ok(Err(_)) => Err(Refusal::Unknown("this member is stopping".to_owned())),
                    Err(_) => Err(undecided()),
                }
            }
        };
        match outcome {
            Ok(answers) => {
                replies.iter_mut().zip(answers).for_each(|(reply, answer)| send(reply, Ok(answer)));
            }
            Err(refusal) => replies.iter_mut().for_each(|reply| send(reply, Err(refusal.clone()))),
        }
    }
}

fn refuse(error: ClientWriteError<Id, BasicNode>, ticket: &Ticket) -> Refusal {
    match error {
        ClientWriteError::ForwardToLeader(_) if ticket.is_appended() => Refusal::Unknown(
            "this member was deposed with the write in its log; another may have it".to_owned(),
        ),
        ClientWriteError::ForwardToLeader(forward) => Refusal::NotTheLeader { leader: forward.leader_id },
        ClientWriteError::ChangeMembershipError(error) => Refusal::Unknown(error.to_string()),
    }
}
