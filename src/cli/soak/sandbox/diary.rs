//! Reads a run's journal while it is written, to know where the run is.

use std::fs::File;
use std::io::{self, Read};
use std::path::PathBuf;
use std::time::{Duration, Instant};

use jiff::Timestamp;

use super::super::stage::Stage;
use crate::api::Desired;
use crate::journal::entry::{Effect, Entry, Line, Phase};
use crate::journal::op;

/// How often it is looked for new lines.
const GLANCE: Duration = Duration::from_millis(2);

/// A run's journal, as far as it was written.
pub(super) struct Diary {
    path: PathBuf,
    file: Option<File>,
    /// The beginning of a line that is not whole yet.
    pending: Vec<u8>,
    /// How far the run has come; nothing before its baseline.
    stage: Option<Stage>,
    /// When it was seen to be there.
    since: Instant,
    /// When the last of its faults must be over; none before one was asked for.
    deadline: Option<Timestamp>,
}

impl Diary {
    pub(super) fn new(path: PathBuf) -> Self {
        Self { path, file: None, pending: Vec::new(), stage: None, since: Instant::now(), deadline: None }
    }

    /// How far the run has come.
    pub(super) fn stage(&self) -> Stage {
        self.stage.unwrap_or(Stage::Before)
    }

    /// Since when.
    pub(super) fn since(&self) -> Instant {
        self.since
    }

    /// When the last fault that was asked for must be over.
    pub(super) fn deadline(&self) -> Option<Timestamp> {
        self.deadline
    }

    /// Waits until the run has come so far.
    pub(super) async fn reach(&mut self, stage: Stage) -> io::Result<()> {
        loop {
            self.read()?;
            if self.stage >= Some(stage) {
                return Ok(());
            }
            tokio::time::sleep(GLANCE).await;
        }
    }

    /// Reads what was written since the last time.
    pub(super) fn read(&mut self) -> io::Result<()> {
        let file = match &mut self.file {
            Some(file) => file,
            None => match File::open(&self.path) {
                Ok(file) => self.file.insert(file),
                Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
                Err(error) => return Err(error),
            },
        };
        file.read_to_end(&mut self.pending)?;
        let whole = self.pending.iter().rposition(|&byte| byte == b'\n');
        let lines: Vec<u8> = self.pending.drain(..whole.map_or(0, |end| end + 1)).collect();
        for line in String::from_utf8_lossy(&lines).lines() {
            if line.starts_with(op::PREFIX) {
                continue;
            }
            let line: Line = serde_json::from_str(line)?;
            if let Entry::Effect { effect, .. } = line.entry {
                self.see(effect);
            }
        }
        Ok(())
    }

    fn see(&mut self, effect: Effect) {
        let stage = match effect {
            Effect::Phase(Phase::Baseline) => Stage::Before,
            Effect::Apply(spec) => {
                self.deadline = self.deadline.max(Some(spec.deadline.at));
                match spec.desired {
                    Desired::Injected => Stage::Injecting,
                    Desired::Reverted => Stage::Reverting,
                }
            }
            Effect::Began { .. } => Stage::Holding,
            Effect::Phase(_)
            | Effect::Chosen { .. }
            | Effect::Ended { .. }
            | Effect::DeletePod { .. }
            | Effect::Forget { .. }
            | Effect::StartWorkload {}
            | Effect::StopWorkload {}
            | Effect::ReadLedger {}
            | Effect::Doubt { .. }
            | Effect::Refused { .. }
            | Effect::Abort { .. }
            | Effect::RevertFailed { .. }
            | Effect::Finish {} => return,
        };
        if self.stage < Some(stage) {
            self.stage = Some(stage);
            self.since = Instant::now();
        }
    }
}
