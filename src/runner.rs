//! One run in a cluster: from an Experiment that the API server keeps to its verdict there.
//!
//! Guarantees:
//!
//! - A run is done once. A runner that finds the journal of an earlier process takes back every Injection, ends that
//!   journal with the reason and judges it: at least Aborted, never a Pass.
//! - It stops, and takes everything back first, when the Experiment is deleted or has the annotation
//!   `seatrial.dev/abort`, when a StatefulSet that it acts on is deleted, when a Halt exists, and on SIGTERM.
//! - Standard output carries the journal's lines, each of which begins with `{`, and of a journal that an earlier process began
//!   all of them again; everything else goes to standard error.
//! - Secrets are read from files, once, at the beginning; their content is written nowhere.
//! - The verdict in the status is that of `seatrial judge` for the journal that is kept.
//!
//! What it leaves when it is killed: Injections, which end by their own deadlines, and the journal in its folder.
//!
//! Rights that it needs in its namespace: get, list and watch pods, StatefulSets, Services, PodDisruptionBudgets, Experiments
//! and Injections;
//! delete pods; create, patch and delete Injections; patch the status of Experiments; create, patch and get ConfigMaps.
//! For snapshots: create VolumeSnapshots, claims and pods. In the cluster: get nodes, list and watch Halts and NodeAgents.

mod closing;
mod interrupted;
pub mod keep;
mod preflight;
mod progress;
mod status;
mod stops;
mod stream;

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use kube::{Api, ResourceExt};
use tokio::sync::watch;

use self::preflight::NeedsAgents;
use self::status::{Reporter, Standing};
use crate::engine::Limits;
use crate::experiment::{Experiment, Group};
use crate::platform::PlatformError;
use crate::platform::kubernetes::access::{self, Access, AccessError};
use crate::platform::kubernetes::api_faults::Site;
use crate::platform::kubernetes::cluster::{Cluster, FollowError};
use crate::platform::kubernetes::dial::Ways;
use crate::platform::kubernetes::failure::insist_for;
use crate::platform::kubernetes::nodes::Injections;
use crate::report::live::{Live, Style};
use crate::resource::{self, SEED_ANNOTATION};
use crate::run::{Platform, RunError, Setup};
use crate::spec;
use crate::store::{self, Secrets};

/// How long a runner goes on asking an API server that is away, before and after the run.
const PATIENCE: Duration = Duration::from_mins(10);

/// Which run this is.
#[derive(Debug, Clone)]
pub struct Options {
    /// The Experiment's namespace.
    pub namespace: String,
    /// The Experiment.
    pub experiment: String,
    /// The run's name.
    pub run: String,
    /// The journal's path, in a folder that survives this process.
    pub journal: PathBuf,
    /// The Secrets that the Experiment names, as the kubelet mounts them.
    pub secrets: Secrets,
}

