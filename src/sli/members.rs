//! Asks every member how it sees itself, again and again.
//!
//! - Every [`PERIOD`] a round asks all members at the same time, each over a connection of its own that the workload does
//!   not share. A member that has not answered after [`LIMIT`] is unreachable.
//! - A slow member delays nobody: a round is told as soon as all have answered, and after half a period at the latest.
//!   A member whose question is then still open and within the limit is told with its newest answer, which is no older
//!   than the limit and a period together.
//! - Rounds never pile up: each member has one question in flight, and a receiver that is slow makes rounds late.
//! - A round that is late by more than a period is our own failure: all its members are *not sampled*, and so is a
//!   member whose question outlived its limit by more than a period, because then nobody looked for its answer.

use std::sync::Arc;
use std::time::Duration;

use futures::StreamExt;
use futures::stream::FuturesUnordered;
use tokio::sync::mpsc;
use tokio::time::{Instant, sleep_until};

use crate::api::{Member, MemberSample, Members, Ordinal};
use crate::platform::Endpoint;
use crate::store::{Adapter, Client};

/// From one round to the next.
pub const PERIOD: Duration = Duration::from_millis(200);
/// How long a member may take to answer.
pub const LIMIT: Duration = Duration::from_millis(400);

/// Samples `members` until the receiver is dropped. `heartbeat` is the whole key of the workload's heartbeat, whose local
/// value is part of each answer.
pub fn sample(adapter: &dyn Adapter, members: &[Ordinal], heartbeat: String) -> mpsc::Receiver<Members> {
    let (rounds, receiver) = mpsc::channel(1);
    let seats = members
        .iter()
        .map(|&ordinal| Seat {
            ordinal,
            client: Some(adapter.client(Endpoint::Member(ordinal))),
            newest: MemberSample::NotSampled(
                "it was asked for the first time, and has not answered yet".into(),
            ),
        })
        .collect();
    let sampler = Sampler { seats, heartbeat: heartbeat.into(), open: FuturesUnordered::new() };
    tokio::spawn(sampler.run(rounds));
    receiver
}

/// What is known of one member.
struct Seat {
    ordinal: Ordinal,
    /// Not there while a question is open.
    client: Option<Box<dyn Client>>,
    newest: MemberSample,
}

/// An answer, and the client that is free again.
struct Answered {
    seat: usize,
    client: Box<dyn Client>,
    sample: MemberSample,
}

type Question = futures::future::BoxFuture<'static, Answered>;

struct Sampler {
    seats: Vec<Seat>,
    heartbeat: Arc<str>,
    open: FuturesUnordered<Question>,
}

impl Sampler {
    async fn run(mut self, rounds: mpsc::Sender<Members>) {
        let mut due = Instant::now();
        loop {
            self.wait_until(due).await;
            let late = Instant::now().saturating_duration_since(due);
            let round = if late > PERIOD {
                // The slots that went by are not made up for.
                due = Instant::now();
                self.not_sampled(late)
            } else {
                self.ask_everybody();
                self.collect_until(due + PERIOD / 2).await;
                self.newest()
            };
            due += PERIOD;
            tokio::select! {
                sent = rounds.send(round) => if sent.is_err() { return },
                () = rounds.closed() => return,
            }
        }
    }

    /// Asks those that owe no answer.
    fn ask_everybody(&mut self) {
        for (number, seat) in self.seats.iter_mut().enumerate() {
            if let Some(client) = seat.client.take() {
                self.open.push(Box::pin(question(number, client, Arc::clone(&self.heartbeat))));
            }
        }
    }

    /// Takes answers until all are there, or until `end`.
    async fn collect_until(&mut self, end: Instant) {
        while !self.open.is_empty() {
            tokio::select! {
                Some(answered) = self.open.next() => self.take(answered),
                () = sleep_until(end) => return,
            }
        }
    }

    /// Takes answers that come late, until `end`.
    async fn wait_until(&mut self, end: Instant) {
        self.collect_until(end).await;
        sleep_until(end).await;
    }

    fn take(&mut self, answered: Answered) {
        let seat = &mut self.seats[answered.seat];
        seat.client = Some(answered.client);
        seat.newest = answered.sample;
    }

    fn newest(&self) -> Members {
        self.round(|seat| seat.newest.clone())
    }

    fn not_sampled(&self, late: Duration) -> Members {
        let why = format!("the round was {} ms late", late.as_millis());
        self.round(|_| MemberSample::NotSampled(why.clone()))
    }

    fn round(&self, sample: impl Fn(&Seat) -> MemberSample) -> Members {
        let member = |seat: &Seat| Member { ordinal: seat.ordinal, sample: sample(seat) };
        Members { members: self.seats.iter().map(member).collect() }
    }
}

async fn question(seat: usize, mut client: Box<dyn Client>, heartbeat: Arc<str>) -> Answered {
    let deadline = Instant::now() + LIMIT;
    let sample = match client.member(&heartbeat, deadline).await {
        // Whoever looks too late for an answer cannot say that there was none.
        MemberSample::Unreachable(_) if Instant::now() > deadline + PERIOD => {
            MemberSample::NotSampled("nobody looked for its answer in time".into())
        }
        sample @ (MemberSample::Answer { .. }
        | MemberSample::Unreachable(_)
        | MemberSample::NotSampled(_)) => sample,
    };
    Answered { seat, client, sample }
}
