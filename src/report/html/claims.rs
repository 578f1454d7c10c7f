//! Every claim with its numbers: what was allowed in each part of the run, and what was measured.

use maud::{Markup, html};

use super::story::Story;
use super::tell;
use crate::api::counted;
use crate::experiment::{Amount, Budget, Hypothesis, Sli, Unit, Verdict};
use crate::judge::defaults::{self, Bounds};
use crate::judge::judgement::{Claim, Finding, Numbers, Scope};
use crate::judge::words;

/// The section.
pub(super) fn section(story: &Story<'_>) -> Markup {
    let hypotheses = &story.journal.header.experiment.hypothesis;
    html! {
        section aria-labelledby="claims-title" {
            h2 #claims-title { "What was promised, and whether it held" }
            @if story.judgement.claims.is_empty() { p { "The experiment claims nothing." } }
            @for (place, claim) in story.judgement.claims.iter().enumerate() {
                article .claim aria-labelledby={ "claim-" (place) } {
                    h3 #{ "claim-" (place) } { (tell::badge(tell::verdict(claim.verdict))) " " (claim.name) }
                    p { (claim.sentence) }
                    (others(claim))
                    @if let Some(hypothesis) = hypotheses.get(place).filter(|it| words::plain(&it.name) == claim.name) {
                        (table(story, claim, hypothesis))
                    }
                }
            }
        }
    }
}

/// What else was found than what the claim's sentence says.
fn others(claim: &Claim) -> Markup {
    let others: Vec<&Finding> =
        claim.findings.iter().filter(|finding| finding.sentence != claim.sentence).collect();
    html! {
        @if !others.is_empty() {
            ul .findings {
                @for finding in others { li { (tell::badge(tell::verdict(finding.verdict))) " " (finding.sentence) } }
            }
        }
    }
}

fn table(story: &Story<'_>, claim: &Claim, hypothesis: &Hypothesis) -> Markup {
    if hypothesis.sli.unit() == Unit::Property {
        return html! {};
    }
    let bounds = defaults::bounds(hypothesis);
    // What cannot recover is judged from the last revert on, or from when everybody was back.
    let last_end = story.judgement.steps.iter().filter_map(|step| step.ended).max();
    let after = claim.phases.iter().find(|numbers| numbers.scope == Scope::After);
    let is_from_revert =
        claim.recovery.is_none() && after.is_none_or(|numbers| Some(numbers.from) == last_end);
    let scopes = [Scope::Before, Scope::During, Scope::Recovery, Scope::After, Scope::Always];
    let rows: Vec<Line> =
        scopes.into_iter().filter_map(|scope| Line::of(claim, hypothesis, &bounds, scope)).collect();
    html! {
        div .scroll tabindex="0" role="region" aria-label={ "Numbers of " (claim.name) } {
            table {
                caption {
                    (claim.sli) " by part of the run"
                    @if let Some(good) = good(hypothesis.sli.unit(), &bounds) { "; good means " (good) }
                }
                thead {
                    tr {
                        th scope="col" { "part" } th scope="col" { "allowed" } th scope="col" { "measured" }
                        th scope="col" { "lowest to highest" } th scope="col" { "samples" }
                        th scope="col" { "bad for" } th scope="col" { "verdict" }
                    }
                }
                tbody {
                    @for row in &rows {
                        tr {
                            th scope="row" {
                                @if row.scope == Scope::After && is_from_revert { "after the last revert" }
                                @else { (tell::scope(row.scope)) }
                            }
                            td { (row.allowed) }
                            td { (row.measured) }
                            td { (row.range) }
                            td { (row.samples) }
                            td { (row.bad) }
                            td {
                                @match row.verdict {
                                    Some(verdict) => (tell::badge(tell::verdict(verdict))),
                                    None => "not judged",
                                }
                            }
                        }
                    }
                }
            }
        }
    }
}

/// One part of the run.
struct Line {
    scope: Scope,
    allowed: String,
    measured: String,
    range: String,
    samples: String,
    bad: String,
    verdict: Option<Verdict>,
}

impl Line {
    /// None where nothing is known and nothing was asked.
    fn of(claim: &Claim, hypothesis: &Hypothesis, bounds: &Bounds, scope: Scope) -> Option<Self> {
        let numbers = claim.phases.iter().find(|numbers| numbers.scope == scope);
        let findings = claim.findings.iter().filter(|finding| finding.scope == scope);
        let verdict = findings.map(|finding| finding.verdict).max();
        if numbers.is_none() && verdict.is_none() && (scope != Scope::Recovery || claim.recovery.is_none()) {
            return None;
        }
        let sli = &hypothesis.sli;
        let mut line = Self {
            scope,
            allowed: allowed(hypothesis, bounds, scope),
            measured: "–".into(),
            range: "–".into(),
            samples: "–".into(),
            bad: "–".into(),
            verdict,
        };
        if let Some(numbers) = numbers {
            line.fill(sli, numbers);
            line.measured.push_str(&wider(budget_of(bounds, scope)));
        }
        if let (Scope::Recovery, Some(recovery)) = (scope, &claim.recovery) {
            line.measured = match recovery.recovered {
                Some(at) if at <= recovery.from => "good at once".into(),
                Some(at) => format!("good after {}", words::time(at - recovery.from)),
                None => "not seen to be good again".into(),
            };
        }
        Some(line)
    }

