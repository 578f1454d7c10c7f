//! What the answers of probes change, and when to ask again: pure, with time as an argument.

use std::time::{Duration, Instant};

use crate::platform::sandbox::pod_spec::{Container, Probe};

/// Which of a container's probes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Kind {
    /// Until it succeeds, the other two wait.
    Startup,
    /// Whether clients are sent to the pod.
    Readiness,
    /// Whether the container is restarted.
    Liveness,
}

/// What an answer changed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Change {
    /// The startup probe succeeded; the other two begin.
    Started,
    /// The container became ready.
    Ready,
    /// The container is no longer ready.
    NotReady,
    /// The container must be restarted; its probes begin anew with the new process.
    Restart,
}

/// One probe of one run of a container.
#[derive(Debug, Clone)]
pub struct ProbeState {
    kind: Kind,
    period: Duration,
    success_threshold: u32,
    failure_threshold: u32,
    is_up: bool,
    streak: Option<Streak>,
    turn: Turn,
}

/// Equal answers in a row.
#[derive(Debug, Clone, Copy)]
struct Streak {
    successes: bool,
    length: u32,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Turn {
    /// Waits for its time.
    At(Instant),
    /// Asked at this time, and not answered yet.
    Asked(Instant),
    /// Will not be asked again.
    Over,
}

impl ProbeState {
    /// The probe of a container whose process started at `started`. Readiness begins with no, liveness with yes.
    pub fn new(kind: Kind, probe: &Probe, started: Instant) -> Self {
        Self {
            kind,
            period: probe.period,
            success_threshold: probe.success_threshold.max(1),
            failure_threshold: probe.failure_threshold.max(1),
            is_up: kind == Kind::Liveness,
            streak: None,
            turn: Turn::At(started + probe.initial_delay),
        }
    }

    /// Takes an answer that came at `now`; says what it changed. An error needs as many in a row as the failure
    /// threshold says, a success as many as the success threshold says.
    pub fn observe<E>(&mut self, answer: &Result<(), E>, now: Instant) -> Option<Change> {
        if let Turn::Asked(asked) = self.turn {
            self.turn = Turn::At(now.max(asked + self.period));
        }
        let successes = answer.is_ok();
        let length = match self.streak {
            Some(streak) if streak.successes == successes => streak.length.saturating_add(1),
            _ => 1,
        };
        self.streak = Some(Streak { successes, length });
        let threshold = if successes { self.success_threshold } else { self.failure_threshold };
        if length < threshold {
            return None;
        }
        let was_up = std::mem::replace(&mut self.is_up, successes);
        match (self.kind, was_up, successes) {
            (Kind::Startup, false, true) => {
                self.turn = Turn::Over;
                Some(Change::Started)
            }
            (Kind::Startup, _, false) | (Kind::Liveness, true, false) => {
                self.turn = Turn::Over;
                Some(Change::Restart)
            }
            (Kind::Readiness, false, true) => Some(Change::Ready),
            (Kind::Readiness, true, false) => Some(Change::NotReady),
            (Kind::Startup | Kind::Readiness | Kind::Liveness, _, _) => None,
        }
    }
}

/// The probes of one run of a container.
#[derive(Debug, Clone)]
pub struct Probes {
    startup: Option<ProbeState>,
    readiness: Option<ProbeState>,
    liveness: Option<ProbeState>,
}

impl Probes {
    /// The probes of `container`, whose process started at `started`.
    pub fn new(container: &Container, started: Instant) -> Self {
        let state =
            |kind, probe: &Option<Probe>| probe.as_ref().map(|probe| ProbeState::new(kind, probe, started));
        Self {
            startup: state(Kind::Startup, &container.startup),
            readiness: state(Kind::Readiness, &container.readiness),
            liveness: state(Kind::Liveness, &container.liveness),
        }
    }

    /// Whether the startup probe, if any, has succeeded.
    pub fn is_started(&self) -> bool {
        self.startup.as_ref().is_none_or(|probe| probe.is_up)
    }

    /// Whether the container counts as ready: started, and its readiness probe, if any, says so.
    pub fn is_ready(&self) -> bool {
        self.is_started() && self.readiness.as_ref().is_none_or(|probe| probe.is_up)
    }

    /// When a probe is due next; `None` while all are being asked, or where there is none.
    pub fn wake_at(&self) -> Option<Instant> {
        self.asked_now()
            .filter_map(|probe| match probe.turn {
                Turn::At(time) => Some(time),
                Turn::Asked(_) | Turn::Over => None,
            })
            .min()
    }

    /// The probes to ask at `now`. Each is given out once, until [`Self::observe`] has its answer.
    pub fn take_due(&mut self, now: Instant) -> Vec<Kind> {
        let is_started = self.is_started();
        [&mut self.startup, &mut self.readiness, &mut self.liveness]
            .into_iter()
            .flatten()
            .filter(|probe| is_started || probe.kind == Kind::Startup)
            .filter_map(|probe| match probe.turn {
                Turn::At(time) if time <= now => {
                    probe.turn = Turn::Asked(now);
                    Some(probe.kind)
                }
                Turn::At(_) | Turn::Asked(_) | Turn::Over => None,
            })
            .collect()
    }

    /// Takes the answer of one probe.
    pub fn observe<E>(&mut self, kind: Kind, answer: &Result<(), E>, now: Instant) -> Option<Change> {
        let probe = match kind {
            Kind::Startup => &mut self.startup,
            Kind::Readiness => &mut self.readiness,
            Kind::Liveness => &mut self.liveness,
        };
        probe.as_mut()?.observe(answer, now)
    }

    /// The probes that may be asked in this phase of the container.
    fn asked_now(&self) -> impl Iterator<Item = &ProbeState> {
        let is_started = self.is_started();
        [&self.startup, &self.readiness, &self.liveness]
            .into_iter()
            .flatten()
            .filter(move |probe| is_started || probe.kind == Kind::Startup)
    }
}
