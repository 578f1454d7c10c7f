//! How the target came back, part by part, and when each SLI was good again.

use maud::{Markup, html};

use super::scale::{Px, WIDTH, text_width};
use super::story::Story;
use super::tell;
use crate::api::Nanos;
use crate::judge::comeback::Comeback;
use crate::judge::judgement::Claim;
use crate::judge::words;

const HEIGHT: Px = Px::units(64);
const INSET: Px = Px::units(10);

/// The section.
pub(super) fn section(story: &Story<'_>) -> Markup {
    let measured: Vec<&Claim> =
        story.judgement.claims.iter().filter(|claim| claim.recovery.is_some()).collect();
    html! {
        section aria-labelledby="recovery-title" {
            h2 #recovery-title { "How it came back" }
            @match story.comeback {
                None if story.judgement.steps.is_empty() => p { "Nothing was broken, so there is no recovery to take apart." },
                None => p { "Not every fault is on record with its end, so there is no recovery to take apart." },
                Some(parts) => {
                    (drawing(parts)) (table(parts, story.not_seen()))
                    @if let Some(sets) = story.elsewhere() { p .note { (beside(parts, &sets)) } }
                },
            }
            @if !measured.is_empty() { (claims(&measured)) }
        }
    }
}

/// The parts with their names and what ends them; each is over when its successor begins.
fn parts(comeback: Comeback) -> [(&'static str, &'static str, Option<Nanos>); 4] {
    [
        ("reverted", "the last fault was taken back, verified", Some(comeback.reverted)),
        ("ready", "every pod was Ready", comeback.ready),
        ("rejoined", "every member answered and named the same leader in the same term", comeback.rejoined),
        ("caught up", "every member had what any member had at the look before", comeback.caught_up),
    ]
}

/// What of the time after the last revert each part took.
fn drawing(comeback: Comeback) -> Markup {
    let all = parts(comeback);
    let last = all.iter().filter_map(|(_, _, at)| *at).max().unwrap_or(comeback.reverted);
    let length = last - comeback.reverted;
    if length < tell::AT_ONCE {
        return html! {};
    }
    let x = |at: Nanos| INSET + (WIDTH - INSET - INSET).part(at - comeback.reverted, length);
    html! {
        div .scroll tabindex="0" role="region" aria-label="Parts of the recovery, drawn" {
            svg class="drawing" viewBox={ "0 0 " (WIDTH) " " (HEIGHT) } role="img" aria-label="The parts of the recovery in a row" {
                @for (place, pair) in all.windows(2).enumerate() {
                    @if let (Some(from), Some(to)) = (pair[0].2, pair[1].2) {
                        @if to > from {
                            @let label = format!("{} {}", pair[1].0, tell::later(from, to));
                            @let width = x(to) - x(from);
                            rect class={ "part part-" (place) } x=(x(from)) width=(width) y="22" height="26" {}
                            @if text_width(&label) + Px::units(10) <= width {
                                text class={ "label part-" (place) } x=(x(from) + Px::units(6)) y="39" { (label) }
                            }
                        }
                    }
                }
                text class="tick" x=(INSET) y="14" { "reverted " (words::at(comeback.reverted)) }
                text class="tick" x=(WIDTH - INSET) y="14" text-anchor="end" { (words::time(length)) " later" }
            }
        }
    }
}

/// `not_seen` is why members did not say anything, where they did not.
fn table(comeback: Comeback, not_seen: &str) -> Markup {
    let all = parts(comeback);
    html! {
        div .scroll tabindex="0" role="region" aria-label="Parts of the recovery" {
            table {
                caption { "From the last revert to the last member that had caught up" }
                thead { tr {
                    th scope="col" { "part" } th scope="col" { "over when" } th scope="col" { "at" }
                    th scope="col" { "took" } th scope="col" { "since the revert" }
                } }
                tbody {
                    @for (place, (name, what, at)) in all.iter().enumerate() {
                        tr {
                            th scope="row" { (name) }
                            td { (what) }
                            @match at {
                                None => { td { @if place > 1 { (not_seen) } @else { "not seen" } } td { "–" } td { "–" } },
                                Some(at) => {
                                    td .n { (words::moment(*at)) }
                                    td .n {
                                        @match place.checked_sub(1).and_then(|before| all[before].2) {
                                            Some(before) => (tell::later(before, *at)),
                                            None => "–",
                                        }
                                    }
                                    td .n { (tell::later(comeback.reverted, *at)) }
                                },
                            }
                        }
                    }
                }
            }
        }
    }
}

/// What became of the further StatefulSets that faults hit: no part of the recovery waits for them.
fn beside(comeback: Comeback, sets: &str) -> String {
    match comeback.elsewhere {
        Some(at) => format!("Beside it, every pod of {sets} was Ready {}.", words::at(at)),
        None => {
            format!("Beside it, not every pod of {sets} was seen to be Ready again. No claim is about that.")
        }
    }
}

fn claims(claims: &[&Claim]) -> Markup {
    html! {
        div .scroll tabindex="0" role="region" aria-label="Recovery of each SLI" {
            table {
                caption { "When each SLI was good again" }
                thead { tr {
                    th scope="col" { "claim" } th scope="col" { "SLI" } th scope="col" { "good again" }
                    th scope="col" { "allowed" }
                } }
                tbody {
                    @for claim in claims {
                        @if let Some(recovery) = &claim.recovery {
                            tr {
                                th scope="row" { (claim.name) }
                                td { (claim.sli) }
                                td {
                                    @match recovery.recovered {
                                        Some(at) => (tell::later(recovery.from, at)),
                                        None => "not seen",
                                    }
                                }
                                td { (recovery.within.map_or_else(|| "–".into(), words::time)) }
                            }
                        }
                    }
                }
            }
        }
    }
}
