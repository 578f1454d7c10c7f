//! The life of one Injection on this node, from its first order to its last status.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::mpsc;
use tokio::time::{Instant, sleep, sleep_until, timeout};

use super::effect::Look;
use super::standing::{Attempt, Leftover, Standing, StandingError, inject};
use super::status::Status;
use super::watch::Watch;
use super::{Channel, Locate, LocatedPod, Node};
use crate::api::{Desired, HostFault, InjectionSpec, InjectionState};
use crate::undo::{Expiry, Outcome, Record, stop_here};

/// How often a proof is renewed.
const PROOF: Duration = Duration::from_secs(1);
/// How often the pod is looked for while something depends on it.
const SEARCH: Duration = Duration::from_millis(100);
/// How long a platform may take to say where a pod is.
const LOCATE_LIMIT: Duration = Duration::from_secs(5);
/// The waits between attempts to take back grow from the first to the second.
const RETRY: (Duration, Duration) = (Duration::from_millis(100), Duration::from_secs(5));

/// What an Injection's actor hears.
pub(super) enum Wish {
    Put(Box<InjectionSpec>),
    Gone,
}

/// How an actor begins.
pub(super) enum Begin {
    /// Somebody wants something.
    Wanted,
    /// An earlier process of this node left a record.
    Found(PathBuf, Box<Record>),
    /// An earlier process left a record that cannot be taken back yet.
    Stuck(PathBuf, Box<Record>, String),
}

/// What comes after something has been taken back.
enum Next {
    /// It is reverted, for good.
    Reverted,
    /// It never came into force.
    Failed(String),
    /// The ordinal's next pod or process is hit.
    Again,
    /// The target is gone and nobody follows.
    Lost(String),
    /// Nobody asks any more.
    End,
}

enum Phase {
    Waiting,
    Standing(Box<Standing>),
    TakingBack(Box<Leftover>, Next),
    /// Nothing of it is in force.
    Over,
    End,
}

pub(super) struct Actor<C, L> {
    pub node: Arc<Node<C, L>>,
    pub name: String,
    pub wishes: mpsc::UnboundedReceiver<Wish>,
    pub status: Status,
    /// When it was first heard of, in time since boot.
    pub began: Duration,
    /// The newest one; none before the first order.
    pub spec: Option<Box<InjectionSpec>>,
}

impl<C: Channel + 'static, L: Locate + 'static> Actor<C, L> {
    pub(super) async fn run(mut self, begin: Begin) {
        let mut phase = match begin {
            Begin::Wanted => match self.wishes.recv().await {
                Some(Wish::Put(spec)) => self.start(spec).await,
                Some(Wish::Gone) | None => Phase::End,
            },
            Begin::Found(path, record) => self.adopt(path, *record).await,
            Begin::Stuck(path, record, error) => {
                self.status.fail(InjectionState::RevertFailed, &error);
                self.report().await;
                Phase::TakingBack(leftover(path, *record), Next::Reverted)
            }
        };
        loop {
            phase = match phase {
                Phase::Waiting => self.wait().await,
                Phase::Standing(standing) => self.hold(standing).await,
                Phase::TakingBack(left, next) => self.take_back(left, next).await,
                Phase::Over => self.rest().await,
                Phase::End => return,
            };
        }
    }

    async fn report(&self) {
        if let Err(error) = self.node.channel.report(&self.name, self.status.get()).await {
            // The next status replaces this one; what is in force does not depend on it.
            tracing::warn!(injection = self.name, %error, "cannot report a status");
        }
    }

    async fn start(&mut self, spec: Box<InjectionSpec>) -> Phase {
        let desired = spec.desired;
        self.spec = Some(spec);
        match desired {
            Desired::Injected => {
                self.report().await;
                Phase::Waiting
            }
            Desired::Reverted => {
                self.status.enter(InjectionState::Reverted);
                self.report().await;
                Phase::Over
            }
        }
    }

    fn follows(&self) -> bool {
        self.spec.as_ref().is_some_and(|spec| spec.follow)
    }

    async fn locate(&self) -> Result<Option<LocatedPod>, String> {
        let Some(spec) = &self.spec else { return Ok(None) };
        match timeout(LOCATE_LIMIT, self.node.locate.pod(spec.pod.ordinal)).await {
            Ok(Ok(pod)) => Ok(pod),
            Ok(Err(error)) => Err(format!(
                "cannot find the processes of pod {}: {error}",
                spec.pod.name
            )),
            Err(_) => Err(format!(
                "nobody says within {} s where pod {} is",
                LOCATE_LIMIT.as_secs(),
                spec.pod.name
            )),
        }
    }

