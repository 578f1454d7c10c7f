//! How fast a journal of a million operations is judged: reading its text, pairing its lines and checking them.
//!
//! The journal is made up by a correct register for each key, asked by clients with one operation in flight each,
//! through a run in which some answers get lost. The same seed gives the same journal.

mod synthetic;

use std::fmt;
use std::thread;
use std::time::{Duration, Instant};

use jiff::Timestamp;

use crate::api::Snapshot;
use crate::experiment::Verdict;
use crate::journal::entry::{Effect, Entry, Header, Phase, SCHEMA};
use crate::journal::read::Journal;
use crate::judge::history::{self, ReadError};
use crate::judge::judge;
use crate::judge::linearizability::{self, Outcome};

pub use synthetic::{Shape, journal};

/// What it took.
#[derive(Debug, Clone)]
pub struct Timing {
    /// Operations in the journal, those that failed or brought nothing included.
    pub operations: usize,
    /// Size of the journal's text.
    pub bytes: usize,
    /// Threads that were used.
    pub threads: usize,
    /// From text to history.
    pub reading: Duration,
    /// From history to outcome.
    pub checking: Duration,
    /// From the journal's bytes to the whole judgement, as `seatrial judge` makes it: reading and checking again, with
    /// every other claim.
    pub whole: Duration,
    /// What the whole judgement says of linearizability.
    pub verdict: Verdict,
    /// The outcome, which has to be [`Outcome::Linearizable`].
    pub outcome: Outcome,
}

impl Timing {
    /// From text to outcome.
    pub fn total(&self) -> Duration {
        self.reading + self.checking
    }
}

impl fmt::Display for Timing {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let verdict = match &self.outcome {
            Outcome::Linearizable { .. } => "linearizable",
            Outcome::Violation { .. } => "NOT LINEARIZABLE, which is a bug of the check",
            Outcome::Undecidable { .. } => "UNDECIDED, which is a bug of the check",
            Outcome::NothingToCheck => "nothing to check",
        };
        write!(
            formatter,
            "{} operations ({} MB) judged in {:.2} s on {} threads: {:.2} s reading, {:.2} s checking; {verdict}",
            self.operations,
            self.bytes / 1_000_000,
            self.total().as_secs_f64(),
            self.threads,
            self.reading.as_secs_f64(),
            self.checking.as_secs_f64(),
        )
    }
}

/// Makes a journal of that shape up in memory and measures how long judging it takes.
pub fn bench_judge(shape: Shape, seed: u64) -> Result<Timing, ReadError> {
    let text = journal(shape, seed);
    let threads = thread::available_parallelism().map_or(1, std::num::NonZero::get);
    let started = Instant::now();
    let history = history::from_journal(&text, threads, |_| true)?;
    let reading = started.elapsed();
    let outcome = linearizability::check_with(&history, threads);
    let checking = started.elapsed().saturating_sub(reading);
    let file = whole_journal(&text);
    let started = Instant::now();
    let journal = Journal::parse(&file).expect("what was made up is a journal");
    let judgement = judge(&journal);
    let whole = started.elapsed();
    let verdict = judgement.claims.first().map_or(Verdict::Inconclusive, |claim| claim.verdict);
    Ok(Timing {
        operations: shape.operations,
        bytes: text.len(),
        threads,
        reading,
        checking,
        whole,
        verdict,
        outcome,
    })
}

/// The operations, which are numbered from [`synthetic::FIRST`] on, within a run that claims linearizability.
fn whole_journal(operations: &str) -> Vec<u8> {
    let experiment = serde_json::json!({
        "name": "bench",
        "target": {"statefulSet": "bench", "store": {"refkv": {}}},
        "workload": {},
        "steps": [],
        "hypothesis": [{"name": "reads are linearizable", "sli": {"linearizability": {}}}],
    });
    let header = Header {
        schema: SCHEMA,
        version: env!("CARGO_PKG_VERSION").into(),
        run: "bench".into(),
        started_at: Timestamp::UNIX_EPOCH,
        experiment: serde_json::from_value(experiment).expect("the experiment above is valid"),
        seed: 0,
        environment: String::new(),
        target: Snapshot { name: "bench".into(), replicas: 3, ..Snapshot::default() },
        others: Vec::new(),
    };
    let entry = |entry: &Entry| serde_json::to_string(entry).expect("an entry has only string keys");
    let header = entry(&Entry::Header(Box::new(header)));
    let begin = entry(&Entry::Effect { id: 0, effect: Effect::Phase(Phase::Baseline) });
    format!(
        "{{\"time\":0,\"index\":1,\"entry\":{header}}}\n{{\"time\":0,\"index\":2,\"entry\":{begin}}}\n{operations}"
    )
    .into_bytes()
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "a test ends where its premise fails")]

    use super::*;

    #[test]
    fn the_made_up_journal_is_judged_and_holds_every_kind_of_operation() {
        let shape = Shape { operations: 20_000, ..Shape::default() };
        let timing = bench_judge(shape, 1).unwrap();
        let Outcome::Linearizable { operations, keys } = timing.outcome else {
            unreachable!("{:?}", timing.outcome)
        };
        assert!((19_000..=20_000).contains(&operations), "{operations}");
        assert_eq!(keys, shape.keys as usize);
        let text = journal(shape, 1);
        assert_eq!(text.matches("\"type\":\"invoke\"").count(), 20_000);
        for wanted in
            ["\"read\"", "\"write\"", "\"cas\"", "\"current\":", "\"type\":\"info\"", "\"type\":\"fail\""]
        {
            assert!(text.contains(wanted), "{wanted}");
        }
        assert_eq!(text, journal(shape, 1));
    }
}
