//! The pure state machine of a run: what is heard goes in, what shall be done comes out.
//!
//! [`Engine::step`] is a function of the engine, the moment and one input; it has no clock, no randomness, no I/O. The
//! same inputs at the same moments give the same effects, so a journal's inputs are enough to know what a run did.
//!
//! What it promises, whatever it hears and however late:
//!
//! - nothing is broken before the steady state has held for the whole baseline,
//! - every `Apply` that injects is followed by one that reverts, which is repeated until it is verified,
//! - no fault leaves the voters of a StatefulSet without a possible leader unless the experiment allows it; when the target loses more
//!   by itself meanwhile, everything is reverted,
//! - what was not proven is told: by [`Effect::Doubt`], or as the reason of [`Effect::Ended`],
//! - [`Effect::Finish`] comes within bounded time; nothing comes after it.
//!
//! What it assumes: it is woken at [`Engine::wake_at`]; [`Input::Unmet`] is told at least once, also when it is empty
//! from the beginning; [`Input::Members`] is told for each round of questions, also when nothing changed.

mod decide;
mod deletion;
mod faults;
mod hit;
mod injecting;
mod known;
mod limits;
mod occurrence;
mod outbox;
mod progress;
mod scene;
mod sequence;
mod sets;
mod state;
mod transitions;

use jiff::Timestamp;

use self::faults::{Faults, Outcome};
pub use self::limits::Limits;
use self::limits::after;
use self::outbox::Outbox;
use self::scene::{Brief, Scene};
use self::sets::Sets;
use self::state::{Claims, State};
use crate::api::Nanos;
use crate::experiment::Experiment;
use crate::journal::entry::{Effect, Input, Phase};

/// A run.
#[derive(Debug)]
pub struct Engine {
    brief: Brief,
    now: Nanos,
    sets: Sets,
    claims: Claims,
    outbox: Outbox,
    faults: Faults,
    state: State,
    /// Whether the last input was an answer to something that was asked for, of which thousands come at once.
    is_only_answered: bool,
}

impl Engine {
    /// A run of `experiment` that has just begun: time 0 is `started_at` by the wall clock.
    pub fn new(
        experiment: Experiment,
        run: String,
        seed: u64,
        started_at: Timestamp,
        limits: Limits,
    ) -> Self {
        let sets = Sets::of(&experiment);
        let mut outbox = Outbox::default();
        outbox.say(Effect::Phase(Phase::Preflight));
        Self {
            brief: Brief { experiment, run, seed, started_at, limits },
            now: 0,
            sets,
            claims: Claims::default(),
            outbox,
            faults: Faults::default(),
            state: State::Preflight { since: 0 },
            is_only_answered: false,
        }
    }

    /// Hears `input` at `now` and says what shall be done, each with the id that answers name. Time never goes back: an
    /// earlier `now` counts as the latest one.
    pub fn step(&mut self, now: Nanos, input: &Input) -> Vec<(u64, Effect)> {
        self.now = self.now.max(now);
        if matches!(self.state, State::Over) {
            return Vec::new();
        }
        self.is_only_answered = matches!(input, Input::Injection { .. } | Input::Answer { .. });
        self.hear(input);
        self.outbox.expire(self.now);
        self.sets.notice_healed(self.now, self.brief.limits.stale);
        while self.advance() {}
        self.outbox.drain()
    }

    /// When it has to be woken if nothing else happens before. Always later than the last step.
    pub fn wake_at(&self) -> Option<Nanos> {
        let limits = &self.brief.limits;
        let mut timers: Vec<Nanos> = self.outbox.timers().collect();
        timers.extend(self.sets.timers(limits.stale));
        let mut outbox = Outbox::default();
        let scene = self.seen_with(&mut outbox);
        timers.extend(self.faults.timers(&scene));
        timers.extend(self.state.timers(&self.brief, &self.claims));
        match self.state {
            State::Over => None,
            State::Preflight { .. }
            | State::Baseline { .. }
            | State::Faulting { .. }
            | State::Recovering { .. }
            | State::Reverting
            | State::Stopping { .. }
            | State::Settling { .. } => timers.into_iter().filter(|&at| at > self.now).min(),
        }
    }

