//! The timeline as a table: everything that changed, in order.

use maud::{Markup, html};

use super::members::{Part, PodEvent, PodState};
use super::story::Story;
use super::tell;
use super::timeline::phase_name;
use crate::api::{Nanos, PodPhase, are, counted};
use crate::judge::words;

/// The most lines; of a longer story the beginning is shown.
const MOST: usize = 400;

/// The section.
pub(super) fn section(story: &Story<'_>) -> Markup {
    let events = events(story);
    html! {
        details .events {
            summary { "The timeline as a table" }
            div .scroll tabindex="0" role="region" aria-label="The timeline as a table" {
                table {
                    caption { "Everything that changed, in order" }
                    thead { tr { th scope="col" { "at" } th scope="col" { "who" } th scope="col" { "what" } } }
                    tbody {
                        @for (at, who, what) in events.iter().take(MOST) {
                            tr { th scope="row" { (words::moment(*at)) } td { (who) } td { (what) } }
                        }
                    }
                }
            }
            @if events.len() > MOST {
                @let later = events.len() - MOST;
                p .note { (counted(later, "later change")) " " (are(later)) " in the journal only." }
            }
        }
    }
}

type Event = (Nanos, String, String);

fn events(story: &Story<'_>) -> Vec<Event> {
    let judgement = story.judgement;
    let mut events: Vec<Event> = Vec::new();
    let run = || "run".to_owned();
    events.extend(judgement.phases.iter().map(|span| (span.from, run(), phase_name(span.phase).to_owned())));
    for step in &judgement.steps {
        let mut tell = |at: Option<Nanos>, what: &str| {
            events.extend(at.map(|at| (at, "fault".to_owned(), format!("{}: {what}", tell::hit(step)))));
        };
        tell(Some(step.chosen), "decided");
        tell(step.began, "in force, proven");
        tell(step.ended, "reverted, verified");
    }
    for (&ordinal, lane) in &story.lanes {
        let who = || format!("member {ordinal}");
        events.extend(lane.parts.iter().map(|span| (span.from, who(), part(&span.what))));
        events.extend(lane.pod.iter().map(|span| (span.from, who(), pod(span.what).to_owned())));
        events.extend(lane.events.iter().map(|(at, event)| {
            let what = match event {
                PodEvent::Restarted(times) => format!("restarted, {} so far", counted(*times, "time")),
                PodEvent::Replaced => "a new pod".to_owned(),
            };
            (*at, who(), what)
        }));
    }
    for claim in &judgement.claims {
        for outage in claim.outages() {
            let why = if outage.why.is_empty() { String::new() } else { format!(": {}", outage.why) };
            let what = format!("bad for {}{why}", words::time(outage.to - outage.from));
            events.push((outage.from, claim.sli.clone(), what));
        }
        if let Some(recovered) = claim.recovery.as_ref().and_then(|recovery| recovery.recovered) {
            events.push((recovered, claim.sli.clone(), "good again after the last revert".into()));
        }
    }
    events.extend(story.facts.aborts.iter().map(|(at, why)| (*at, run(), format!("aborted: {why}"))));
    events.extend(story.facts.doubts.iter().map(|(at, why)| (*at, run(), format!("doubt: {why}"))));
    events.extend(story.facts.refusals.iter().map(|(at, why)| (*at, run(), format!("refused: {why}"))));
    events.sort_by_key(|(at, _, _)| *at);
    events
}

fn part(part: &Part) -> String {
    match part {
        Part::Leads { term } => format!("leads in term {term}"),
        Part::LedBefore { term, now } => {
            format!("still thinks it leads term {term}, while member {now} leads a later one")
        }
        Part::Follows { term, leader: Some(leader) } => format!("follows member {leader} in term {term}"),
        Part::Follows { term, leader: None } => format!("follows nobody, term {term}"),
        Part::Neither { term } => format!("candidate or learner, term {term}"),
        Part::Silent => "does not answer".into(),
        Part::NotAsked => "was not asked".into(),
    }
}

fn pod(state: PodState) -> &'static str {
    match state {
        PodState::Ready => "pod Ready",
        PodState::NotReady(PodPhase::Pending) => "pod Pending",
        PodState::NotReady(PodPhase::Running) => "pod runs, not Ready",
        PodState::NotReady(PodPhase::Terminating) => "pod ends",
        PodState::Gone => "no pod",
    }
}