    /// Tries to inject, once, or where the Injection follows its ordinal until it works or is over.
    async fn wait(&mut self) -> Phase {
        loop {
            let Some(spec) = self.spec.clone() else {
                return Phase::End;
            };
            if Expiry::new(&spec.deadline, self.began).is_over() {
                // What was in force before has been taken back; what never was is no success.
                if self.status.state() == InjectionState::Pending {
                    self.status.fail(InjectionState::Failed, &StandingError::TooLate);
                } else {
                    self.status.enter(InjectionState::Reverted);
                }
                self.report().await;
                return Phase::Over;
            }
            let failure = match self.locate().await {
                Err(error) => error,
                Ok(Some(pod)) if spec.follow || pod.uid == spec.pod.uid => {
                    match self.inject(*spec, pod).await {
                        Ok(phase) => return phase,
                        Err(error) => error,
                    }
                }
                Ok(Some(pod)) => {
                    format!(
                        "pod {} is another one now: expected uid {}, found {}",
                        spec.pod.name, spec.pod.uid, pod.uid
                    )
                }
                Ok(None) => format!("pod {} does not run on this node", spec.pod.name),
            };
            if !self.follows() {
                self.status.fail(InjectionState::Failed, &failure);
                self.report().await;
                return Phase::Over;
            }
            self.status.note(&failure);
            tokio::select! {
                wish = self.wishes.recv() => match wish {
                    Some(Wish::Put(spec)) if spec.desired == Desired::Injected => self.spec = Some(spec),
                    Some(Wish::Put(_)) => {
                        self.status.enter(InjectionState::Reverted);
                        self.report().await;
                        return Phase::Over;
                    }
                    Some(Wish::Gone) | None => return Phase::End,
                },
                () = sleep(SEARCH) => {}
            }
        }
    }

    /// What comes next, or why nothing could be injected now and nothing of it is left.
    async fn inject(&mut self, spec: InjectionSpec, pod: LocatedPod) -> Result<Phase, String> {
        let (options, since) = (self.node.options.clone(), (self.node.era.clone(), self.began));
        match blocking(move || inject(&options, since, spec, &pod)).await {
            Ok((standing, look)) => {
                self.status.see(look);
                self.report().await;
                stop_here("reported");
                Ok(Phase::Standing(Box::new(standing)))
            }
            Err(Attempt { why, left: None }) => Err(why.to_string()),
            Err(Attempt {
                why,
                left: Some((left, error)),
            }) => {
                self.status
                    .fail(InjectionState::RevertFailed, &format!("{why}; and then: {error}"));
                self.report().await;
                Ok(Phase::TakingBack(left, Next::Failed(why.to_string())))
            }
        }
    }

    /// Decides what becomes of a record whose fault may still be wanted.
    async fn adopt(&mut self, path: PathBuf, record: Record) -> Phase {
        self.began = record.began;
        let patience = self.node.options.adopt_within.min(record.expires.left());
        let spec = match timeout(patience, self.wishes.recv()).await {
            Ok(Some(Wish::Put(spec))) if spec.desired == Desired::Injected => spec,
            Ok(Some(Wish::Put(spec))) => {
                self.spec = Some(spec);
                return Phase::TakingBack(leftover(path, record), Next::Reverted);
            }
            Ok(Some(Wish::Gone) | None) => return Phase::TakingBack(leftover(path, record), Next::End),
            // Whoever speaks of it later hears that it is reverted.
            Err(_) => return Phase::TakingBack(leftover(path, record), Next::Reverted),
        };
        self.spec = Some(spec.clone());
        let options = self.node.options.clone();
        match blocking(move || Standing::adopt(&options, path, record, *spec)).await {
            Ok((standing, Look::Fails(observed))) => {
                self.lose_at_restart(&format!(
                    "found without effect after a restart of the node, injected again: {observed}"
                ))
                .await;
                Phase::TakingBack(Box::new(standing.into()), Next::Again)
            }
            Ok((standing, look @ (Look::Holds(_) | Look::NotYet))) => {
                self.status
                    .note("taken over after a restart of the node; the time before is not counted as proven");
                self.status.see(look);
                self.report().await;
                Phase::Standing(Box::new(standing))
            }
            Err((left, error)) => {
                self.lose_at_restart(&format!(
                    "could not be taken over after a restart of the node, injected again: {error}"
                ))
                .await;
                Phase::TakingBack(left, Next::Again)
            }
        }
    }

    /// Says that the effect was not there for a while, before it is there again: whoever judges must see the hole.
    async fn lose_at_restart(&mut self, why: &str) {
        self.status.lose(why);
        self.report().await;
    }

