//! The run as one drawing: phases, faults with their proof, a lane for each member, every measured claim, the latency of
//! each operation, throughput, and the operations that must not be; all on one axis of time.

mod claims;
mod faults;
mod lanes;
mod latency;
mod phases;
mod throughput;

use maud::{Markup, html};

use super::draw::{Row, worth_drawing};
use super::scale::{LEFT, Px, RIGHT, Time, WIDTH};
use super::story::Story;
use super::tell;
use crate::api::counted;
use crate::judge::words;

pub(super) use phases::name as phase_name;

/// The most faults that are told to who does not see the drawing: all of it is read aloud.
const MOST_TOLD: usize = 12;
/// Between two rows.
const GAP: Px = Px::units(8);
/// Above the first row, for the names of moments.
const HEAD: Px = Px::units(22);

/// The section with the drawing, its legend and what it leaves out.
pub(super) fn section(story: &Story<'_>) -> Markup {
    let time = Time::over(story.judgement.lasted);
    let (latency, thinned) = latency::row(story, time);
    let mut rows = vec![phases::row(story, time)];
    rows.extend(faults::rows(story, time));
    let (lanes, unseen) = lanes::rows(story, time);
    rows.extend(lanes);
    rows.extend(claims::rows(story, time));
    rows.extend(latency);
    rows.extend(throughput::row(story, time));
    html! {
        section aria-labelledby="timeline-title" {
            h2 #timeline-title { "What happened, and when" }
            (legend())
            div #timeline {
                div .tools role="group" aria-label="Zoom of the timeline" {
                    button type="button" data-do="in" aria-label="Zoom in" { "+" }
                    button type="button" data-do="out" aria-label="Zoom out" { "−" }
                    button type="button" data-do="left" aria-label="Earlier" { "←" }
                    button type="button" data-do="right" aria-label="Later" { "→" }
                    button type="button" data-do="all" { "Whole run" }
                    span .hint { "Ctrl and wheel, or the keys + − ← → 0" }
                }
                div .scroll tabindex="0" role="region" aria-label="Timeline, can be scrolled and zoomed" {
                    (drawing(story, time, &rows))
                }
                p .note .narrow { "The timeline is wider than this screen: it scrolls sideways." }
                output .readout {}
            }
            @for note in thinned.into_iter().chain(unseen).chain(claims::notes(story)) { p .note { (note) } }
        }
    }
}

fn drawing(story: &Story<'_>, time: Time, rows: &[Row]) -> Markup {
    let inner = rows.iter().fold(Px(0), |height, row| height + row.height + GAP);
    let height = HEAD + inner + Px::units(4);
    let mut top = HEAD;
    let placed: Vec<(Px, &Row)> = rows
        .iter()
        .map(|row| {
            let at = top;
            top = top + row.height + GAP;
            (at, row)
        })
        .collect();
    html! {
        svg class="drawing" viewBox={ "0 0 " (WIDTH) " " (height) } role="img" aria-labelledby="drawing-title drawing-desc"
            data-left=(LEFT) data-right=(RIGHT) data-end=(story.judgement.lasted) {
            title #drawing-title { "Timeline of the run " (story.judgement.run) }
            desc #drawing-desc { (described(story)) }
            (patterns(height))
            g .ticks clip-path="url(#plot)" {
                @for (at, name) in time.ticks() {
                    @let x = time.x(at);
                    line class="tick" x1=(x) x2=(x) y1=(HEAD - Px::units(4)) y2=(height) {}
                    text class="tick" x=(x + Px::units(3)) y="13" { (name) }
                }
            }
            g .bands clip-path="url(#plot)" {
                @for step in worth_drawing(time, &story.judgement.steps, |step| step.ended.unwrap_or(time.end)) {
                    @if let Some(began) = step.began {
                        @let x = time.x(began);
                        @let end = time.x(step.ended.unwrap_or(time.end));
                        rect class="band" x=(x) width=((end - x).max(Px(10))) y=(HEAD) height=(inner) {}
                    }
                }
            }
            @for (at, row) in placed {
                g class="row" transform={ "translate(0 " (at) ")" } data-name=(row.name) {
                    @let middle = Px(row.height.0.min(Px::units(34).0) / 2);
                    @if let Some(note) = &row.note {
                        text class="name" x="4" y=(middle - Px::units(1)) { (row.name) }
                        text class="aside" x="4" y=(middle + Px::units(12)) { (note) }
                    } @else {
                        text class="name" x="4" y=(middle + Px::units(4)) { (row.name) }
                    }
                    g .body clip-path="url(#plot)" { (row.body) }
                }
            }
            line class="cursor none" y1=(HEAD) y2=(height) x1="0" x2="0" {}
        }
    }
}

