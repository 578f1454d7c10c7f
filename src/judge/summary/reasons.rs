//! What is worse than Pass about the run itself, whatever its hypotheses say.

use std::collections::HashSet;

use crate::api::Nanos;
use crate::experiment::{Sli, Step, Verdict};
use crate::judge::claim::{self, Evidence};
use crate::judge::judgement::{Reason, StepOutcome};
use crate::judge::words;

/// Every reason, worst first, each said once.
pub(super) fn of(evidence: &Evidence<'_>, steps: &[StepOutcome]) -> Vec<Reason> {
    let Evidence { journal, facts, signals, .. } = evidence;
    let experiment = &journal.header.experiment;
    let mut reasons = Reasons::default();
    for (at, why) in &facts.aborts {
        reasons.add(Verdict::Aborted, Some(*at), format!("the run was aborted: {why}"));
    }
    for (at, why) in &facts.refusals {
        reasons.add(Verdict::Inconclusive, Some(*at), format!("a guard refused it: {why}"));
    }
    for (at, why) in &facts.doubts {
        reasons.add(Verdict::Inconclusive, Some(*at), why.clone());
    }
    if facts.finished.is_none() {
        let text = "the record ends before the run did".into();
        reasons.add(Verdict::Inconclusive, Some(facts.end), text);
    }
    if let Some(at) = facts.gap {
        let text = format!("what the run decided before {} is not all on record", words::moment(at));
        reasons.add(Verdict::Inconclusive, Some(at), text);
    }
    if journal.torn {
        let text = "the last line of the record is torn".into();
        reasons.add(Verdict::Inconclusive, Some(facts.end), text);
    }
    if steps.iter().all(|step| step.began.is_none()) {
        let text = "nothing was broken, so nothing was tested".into();
        reasons.add(Verdict::Inconclusive, None, text);
    }
    for step in steps {
        if let Some(why) = &step.unproven {
            let at = step.began.unwrap_or(step.chosen);
            // The engine's doubts come back as a step's lack of proof.
            if !reasons.said.contains(why) {
                let text = format!("step `{}` is not proven: {why}", step.step);
                reasons.add(Verdict::Inconclusive, Some(at), text);
            }
        }
    }
    if !facts.stopped_early() {
        for step in &experiment.steps {
            if let Some(text) = missing(step, steps) {
                reasons.add(Verdict::Inconclusive, None, text);
            }
        }
    }
    if experiment.hypothesis.is_empty() {
        reasons.add(Verdict::Inconclusive, None, "nothing was claimed, so nothing was judged".into());
    }
    let is_judged = |sli: &Sli| matches!(sli, Sli::LeaderElections {});
    if !experiment.hypothesis.iter().any(|hypothesis| is_judged(&hypothesis.sli)) {
        // Nobody asked, but a store whose terms have two leaders keeps no promise that was asked for either.
        for text in claim::doubled(signals) {
            reasons.add(Verdict::Fail, None, text);
        }
    }
    reasons.worst_first()
}

fn missing(step: &Step, steps: &[StepOutcome]) -> Option<String> {
    let happened = steps.iter().filter(|outcome| outcome.step == step.name).count();
    match (happened, step.repeat.times) {
        (happened, times) if happened >= times as usize => None,
        (0, _) => Some(format!("step `{}` never happened", step.name)),
        (happened, times) => Some(format!("step `{}` happened {happened} of {times} times", step.name)),
    }
}

#[derive(Default)]
struct Reasons {
    all: Vec<Reason>,
    said: HashSet<String>,
}

impl Reasons {
    /// Adds a reason, unless one that is there says the same.
    fn add(&mut self, verdict: Verdict, at: Option<Nanos>, text: String) {
        if self.said.insert(text.clone()) {
            self.all.push(Reason { verdict, at, text });
        }
    }

    fn worst_first(mut self) -> Vec<Reason> {
        self.all.sort_by_key(|reason| std::cmp::Reverse(reason.verdict));
        self.all
    }
}
