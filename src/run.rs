//! The one loop that owns the clock, the seed, the tasks, cancellation and the journal.
//!
//! It hears the platform, the members, the clients' clock and the person, writes each input into the journal before the
//! engine acts on it, writes each effect, and carries it out in a task of its own whose answer is the next input. It
//! decides nothing: the engine does. A journal that can no longer be written ends the run as a person would. Killed, it
//! leaves what nodes hold: every fault ends by its own deadline.

mod clock;
mod hands;
mod others;
mod record;

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use tokio::sync::mpsc;

use self::clock::Clock;
use self::hands::Hands;
use self::others::Others;
use self::record::Recorder;
use crate::api::{Injection, Members, Nanos, Ordinal, Snapshot};
use crate::engine::{Engine, Limits};
use crate::experiment::Experiment;
use crate::journal::entry::{Effect, Entry, Header, Input, Line, SCHEMA};
use crate::journal::write::{WriteError, Writer};
use crate::platform::{Cluster, Nodes, PlatformError};
use crate::report::live::Live;
use crate::store::Adapter;
use crate::{sli, store, workload};

/// How often budgets are looked at and the view is drawn.
const GLANCE: Duration = Duration::from_millis(200);

/// Where a run happens.
#[derive(Clone)]
pub struct Platform {
    /// Pods.
    pub cluster: Arc<dyn Cluster>,
    /// Those of the further StatefulSets that steps act on, by name.
    pub others: BTreeMap<String, Arc<dyn Cluster>>,
    /// Injections.
    pub nodes: Arc<dyn Nodes>,
    /// Members and their data, where the experiment names a store.
    pub store: Option<Arc<dyn Adapter>>,
}

/// Somebody asks a run to stop; everything is reverted first.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Stop {
    /// A person, who is there.
    Interrupt,
    /// Somebody else, with the reason.
    Because(String),
}

/// Everything that a run needs.
pub struct Setup {
    /// What is done and claimed.
    pub experiment: Experiment,
    /// The run's name.
    pub run: String,
    /// Every random choice comes from it.
    pub seed: u64,
    /// The journal's path; the file must not exist.
    pub journal: PathBuf,
    /// Where it runs, for a person.
    pub environment: String,
    /// Where it runs.
    pub platform: Platform,
    /// How long it waits for what it cannot make happen.
    pub limits: Limits,
}

/// Why a run has no verdict.
#[derive(Debug, thiserror::Error)]
pub enum RunError {
    /// The journal could not be begun; nothing was started.
    #[error("the journal could not be begun, and nothing was broken")]
    NoJournal(#[source] WriteError),
    /// The journal could not be written to its end, so the run was ended.
    #[error("the journal could not be written; {}", if .left.is_empty() {
        "every fault was taken back".to_owned()
    } else {
        format!("NOT TAKEN BACK: {}", .left.join("; "))
    })]
    Journal {
        /// Why not.
        source: WriteError,
        /// What could not be reverted.
        left: Vec<String>,
    },
    /// The platform did not answer at the beginning.
    #[error(transparent)]
    Platform(#[from] PlatformError),
    /// The platform ended while the run was on it, and nobody is left to ask, to inject or to revert.
    #[error("the platform is gone, in the middle of the run: the journal ends there and has no verdict")]
    Gone,
}

