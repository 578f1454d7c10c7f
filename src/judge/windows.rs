//! The parts of a run that bounds speak of, from the journal's facts.

use super::facts::Facts;
use super::series::Window;
use crate::api::Nanos;
use crate::experiment::{Experiment, Extent};
use crate::journal::entry::Phase;

/// When what was the case.
#[derive(Debug, Clone)]
pub(super) struct Windows {
    /// From the beginning of the steady state that the run waited for.
    pub steady: Nanos,
    /// When the first fault was decided, or would have been.
    pub first_fault: Nanos,
    /// When the last fault was over; none where that is not on record.
    pub last_end: Option<Nanos>,
    /// When the clients were told to stop: nothing is measured after that.
    pub until: Nanos,
    faults: Vec<FaultTime>,
}

#[derive(Debug, Clone)]
struct FaultTime {
    step: String,
    /// Whether it happens once, and so is over before its consequences show.
    is_once: bool,
    window: Window,
}

impl Windows {
    pub(super) fn of(experiment: &Experiment, facts: &Facts) -> Self {
        // Clients that were told to stop measure nothing any more, and neither do final reads.
        let ends = [
            facts.workload_ended,
            facts.entered(Phase::Settling),
            facts.entered(Phase::Judged),
            facts.finished,
        ];
        let until = ends.into_iter().flatten().min().unwrap_or(facts.end);
        let faulting = facts.entered(Phase::Faulting);
        let baseline = facts.entered(Phase::Baseline);
        let asked = u64::try_from(experiment.baseline.as_nanos()).unwrap_or(u64::MAX);
        // What came before the steady state held for the first time is not judged.
        let steady = match (baseline, faulting) {
            (Some(baseline), Some(faulting)) => faulting.saturating_sub(asked).max(baseline),
            (Some(baseline), None) => baseline,
            (None, Some(faulting)) => faulting,
            (None, None) => until,
        };
        let mut faults: Vec<FaultTime> = facts
            .occurrences
            .iter()
            .map(|occurrence| FaultTime {
                step: occurrence.step.clone(),
                is_once: occurrence.what(experiment).is_some_and(|what| what.extent() == Extent::Once),
                window: Window::new(occurrence.chosen, occurrence.ended.unwrap_or(until)),
            })
            .collect();
        faults.sort_by_key(|fault| fault.window.from);
        let all_ended = facts.occurrences.iter().all(|occurrence| occurrence.ended.is_some());
        let last_end = facts
            .occurrences
            .iter()
            .filter_map(|occurrence| occurrence.ended)
            .max()
            .or(facts.entered(Phase::Recovering))
            .filter(|_| all_ended);
        Self {
            steady,
            first_fault: faults
                .first()
                .map(|fault| fault.window.from)
                .or(facts.entered(Phase::Recovering))
                .unwrap_or(until)
                .max(steady),
            last_end,
            until,
            faults,
        }
    }

    /// Before the first fault.
    pub(super) fn before(&self) -> Vec<Window> {
        vec![Window::new(self.steady, self.first_fault.min(self.until))]
    }

    /// From the steady state on.
    pub(super) fn always(&self) -> Vec<Window> {
        vec![Window::new(self.steady, self.until)]
    }

    /// From the moment of recovery.
    pub(super) fn after(&self, recovered: Nanos) -> Vec<Window> {
        vec![Window::new(recovered, self.until)]
    }

    /// While faults were there, or the faults of one step: from each decision to its verified end.
    ///
    /// A fault that happens once is over before its consequences show, so its time goes on until the next fault or the
    /// moment of recovery. Without one it goes on to the end.
    pub(super) fn during(&self, step: Option<&str>, recovered: Option<Nanos>) -> Vec<Window> {
        let mut windows: Vec<Window> = Vec::new();
        let meant = self.faults.iter().filter(|fault| step.is_none_or(|step| step == fault.step));
        for fault in meant {
            let mut window = fault.window;
            if fault.is_once {
                let next = self.faults.iter().map(|other| other.window.from).find(|&from| from > window.to);
                let end = next.or(recovered).unwrap_or(self.until);
                window = Window::new(window.from, end.max(window.to));
            }
            match windows.last_mut() {
                Some(last) if window.from <= last.to => last.to = last.to.max(window.to),
                Some(_) | None => windows.push(window),
            }
        }
        windows
    }
}