    /// Where the run is.
    pub fn phase(&self) -> Phase {
        match self.state {
            State::Preflight { .. } => Phase::Preflight,
            State::Baseline { .. } => Phase::Baseline,
            State::Faulting { .. } => Phase::Faulting,
            State::Recovering { .. } => Phase::Recovering,
            State::Reverting => Phase::Reverting,
            State::Stopping { .. } | State::Settling { .. } => Phase::Settling,
            State::Over => Phase::Judged,
        }
    }

    /// What the run is waiting for now, for a person.
    pub fn waiting_for(&self) -> Option<String> {
        let mut outbox = Outbox::default();
        let scene = self.seen_with(&mut outbox);
        match self.state {
            State::Preflight { .. } => self.sets.healthy().err(),
            State::Baseline { .. } => Some(match self.claims.broken() {
                Some(broken) => format!("the steady state: {broken}"),
                None => "the end of the baseline".into(),
            }),
            State::Faulting { .. } | State::Reverting => self.faults.waiting_for(&scene),
            State::Recovering { .. } => self.claims.broken().or(self.sets.healthy().err()),
            State::Stopping { .. } => Some("the clients to finish".into()),
            State::Settling { .. } => Some("the ledger to be read from every member".into()),
            State::Over => None,
        }
    }

    fn hear(&mut self, input: &Input) {
        match input {
            Input::Pods(snapshot) => self.sets.own_mut().hear_pods(snapshot),
            Input::OtherPods(snapshot) => self.sets.hear_other(snapshot),
            Input::Members(members) => self.sets.own_mut().hear_members(members, self.now),
            Input::Injection { name, status } => {
                let (faults, scene) = self.split();
                faults.hear(name, status, &scene);
            }
            Input::Unmet(unmet) => self.claims.hear(unmet, self.now),
            Input::Conditions(steps) => self.sets.own_mut().hear_conditions(steps),
            Input::AbortCondition(words) => self.stop(words.clone()),
            Input::Interrupted {} => self.interrupt(),
            Input::Stopped { reason } => self.stop(reason.clone()),
            Input::Answer { id, error } => self.outbox.hear(*id, error.as_ref()),
            Input::Volumes(_) | Input::Disks { .. } | Input::Request { .. } | Input::Wake {} => {}
        }
    }

    /// Takes one step on. False when nothing more can happen at this moment.
    fn advance(&mut self) -> bool {
        let carried = {
            let (faults, mut scene) = self.split();
            faults.carry_on(&mut scene)
        };
        for (set, ordinal, step) in self.faults.take_down() {
            self.sets.took_down(&set, ordinal, &step, self.now);
        }
        self.transit() || carried == Outcome::Moved
    }

    /// The faults, and everything that they look at.
    fn split(&mut self) -> (&mut Faults, Scene<'_>) {
        (
            &mut self.faults,
            Scene {
                brief: &self.brief,
                sets: &self.sets,
                known: self.sets.own(),
                claims: &self.claims,
                outbox: &mut self.outbox,
                now: self.now,
            },
        )
    }

    /// What there is to see, without a way out.
    fn seen_with<'a>(&'a self, outbox: &'a mut Outbox) -> Scene<'a> {
        let (brief, sets, claims) = (&self.brief, &self.sets, &self.claims);
        Scene { brief, sets, known: sets.own(), claims, outbox, now: self.now }
    }

    /// Whether `wait` has passed since.
    fn passed(&self, since: Nanos, wait: std::time::Duration) -> bool {
        self.now >= after(since, wait)
    }
}

#[cfg(test)]
mod tests;
