//! Keeps one container of a pod running, as its kubelet would.

use std::io;
use std::time::{Duration, Instant};

use nix::sys::signal::Signal;

use super::backoff::Backoff;
use super::order::Turn;
use super::{AFTER_HOOKS, Going, PodSandbox, hooks, last_words, plan, probing};
use crate::host::cgroup;
use crate::platform::sandbox::holder::{Ended, NotStarted, Running};
use crate::platform::sandbox::pod_spec::Container;

/// What is remembered of a container over all its starts.
#[derive(Debug, Clone, Default)]
pub struct History {
    starts: u32,
    backoff: Backoff,
    /// Why it does not run, and for how long it must wait before it is started again.
    last: Option<(String, Duration)>,
}

/// Which list of the template a container is in, and where.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Place {
    /// An init container.
    Init(usize),
    /// A container whose status is shown at this place.
    Main(usize),
}

/// How one start of a container came to its end.
enum Outcome {
    Ended {
        exit_code: i32,
        why: String,
        ran: Duration,
    },
    NotStarted(String),
    /// The pod is gone or going.
    Over,
}

impl PodSandbox<'_> {
    /// Runs an init container until it succeeds; whether to go on.
    pub(super) async fn complete(&self, place: usize, history: &mut History) -> bool {
        let container = &self.set.spec.pod.init_containers[place];
        loop {
            if !self.wait_for_turn(container, Place::Init(place), history).await {
                return false;
            }
            match self.run_once(container, Place::Init(place), history).await {
                Outcome::Ended { exit_code: 0, .. } => return true,
                Outcome::Over => return false,
                other => history.note(other),
            }
        }
    }

    /// Runs a container and starts it again whenever it ends, until the pod is going.
    pub(super) async fn keep_running(&self, container: &Container, place: Place, history: &mut History) {
        loop {
            if !self.wait_for_turn(container, place, history).await {
                return;
            }
            match self.run_once(container, place, history).await {
                Outcome::Over => return,
                other => history.note(other),
            }
        }
    }

    /// Waits as long as earlier crashes demand; whether to start then.
    async fn wait_for_turn(&self, container: &Container, place: Place, history: &History) -> bool {
        let Some((why, wait)) = &history.last else {
            return *self.stopping.borrow() == Going::No;
        };
        if !wait.is_zero() {
            let reason = match place {
                Place::Init(_) => format!("Init:CrashLoopBackOff ({}: {why})", container.name),
                Place::Main(_) => format!("CrashLoopBackOff ({why})"),
            };
            self.show_waiting(place, &reason);
        }
        tokio::select! {
            biased;
            () = self.stopped() => false,
            () = tokio::time::sleep(*wait) => true,
        }
    }

    /// Waits until the pod is going.
    pub(super) async fn stopped(&self) {
        let mut stopping = self.stopping.clone();
        // It cannot close: the pod holds the other end for as long as this is polled.
        let _ = stopping.wait_for(|&going| going != Going::No).await;
    }

    /// Waits until the pod's grace is over.
    pub(super) async fn overdue(&self) {
        let mut stopping = self.stopping.clone();
        let _ = stopping.wait_for(|&going| going == Going::Overdue).await;
    }

    async fn run_once(&self, container: &Container, place: Place, history: &mut History) -> Outcome {
        let since = Instant::now();
        history.starts += 1;
        let mut running = match self.start(container, history.starts).await {
            Ok(running) => running,
            Err(StartError::Plan(error)) => return Outcome::NotStarted(error.to_string()),
            Err(StartError::Holder(NotStarted::Program(reason))) => return Outcome::NotStarted(reason),
            Err(StartError::Holder(NotStarted::HolderDied)) => return Outcome::Over,
        };
        self.show_running(container, place, &running, history.starts);
        let (ended, reason) = self.watch(container, place, &mut running).await;
        let ran = since.elapsed();
        let ended = ended.map(|Ended { exit_code, .. }| {
            let why = last_words::of(exit_code, &plan::log(&self.set.world, self.facts, container));
            let cgroups = self.set.world.container_cgroups(&self.facts.uid, &container.name);
            let was_killed = cgroups.iter().any(|path| cgroup::limits::killed_for_memory(path) > 0);
            let reason = reason.or_else(|| was_killed.then(|| "OOMKilled".to_owned()));
            (exit_code, reason.map_or(why.clone(), |reason| format!("{reason}; {why}")))
        });
        self.show_ended(container, place, ended.as_ref().map(|(_, why)| why.as_str()));
        match ended {
            None => Outcome::Over,
            Some((exit_code, why)) => Outcome::Ended { exit_code, why, ran },
        }
    }

    async fn start(&self, container: &Container, start: u32) -> Result<Running, StartError> {
        let paths = self.set.world.container_cgroups(&self.facts.uid, &container.name);
        // A new folder for each start: nothing that was frozen, limited or left over holds the new process.
        let limits = container.limits;
        let made = tokio::task::spawn_blocking(move || {
            for path in &paths {
                cgroup::create_fresh(path)?;
                path.parent().into_iter().for_each(cgroup::pass_on);
                cgroup::limits::set(path, limits.memory, limits.cpu)?;
            }
            io::Result::Ok(())
        });
        made.await.map_err(io::Error::other)??;
        let plan = plan::container(self.set, self.facts, self.volumes, container, start)?;
        Ok(self.holder.start_container(plan).await?)
    }

    /// Waits for the end of a start, and brings it about where a hook, a probe or the pod's deletion demands it. Tells what
    /// its last words do not.
    async fn watch(
        &self,
        container: &Container,
        place: Place,
        running: &mut Running,
    ) -> (Option<Ended>, Option<String>) {
        let id = running.id;
        let reason = tokio::select! {
            ended = running.ended() => return (ended, None),
            () = self.stopped() => {
                // The pod's own deadline ends what does not end by itself.
                return (self.ask_to_end(container, running, Duration::MAX).await, None);
            }
            reason = self.lead(container, place, id) => reason,
        };
        let grace = self.set.spec.pod.grace;
        // A hook may take all of the grace; the program has a moment of its own then, as with a kubelet.
        let limit = if container.pre_stop.is_some() { grace + AFTER_HOOKS } else { grace };
        let ended = tokio::time::timeout(limit, self.ask_to_end(container, running, grace)).await;
        if let Ok(ended) = ended {
            return (ended, reason);
        }
        self.holder.signal(id, Signal::SIGKILL);
        (running.ended().await, reason)
    }

    /// Runs the hook of a container that was started and then asks its probes; returns when it must be started again, with
    /// the reason where that is the hook.
    async fn lead(&self, container: &Container, place: Place, id: u64) -> Option<String> {
        if let Some(hook) = &container.post_start {
            if let Err(error) = hooks::run(self, container, id, hook, LONGEST_HOOK).await {
                return Some(format!("postStart hook failed: {}", whole(&error)));
            }
            self.show_hooked(container, place);
        }
        probing::watch(self, container, place, id).await;
        None
    }

    /// Waits until the container may be asked to end.
    async fn its_turn(&self) {
        let mut turn = self.turn.clone();
        let _ = turn.wait_for(|&turn| turn == Turn::Ends).await;
    }

    /// Runs the hook before the end, for at most `limit`, and sends the signal, of a pod that is going once it is the container's
    /// turn; waits for the end.
    async fn ask_to_end(
        &self,
        container: &Container,
        running: &mut Running,
        limit: Duration,
    ) -> Option<Ended> {
        let id = running.id;
        if let Some(hook) = &container.pre_stop {
            let limit = limit.min(LONGEST_HOOK);
            tokio::select! {
                biased;
                ended = running.ended() => return ended,
                done = hooks::run(self, container, id, hook, limit) => {
                    if let Err(error) = done {
                        let (pod, container, why) = (&self.facts.name, &container.name, whole(&error));
                        tracing::warn!(pod, container, why, "a preStop hook failed");
                    }
                }
                () = self.overdue() => {}
            }
        }
        if *self.stopping.borrow() != Going::No {
            tokio::select! {
                biased;
                ended = running.ended() => return ended,
                () = self.its_turn() => {}
                () = self.overdue() => {}
            }
        }
        let signal = container.stop_signal.and_then(|number| Signal::try_from(number).ok());
        self.holder.signal(id, signal.unwrap_or(Signal::SIGTERM));
        running.ended().await
    }
}

/// A day: a kubelet sets no limit, and the pod's grace ends what must end.
const LONGEST_HOOK: Duration = Duration::from_hours(24);

/// An error with what is behind it.
fn whole(error: &(dyn std::error::Error + 'static)) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(behind) = cause {
        text = format!("{text}: {behind}");
        cause = behind.source();
    }
    text
}

impl History {
    fn note(&mut self, outcome: Outcome) {
        self.last = match outcome {
            Outcome::Ended { why, ran, .. } => Some((why, self.backoff.after(ran))),
            Outcome::NotStarted(reason) => Some((reason, self.backoff.after(Duration::ZERO))),
            Outcome::Over => None,
        };
    }
}

enum StartError {
    Plan(io::Error),
    Holder(NotStarted),
}

impl From<io::Error> for StartError {
    fn from(error: io::Error) -> Self {
        Self::Plan(error)
    }
}

impl From<NotStarted> for StartError {
    fn from(error: NotStarted) -> Self {
        Self::Holder(error)
    }
}