/// What the drawing shows, for who does not see it.
fn described(story: &Story<'_>) -> String {
    let judgement = story.judgement;
    let mut told = vec![format!(
        "The run lasted {}, with {} of {}.",
        words::time(judgement.lasted),
        counted(judgement.replicas, "member"),
        judgement.target
    )];
    let steps = judgement.steps.iter();
    told.extend(steps.take(MOST_TOLD).map(|step| format!("{}, {}.", tell::hit(step), tell::when(step))));
    if judgement.steps.len() > MOST_TOLD {
        told.push(format!("And {}.", counted(judgement.steps.len() - MOST_TOLD, "more fault")));
    }
    told.push("Everything in it is in the tables below.".into());
    told.join(" ")
}

fn patterns(height: Px) -> Markup {
    let slanted = |id, class, size: i64| {
        html! {
            pattern id=(id) patternUnits="userSpaceOnUse" width=(size) height=(size) patternTransform="rotate(45)" {
                rect class={ "ground " (class) } width=(size) height=(size) {}
                line class={ "stripe " (class) } x1="0" y1="0" x2="0" y2=(size) {}
            }
        }
    };
    html! {
        defs {
            clipPath #plot {
                rect x=(LEFT) y="-20" width=(RIGHT - LEFT) height=(height + Px::units(40)) {}
            }
            (slanted("hatch-fault", "fault", 7))
            (slanted("hatch-bad", "bad", 6))
            (slanted("hatch-old", "old", 8))
            pattern #dots patternUnits="userSpaceOnUse" width="6" height="6" {
                circle class="dot" cx="2" cy="2" r="1" {}
            }
        }
    }
}

/// How each thing is painted. Every one differs in more than its colour.
fn legend() -> Markup {
    let swatch = |body: Markup, name: &str| {
        html! {
            li {
                svg width="26" height="14" viewBox="0 0 26 14" aria-hidden="true" { (body) }
                (name)
            }
        }
    };
    let bar = |class: &str| html! { rect class=(class) x="1" y="2" width="24" height="10" {} };
    html! {
        ul .legend aria-label="How to read the timeline" {
            (swatch(bar("arming"), "being injected"))
            (swatch(bar("fault"), "fault in force"))
            (swatch(html! { (bar("fault")) path class="proof" d="M7 8v4M13 8v4M19 8v4" {} }, "proofs of its effect"))
            (swatch(bar("fault doubtful"), "fault not proven"))
            (swatch(html! { g class="unproven" transform="translate(13 7)" { path d=(faults::CROSS) {} } }, "effect gone"))
            (swatch(bar("lead"), "leads"))
            (swatch(bar("led"), "still thinks it leads"))
            (swatch(bar("follow"), "follows"))
            (swatch(bar("other"), "follows nobody, or SLI not yet back"))
            (swatch(bar("silent"), "no answer, no pod, or SLI bad"))
            (swatch(bar("unasked"), "not asked"))
            (swatch(html! { line class="recovered" x1="13" x2="13" y1="0" y2="14" {} }, "SLI good again"))
            (swatch(html! { line class="ready" x1="1" x2="25" y1="7" y2="7" {} }, "pod Ready"))
            (swatch(html! { rect class="unready" x="1" y="4" width="24" height="6" {} }, "pod not Ready"))
            (swatch(html! { g class="event" transform="translate(13 8)" { path d=(lanes::RESTARTED) {} } }, "container restarted"))
            (swatch(html! { g class="event" transform="translate(13 7)" { path d=(lanes::REPLACED) {} } }, "new pod"))
            (swatch(html! { path class="p write" d="M5 9h0M13 5h0M20 8h0" {} }, "write answered"))
            (swatch(html! { path class="p read" d="M5 9h0M13 5h0M20 8h0" {} }, "read answered"))
            (swatch(html! { path class="p failed" d="M6 7v.1M18 7v.1" {} }, "operation failed"))
            (swatch(html! { path class="p unknown" d="M7 3v8M18 3v8" {} }, "outcome unknown"))
            (swatch(html! { g class="mark wrong" transform="translate(13 7)" { path d=(latency::DIAMOND) {} } }, "lost or contradicting operation, or a second leader"))
        }
    }
}