/// Why a runner ended without a verdict. Whoever starts it again takes back what it left.
#[derive(Debug, thiserror::Error)]
pub enum RunnerError {
    /// The cluster was not reached.
    #[error(transparent)]
    Access(#[from] AccessError),
    /// The API server did not answer, or said no.
    #[error(transparent)]
    Platform(#[from] PlatformError),
    /// The journal of an earlier process could not be ended.
    #[error("the journal of an earlier process could not be ended")]
    Journal(#[from] crate::journal::write::WriteError),
    /// The journal's folder could not be used.
    #[error("the journal's folder cannot be used")]
    Folder(#[source] std::io::Error),
}

/// Carries out a run. `Ok` when there is nothing left to do, whatever the verdict is.
pub async fn serve(options: Options) -> Result<(), RunnerError> {
    let access = access::connect(None).await?;
    let objects: Api<resource::Experiment> = Api::namespaced(access.client.clone(), &options.namespace);
    let Some(object) = insist_for(PATIENCE, || objects.get_opt(&options.experiment)).await? else {
        tracing::warn!("Experiment {} is gone: nothing is done", options.experiment);
        return Ok(());
    };
    if object.status.as_ref().is_some_and(|status| status.verdict.is_some()) {
        return Ok(());
    }
    let (standing, newest) = watch::channel(Standing::default());
    let reporter = Reporter::new(objects, &object);
    match spec::resource::experiment(&options.experiment, &object.spec.written) {
        Ok(experiment) => {
            let course = Course { access, object, options, standing, newest, reporter };
            Box::pin(course.run(experiment)).await
        }
        Err(problems) => {
            let told: Vec<String> = problems.iter().map(ToString::to_string).collect();
            standing.send_replace(Standing::refused(told.join("\n")));
            Ok(reporter.finish(&standing.borrow()).await?)
        }
    }
}

/// A run that is valid.
struct Course {
    access: Access,
    object: resource::Experiment,
    options: Options,
    standing: watch::Sender<Standing>,
    newest: watch::Receiver<Standing>,
    reporter: Reporter,
}

impl Course {
    async fn run(self, experiment: Experiment) -> Result<(), RunnerError> {
        let Self { access, object, options, .. } = &self;
        let site = Site {
            client: access.client.clone(),
            namespace: options.namespace.clone(),
            set: experiment.target.stateful_set().map(str::to_owned),
            others: experiment.other_sets().into_iter().map(str::to_owned).collect(),
            allow_quorum_loss: experiment.guards.allow_quorum_loss,
            own_pod: Some(options.run.clone()),
            owner: keep::owner(object),
            over_by: over_by(&experiment),
        };
        let injections =
            Injections::of(&access.client, &options.namespace, &options.run, keep::owner(object))
                .with_api_faults(site);
        if let Some(folder) = options.journal.parent() {
            std::fs::create_dir_all(folder).map_err(RunnerError::Folder)?;
        }
        let is_left_over = interrupted::end(&access.client, options, &injections).await?;
        let stream = stream::follow(options.journal.clone(), self.standing.clone());
        let reporting = tokio::spawn(self.reporter.clone().report(self.newest.clone()));
        if !is_left_over {
            self.fresh(experiment, &injections).await?;
        }
        stream.end().await;
        reporting.abort();
        let end = closing::judge(&options.journal).await;
        let kept = keep::keep(&access.client, &options.namespace, object, &options.run, &options.journal);
        let kept = kept.await;
        self.standing.send_modify(|standing| standing.close(end, kept, jiff::Timestamp::now()));
        let last = self.standing.borrow().clone();
        Ok(self.reporter.finish(&last).await?)
    }

    /// Runs the experiment, or says in a journal why it cannot be run.
    async fn fresh(&self, experiment: Experiment, injections: &Injections) -> Result<(), RunnerError> {
        let Self { access, object, options, .. } = self;
        let seed = seed(object);
        let environment = format!("Kubernetes {}, namespace {}", access.version, options.namespace);
        let broken: Vec<&str> =
            experiment.target.stateful_set().into_iter().chain(experiment.other_sets()).collect();
        let stops = stops::listen(&access.client, object, &broken, options);
        let cluster = match self.follow(&experiment.target.group).await? {
            Ok(cluster) => cluster,
            Err(reason) => {
                return Ok(preflight::refuse(experiment, options, seed, environment, None, &reason)?);
            }
        };
        let snapshots = crate::platform::Cluster::snapshots(&cluster);
        let first = snapshots.borrow().clone();
        let others = match self.prepare(&experiment, &cluster).await? {
            Ok(others) => others,
            Err(reason) => {
                return Ok(preflight::refuse(experiment, options, seed, environment, Some(first), &reason)?);
            }
        };
        let service = experiment.target.service.as_deref().unwrap_or(cluster.service());
        let ways = Arc::new(Ways::new(&access.client, &options.namespace, service, snapshots));
        let named = experiment.target.store.as_ref();
        let store = match named.map(|named| store::open(named, ways, &options.secrets)).transpose() {
            Ok(store) => store,
            Err(error) => {
                let reason = error.to_string();
                return Ok(preflight::refuse(experiment, options, seed, environment, Some(first), &reason)?);
            }
        };
        if let Err(reason) = crate::run::lets_in(&experiment, store.as_deref(), &first).await {
            return Ok(preflight::refuse(experiment, options, seed, environment, Some(first), &reason)?);
        }
        let others = others.into_iter().map(|(name, other)| (name, Arc::new(other) as Arc<_>)).collect();
        let nodes = Arc::new(injections.clone());
        let platform = Platform { cluster: Arc::new(cluster), others, nodes, store };
        let view = Live::new(&experiment.name, Style::Quiet);
        let setup = Setup {
            experiment,
            run: options.run.clone(),
            seed,
            journal: options.journal.clone(),
            environment,
            platform,
            limits: limits(),
        };
        match crate::run::run(setup, stops, view).await {
            Ok(()) => Ok(()),
            // What cannot be written is judged as far as it was: the journal says that it has no end.
            Err(error @ (RunError::Journal { .. } | RunError::Gone)) => {
                tracing::error!(%error, "the run has no end on record");
                Ok(())
            }
            Err(RunError::Platform(error)) => Err(error.into()),
            Err(RunError::NoJournal(error)) => Err(error.into()),
        }
    }
}

impl Course {
    /// Follows what the run acts on, or says why there is nothing to follow.
    async fn follow(&self, group: &Group) -> Result<Result<Cluster, String>, RunnerError> {
        let Options { namespace, run, .. } = &self.options;
        match Cluster::follow(&self.access.client, namespace, group, Some(run)).await {
            Ok(cluster) => Ok(Ok(cluster)),
            Err(FollowError::Platform(error)) => Err(error.into()),
            Err(
                error @ (FollowError::Absent { .. }
                | FollowError::NoPods { .. }
                | FollowError::Selector { .. }),
            ) => Ok(Err(error.to_string())),
        }
    }

    /// Makes sure that everything is there that the experiment names, and follows the further StatefulSets that its steps act
    /// on; or says what is missing.
    async fn prepare(
        &self,
        experiment: &Experiment,
        target: &Cluster,
    ) -> Result<Result<BTreeMap<String, Cluster>, String>, RunnerError> {
        let (client, namespace) = (&self.access.client, &self.options.namespace);
        let others = Cluster::others_of(client, namespace, experiment).await?;
        let written = &self.object.spec.written;
        if let Err(reason) = preflight::fits_sets(experiment, written, target.facts(), &others) {
            return Ok(Err(reason));
        }
        let mut clusters = BTreeMap::new();
        for name in experiment.other_sets() {
            match self.follow(&Group::StatefulSet(name.to_owned())).await? {
                Ok(cluster) => drop(clusters.insert(name.to_owned(), cluster)),
                Err(reason) => return Ok(Err(reason)),
            }
        }
        let snapshots = crate::platform::Cluster::snapshots;
        let shown = |cluster: &Cluster| snapshots(cluster).borrow().clone();
        let others: Vec<_> = clusters.values().map(shown).collect();
        if let Err(reason) = preflight::fits(client, namespace, experiment, &shown(target), &others).await {
            return Ok(Err(reason));
        }
        let all = clusters.iter().map(|(name, cluster)| (Some(name.as_str()), cluster));
        let needs: Vec<_> = std::iter::once((None, target))
            .chain(all)
            .filter_map(|(set, cluster)| NeedsAgents::of(experiment, set, snapshots(cluster)))
            .collect();
        Ok(preflight::agents(client, &needs).await.map(|()| clusters))
    }
}

/// When a run that begins now is over, with room for a target that is slow to become healthy, and for its reverts.
fn over_by(experiment: &Experiment) -> jiff::Timestamp {
    const ROOM: jiff::SignedDuration = jiff::SignedDuration::from_mins(30);
    let longest = jiff::SignedDuration::try_from(experiment.guards.max_duration).unwrap_or(ROOM);
    jiff::Timestamp::now().saturating_add(longest + ROOM).unwrap_or(jiff::Timestamp::MAX)
}

/// The seed that the Experiment names, or one of chance.
fn seed(object: &resource::Experiment) -> u64 {
    let named = object.annotations().get(SEED_ANNOTATION).and_then(|seed| seed.parse().ok());
    named.unwrap_or_else(|| u64::from(rand::random::<u32>()))
}

/// An API server that is away for a minute is no failed revert; and kubelets start containers less often than we do.
fn limits() -> Limits {
    Limits {
        // Readiness probes ask every ten seconds where nothing else is said.
        decide: Duration::from_secs(45),
        inject: Duration::from_secs(20),
        once: Duration::from_secs(90),
        replace: Duration::from_mins(2),
        overdue: Duration::from_secs(90),
        revert: Duration::from_mins(2),
        answer: Duration::from_secs(15),
        ..Limits::default()
    }
}