    /// Renews the proof until somebody or something ends it.
    async fn hold(&mut self, mut standing: Box<Standing>) -> Phase {
        let mut targets = Watch::new(&standing.record.target.anchors());
        let mut guardian = Watch::new(&guardian_of(&standing.record));
        let mut next_look = Instant::now() + PROOF;
        loop {
            let left = standing.record.expires.left();
            if left.is_zero() {
                return self.last_look(standing, Next::Reverted).await;
            }
            let is_searching = standing.effect.needs_pod()
                || (self.follows() && matches!(standing.record.spec.fault, HostFault::Kill {}));
            tokio::select! {
                wish = self.wishes.recv() => match wish {
                    Some(Wish::Put(spec)) if spec.desired == Desired::Injected => {
                        standing = self.change(standing, spec).await;
                        continue;
                    }
                    Some(Wish::Put(spec)) => {
                        self.spec = Some(spec);
                        return self.last_look(standing, Next::Reverted).await;
                    }
                    Some(Wish::Gone) | None => return self.last_look(standing, Next::End).await,
                },
                // The wall clock may be set, and the machine may sleep: nothing is waited for longer than a proof.
                () = sleep(left.min(PROOF)) => continue,
                () = sleep_until(next_look) => next_look = Instant::now() + PROOF,
                () = targets.next_end() => {
                    if standing.record.target.is_gone() || self.follows() {
                        return self.target_ended(standing).await;
                    }
                }
                () = guardian.next_end() => {
                    standing = self.replace_guardian(standing).await;
                    guardian = Watch::new(&guardian_of(&standing.record));
                }
                () = sleep(SEARCH), if is_searching => {
                    let (found, is_news) = self.search(standing).await;
                    standing = found;
                    if !is_news {
                        continue;
                    }
                }
            }
            if standing.record.guardian.is_some() && guardian.is_empty() {
                standing = self.replace_guardian(standing).await;
                guardian = Watch::new(&guardian_of(&standing.record));
            }
            standing = self.look(standing).await;
            self.report().await;
        }
    }

    async fn look(&mut self, mut standing: Box<Standing>) -> Box<Standing> {
        let (standing, look) = blocking(move || {
            let look = standing.effect.look(None);
            (standing, look)
        })
        .await;
        self.status.see(look);
        standing
    }

    /// The effect is proven up to its very end.
    async fn last_look(&mut self, standing: Box<Standing>, next: Next) -> Phase {
        let standing = self.look(standing).await;
        let next = match (next, &standing.effect) {
            (Next::Reverted, effect) if effect.needs_pod() => {
                Next::Failed("the pod did not come back with its volumes before the deadline".to_owned())
            }
            (next, _) => next,
        };
        Phase::TakingBack(Box::new((*standing).into()), next)
    }

    /// Looks for the pod that is there now, as far as the fault depends on it; whether there is news.
    async fn search(&mut self, mut standing: Box<Standing>) -> (Box<Standing>, bool) {
        let Ok(Some(pod)) = self.locate().await else {
            return (standing, false);
        };
        let (standing, result) = blocking(move || {
            if standing.effect.needs_pod() {
                let is_news = !matches!(standing.effect.look(Some(&pod)), Look::NotYet);
                return (standing, Ok(is_news));
            }
            let result = standing.kill_next(&pod);
            (standing, result)
        })
        .await;
        match result {
            Ok(is_news) => (standing, is_news),
            Err(error) => {
                self.status.note(&error.to_string());
                (standing, true)
            }
        }
    }

    async fn change(&mut self, mut standing: Box<Standing>, spec: Box<InjectionSpec>) -> Box<Standing> {
        self.spec = Some(spec.clone());
        if standing.record.spec.fault == spec.fault && standing.record.spec.deadline == spec.deadline {
            // Orders repeat; so do statuses.
            self.report().await;
            return standing;
        }
        let (standing, result) = blocking(move || {
            let result = standing.change(*spec);
            (standing, result)
        })
        .await;
        if let Err(error) = result {
            self.status.note(&format!("the change was not made: {error}"));
        }
        let standing = self.look(standing).await;
        self.report().await;
        standing
    }

    async fn replace_guardian(&mut self, mut standing: Box<Standing>) -> Box<Standing> {
        if standing.record.expires.is_over() || standing.record.target.is_gone() {
            return standing;
        }
        let options = self.node.options.clone();
        let (standing, result) = blocking(move || {
            let result = standing.replace_guardian(&options);
            (standing, result)
        })
        .await;
        let now = jiff::Timestamp::now();
        self.status.note(&match result {
            Ok(()) => format!("its guardian ended unasked and was replaced at {now:.3}"),
            Err(error) => format!("its guardian ended unasked and cannot be replaced: {error}"),
        });
        standing
    }

