//! The life of one Injection on this node, from its first order to its last status.

use std::io;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{mpsc, watch};
use tokio::time::{sleep, timeout};

use super::blocking::blocking;
use super::standing::{Attempt, Leftover, Standing, StandingError, inject};
use super::status::Status;
use super::{Channel, Locate, LocatedPod, Node};
use crate::api::{Desired, InjectionSpec, InjectionState};
use crate::fault::host::Look;
use crate::undo::{Expiry, Record, stop_here};

mod ended;
mod hold;
mod measure;
mod take_back;

pub(super) use ended::Ended;

/// How often the pod is looked for while something depends on it.
const SEARCH: Duration = Duration::from_millis(100);
/// How long a platform may take to say where a pod is.
const LOCATE_LIMIT: Duration = Duration::from_secs(5);
/// An attempt that takes longer than this says so.
const SLOW: Duration = Duration::from_secs(3);

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
    /// It only measures.
    Measuring,
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
    /// Present from the end of a target that may have ended of what was done to it.
    pub ended_of_it: Option<Ended>,
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
                Phase::Measuring => self.measure().await,
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
        let (desired, measures) = (spec.desired, spec.measures());
        self.spec = Some(spec);
        match desired {
            Desired::Injected if measures => Phase::Measuring,
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

    async fn locate(&self) -> io::Result<Option<LocatedPod>> {
        let Some(spec) = &self.spec else { return Ok(None) };
        locate(&self.node, spec).await
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
                    self.status.enter(InjectionState::Failed);
                    self.status.note(&StandingError::TooLate.to_string());
                } else {
                    self.status.enter(InjectionState::Reverted);
                }
                self.report().await;
                return Phase::Over;
            }
            let found = self.locate().await;
            if !self.is_still_ended(&spec, &found).await {
                let failure = match self.inject_into(*spec, found).await {
                    Ok(phase) => return phase,
                    Err(failure) => failure,
                };
                if !self.follows() {
                    self.status.fail(InjectionState::Failed, &failure);
                    self.report().await;
                    return Phase::Over;
                }
                self.not_now(&failure).await;
            }
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

    /// The same into whatever was found, if it is what is meant.
    async fn inject_into(
        &mut self,
        spec: InjectionSpec,
        found: io::Result<Option<LocatedPod>>,
    ) -> Result<Phase, String> {
        match found {
            Err(error) => Err(error.to_string()),
            Ok(Some(pod)) if spec.follow || pod.uid == spec.pod.uid => self.inject(spec, pod).await,
            Ok(Some(pod)) => Err(format!(
                "pod {} is another one now: expected uid {}, found {}",
                spec.pod.name, spec.pod.uid, pod.uid
            )),
            Ok(None) => Err(format!("pod {} does not run on this node", spec.pod.name)),
        }
    }

    /// What comes next, or why nothing could be injected now and nothing of it is left.
    async fn inject(&mut self, spec: InjectionSpec, pod: LocatedPod) -> Result<Phase, String> {
        let (options, since) = (self.node.options.clone(), (self.node.era.clone(), self.began));
        let (doing, now) = watch::channel("looking for what it changes");
        let attempt = blocking(move || inject(&options, since, spec, &pod, &doing));
        match self.told_of_when_slow(attempt, &now).await {
            Ok((standing, look)) => {
                self.status.see(look);
                self.report().await;
                stop_here("reported");
                Ok(Phase::Standing(Box::new(standing)))
            }
            Err(Attempt { why, left: None }) => Err(why.to_string()),
            Err(Attempt { why, left: Some((left, error)) }) => {
                self.status.fail(InjectionState::RevertFailed, &format!("{why}; and then: {error}"));
                self.report().await;
                Ok(Phase::TakingBack(left, Next::Failed(why.to_string())))
            }
        }
    }

    /// Waits for an attempt, and says where it is when it takes long, as on a node whose disk is slow to write a record.
    async fn told_of_when_slow<T>(
        &mut self,
        attempt: impl Future<Output = T>,
        doing: &watch::Receiver<&str>,
    ) -> T {
        let mut attempt = std::pin::pin!(attempt);
        let mut waited = Duration::ZERO;
        loop {
            if let Ok(done) = timeout(SLOW, &mut attempt).await {
                self.status.slow(None);
                return done;
            }
            waited += SLOW;
            let doing = *doing.borrow();
            tracing::warn!(injection = self.name, doing, seconds = waited.as_secs(), "takes long");
            self.status.slow(Some(format!("the node is still {doing} after {} s", waited.as_secs())));
            self.report().await;
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
                Phase::TakingBack(blocking(move || Box::new(standing.into())).await, Next::Again)
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

    /// Nothing is in force; answers repeated orders, says Reverted where that is asked for, and measures again where a deadline
    /// that was over is put off.
    async fn rest(&mut self) -> Phase {
        match self.wishes.recv().await {
            Some(Wish::Put(spec)) => {
                if spec.measures() && !Expiry::new(&spec.deadline, self.began).is_over() {
                    self.spec = Some(spec);
                    return Phase::Measuring;
                }
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

async fn locate<C: Channel, L: Locate>(
    node: &Node<C, L>,
    spec: &InjectionSpec,
) -> io::Result<Option<LocatedPod>> {
    let name = &spec.pod.name;
    match timeout(LOCATE_LIMIT, node.locate.pod(spec)).await {
        Ok(Ok(pod)) => Ok(pod),
        Ok(Err(error)) => Err(io::Error::new(error.kind(), format!("pod {name} cannot be hit: {error}"))),
        Err(_) => {
            let why = format!("nobody says within {} s where pod {name} is", LOCATE_LIMIT.as_secs());
            Err(io::Error::new(io::ErrorKind::TimedOut, why))
        }
    }
}

fn leftover(path: PathBuf, record: Record) -> Box<Leftover> {
    Box::new(Leftover::unguarded(path, record))
}