    fn fill(&mut self, sli: &Sli, numbers: &Numbers) {
        let unit = sli.unit();
        let shown = |value: u64| words::value(unit, value);
        if let Some(value) = numbers.value {
            self.measured = match unit {
                Unit::Condition => format!("held {} of the time", words::ratio(value)),
                Unit::Availability
                | Unit::Usage
                | Unit::Rate
                | Unit::Events
                | Unit::Latency
                | Unit::Property => shown(value),
            };
        }
        if let (Some(lowest), Some(highest)) = (numbers.lowest, numbers.highest) {
            self.range = if lowest == highest {
                shown(lowest)
            } else {
                format!("{} to {}", shown(lowest), shown(highest))
            };
        }
        self.samples = match (numbers.unreachable, numbers.not_sampled) {
            (0, 0) => numbers.samples.to_string(),
            (unreachable, 0) => format!("{} ({unreachable} without an answer)", numbers.samples),
            (unreachable, missing) => {
                format!("{} ({unreachable} without an answer, {missing} not taken)", numbers.samples)
            }
        };
        let total = numbers.outages.iter().map(|outage| outage.to - outage.from).sum();
        self.bad = match numbers.outages.len() {
            0 => "–".into(),
            1 => words::time(total),
            many => format!("{} in all, {many} times", words::time(total)),
        };
    }
}

/// The budget of a part of the run.
fn budget_of(bounds: &Bounds, scope: Scope) -> Option<&Budget> {
    match scope {
        Scope::Before => bounds.before.as_ref(),
        Scope::During => bounds.during.as_ref(),
        Scope::After => bounds.after.as_ref(),
        Scope::Always => bounds.always.as_ref(),
        Scope::Recovery => None,
    }
}

/// By what the numbers of a part are about more than its budget, in brackets.
fn wider(budget: Option<&Budget>) -> String {
    let Some(budget) = budget else { return String::new() };
    let more = [
        budget.step.as_ref().map(|_| "with all faults"),
        budget.exclude_faulted.then_some("of all members"),
        budget.window.map(|_| "over all of it"),
    ];
    let more: Vec<&str> = more.into_iter().flatten().collect();
    if more.is_empty() { String::new() } else { format!(" ({})", more.join(", ")) }
}

/// What bad times are told from in every part of the run, whatever that part is bounded by: what is good once recovered.
fn good(unit: Unit, bounds: &Bounds) -> Option<String> {
    let parts: Vec<String> = values(unit, bounds.recovered.as_ref()?).collect();
    (!parts.is_empty()).then(|| parts.join(", "))
}

/// The values that a budget allows, told as those that were measured are.
fn values(unit: Unit, budget: &Budget) -> impl Iterator<Item = String> {
    let bound = |amount: Amount| words::bound(unit, amount.in_unit(unit));
    let values = [
        budget.min.map(|min| format!("at least {}", bound(min))),
        budget.max.map(|max| format!("at most {}", bound(max))),
        budget.max_increase.map(|factor| format!("at most {factor} of before")),
    ];
    values.into_iter().flatten()
}

/// What a part of the run is bounded by, as the experiment or a default says.
fn allowed(hypothesis: &Hypothesis, bounds: &Bounds, scope: Scope) -> String {
    if scope == Scope::Recovery {
        let within = hypothesis.recover_within.map(|within| format!("good within {}", time(within)));
        return within.unwrap_or_else(|| "–".into());
    }
    let Some(budget) = budget_of(bounds, scope) else { return "–".into() };
    let Budget {
        step,
        min: _,
        max: _,
        max_increase: _,
        longest_outage,
        total_outage,
        window,
        min_samples,
        exclude_faulted,
        stable_for,
    } = budget;
    let parts = [
        longest_outage.map(|outage| format!("bad for {} at a time", time(outage))),
        total_outage.map(|outage| format!("bad for {} in all", time(outage))),
        window.map(|window| format!("in any {}", time(window))),
        min_samples.map(|samples| format!("of at least {}", counted(samples, "sample"))),
        exclude_faulted.then(|| "of members that no fault has".to_owned()),
        stable_for.map(|stable| format!("good for {} without a break", time(stable))),
        step.as_ref().map(|step| format!("while {step} is there")),
    ];
    let parts: Vec<String> =
        values(hypothesis.sli.unit(), budget).chain(parts.into_iter().flatten()).collect();
    if parts.is_empty() { "good all the time".into() } else { parts.join(", ") }
}

fn time(duration: std::time::Duration) -> String {
    words::exactly(u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX))
}
