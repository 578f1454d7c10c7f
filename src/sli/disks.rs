//! What `diskUsage` and `volumeIops` are measured by: Injections that change nothing, one for each member, whose statuses say
//! what its node reads of its volumes.
//!
//! They are there only for a run that asks for them, and go with it. Of a run that was killed they stop by their own
//! deadline, which the run puts off while it lives.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use futures::future::join_all;
use jiff::Timestamp;
use tokio::sync::{mpsc, watch};
use tokio::task::JoinHandle;
use tokio::time::{Instant, MissedTickBehavior, interval, timeout};

use crate::api::{
    Deadline, Desired, HostFault, Injection, InjectionSpec, Measured, Ordinal, PodRef, Snapshot,
};
use crate::experiment::{Experiment, Sli};
use crate::platform::{Nodes, PlatformError};

/// What stands in place of a step's name; the name of the Injection says that it is none.
const STEP: &str = "volumes";
/// How often it is said that a member has no pod on a node.
const PERIOD: Duration = Duration::from_secs(1);
/// How long a node goes on without hearing from the run.
const LEASE: Duration = Duration::from_mins(5);
/// How often that is put off.
const RENEW: Duration = Duration::from_mins(1);
/// How long the end may take.
const FAREWELL: Duration = Duration::from_secs(10);
/// So many members at most: each has a status a second written.
const MOST: usize = 100;

/// Whether an experiment needs nodes to look at volumes.
pub fn is_asked(experiment: &Experiment) -> bool {
    super::asks(experiment, Sli::needs_disks)
}

/// Why that cannot be done for this target, if so.
pub fn hindrance(experiment: &Experiment, target: &Snapshot) -> Option<String> {
    let members = target.ordinals().count();
    (members > MOST && is_asked(experiment)).then(|| {
        format!(
            "diskUsage and volumeIops have the volumes of each member read once a second, of {MOST} members at most: this target has {members}; leave them out"
        )
    })
}

/// What a status says about a member's volumes, if it is about them.
pub fn read(injection: &Injection) -> Option<(Ordinal, Measured)> {
    let measured = injection.status.as_ref()?.measured.clone()?;
    Some((injection.spec.pod.ordinal, measured))
}

/// Whoever has the volumes measured.
pub struct Sampler {
    /// Members without a pod on a node, which no node speaks for.
    absent: mpsc::Receiver<Ordinal>,
    task: JoinHandle<()>,
}

impl Sampler {
    /// Has the volumes of the members measured, where the experiment wants to know.
    pub fn begin(
        experiment: &Experiment,
        run: &str,
        nodes: &Arc<dyn Nodes>,
        pods: watch::Receiver<Snapshot>,
    ) -> Option<Self> {
        if !is_asked(experiment) {
            return None;
        }
        let (told, absent) = mpsc::channel(MOST);
        let asking = Asking {
            run: run.to_owned(),
            nodes: Arc::clone(nodes),
            began: Instant::now(),
            asked: BTreeMap::new(),
        };
        Some(Self { absent, task: tokio::spawn(asking.run(pods, told)) })
    }

    /// The next member that has no pod on a node.
    pub async fn absent(&mut self) -> Option<Ordinal> {
        self.absent.recv().await
    }

    /// Has nothing measured any more.
    pub async fn end(self) {
        drop(self.absent);
        if timeout(FAREWELL, self.task).await.is_err() {
            tracing::warn!(
                "not every node was told to measure no longer; they stop within {} s",
                LEASE.as_secs()
            );
        }
    }
}

/// What is asked of the nodes.
struct Asking {
    run: String,
    nodes: Arc<dyn Nodes>,
    began: Instant,
    /// Which pod each node was told to look at, and when.
    asked: BTreeMap<Ordinal, (PodRef, Instant)>,
}

impl Asking {
    async fn run(mut self, mut pods: watch::Receiver<Snapshot>, told: mpsc::Sender<Ordinal>) {
        let mut ticks = interval(PERIOD);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            let is_tick = tokio::select! {
                () = told.closed() => break,
                _ = ticks.tick() => true,
                changed = pods.changed() => match changed {
                    Ok(()) => false,
                    Err(_) => break,
                },
            };
            let snapshot = pods.borrow_and_update().clone();
            self.follow(&snapshot).await;
            for absent in
                snapshot.ordinals().filter(|&ordinal| is_tick && placed(&snapshot, ordinal).is_none())
            {
                if told.send(absent).await.is_err() {
                    break;
                }
            }
        }
        let names = self.asked.keys().map(|&ordinal| self.name(ordinal)).collect();
        self.forget(names).await;
    }

    fn name(&self, ordinal: Ordinal) -> String {
        format!("{}.{STEP}.{ordinal}", self.run)
    }

    /// Tells nodes which pods to look at now.
    async fn follow(&mut self, snapshot: &Snapshot) {
        let gone: Vec<Ordinal> =
            self.asked.keys().copied().filter(|&ordinal| !snapshot.asks_for(ordinal)).collect();
        self.asked.retain(|ordinal, _| !gone.contains(ordinal));
        self.forget(gone.into_iter().map(|ordinal| self.name(ordinal)).collect()).await;
        let is_news = |pod: &PodRef| {
            self.asked.get(&pod.ordinal).is_none_or(|(known, when)| known != pod || when.elapsed() >= RENEW)
        };
        let placed = snapshot.ordinals().filter_map(|ordinal| placed(snapshot, ordinal));
        let news: Vec<PodRef> = placed.filter(is_news).collect();
        let answers = join_all(news.iter().map(|pod| self.nodes.apply(self.spec(pod.clone())))).await;
        for (pod, answer) in news.into_iter().zip(answers) {
            match answer {
                Ok(()) => drop(self.asked.insert(pod.ordinal, (pod, Instant::now()))),
                Err(error) => {
                    tracing::warn!(pod = pod.name, %error, "cannot have the volumes measured yet");
                    // As for one that somebody has taken back, the answer is the same a second later.
                    if matches!(error, PlatformError::Refused(_)) {
                        self.asked.insert(pod.ordinal, (pod, Instant::now()));
                    }
                }
            }
        }
    }

    fn spec(&self, pod: PodRef) -> InjectionSpec {
        // The node counts from when it first heard of it.
        let within = self.began.elapsed() + LEASE;
        let lease = jiff::SignedDuration::try_from(LEASE).unwrap_or_default();
        let at = Timestamp::now().saturating_add(lease).unwrap_or(Timestamp::MAX);
        InjectionSpec {
            name: self.name(pod.ordinal),
            run: self.run.clone(),
            step: STEP.into(),
            occurrence: 0,
            pod,
            container: None,
            fault: HostFault::Measure {},
            desired: Desired::Injected,
            deadline: Deadline { at, within },
            follow: false,
        }
    }

    async fn forget(&self, names: Vec<String>) {
        let forget = async |name: &String| -> Result<(), PlatformError> { self.nodes.forget(name).await };
        for (name, answer) in names.iter().zip(join_all(names.iter().map(forget)).await) {
            if let Err(error) = answer {
                tracing::warn!(name, %error, "its node goes on measuring for some minutes");
            }
        }
    }
}

/// The pod of a member, where it is on a node.
fn placed(snapshot: &Snapshot, ordinal: Ordinal) -> Option<PodRef> {
    let pod = snapshot.pod(ordinal).filter(|pod| !pod.node.is_empty())?;
    Some(PodRef { name: pod.name.clone(), ordinal, uid: pod.uid.clone(), node: pod.node.clone() })
}
