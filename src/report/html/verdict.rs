//! The verdict first: one sentence for everybody, why, and what to know at a glance.

use std::collections::BTreeSet;

use maud::{Markup, html};

use super::story::Story;
use super::tell;
use crate::api::{are, counted};
use crate::experiment::Verdict;
use crate::judge::judgement::{Judgement, StepOutcome};
use crate::judge::words;

/// The top of the page.
pub(super) fn header(story: &Story<'_>) -> Markup {
    let judgement = story.judgement;
    let (class, _) = tell::outcome(judgement);
    let started = judgement.started_at.strftime("%Y-%m-%d %H:%M:%S UTC").to_string();
    html! {
        header class={ "verdict " (class) } {
            p .what { (tell::badge(tell::outcome(judgement))) " " (judgement.experiment) " on " (judgement.target) }
            h1 { (sentence(judgement)) }
            @if judgement.verdict == Verdict::Fail && !judgement.steps.is_empty() {
                p .tested { "Tested " (while_broken(&judgement.steps)) "." }
            }
            p .why { (judgement.headline) }
            p .when { (started) " · " (words::time(judgement.lasted)) " · seed " (judgement.seed) " · " (judgement.environment) }
        }
    }
}

/// What somebody has to know before anything else, at the top of the main part.
pub(super) fn warnings(judgement: &Judgement) -> Markup {
    html! {
        @if !judgement.revert_failed.is_empty() {
            div .alarm role="alert" {
                h2 { "Not everything could be taken back: somebody has to look" }
                ul { @for failed in &judgement.revert_failed { li { (failed) } } }
            }
        }
        @for missing in &judgement.not_back { p .note { "Warning: " (missing) "." } }
        // What the top says already needs no section of its own.
        @if judgement.reasons.iter().any(|reason| reason.text != judgement.headline) { (reasons(judgement)) }
    }
}

/// The most reasons that are listed, worst first.
const MOST_REASONS: usize = 100;

/// What is worse than Pass about the run itself.
fn reasons(judgement: &Judgement) -> Markup {
    html! {
        section aria-labelledby="reasons-title" {
            h2 #reasons-title { "What is wrong with this run itself" }
            ul .reasons {
                @for reason in judgement.reasons.iter().take(MOST_REASONS) {
                    li {
                        (tell::badge(tell::verdict(reason.verdict))) " " (reason.text)
                        @if let Some(at) = reason.at { " (" (words::at(at)) ")" }
                    }
                }
            }
            @if judgement.reasons.len() > MOST_REASONS {
                @let more = judgement.reasons.len() - MOST_REASONS;
                p .note { (more) " more " (are(more)) " in report.json." }
            }
        }
    }
}

/// What happened in words that need no knowledge of the tool.
pub(super) fn sentence(judgement: &Judgement) -> String {
    let who = judgement.target.rsplit('/').next().unwrap_or(&judgement.target);
    if judgement.was_refused() {
        return format!("Nothing was broken: a guard refused to touch {who}.");
    }
    let claims = &judgement.claims;
    let broken: Vec<_> = claims.iter().filter(|claim| claim.verdict == Verdict::Fail).collect();
    match judgement.verdict {
        Verdict::Pass => {
            let promises = match claims.len() {
                1 => "its promise".into(),
                2 => "both of its promises".into(),
                many => format!("all {many} of its promises"),
            };
            format!("{who} kept {promises} {}.", while_broken(&judgement.steps))
        }
        Verdict::Fail => match broken.as_slice() {
            [] => format!("{who} did what no such store may do {}.", while_broken(&judgement.steps)),
            [only] => format!("{who} broke a promise: {}.", only.name),
            [first, others @ ..] => {
                let more =
                    if let [other] = others { other.name.clone() } else { format!("{} more", others.len()) };
                format!("{who} broke {} of {} promises: {}; {more}.", broken.len(), claims.len(), first.name)
            }
        },
        Verdict::Aborted => {
            let is_all_over = judgement.steps.iter().all(|step| step.ended.is_some());
            let taken_back = if judgement.steps.is_empty() {
                ", and nothing was broken"
            } else if judgement.revert_failed.is_empty() && is_all_over {
                ", and everything was taken back"
            } else {
                ""
            };
            format!("The run was stopped before it could tell anything about {who}{taken_back}.")
        }
        Verdict::Inconclusive => format!("This run proves nothing about {who}, neither good nor bad."),
    }
}

