//! What a running run waits for, and what ends it early: the judge's own measures over the newest samples.
//!
//! Memory is bounded: samples older than any window that can be asked for are forgotten. Everything is told the moment
//! that it is asked about; there is no clock here.

use std::collections::BTreeSet;

use super::bound::subject;
use super::defaults::{self, Bounds};
use super::limits::{self, Limits, nanos};
use super::recovery::{is_good, stable_for};
use super::series::Window;
use super::signals::{ALL, Signals};
use super::words;
use crate::api::Nanos;
use crate::experiment::{AbortCondition, Budget, Condition, Experiment, Hypothesis, Start, Unit, When};
use crate::journal::entry::{Effect, Entry, Line, Phase};
use crate::journal::op::OpLine;

/// Samples are kept for at least this long.
const KEPT: Nanos = 60_000_000_000;

/// What is shown is measured over this long.
const SHOWN: Nanos = 2_000_000_000;

/// Samples are forgotten this often.
const TIDY: Nanos = 1_000_000_000;

/// The state of a run's claims now.
#[derive(Debug, Clone)]
pub struct Live {
    claims: Vec<Watched>,
    abort_when: Vec<AbortCondition>,
    /// Steps that start when an SLI is bad.
    waiting: Vec<(String, AbortCondition)>,
    baseline: Nanos,
    kept: Nanos,
    signals: Signals,
    phase: Option<Phase>,
    baseline_began: Nanos,
    steady: Nanos,
    /// Since when nothing is broken.
    quiet_since: Nanos,
    is_broken: bool,
    has_workload: bool,
    tidied: Nanos,
}

#[derive(Debug, Clone)]
struct Watched {
    hypothesis: Hypothesis,
    bounds: Bounds,
    baseline: Option<u64>,
}

/// One SLI now, for a person.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reading {
    /// The hypothesis.
    pub claim: String,
    /// The SLI and its value: `commitLatency p99: 12 ms`.
    pub value: String,
}

impl Live {
    /// For a run that is about to begin.
    pub fn new(experiment: &Experiment) -> Self {
        let claims: Vec<Watched> = experiment
            .hypothesis
            .iter()
            .map(|hypothesis| Watched {
                hypothesis: hypothesis.clone(),
                bounds: defaults::bounds(hypothesis),
                baseline: None,
            })
            .collect();
        let baseline = nanos(experiment.baseline);
        let stable = claims
            .iter()
            .flat_map(|claim| [&claim.bounds.before, &claim.bounds.recovered, &claim.bounds.after])
            .flatten()
            .map(stable_for);
        let waiting: Vec<_> = experiment
            .steps
            .iter()
            .filter_map(|step| match &step.start {
                Start::When(When { condition: Condition::Sli(condition), .. }) => {
                    Some((step.name.clone(), condition.clone()))
                }
                Start::When(_) | Start::At(_) | Start::After(_) => None,
            })
            .collect();
        let conditions =
            experiment.guards.abort_when.iter().chain(waiting.iter().map(|(_, condition)| condition));
        let lasting = conditions.map(|condition| nanos(condition.lasting));
        let longest = stable.chain(lasting).chain([baseline]).max().unwrap_or(0);
        Self {
            claims,
            abort_when: experiment.guards.abort_when.clone(),
            waiting,
            baseline,
            kept: longest.saturating_add(KEPT),
            signals: Signals::new(BTreeSet::new()),
            phase: None,
            baseline_began: 0,
            steady: 0,
            quiet_since: 0,
            is_broken: false,
            has_workload: false,
            tidied: 0,
        }
    }

    /// Takes a line of the journal that is no operation.
    pub fn observe(&mut self, line: &Line) {
        self.signals.line(line);
        if let Entry::Effect { effect, .. } = &line.entry {
            self.effect(line.time, effect);
        }
        if line.time.saturating_sub(self.tidied) >= TIDY {
            self.tidied = line.time;
            self.signals.forget(line.time.saturating_sub(self.kept));
        }
    }

