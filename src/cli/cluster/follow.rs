//! Shows a run while its runner carries it out, from the runner's log, and waits for its end.

use std::fs::File;
use std::io::Write;
use std::path::Path;
use std::time::{Duration, Instant};

use futures::StreamExt;
use k8s_openapi::api::core::v1::Pod;
use kube::api::{Patch, PatchParams};
use kube::runtime::watcher::Config;
use kube::{Api, ResourceExt};
use serde_json::json;
use tokio::sync::mpsc;

use super::rates::Counter;
use super::{Seat, log};
use crate::api::Nanos;
use crate::cli::console;
use crate::cli::exit::Exit;
use crate::cli::runtime::interrupts;
use crate::journal::entry::Line;
use crate::journal::op::OpLine;
use crate::platform::kubernetes::failure::insist;
use crate::platform::kubernetes::watching::{Known, watch};
use crate::report::live::Live;
use crate::resource::{ABORT_ANNOTATION, Experiment, ExperimentStatus, Phase};

/// How often the view is drawn.
const GLANCE: Duration = Duration::from_millis(200);
/// How long a new Experiment may be left alone before that is told.
const UNTOUCHED: Duration = Duration::from_secs(20);
/// How long the last lines of the log may take after the verdict.
const LAST_LINES: Duration = Duration::from_secs(5);
/// How often a person has to ask before they are let go while the run goes on.
const LET_GO: u32 = 3;

/// How a run ended, as seen from here.
pub(super) enum Ended {
    /// Its status says so.
    Said(Box<ExperimentStatus>),
    /// The Experiment was deleted.
    Deleted,
}

/// Follows a run to its end. Lines of the journal are written to `journal` as they come.
pub(super) async fn follow(
    seat: &Seat,
    object: &Experiment,
    journal: &Path,
    view: Live,
) -> Result<Ended, Exit> {
    let name = object.name_any();
    let file = File::create(journal).map_err(|error| {
        console::error(format_args!("cannot write {}: {error}", journal.display()), Exit::Unexpected)
    })?;
    let mut screen = Screen {
        view,
        file,
        counter: Counter::default(),
        now: 0,
        heard: Instant::now(),
        has_lines: false,
        message: None,
    };
    let itself = Config::default().fields(&format!("metadata.name={name}"));
    let mut events = watch(seat.experiments(), itself, "the Experiment");
    let mut known = Known::default();
    let (_quiet, mut lines) = mpsc::channel(1);
    let mut follows: Option<String> = None;
    let mut interrupts = interrupts();
    let mut asked = 0;
    let mut glance = tokio::time::interval(GLANCE);
    let begin = Instant::now();
    let mut is_told = false;
    let ended = loop {
        tokio::select! {
            Some(event) = events.next() => {
                known.hear(event);
                if known.is_complete() {
                    let Some(now) = known.single().filter(|now| now.uid() == object.uid()) else {
                        break Ended::Deleted;
                    };
                    let status = now.status.clone().unwrap_or_default();
                    if let (Some(runner), None) = (&status.runner, &follows) {
                        let pods: Api<Pod> = Api::namespaced(seat.access.client.clone(), &seat.namespace);
                        lines = log::follow(pods, runner.clone());
                        follows = Some(runner.clone());
                    }
                    is_told |= status.phase.is_some();
                    screen.message.clone_from(&status.message);
                    if status.verdict.is_some() || status.phase == Some(Phase::Refused) {
                        break Ended::Said(Box::new(status));
                    }
                }
            }
            Some(line) = lines.recv() => screen.take(&line),
            Some(_) = interrupts.recv() => {
                asked += 1;
                if asked >= LET_GO {
                    screen.view.finish();
                    let exit = console::error("not waited for: the run goes on to take everything back", Exit::Aborted);
                    console::hint(format_args!("seatrial status --namespace {} {name}", seat.namespace));
                    return Err(exit);
                }
                screen.view.finish();
                abort(seat, &name, "interrupted at the terminal").await?;
                console::say("asked to abort: waiting until every fault is taken back");
            }
            _ = glance.tick() => {
                screen.tick();
                if !is_told && begin.elapsed() > UNTOUCHED {
                    is_told = true;
                    screen.view.finish();
                    console::hint("no controller has taken it up: kubectl get pods --namespace seatrial-system");
                }
            }
        }
    };
    let deadline = tokio::time::Instant::now() + LAST_LINES;
    while screen.has_lines && !screen.is_over() {
        match tokio::time::timeout_at(deadline, lines.recv()).await {
            Ok(Some(line)) => screen.take(&line),
            Ok(None) | Err(_) => break,
        }
    }
    screen.view.finish();
    Ok(ended)
}

/// Asks a run to abort.
pub(super) async fn abort(seat: &Seat, name: &str, reason: &str) -> Result<(), Exit> {
    let patch = Patch::Merge(json!({"metadata": {"annotations": {ABORT_ANNOTATION: reason}}}));
    let objects = seat.experiments();
    insist(async || objects.patch_metadata(name, &PatchParams::default(), &patch).await.map(drop))
        .await
        .map_err(|error| super::told(&error))
}

/// What is shown, and what of the journal is here.
struct Screen {
    view: Live,
    file: File,
    counter: Counter,
    now: Nanos,
    heard: Instant,
    has_lines: bool,
    message: Option<String>,
}

impl Screen {
    fn take(&mut self, line: &str) {
        self.has_lines = true;
        if let Err(error) = writeln!(self.file, "{line}") {
            tracing::warn!("a line of the journal was not written here: {error}");
        }
        if OpLine::is_one(line) {
            if let Ok(operation) = OpLine::parse(line) {
                self.counter.count(&operation);
            }
        } else if let Ok(line) = serde_json::from_str::<Line>(line) {
            self.now = line.time;
            self.heard = Instant::now();
            self.view.observe(line.time, &line.entry);
        }
    }

    fn tick(&mut self) {
        let since = u64::try_from(self.heard.elapsed().as_nanos()).unwrap_or(u64::MAX);
        let waiting = self.message.clone().filter(|message| !message.is_empty());
        // The log tells everything else from its first line on.
        let waiting = waiting.filter(|_| !self.has_lines).map(|message| format!("the runner: {message}"));
        self.view.tick(self.now.saturating_add(since), self.counter.rates, waiting);
    }

    /// Whether the journal has its last line.
    fn is_over(&self) -> bool {
        self.view.is_over()
    }
}