/// `while networkPartition hit member 0 for 8 s`: what was in force, and proven.
fn while_broken(steps: &[StepOutcome]) -> String {
    let told = |step: &StepOutcome| {
        let whom = step.whom().map(|whom| format!(" hit {whom}")).unwrap_or_default();
        let long = match step.began.zip(step.ended) {
            Some((began, ended)) if ended - began >= 1_000_000_000 => {
                format!(" for {}", words::time(ended - began))
            }
            Some(_) | None => String::new(),
        };
        let went = if whom.is_empty() { " went on" } else { "" };
        format!("{}{whom}{went}{long}", step.fault)
    };
    let broken: Vec<&StepOutcome> =
        steps.iter().filter(|step| step.began.is_some() && step.unproven.is_none()).collect();
    match broken.as_slice() {
        [] if steps.is_empty() => "although nothing was broken".into(),
        [] => "although no fault was proven".into(),
        [one] => format!("while {}", told(one)),
        [one, other] => format!("while {} and {}", told(one), told(other)),
        [one, others @ ..] => format!("while {} and {} more faults happened", told(one), others.len()),
    }
}

/// Four answers at a glance.
pub(super) fn glance(story: &Story<'_>) -> Markup {
    html! {
        section aria-labelledby="glance-title" {
            h2 #glance-title { "At a glance" }
            dl .glance {
                div { dt { "What was broken" } (broken(story.judgement)) }
                div { dt { "What happened" } (happened(story)) }
                div { dt { "How it came back" } (came_back(story)) }
                div { dt { "What was promised" } (promised(story.judgement)) }
            }
        }
    }
}

/// The most things that are told at a glance.
const MOST: usize = 3;

/// Everything that a step did once, however often it happened: of a choice each time something else may have been.
fn broken(judgement: &Judgement) -> Markup {
    let steps = &judgement.steps;
    let mut told = BTreeSet::new();
    let first: Vec<&StepOutcome> =
        steps.iter().filter(|step| told.insert((&step.step, &step.fault))).collect();
    let times = |step: &StepOutcome| {
        steps.iter().filter(|other| (&other.step, &other.fault) == (&step.step, &step.fault)).count()
    };
    html! {
        @if judgement.steps.is_empty() { dd { "nothing" } }
        @for step in first.iter().take(MOST) {
            @let times = times(step);
            dd {
                b { (tell::hit(step)) } br;
                (tell::when(step)) ", " (tell::proven(step))
                @if times > 1 { ", the first of " (times) " times" }
            }
        }
        @if first.len() > MOST { dd { "and " (first.len() - MOST) " more" } }
    }
}

fn happened(story: &Story<'_>) -> Markup {
    let judgement = story.judgement;
    let longest = judgement
        .claims
        .iter()
        .flat_map(|claim| claim.outages().into_iter().map(move |outage| (claim, outage)))
        .max_by_key(|(_, outage)| outage.to - outage.from);
    let load = &judgement.workload;
    html! {
        @match judgement.elections.as_slice() {
            [] if !story.was_anybody_asked() => dd { "no member was asked who leads" },
            [] => dd { "no change of the leader" },
            [only] => dd { "member " (only.leader) " became leader " (words::at(only.at)) " (term " (only.term) ")" },
            [.., last] => dd {
                (judgement.elections.len()) " changes of the leader, the last one to member " (last.leader) " "
                (words::at(last.at))
            },
        }
        @if let Some((claim, outage)) = longest {
            dd {
                (claim.sli) " was bad for " (words::time(outage.to - outage.from)) ", from " (words::moment(outage.from))
                " on"
            }
        }
        @if load.ok + load.failed + load.unknown == 0 {
            dd { "no client read or wrote" }
        } @else {
            dd { (counted(load.ok, "operation")) " done, " (load.failed) " refused or failed, " (load.unknown) " of unknown outcome" }
        }
    }
}

