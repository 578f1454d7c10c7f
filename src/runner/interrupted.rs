//! What an earlier process of this run left: it is taken back, and its journal is ended.

use std::io;
use std::time::Duration;

use jiff::Timestamp;
use kube::Client;

use super::{Options, RunnerError};
use crate::api::Nanos;
use crate::journal::entry::{Effect, Entry, Input, Phase};
use crate::journal::read::{Journal, ReadError};
use crate::journal::write::{WriteError, Writer};
use crate::platform::kubernetes::nodes::Injections;
use crate::platform::kubernetes::revert::{Taken, revert};

/// How long agents may take; their own deadlines are shorter.
const LIMIT: Duration = Duration::from_mins(3);

const REASON: &str = "the runner was restarted in the middle of the run";

/// Ends the journal of an earlier process. True where there is one, and the run is over.
pub(super) async fn end(
    client: &Client,
    options: &Options,
    injections: &Injections,
) -> Result<bool, RunnerError> {
    let journal = match Journal::read(&options.journal) {
        Ok(journal) => journal,
        Err(ReadError::Open { source, .. }) if source.kind() == io::ErrorKind::NotFound => return Ok(false),
        // It was killed before the first line was there, and nothing is asked for before that.
        Err(ReadError::Empty) => {
            std::fs::remove_file(&options.journal).map_err(RunnerError::Folder)?;
            return Ok(false);
        }
        Err(error) => {
            tracing::error!(%error, "the journal of an earlier process cannot be read");
            revert(client, &options.namespace, injections, LIMIT).await?;
            return Ok(true);
        }
    };
    let is_over = |entry: &Entry| matches!(entry, Entry::Effect { effect: Effect::Finish {}, .. });
    if journal.lines.iter().any(|line| is_over(&line.entry)) {
        return Ok(true);
    }
    let taken = revert(client, &options.namespace, injections, LIMIT).await?;
    let writer = Writer::resume(&options.journal)?;
    let last = Last { now: now(&journal), next: next_effect(&journal), writer };
    last.write(taken.into_iter().map(|(spec, taken)| (spec.name, taken)))?;
    Ok(true)
}

/// The moment of the run's clock, by the wall clock: the clock itself went with the process.
fn now(journal: &Journal) -> Nanos {
    let since = Timestamp::now().duration_since(journal.header.started_at);
    Nanos::try_from(since.as_nanos()).unwrap_or(0).max(journal.end())
}

fn next_effect(journal: &Journal) -> u64 {
    let ids = journal.lines.iter().filter_map(|line| match line.entry {
        Entry::Effect { id, .. } => Some(id),
        Entry::Header(_) | Entry::Input(_) | Entry::FinalRead { .. } => None,
    });
    ids.max().map_or(0, |last| last + 1)
}

/// The last lines of a journal.
struct Last {
    now: Nanos,
    next: u64,
    writer: Writer,
}

impl Last {
    fn write(mut self, taken: impl Iterator<Item = (String, Taken)>) -> Result<(), WriteError> {
        self.entry(&Entry::Input(Input::Stopped { reason: REASON.into() }))?;
        self.effect(Effect::Abort { reason: REASON.into() })?;
        self.effect(Effect::Phase(Phase::Reverting))?;
        for (name, taken) in taken {
            match taken {
                Taken::Back(status) => self.entry(&Entry::Input(Input::Injection { name, status }))?,
                Taken::Gone(why) => tracing::info!("{name} counts as reverted: {why}"),
                Taken::Not(why) => self.effect(Effect::RevertFailed { reason: format!("{name}: {why}") })?,
            }
        }
        self.effect(Effect::Phase(Phase::Judged))?;
        self.effect(Effect::Finish {})?;
        self.writer.sync()
    }

    fn effect(&mut self, effect: Effect) -> Result<(), WriteError> {
        let id = self.next;
        self.next += 1;
        self.entry(&Entry::Effect { id, effect })
    }

    fn entry(&self, entry: &Entry) -> Result<(), WriteError> {
        self.writer.entry(self.now, entry)
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write;
    use std::path::Path;

    use super::*;
    use crate::api::{InjectionState, InjectionStatus, Snapshot};
    use crate::experiment::Verdict;
    use crate::journal::entry::{Header, SCHEMA};
    use crate::spec;

    const FILE: &str = include_str!("../../experiments/etcd/leader-cut.yaml");

    /// The journal of a process that was killed while it wrote its second line.
    fn cut_off(path: &Path) {
        let documents = spec::document::split("f", FILE.as_bytes()).expect("a test reads this file");
        let header = Header {
            schema: SCHEMA,
            version: "1".into(),
            run: "r".into(),
            started_at: Timestamp::now(),
            experiment: spec::experiment(&documents[0]).expect("it is valid"),
            seed: 1,
            environment: String::new(),
            target: Snapshot::default(),
            others: Vec::new(),
        };
        let writer = Writer::create(path, &header).expect("it can be made");
        let began = Entry::Effect { id: 6, effect: Effect::Phase(Phase::Faulting) };
        writer.entry(5, &began).expect("it can be written");
        let mut file = std::fs::File::options().append(true).open(path).expect("it is there");
        file.write_all(b"{\"time\":7,\"ent").expect("it can be written");
    }

    #[test]
    fn a_journal_that_was_cut_off_is_ended_as_aborted() {
        let folder = tempfile::TempDir::new().expect("a temporary folder can be made");
        let path = folder.path().join("journal");
        cut_off(&path);
        let journal = Journal::read(&path).expect("a torn line is tolerated");
        assert_eq!((next_effect(&journal), now(&journal) >= 5), (7, true));
        let writer = Writer::resume(&path).expect("it goes on");
        let status = InjectionStatus {
            state: InjectionState::Reverted,
            since: Timestamp::now(),
            proof: None,
            effective_for: Duration::ZERO,
            error: None,
            done: false,
            measured: None,
        };
        let taken = [
            ("r.cut.0.0".to_owned(), Taken::Back(status)),
            ("r.cut.0.1".to_owned(), Taken::Gone("pod etcd-1 is gone".into())),
            ("r.cut.0.2".to_owned(), Taken::Not("the agent of n1 says nothing".into())),
        ];
        Last { now: 9, next: 7, writer }.write(taken.into_iter()).expect("it can be written");
        let judgement = crate::judge::judge(&Journal::read(&path).expect("it is whole now"));
        assert!(judgement.finished && !judgement.torn);
        assert_eq!(judgement.verdict, Verdict::Aborted);
        assert_eq!(judgement.headline, format!("the run was aborted: {REASON}"));
        assert_eq!(judgement.revert_failed, ["r.cut.0.2: the agent of n1 says nothing"]);
    }
}