    /// Takes a line of an operation, both when it begins and when it ends.
    pub fn observe_operation(&mut self, line: &OpLine<'_>) {
        self.signals.operation(line);
    }

    fn effect(&mut self, time: Nanos, effect: &Effect) {
        match effect {
            Effect::Phase(phase) => {
                self.phase = Some(*phase);
                match phase {
                    Phase::Baseline => self.baseline_began = time,
                    Phase::Faulting => {
                        self.steady = time.saturating_sub(self.baseline).max(self.baseline_began);
                        self.take_baseline(time);
                    }
                    Phase::Recovering => self.quiet_since = self.quiet_since.max(self.steady),
                    Phase::Preflight | Phase::Reverting | Phase::Settling | Phase::Judged => {}
                }
            }
            Effect::Chosen { .. } if !self.is_broken => {
                self.is_broken = true;
                self.take_baseline(time);
            }
            Effect::Ended { .. } => self.quiet_since = time,
            Effect::StartWorkload {} => self.has_workload = true,
            Effect::StopWorkload {} => self.has_workload = false,
            Effect::Chosen { .. }
            | Effect::Began { .. }
            | Effect::Apply(_)
            | Effect::DeletePod { .. }
            | Effect::Forget { .. }
            | Effect::ReadLedger {}
            | Effect::Doubt { .. }
            | Effect::Refused { .. }
            | Effect::Abort { .. }
            | Effect::RevertFailed { .. }
            | Effect::Finish {} => {}
        }
    }

    /// Measures what `maxIncrease` compares with.
    fn take_baseline(&mut self, now: Nanos) {
        let window = Window::new(self.steady.max(now.saturating_sub(self.kept)), now);
        for claim in &mut self.claims {
            let sli = &claim.hypothesis.sli;
            claim.baseline = limits::baseline(sli, &self.signals.measure(sli, &[window], now));
        }
    }

    /// The claims that have not held for long enough by now: before the first fault those of the steady state, later
    /// those of recovery. The words for a claim stay the same while it stays unmet, so that they can be told on change.
    /// Claims about the workload are not asked for while there is none.
    pub fn unmet(&self, now: Nanos) -> Vec<String> {
        self.claims
            .iter()
            .filter(|claim| self.has_workload || !claim.hypothesis.sli.needs_workload())
            .filter_map(|claim| self.unmet_claim(claim, now))
            .collect()
    }

    fn unmet_claim(&self, claim: &Watched, now: Nanos) -> Option<String> {
        let sli = &claim.hypothesis.sli;
        if sli.counts_attempts() {
            return None;
        }
        let before = match self.phase {
            None | Some(Phase::Preflight | Phase::Baseline) => true,
            Some(
                Phase::Faulting | Phase::Recovering | Phase::Reverting | Phase::Settling | Phase::Judged,
            ) => false,
        };
        let budget = if before {
            let own = claim.bounds.before.clone().or_else(|| defaults::before(sli));
            match (own, sli.unit()) {
                (_, Unit::Property) => return None,
                (Some(budget), _) => budget,
                // There is nothing to compare with where nothing was measured.
                (
                    None,
                    Unit::Availability
                    | Unit::Condition
                    | Unit::Usage
                    | Unit::Rate
                    | Unit::Events
                    | Unit::Latency,
                ) => Budget::default(),
            }
        } else {
            let is_waited_for = claim.bounds.after.is_some() || claim.hypothesis.recover_within.is_some();
            let recovered = claim.bounds.recovered.clone().or_else(|| claim.bounds.after.clone());
            recovered.filter(|_| is_waited_for)?
        };
        let stable = stable_for(&budget);
        let since = if before { 0 } else { self.quiet_since };
        let limits = Limits::of(sli, &budget, None, claim.baseline).ok()?;
        let from = now.saturating_sub(stable);
        let is_met = from >= since
            && now >= stable
            && is_good(&self.signals, sli, limits, Window::new(from, now), now);
        (!is_met).then(|| {
            format!(
                "{} ({} has not been good for {} yet)",
                claim.hypothesis.name,
                subject(sli),
                words::time(stable)
            )
        })
    }