    /// The pod or a container was re-created, or ended.
    async fn target_ended(&mut self, standing: Box<Standing>) -> Phase {
        let why = "the processes that it held ended";
        self.status.lose(why);
        self.report().await;
        let next = if self.follows() {
            Next::Again
        } else {
            Next::Lost(why.to_owned())
        };
        Phase::TakingBack(Box::new((*standing).into()), next)
    }

    /// Takes back, for as long as it takes.
    async fn take_back(&mut self, mut left: Box<Leftover>, mut next: Next) -> Phase {
        let mut pause = RETRY.0;
        loop {
            let error = match blocking(move || left.take_back()).await {
                Ok(()) => break,
                Err((same, error)) => {
                    left = same;
                    error
                }
            };
            let failure = format!("cannot be taken back yet: {error}");
            if self.status.state() == InjectionState::RevertFailed {
                self.status.note(&failure);
            } else {
                let before = self
                    .status
                    .get()
                    .error
                    .map(|before| format!("{before}; "))
                    .unwrap_or_default();
                self.status
                    .fail(InjectionState::RevertFailed, &format!("{before}{failure}"));
            }
            self.report().await;
            let retry = Instant::now() + pause;
            pause = (pause * 2).min(RETRY.1);
            while let Ok(wish) = tokio::time::timeout_at(retry, self.wishes.recv()).await {
                match wish {
                    Some(Wish::Put(spec)) => {
                        if spec.desired == Desired::Reverted && matches!(next, Next::Again | Next::Lost(_)) {
                            next = Next::Reverted;
                        }
                        self.spec = Some(spec);
                    }
                    Some(Wish::Gone) => next = Next::End,
                    None => {
                        next = Next::End;
                        sleep_until(retry).await;
                    }
                }
            }
        }
        self.taken_back(next).await
    }

    async fn taken_back(&mut self, next: Next) -> Phase {
        match next {
            Next::Again => return Phase::Waiting,
            Next::Reverted => self.status.enter(InjectionState::Reverted),
            Next::Failed(why) => self.status.fail(InjectionState::Failed, &why),
            Next::Lost(why) => self.status.lose(&why),
            Next::End => {
                self.status.enter(InjectionState::Reverted);
                self.report().await;
                return Phase::End;
            }
        }
        self.report().await;
        Phase::Over
    }

    /// Nothing is in force; answers repeated orders, and says Reverted where that is asked for.
    async fn rest(&mut self) -> Phase {
        match self.wishes.recv().await {
            Some(Wish::Put(spec)) => {
                if spec.desired == Desired::Reverted && self.status.state() == InjectionState::Lost {
                    self.status.enter(InjectionState::Reverted);
                }
                self.spec = Some(spec);
                self.report().await;
                Phase::Over
            }
            Some(Wish::Gone) | None => Phase::End,
        }
    }
}

fn leftover(path: PathBuf, record: Record) -> Box<Leftover> {
    Box::new(Leftover {
        path,
        record,
        grip: None,
        guardian: None,
    })
}

fn guardian_of(record: &Record) -> Vec<crate::host::process::ProcessId> {
    record.guardian.iter().map(|guardian| guardian.process).collect()
}

/// Runs what blocks where it may.
pub(super) async fn blocking<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> T {
    match tokio::task::spawn_blocking(work).await {
        Ok(result) => result,
        Err(error) if error.is_panic() => std::panic::resume_unwind(error.into_panic()),
        // The runtime is being shut down, and this task with it.
        Err(_) => std::future::pending().await,
    }
}

/// How an actor begins with what a replay found; none where there is nothing left to do.
pub(super) fn begin(outcome: Outcome) -> Option<(String, Begin)> {
    match outcome {
        Outcome::Reverted(record) => {
            tracing::info!(
                injection = record.spec.name,
                "took back what an earlier process left behind"
            );
            None
        }
        Outcome::AnotherBoot(record) => {
            tracing::info!(injection = record.spec.name, "removed a record of another boot");
            None
        }
        Outcome::AnotherPidNamespace(path, record) => {
            tracing::warn!(injection = record.spec.name, path = %path.display(), "left a record of another pid namespace");
            None
        }
        Outcome::SetAside(error, path) => {
            tracing::error!(%error, path = %path.display(), "kept an unreadable undo record aside; look at it");
            None
        }
        Outcome::Kept(path, record) => Some((record.spec.name.clone(), Begin::Found(path, record))),
        Outcome::Failed(path, record, error) => {
            let error = format!("left behind by an earlier process, cannot be taken back yet: {error}");
            Some((record.spec.name.clone(), Begin::Stuck(path, record, error)))
        }
    }
}