fn came_back(story: &Story<'_>) -> Markup {
    let Some(parts) = story.comeback else {
        return html! { dd { @if story.judgement.steps.is_empty() { "nothing was broken" } @else { "not seen" } } };
    };
    let mut all = vec![
        ("pods Ready".to_owned(), parts.ready, "not seen"),
        ("members agree".to_owned(), parts.rejoined, story.not_seen()),
        ("all caught up".to_owned(), parts.caught_up, story.not_seen()),
    ];
    all.extend(story.elsewhere().map(|sets| (format!("pods of {sets} Ready"), parts.elsewhere, "not seen")));
    html! {
        @for (name, at, not_seen) in all {
            dd {
                (name) " "
                @match at {
                    Some(at) if at - parts.reverted < tell::AT_ONCE => "at once",
                    Some(at) => { (words::time(at - parts.reverted)) " after the last revert" },
                    None => (not_seen),
                }
            }
        }
    }
}

fn promised(judgement: &Judgement) -> Markup {
    html! {
        @if judgement.claims.is_empty() { dd { "nothing" } }
        @for claim in judgement.claims.iter().take(8) {
            dd { (tell::badge(tell::verdict(claim.verdict))) " " (claim.name) }
        }
        @if judgement.claims.len() > 8 { dd { "and " (judgement.claims.len() - 8) " more" } }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::fixture::{claim, judgement};

    #[test]
    fn nothing_was_broken_only_where_nothing_was() {
        let mut run = judgement(vec![claim("no write is lost", "durability", "Fail")]);
        run.refused = Some("step `second`: 1 of 3 left".into());
        assert_eq!(sentence(&run), "db broke a promise: no write is lost.");
        run.verdict = Verdict::Inconclusive;
        assert_eq!(sentence(&run), "This run proves nothing about db, neither good nor bad.");
        run.steps.clear();
        assert_eq!(sentence(&run), "Nothing was broken: a guard refused to touch db.");
    }

    #[test]
    fn promises_are_counted_as_a_person_does() {
        let kept = |many: usize| sentence(&judgement(vec![claim("it holds", "quorum", "Pass"); many]));
        assert!(kept(1).starts_with("db kept its promise while "), "{}", kept(1));
        assert!(kept(2).starts_with("db kept both of its promises while "), "{}", kept(2));
        assert!(kept(3).starts_with("db kept all 3 of its promises while "), "{}", kept(3));
    }

    #[test]
    fn only_what_was_in_force_and_proven_is_what_was_tested() {
        let mut run = judgement(Vec::new());
        assert_eq!(while_broken(&run.steps), "while networkPartition hit member 0 for 8 s");
        let mut never = run.steps[0].clone();
        (never.began, never.unproven) = (None, Some("not proven".into()));
        run.steps.push(never);
        assert_eq!(while_broken(&run.steps), "while networkPartition hit member 0 for 8 s");
        run.steps[0].unproven = Some("lost".into());
        assert_eq!(while_broken(&run.steps), "although no fault was proven");
        assert_eq!(while_broken(&[]), "although nothing was broken");
    }

    #[test]
    fn whatever_a_step_chose_is_told_with_how_often_it_chose_that() {
        let mut run = judgement(Vec::new());
        let cut = run.steps[0].clone();
        let later = |occurrence, fault: &str| StepOutcome { occurrence, fault: fault.into(), ..cut.clone() };
        run.steps.extend([later(1, "podKill"), later(2, "networkPartition"), later(3, "networkPartition")]);
        let told = broken(&run).into_string();
        assert!(told.contains("cut-leader: networkPartition on member 0"), "{told}");
        assert!(told.contains("cut-leader #2: podKill on member 0"), "{told}");
        assert!(told.contains("the first of 3 times") && told.matches("times").count() == 1, "{told}");
    }

    #[test]
    fn what_was_never_broken_is_not_taken_back() {
        let mut run = judgement(Vec::new());
        run.verdict = Verdict::Aborted;
        let begin = "The run was stopped before it could tell anything about db";
        assert_eq!(sentence(&run), format!("{begin}, and everything was taken back."));
        run.steps.clear();
        assert_eq!(sentence(&run), format!("{begin}, and nothing was broken."));
    }
}
