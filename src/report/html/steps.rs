//! What was broken, with the proof of its effect.

use maud::{Markup, html};

use super::story::Story;
use super::tell;
use crate::api::{are, counted};
use crate::judge::judgement::StepOutcome;
use crate::judge::words;

/// The most occurrences that are listed.
const MOST: usize = 200;

/// The section.
pub(super) fn section(story: &Story<'_>) -> Markup {
    let steps = &story.judgement.steps;
    html! {
        section aria-labelledby="steps-title" {
            h2 #steps-title { "What was broken, and how that was proven" }
            @if steps.is_empty() { p { "Nothing was broken." } } @else {
                div .scroll tabindex="0" role="region" aria-labelledby="steps-title" {
                    table {
                        caption { "Every step that was decided" }
                        thead { tr {
                            th scope="col" { "step" } th scope="col" { "what it does" } th scope="col" { "whom it takes away" }
                            th scope="col" { "decided" } th scope="col" { "in force" } th scope="col" { "over" }
                            th scope="col" { "proven" } th scope="col" { "newest proof, or why there is none" }
                        } }
                        tbody { @for step in steps.iter().take(MOST) { (row(step)) } }
                    }
                }
                @if steps.len() > MOST {
                    @let more = steps.len() - MOST;
                    p .note { (counted(more, "more step")) " " (are(more)) " in report.json." }
                }
            }
        }
    }
}

fn row(step: &StepOutcome) -> Markup {
    let moment = |at: Option<u64>| at.map_or_else(|| "never".into(), words::moment);
    html! {
        tr {
            th scope="row" { (step.name()) }
            td { (step.fault) @if let Some(meaning) = tell::meaning(&step.fault) { ": " (meaning) } }
            td {
                @if step.affected.is_empty() { "nobody" } @else { (step.named(&step.affected)) }
                @if step.members != step.affected && !step.members.is_empty() {
                    " (applied at " (step.named(&step.members)) ")"
                }
            }
            td .n { (words::moment(step.chosen)) }
            td .n { (moment(step.began)) }
            td .n { (moment(step.ended)) }
            td { (tell::proven(step)) ", " (counted(step.proofs, "proof")) }
            td {
                @match (&step.unproven, &step.proof) {
                    (Some(why), _) => { strong { "not proven: " } (why) },
                    (None, Some(proof)) => (proof),
                    (None, None) => "–",
                }
            }
        }
    }
}
