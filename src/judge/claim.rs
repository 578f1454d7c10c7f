//! One hypothesis against the whole run.

use super::bound::{Bound, subject};
use super::comeback::Comeback;
use super::data;
use super::defaults::{self, Bounds};
use super::facts::Facts;
use super::judgement::{Claim, Finding, Numbers, Recovery, Scope};
use super::limits::{self, Limits, nanos};
use super::recovery;
use super::series::Window;
use super::signals::Signals;
use super::windows::Windows;
use super::words;
use crate::api::Nanos;
use crate::experiment::{Budget, Hypothesis, Sli, Unit, Verdict};
use crate::journal::read::Journal;

/// What every hypothesis is judged by.
pub(super) struct Evidence<'a> {
    pub journal: &'a Journal,
    pub facts: &'a Facts,
    pub windows: &'a Windows,
    pub signals: &'a Signals,
    /// How the target came back, where that is on record.
    pub comeback: Option<Comeback>,
}

impl Evidence<'_> {
    /// Judges one hypothesis.
    pub(super) fn judge(&self, hypothesis: &Hypothesis) -> Claim {
        match hypothesis.sli.unit() {
            Unit::Property => data::judge(self, hypothesis),
            Unit::Availability
            | Unit::Condition
            | Unit::Usage
            | Unit::Rate
            | Unit::Events
            | Unit::Latency => self.measured(hypothesis),
        }
    }

    fn measured(&self, hypothesis: &Hypothesis) -> Claim {
        let sli = &hypothesis.sli;
        let bounds = defaults::bounds(hypothesis);
        let before = self.windows.before();
        let baseline = limits::baseline(sli, &self.signals.measure(sli, &before, self.facts.end));
        let recovery =
            bounds.recovered.as_ref().and_then(|budget| self.recovery(sli, budget, baseline, hypothesis));
        let recovered = match bounds.recovered {
            Some(_) => recovery.as_ref().and_then(|recovery| recovery.recovered),
            None => self.back(sli),
        };
        let during = bounds.during.as_ref();
        let felt = self.felt(recovered);
        let during_windows = self.windows.during(during.and_then(|during| during.step.as_deref()), felt);
        let after = self.after(&bounds, recovered);

        let bound = |scope, budget, windows| Bound {
            sli,
            budget,
            recovered: bounds.recovered.as_ref(),
            baseline,
            scope,
            step: None,
            windows,
        };
        let mut findings = Vec::new();
        if let Some(budget) = &bounds.before {
            findings.push(bound(Scope::Before, budget, &before).judge(self.signals, self.facts.end));
        }
        if let Some(budget) = during {
            let bound =
                Bound { step: budget.step.as_deref(), ..bound(Scope::During, budget, &during_windows) };
            findings.push(bound.judge(self.signals, self.facts.end));
        }
        findings.extend(self.recovered(&bounds, sli, recovery.as_ref(), hypothesis));
        if let (Some(budget), Some(windows), false) = (&bounds.after, &after, self.facts.stopped_early()) {
            findings.push(bound(Scope::After, budget, windows).judge(self.signals, self.facts.end));
        }
        if let Some(budget) = &bounds.always {
            let windows = self.windows.always();
            findings.push(bound(Scope::Always, budget, &windows).judge(self.signals, self.facts.end));
        }
        if matches!(sli, Sli::LeaderElections {}) {
            findings.extend(self.doubled_leaders());
        }
        let limits =
            bounds.recovered.as_ref().and_then(|budget| Limits::of(sli, budget, None, baseline).ok());
        let all_faults = self.windows.during(None, felt);
        // What happens once lasts until then, or until the next fault.
        let recovering = recovery.as_ref().and_then(|recovery| {
            let from = all_faults.last().map_or(recovery.from, |last| last.to.max(recovery.from));
            let to = recovery.recovered.unwrap_or(self.windows.until);
            (from < to).then(|| vec![Window::new(from, to)])
        });
        let phases = [
            (Scope::Before, Some(before)),
            (Scope::During, Some(all_faults)),
            (Scope::Recovery, recovering),
            (Scope::After, after),
            (Scope::Always, bounds.always.as_ref().map(|_| self.windows.always())),
        ];
        let phases = phases
            .into_iter()
            .filter_map(|(scope, windows)| self.numbers(sli, scope, &windows?, limits))
            .collect();
        concluded(hypothesis, findings, phases, recovery)
    }

    /// When what cannot recover by itself has had its consequences: once everybody is back of whom it is told, if there is
    /// time left to judge. The look that shows them back shows as well what happened until then.
    fn back(&self, sli: &Sli) -> Option<Nanos> {
        let comeback = self.comeback?;
        let own = if sli.needs_store() { comeback.rejoined } else { comeback.ready };
        let back = own?.max(comeback.elsewhere?).saturating_add(1);
        let latest = self.windows.until.saturating_sub(nanos(defaults::STABLE_FOR));
        (back <= latest).then_some(back)
    }

    /// Until when the consequences of what happens once are those of the fault: the recovery, and as long as a further
    /// StatefulSet is not back that the target may depend on.
    fn felt(&self, recovered: Option<Nanos>) -> Option<Nanos> {
        Some(recovered?.max(self.comeback?.elsewhere?).min(self.windows.until))
    }

    /// From recovery on. What cannot recover is judged from the last revert on, and from when everybody is back where that
    /// is what a fault's own time goes on to: nothing happens in both.
    fn after(&self, bounds: &Bounds, recovered: Option<Nanos>) -> Option<Vec<Window>> {
        let from = match (&bounds.recovered, recovered) {
            (Some(_), recovered) => recovered,
            (None, None) => self.windows.last_end,
            (None, Some(_)) => self.windows.last_end.map(|end| {
                let faults = self.windows.during(None, recovered);
                faults.last().map_or(end, |last| last.to.max(end))
            }),
        };
        from.map(|from| self.windows.after(from))
    }

    fn recovery(
        &self,
        sli: &Sli,
        budget: &Budget,
        baseline: Option<u64>,
        hypothesis: &Hypothesis,
    ) -> Option<Recovery> {
        // Of a run that stopped early nobody knows whether it would have recovered.
        let from = self.windows.last_end.filter(|_| !self.facts.stopped_early())?;
        let limits = Limits::of(sli, budget, None, baseline).ok()?;
        let stable = recovery::stable_for(budget);
        let window = Window::new(from, self.windows.until);
        Some(Recovery {
            from,
            recovered: recovery::first_good(self.signals, sli, limits, window, stable, self.facts.end),
            within: hypothesis.recover_within.map(nanos),
        })
    }

    /// What is to be said about recovery itself, before anything can be said about the time after it.
    fn recovered(
        &self,
        bounds: &Bounds,
        sli: &Sli,
        recovery: Option<&Recovery>,
        hypothesis: &Hypothesis,
    ) -> Option<Finding> {
        let is_bounded = bounds.after.is_some();
        if !is_bounded && hypothesis.recover_within.is_none() {
            return None;
        }
        let inconclusive = |why: &str| Finding {
            scope: Scope::Recovery,
            step: None,
            excludes_faulted: false,
            verdict: Verdict::Inconclusive,
            sentence: format!("{}: {why}", subject(sli)),
        };
        if self.facts.stopped_early() {
            return Some(inconclusive("recovery was not judged, because the run stopped early"));
        }
        let Some(last_end) = self.windows.last_end else {
            return Some(inconclusive("the end of the last fault is not on record"));
        };
        bounds.recovered.as_ref()?;
        let Some(recovery) = recovery else {
            return Some(inconclusive("nothing was measured before the first fault to compare with"));
        };
        let window = Window::new(last_end, self.windows.until);
        let measure = self.signals.measure(sli, &[window], self.facts.end);
        recovery::finding(sli, recovery, is_bounded, measure.value.is_some(), window.length())
    }

    fn doubled_leaders(&self) -> impl Iterator<Item = Finding> {
        doubled(self.signals).map(|sentence| Finding {
            scope: Scope::Always,
            step: None,
            excludes_faulted: false,
            verdict: Verdict::Fail,
            sentence: format!("leaderElections: {sentence}"),
        })
    }

    fn numbers(
        &self,
        sli: &Sli,
        scope: Scope,
        windows: &[Window],
        limits: Option<Limits>,
    ) -> Option<Numbers> {
        let (first, last) = (windows.first()?, windows.last()?);
        let measure = self.signals.measure(sli, windows, self.facts.end);
        let mut outages = limits.map_or_else(Vec::new, |limits| {
            self.signals.outages(sli, windows, self.facts.end, &|value| !limits.allow(value))
        });
        if scope == Scope::Before {
            // What it was bad for while faults were there is told of that part.
            for outage in &mut outages {
                outage.to = outage.to.min(last.to);
            }
        }
        Some(Numbers {
            scope,
            from: first.from,
            to: last.to,
            samples: measure.samples,
            unreachable: measure.unreachable,
            not_sampled: measure.not_sampled,
            value: measure.value.filter(|&value| value < u64::MAX),
            lowest: measure.lowest,
            highest: measure.highest,
            outages,
        })
    }
}

