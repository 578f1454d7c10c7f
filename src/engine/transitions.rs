//! The ways from one phase to the next, and who may take them.

use std::time::Duration;

use super::state::{State, recovery};
use super::{Engine, Faults, Outcome};
use crate::api::Nanos;
use crate::experiment::duration;
use crate::journal::entry::{Effect, Phase};

impl Engine {
    /// Goes over to another phase if it is time. True where something changed.
    pub(super) fn transit(&mut self) -> bool {
        match self.state {
            State::Preflight { since } => self.preflight(since),
            State::Baseline { since, starting } => self.baseline(since, starting),
            State::Faulting { since, .. } => self.faulting(since),
            State::Recovering { since, faulting_since } => self.recovering(since, faulting_since),
            State::Reverting => {
                let is_done = self.faults.is_rest_overdue();
                if is_done {
                    self.wind_down();
                }
                is_done
            }
            State::Stopping { stopping } => self.stopping(stopping),
            State::Settling { reading } => self.settling(reading),
            State::Over => false,
        }
    }

    fn preflight(&mut self, since: Nanos) -> bool {
        let limit = self.brief.limits.preflight;
        match self.sets.healthy() {
            Ok(()) => {
                self.outbox.say(Effect::Phase(Phase::Baseline));
                let (answer, now) = (self.brief.limits.answer, self.now);
                let has_workload = self.brief.experiment.workload.is_some();
                let starting = has_workload.then(|| self.outbox.ask(Effect::StartWorkload {}, now, answer));
                self.state = State::Baseline { since: self.now, starting };
                true
            }
            Err(why) if self.passed(since, limit) => self.give_up(format!(
                "nothing was broken, because the target was not healthy within {}: {why}",
                duration::format(limit)
            )),
            Err(_) => false,
        }
    }

    fn baseline(&mut self, since: Nanos, starting: Option<u64>) -> bool {
        if let Some(id) = starting {
            match self.outbox.take(id) {
                Some(Ok(())) => {
                    self.state = State::Baseline { since, starting: None };
                    return true;
                }
                Some(Err(why)) => {
                    return self.give_up(format!("nothing was broken, because no client could start: {why}"));
                }
                None => {}
            }
        }
        let baseline = self.brief.experiment.baseline;
        let limit = baseline + self.brief.limits.baseline;
        let has_held = self.claims.held_after(since).is_some_and(|held| self.passed(held, baseline));
        if has_held && starting.is_none() {
            self.outbox.say(Effect::Phase(Phase::Faulting));
            self.faults = Faults::begin(self.brief.experiment.steps.len(), self.now);
            self.state = State::Faulting { since: self.now, endangered: None };
            return true;
        }
        if self.passed(since, limit) {
            let broken = self.claims.broken().unwrap_or_else(|| "it held, but not long enough".into());
            return self.give_up(format!(
                "the steady state did not hold for {} before anything was broken, in {}: {broken}",
                duration::format(baseline),
                duration::format(limit)
            ));
        }
        false
    }

    fn faulting(&mut self, since: Nanos) -> bool {
        if self.stop_if_too_long(since) || self.stop_if_endangered() {
            return true;
        }
        if self.faults.is_any_overdue() {
            if self.faults.are_more_to_come(&self.brief.experiment.steps) {
                self.stop("a revert failed, so nothing more is broken".into());
                return true;
            }
            if self.faults.is_rest_overdue() {
                return self.recover(since);
            }
        }
        if self.faults.are_over() {
            return self.recover(since);
        }
        let (faults, mut scene) = self.split();
        if faults.end_rest(&mut scene) {
            return true;
        }
        match faults.start_due(&mut scene) {
            Outcome::Quiet => false,
            Outcome::Moved => true,
            Outcome::Refused => {
                self.revert_all();
                true
            }
            Outcome::Unrecovered => {
                let (faults, mut scene) = self.split();
                faults.leave_out_rest(&mut scene);
                true
            }
        }
    }

    fn recover(&mut self, faulting_since: Nanos) -> bool {
        self.outbox.say(Effect::Phase(Phase::Recovering));
        self.state = State::Recovering { since: self.now, faulting_since };
        true
    }

    fn stop_if_too_long(&mut self, since: Nanos) -> bool {
        let longest = self.brief.experiment.guards.max_duration;
        let is_too_long = self.passed(since, longest);
        if is_too_long {
            self.stop(format!("it took longer than spec.guards.maxDuration: {}", duration::format(longest)));
        }
        is_too_long
    }