/// Runs an experiment to its end and leaves the verdict to whoever reads the journal. Each message on `stops`
/// is somebody who asks to stop.
pub async fn run(setup: Setup, mut stops: mpsc::Receiver<Stop>, view: Live) -> Result<(), RunError> {
    let started_at = Timestamp::now();
    let clock = Clock::start();
    let mut pods = setup.platform.cluster.snapshots();
    let target = pods.borrow_and_update().clone();
    let mut others = Others::follow(&setup.platform.others);
    let header = Header {
        schema: SCHEMA,
        version: env!("CARGO_PKG_VERSION").into(),
        run: setup.run.clone(),
        started_at,
        experiment: setup.experiment.clone(),
        seed: setup.seed,
        environment: setup.environment.clone(),
        target: target.clone(),
        others: others.first.clone(),
    };
    let writer = Writer::create(&setup.journal, &header).map_err(RunError::NoJournal)?;
    let recorder = Arc::new(Recorder::new(writer, clock, &setup.experiment));
    let mut statuses = setup.platform.nodes.statuses().await?;
    let mut members = sampler(&setup, &target);
    let mut requests = sli::requests::sample(&setup.experiment, &setup.platform.cluster);
    let mut volumes = sli::volumes::sample(&setup.experiment, &setup.platform.cluster).await?;
    let cluster = &setup.platform.cluster;
    let mut disks =
        sli::disks::Sampler::begin(&setup.experiment, &setup.run, &setup.platform.nodes, cluster.snapshots());
    let (answers, mut answered) = mpsc::channel(64);
    let mut course = Course {
        engine: Engine::new(
            setup.experiment.clone(),
            setup.run.clone(),
            setup.seed,
            started_at,
            setup.limits,
        ),
        hands: Hands::new(&setup, &target, Arc::clone(&recorder), answers),
        recorder,
        view,
        broken: None,
        given_up: false,
        left: Vec::new(),
        finished: false,
    };
    course.view.observe(0, &Entry::Header(Box::new(header)));
    course.hear(&Input::Pods(target));
    for other in std::mem::take(&mut others.first) {
        course.hear(&Input::OtherPods(other));
    }
    let mut glance = tokio::time::interval(GLANCE);
    glance.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Skip);
    let mut told = Told::default();
    while !course.finished {
        let input = tokio::select! {
            // A person first, then what changes a decision; the clock last, so that it never overtakes facts.
            biased;
            Some(stop) = stops.recv() => Some(match stop {
                Stop::Interrupt => Input::Interrupted {},
                Stop::Because(reason) => Input::Stopped { reason },
            }),
            Some((id, error)) = answered.recv() => Some(Input::Answer { id, error }),
            Some(injection) = statuses.recv() => status(&setup.run, injection),
            changed = pods.changed() => {
                if changed.is_err() {
                    return Err(course.lost());
                }
                Some(Input::Pods(pods.borrow_and_update().clone()))
            }
            Some(changed) = others.changed() => match changed {
                Some(snapshot) => Some(Input::OtherPods(snapshot)),
                None => return Err(course.lost()),
            },
            Some(now) = next(&mut volumes) => Some(Input::Volumes(now)),
            Some(member) = absent(&mut disks) => Some(Input::Disks { member, measured: None }),
            Some(round) = next(&mut members) => Some(Input::Members(round)),
            Some(error) = next(&mut requests) => Some(Input::Request { error }),
            _ = glance.tick() => course.glance(&mut told),
            () = clock.sleep_until(course.engine.wake_at()) => Some(Input::Wake {}),
        };
        if let Some(input) = input {
            course.hear(&input);
        }
    }
    course.view.finish();
    if let Some(disks) = disks {
        disks.end().await;
    }
    course.hands.clean_up(&setup).await;
    course.recorder.sync();
    // The first line that failed may have been an operation's; whoever wrote after it was only told that the journal has
    // ended.
    let failures = [course.recorder.broken(), course.broken];
    match failures.into_iter().flatten().min_by_key(|error| matches!(error, WriteError::Ended)) {
        Some(source) => Err(RunError::Journal { source, left: course.left }),
        None => Ok(()),
    }
}

/// What the engine was told and is told again only when it changes.
#[derive(Default)]
struct Told {
    unmet: Option<Vec<String>>,
    conditions: Vec<String>,
}

/// The engine with its eyes and hands.
struct Course {
    engine: Engine,
    hands: Hands,
    recorder: Arc<Recorder>,
    view: Live,
    /// Why the journal ends before the run does.
    broken: Option<WriteError>,
    given_up: bool,
    /// What could not be reverted.
    left: Vec<String>,
    finished: bool,
}

impl Course {
    /// Writes an input, lets the engine act on it, writes and carries out what it asks for.
    fn hear(&mut self, input: &Input) {
        let now = self.recorder.clock().now();
        self.write(&Line { time: now, entry: Entry::Input(input.clone()) });
        // First, so that an input which nobody can read later begins nothing.
        self.give_up_without_journal(now);
        self.act(now, input);
        self.give_up_without_journal(now);
    }