    /// Steps that wait for an SLI whose condition is true. Before the first fault nobody waits.
    pub fn conditions(&self, now: Nanos) -> Vec<String> {
        if self.phase != Some(Phase::Faulting) {
            return Vec::new();
        }
        let is_true = |(_, condition): &&(String, AbortCondition)| self.is_true(condition, now);
        self.waiting.iter().filter(is_true).map(|(step, _)| step.clone()).collect()
    }

    /// The first abort condition that is true, in words. Before the first fault there is nothing to abort.
    pub fn abort_conditions(&self, now: Nanos) -> Option<String> {
        match self.phase {
            Some(Phase::Faulting | Phase::Recovering) => {}
            None
            | Some(Phase::Preflight | Phase::Baseline | Phase::Reverting | Phase::Settling | Phase::Judged) =>
            {
                return None;
            }
        }
        self.abort_when.iter().find(|condition| self.is_true(condition, now)).map(described)
    }

    fn is_true(&self, condition: &AbortCondition, now: Nanos) -> bool {
        let sli = &condition.sli;
        let unit = sli.unit();
        let lasting = nanos(condition.lasting);
        let limits = Limits {
            min: match unit {
                // It holds or not: there is nothing to write.
                Unit::Condition => Some(ALL),
                Unit::Availability
                | Unit::Usage
                | Unit::Rate
                | Unit::Events
                | Unit::Latency
                | Unit::Property => condition.below.map(|amount| amount.in_unit(unit)),
            },
            max: condition.above.map(|amount| amount.in_unit(unit)),
        };
        let bad = |value| !limits.allow(value);
        if let Some(waits) = self.signals.waits(sli) {
            return waits.have_been_bad(now, lasting, &bad);
        }
        match unit {
            Unit::Property => false,
            Unit::Events => {
                let window = Window::new(self.steady, now);
                let count = self.signals.measure(sli, &[window], now).value;
                count.is_some_and(bad)
            }
            Unit::Availability | Unit::Condition | Unit::Usage | Unit::Rate | Unit::Latency => {
                let reach = lasting.saturating_add(KEPT / 10);
                let from = now.saturating_sub(reach).max(self.steady);
                // Up to and with this moment: a good sample of right now ends an outage.
                let window = Window::new(from, now.saturating_add(1));
                let outages = self.signals.outages(sli, &[window], now, &bad);
                outages
                    .last()
                    .is_some_and(|outage| outage.to > now && now.saturating_sub(outage.from) >= lasting)
            }
        }
    }

    /// Every measured SLI over the last two seconds, for a live view.
    pub fn readings(&self, now: Nanos) -> Vec<Reading> {
        let window = Window::new(now.saturating_sub(SHOWN), now);
        self.claims
            .iter()
            .filter_map(|claim| {
                let sli = &claim.hypothesis.sli;
                let value = self.signals.measure(sli, &[window], now).value?;
                Some(Reading {
                    claim: claim.hypothesis.name.clone(),
                    value: match sli.unit() {
                        Unit::Condition => {
                            format!("{}: held {}", subject(sli), words::ratio(value))
                        }
                        unit @ (Unit::Availability
                        | Unit::Usage
                        | Unit::Rate
                        | Unit::Events
                        | Unit::Latency
                        | Unit::Property) => {
                            format!("{}: {}", subject(sli), words::value(unit, value))
                        }
                    },
                })
            })
            .collect()
    }
}

fn described(condition: &AbortCondition) -> String {
    let side = match (condition.below, condition.above) {
        (Some(below), None) => format!("below {below}"),
        (None, Some(above)) => format!("above {above}"),
        (Some(below), Some(above)) => format!("below {below} or above {above}"),
        (None, None) => "lost".into(),
    };
    let lasting = nanos(condition.lasting);
    let subject = subject(&condition.sli);
    if lasting == 0 {
        format!("{subject} is {side}")
    } else {
        format!("{subject} has been {side} for {}", words::time(lasting))
    }
}

#[cfg(test)]
mod tests;