    /// Stops when the target has lost more than the faults took, and for longer than one lost answer explains.
    fn stop_if_endangered(&mut self) -> bool {
        // What a node or the platform answers to a request says nothing about who is away.
        if self.is_only_answered {
            return false;
        }
        let missing = self.faults.still_hold(&self.sets, &self.brief).err();
        let State::Faulting { endangered, .. } = &mut self.state else {
            return false;
        };
        *endangered = missing.map(|why| {
            let since = endangered.as_ref().map_or(self.now, |(since, _)| *since);
            (since, why)
        });
        match endangered.clone() {
            Some((since, why))
                if self.passed(since, self.brief.limits.endangered)
                    && self.sets.own().is_newer_than(since) =>
            {
                self.stop(why);
                true
            }
            Some(_) | None => false,
        }
    }

    fn recovering(&mut self, since: Nanos, faulting_since: Nanos) -> bool {
        if self.stop_if_too_long(faulting_since) {
            return true;
        }
        let is_recovered = self.split().1.recovered(since).is_ok();
        let is_done = is_recovered || self.passed(since, recovery(&self.brief.experiment));
        if is_done {
            self.wind_down();
        }
        is_done
    }

    /// Ends a run that cannot be told anything from, before anything was broken.
    fn give_up(&mut self, reason: String) -> bool {
        self.outbox.say(Effect::Doubt { reason });
        self.wind_down();
        true
    }

    /// Stops early; what is stopping already goes on stopping.
    pub(super) fn stop(&mut self, reason: String) {
        match self.state {
            State::Preflight { .. }
            | State::Baseline { .. }
            | State::Faulting { .. }
            | State::Recovering { .. } => {
                self.outbox.say(Effect::Abort { reason });
                self.revert_all();
            }
            State::Reverting | State::Stopping { .. } | State::Settling { .. } | State::Over => {}
        }
    }

    /// A person wants it to end. Reverts are never cut short; final reads are.
    pub(super) fn interrupt(&mut self) {
        match self.state {
            State::Stopping { .. } | State::Settling { .. } => {
                let reason = "interrupted before the final reads were made".into();
                self.outbox.say(Effect::Abort { reason });
                self.finish();
            }
            State::Preflight { .. }
            | State::Baseline { .. }
            | State::Faulting { .. }
            | State::Recovering { .. }
            | State::Reverting
            | State::Over => self.stop("interrupted".into()),
        }
    }

    pub(super) fn revert_all(&mut self) {
        self.outbox.say(Effect::Phase(Phase::Reverting));
        let (faults, mut scene) = self.split();
        faults.cut_short(&mut scene);
        let is_before_baseline = matches!(self.state, State::Preflight { .. });
        self.state = State::Reverting;
        if is_before_baseline {
            self.finish();
        }
    }

    /// Nothing of ours is left: lets the clients finish, then reads what the members hold.
    fn wind_down(&mut self) {
        let has_clients = match self.state {
            State::Preflight { .. } => false,
            State::Baseline { .. }
            | State::Faulting { .. }
            | State::Recovering { .. }
            | State::Reverting
            | State::Stopping { .. }
            | State::Settling { .. }
            | State::Over => self.brief.experiment.workload.is_some(),
        };
        if !has_clients {
            return self.finish();
        }
        let in_flight =
            self.brief.experiment.workload.as_ref().map_or(Duration::ZERO, |workload| workload.timeout);
        let limit = self.brief.limits.answer + in_flight;
        let stopping = self.outbox.ask(Effect::StopWorkload {}, self.now, limit);
        self.state = State::Stopping { stopping };
    }

    fn stopping(&mut self, stopping: u64) -> bool {
        let Some(answer) = self.outbox.take(stopping) else {
            return false;
        };
        if let Err(why) = answer {
            let reason = format!("the clients did not finish: {why}");
            self.outbox.say(Effect::Doubt { reason });
        }
        self.outbox.say(Effect::Phase(Phase::Settling));
        let reading = self.outbox.ask(Effect::ReadLedger {}, self.now, self.brief.limits.ledger);
        self.state = State::Settling { reading };
        true
    }

    fn settling(&mut self, reading: u64) -> bool {
        let Some(answer) = self.outbox.take(reading) else {
            return false;
        };
        if let Err(why) = answer {
            let reason = format!("the ledger was not read: {why}");
            self.outbox.say(Effect::Doubt { reason });
        }
        self.finish();
        true
    }

    fn finish(&mut self) {
        self.outbox.say(Effect::Phase(Phase::Judged));
        self.outbox.say(Effect::Finish {});
        self.state = State::Over;
    }
}