    /// Effects are carried out in the order in which they were asked for: a revert never overtakes its fault.
    fn act(&mut self, now: Nanos, input: &Input) {
        for (id, effect) in self.engine.step(now, input) {
            self.write(&Line { time: now, entry: Entry::Effect { id, effect: effect.clone() } });
            self.finished |= matches!(effect, Effect::Finish {});
            if let Effect::RevertFailed { reason } = &effect {
                self.left.push(reason.clone());
            }
            self.hands.carry_out(id, effect);
        }
    }

    /// A journal that cannot be written ends the run: what nobody can judge must not go on.
    fn give_up_without_journal(&mut self, now: Nanos) {
        if self.broken.is_some() && !self.given_up {
            self.given_up = true;
            self.act(now, &Input::Interrupted {});
        }
    }

    /// Writes a line, or remembers why nothing can be written any more.
    fn write(&mut self, line: &Line) {
        self.view.observe(line.time, &line.entry);
        if let Err(error) = self.recorder.entry(line) {
            self.broken.get_or_insert(error);
        }
    }

    /// The platform is gone: nothing more can be done or heard.
    fn lost(&mut self) -> RunError {
        self.view.finish();
        self.recorder.sync();
        RunError::Gone
    }

    /// Looks at the budgets and draws.
    fn glance(&mut self, told: &mut Told) -> Option<Input> {
        let now = self.recorder.clock().now();
        self.view.tick(now, self.hands.rates(), self.engine.waiting_for());
        if let Some(words) = self.recorder.abort_condition(now) {
            return Some(Input::AbortCondition(words));
        }
        let conditions = self.recorder.conditions(now);
        if told.conditions != conditions {
            told.conditions.clone_from(&conditions);
            return Some(Input::Conditions(conditions));
        }
        let unmet = self.recorder.unmet(now);
        if told.unmet.as_ref() == Some(&unmet) {
            return None;
        }
        told.unmet = Some(unmet.clone());
        Some(Input::Unmet(unmet))
    }
}

/// The statuses of this run's Injections only: a kept sandbox may hold those of an earlier one.
fn status(run: &str, injection: Injection) -> Option<Input> {
    if injection.spec.run != run {
        return None;
    }
    if injection.spec.fault.changes_nothing() {
        let (member, measured) = sli::disks::read(&injection)?;
        return Some(Input::Disks { member, measured: Some(measured) });
    }
    Some(Input::Injection { name: injection.spec.name, status: injection.status? })
}

/// How long a store may take to let the right user in, which its pods have to start for.
const LET_IN: Duration = Duration::from_mins(1);

/// Whether a store whose Secrets are named lets us in, or why it does not. Without Secrets there is nothing to be wrong.
pub async fn lets_in(
    experiment: &Experiment,
    adapter: Option<&dyn Adapter>,
    target: &Snapshot,
) -> Result<(), String> {
    let needs_secrets = experiment.target.store.as_ref().is_some_and(|store| !store.secrets().is_empty());
    let Some(adapter) = adapter.filter(|_| needs_secrets) else {
        return Ok(());
    };
    let members: Vec<_> = target.ordinals().collect();
    store::answers(adapter, &members, &heartbeat(experiment), LET_IN).await
}

fn heartbeat(experiment: &Experiment) -> String {
    let prefix = experiment.workload.as_ref().map(|workload| workload.scope.prefix.clone());
    workload::heartbeat_key(&prefix.unwrap_or_default())
}

/// Rounds of questions to every member, where there is a store to ask.
fn sampler(setup: &Setup, target: &Snapshot) -> Option<mpsc::Receiver<Members>> {
    let adapter = setup.platform.store.as_ref()?;
    let members: Vec<_> = target.ordinals().collect();
    Some(sli::members::sample(&**adapter, &members, heartbeat(&setup.experiment)))
}

/// The next member that no node speaks for, where volumes are measured.
async fn absent(disks: &mut Option<sli::disks::Sampler>) -> Option<Ordinal> {
    match disks {
        Some(disks) => disks.absent().await,
        None => None,
    }
}

/// What a sampler tells next, where there is one.
async fn next<T>(sampler: &mut Option<mpsc::Receiver<T>>) -> Option<T> {
    match sampler {
        Some(told) => told.recv().await,
        None => None,
    }
}