/// Two leaders in one term, in a sentence each.
pub(super) fn doubled(signals: &Signals) -> impl Iterator<Item = String> {
    signals.elections.doubled().map(|election| {
        let first = signals.elections.first_seen(election.term);
        format!(
            "two leaders in term {}: member {} (seen {}) and member {} (seen {})",
            election.term,
            election.beside.unwrap_or(election.leader),
            words::at(first.map_or(election.at, |first| first.at)),
            election.leader,
            words::at(election.at),
        )
    })
}

/// A claim from its findings, of which the worst one speaks for it; where all held, the one about the fault's time.
fn concluded(
    hypothesis: &Hypothesis,
    findings: Vec<Finding>,
    phases: Vec<Numbers>,
    recovery: Option<Recovery>,
) -> Claim {
    let verdict = findings.iter().map(|finding| finding.verdict).max().unwrap_or(Verdict::Inconclusive);
    let sentence = findings
        .iter()
        .filter(|finding| finding.verdict == verdict)
        .max_by_key(|finding| importance(finding.scope))
        .map_or_else(
            || format!("{}: nothing was measured", subject(&hypothesis.sli)),
            |finding| finding.sentence.clone(),
        );
    Claim {
        name: hypothesis.name.clone(),
        sli: hypothesis.sli.name().into(),
        verdict,
        sentence,
        findings,
        phases,
        recovery,
        witness: Vec::new(),
        violations: Vec::new(),
    }
}

/// What people ask about first.
fn importance(scope: Scope) -> u8 {
    match scope {
        Scope::During => 4,
        Scope::After => 3,
        Scope::Recovery => 2,
        Scope::Always => 1,
        Scope::Before => 0,
    }
}
