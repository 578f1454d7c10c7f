//! Short phrases that several parts of the page use.

use maud::{Markup, html};

use crate::api::Nanos;
use crate::experiment::Verdict;
use crate::fault::CATALOGUE;
use crate::judge::judgement::{Judgement, Scope, StepOutcome};
use crate::judge::words;

/// What is back this soon was never away.
pub(super) const AT_ONCE: Nanos = 10_000_000;

/// How a run ended: one that a guard refused before its first step was not even tried.
pub(super) fn outcome(judgement: &Judgement) -> (&'static str, &'static str) {
    if judgement.was_refused() { ("refused", "Refused") } else { verdict(judgement.verdict) }
}

/// A verdict's class and name.
pub(super) fn verdict(verdict: Verdict) -> (&'static str, &'static str) {
    match verdict {
        Verdict::Pass => ("pass", "Pass"),
        Verdict::Inconclusive => ("inconclusive", "Inconclusive"),
        Verdict::Aborted => ("aborted", "Aborted"),
        Verdict::Fail => ("fail", "Fail"),
    }
}

/// A verdict with a shape of its own, so that its colour is not all that tells it.
pub(super) fn badge((class, name): (&str, &str)) -> Markup {
    let path = match class {
        "pass" => "M3 8.5l3.5 3.5L13 4.5",
        "fail" => "M4 4l8 8M12 4l-8 8",
        "aborted" => "M4.5 4.5h7v7h-7z",
        "refused" => "M3.5 8h9",
        _ => "M5.5 6.2a2.6 2.6 0 1 1 3.6 2.4c-.8.4-1.1.8-1.1 1.6M8 12.6v.2",
    };
    html! {
        span class={ "badge " (class) } {
            svg viewBox="0 0 16 16" width="16" height="16" aria-hidden="true" { path d=(path) {} }
            (name)
        }
    }
}

/// `cut-leader: networkPartition on member 0`.
pub(super) fn hit(step: &StepOutcome) -> String {
    match step.whom() {
        None => format!("{}: {}", step.name(), step.fault),
        Some(whom) => format!("{}: {} on {whom}", step.name(), step.fault),
    }
}

/// `in force from 8.7 s to 16.7 s`.
pub(super) fn when(step: &StepOutcome) -> String {
    match (step.began, step.ended) {
        (None, _) => "never in force".into(),
        (Some(began), None) => format!("in force from {} on", words::moment(began)),
        (Some(began), Some(ended)) if step.effective_share.is_none() && ended - began < 1_000_000_000 => {
            format!("done {}", words::at(began))
        }
        (Some(began), Some(ended)) => {
            format!("in force from {} to {}", words::moment(began), words::moment(ended))
        }
    }
}

/// For how much of its time its effect was proven. Where something else is missing than that, it may be for all of it.
pub(super) fn proven(step: &StepOutcome) -> String {
    let share = step.effective_share.map(|share| words::ratio(u64::from(share) * 1000));
    let is_open = step.began.is_some() && step.ended.is_none();
    match (&step.unproven, share) {
        (Some(_), Some(share)) if is_open => {
            format!("not proven to its end (its effect was there for {share} of its time on record)")
        }
        (Some(_), None) if is_open => "not proven to its end".into(),
        (Some(_), Some(share)) => format!("not proven (its effect was there for {share} of its time)"),
        (Some(_), None) => "not proven".into(),
        (None, Some(share)) => format!("proven for {share} of its time"),
        (None, None) => "proven".into(),
    }
}

/// What a fault does, in the words of the catalogue.
pub(super) fn meaning(fault: &str) -> Option<&'static str> {
    CATALOGUE.iter().find(|listed| listed.name == fault).map(|listed| listed.summary)
}

/// A part of a run.
pub(super) fn scope(scope: Scope) -> &'static str {
    match scope {
        Scope::Before => "before the faults",
        Scope::During => "during the faults",
        Scope::Recovery => "recovery",
        Scope::After => "after recovery",
        Scope::Always => "the whole run",
    }
}

/// How long after another moment; exact where it is not at all.
pub(super) fn later(from: Nanos, to: Nanos) -> String {
    if to <= from { "at once".into() } else { format!("+{}", words::time(to - from)) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::fixture::judgement;

    #[test]
    fn a_fault_is_in_force_from_its_beginning_to_its_end() {
        let mut step = judgement(Vec::new()).steps.remove(0);
        assert_eq!(when(&step), "in force from 8.0 s to 16.0 s");
        step.ended = None;
        assert_eq!(when(&step), "in force from 8.0 s on");
    }

    #[test]
    fn a_fault_whose_end_is_not_on_record_is_not_doubted_for_all_of_its_time() {
        let mut step = judgement(Vec::new()).steps.remove(0);
        assert_eq!(proven(&step), "proven for 100 % of its time");
        (step.unproven, step.effective_share) = (Some("its effect was lost".into()), Some(400));
        assert_eq!(proven(&step), "not proven (its effect was there for 40 % of its time)");
        (step.ended, step.effective_share) = (None, Some(1000));
        let open = "not proven to its end (its effect was there for 100 % of its time on record)";
        assert_eq!(proven(&step), open);
        step.effective_share = None;
        assert_eq!(proven(&step), "not proven to its end");
        step.began = None;
        assert_eq!(proven(&step), "not proven");
    }
}
