//! What was broken: a bar for each occurrence of a step, with a tick for each proof of its effect.

use maud::{Markup, html};

use crate::api::{InjectionState, Nanos};
use crate::judge::facts::Occurrence;
use crate::judge::judgement::StepOutcome;
use crate::judge::words;
use crate::report::html::draw::{Bar, Label, Row, mark, worth_drawing};
use crate::report::html::scale::{Px, RIGHT, Time, text_width};
use crate::report::html::story::Story;
use crate::report::html::tell;

const HEIGHT: Px = Px::units(26);
/// Marks a look at which the effect was not there.
pub(super) const CROSS: &str = "M-4 -4l8 8M4 -4l-8 8";
/// The most rows; further occurrences share the last one.
const MOST: usize = 12;

/// Occurrences that do not overlap, with their names beside them, share a row.
pub(super) fn rows(story: &Story<'_>, time: Time) -> Vec<Row> {
    let mut rows: Vec<(Px, Vec<usize>)> = Vec::new();
    for (place, step) in story.judgement.steps.iter().enumerate() {
        let (from, to) = room_of(step, time);
        match rows.iter_mut().enumerate().find(|(row, (taken, _))| *taken <= from || row + 1 == MOST) {
            Some((_, (taken, places))) => {
                *taken = to.max(*taken);
                places.push(place);
            }
            None => rows.push((to, vec![place])),
        }
    }
    let named = |row| if row == 0 { "faults".to_owned() } else { String::new() };
    let drawn = |row: usize, places: &[usize]| {
        // In the last one everything that found no room stands over each other.
        let is_named = row + 1 < MOST;
        let steps = &story.judgement.steps;
        html! {
            @for &place in worth_drawing(time, places, |&place| end_of(&steps[place], time)) {
                (bar(&steps[place], is_named, time))
                @if let Some(occurrence) = story.facts.occurrences.get(place) {
                    (proofs(occurrence, steps[place].unproven.is_some(), time))
                }
            }
        }
    };
    rows.iter()
        .enumerate()
        .map(|(row, (_, places))| Row {
            name: named(row),
            note: None,
            height: HEIGHT,
            body: drawn(row, places),
        })
        .collect()
}

/// What an occurrence is called: all of it the first time, its name from then on.
fn called(step: &StepOutcome) -> String {
    if step.occurrence == 0 { tell::hit(step) } else { step.name() }
}

/// From where to where an occurrence is drawn, with its name.
fn room_of(step: &StepOutcome, time: Time) -> (Px, Px) {
    let (from, to) = (time.x(step.chosen), time.x(end_of(step, time)));
    let room = text_width(&called(step)) + Px::units(12);
    let within = to - time.x(step.began.unwrap_or(step.chosen));
    if room <= within {
        (from, to)
    } else if to + room <= RIGHT {
        (from, to + room)
    } else {
        (from - room, to)
    }
}

fn end_of(step: &StepOutcome, time: Time) -> Nanos {
    step.ended.unwrap_or(time.end)
}

fn bar(step: &StepOutcome, is_named: bool, time: Time) -> Markup {
    let proven = tell::proven(step);
    let name = called(step);
    let label = if is_named { Label::Always(&name) } else { Label::Inside(&name) };
    let proof = step.proof.as_ref().map(|proof| format!("; newest proof: {proof}")).unwrap_or_default();
    let title = format!("{}, {}, {proven}{proof}", tell::hit(step), tell::when(step));
    let ended = step.ended.unwrap_or(time.end);
    let began = step.began.unwrap_or(ended);
    let arming =
        format!("{}: being injected, {} to {}", step.step, words::at(step.chosen), words::moment(began));
    let class = if step.unproven.is_some() { "fault doubtful" } else { "fault" };
    html! {
        (Bar {
            from: step.chosen, to: began, top: Px::units(3), height: HEIGHT - Px::units(6), class: "arming",
            label: Label::None, title: &arming,
        }.draw(time))
        @if step.began.is_some() {
            (Bar {
                from: began, to: ended, top: Px(0), height: HEIGHT, class, label, title: &title,
            }.draw(time))
        }
    }
}

/// A tick where the effect was seen, a cross where it was seen to be gone.
fn proofs(occurrence: &Occurrence, is_doubtful: bool, time: Time) -> Markup {
    let mut seen: Vec<(Px, Nanos, bool, String)> = occurrence
        .hits
        .values()
        .flat_map(|hit| hit.observations.iter().map(move |seen| (hit, seen)))
        .filter_map(|(hit, seen)| {
            let shows = match seen.state {
                InjectionState::Injected => seen.holds,
                InjectionState::Lost | InjectionState::Failed => false,
                InjectionState::Pending | InjectionState::Reverted | InjectionState::RevertFailed => {
                    return None;
                }
            };
            let whom = words::members_of(occurrence.set.as_deref(), &[hit.ordinal]);
            let whom = if occurrence.hits.len() > 1 { format!("{whom}: ") } else { String::new() };
            Some((time.x(seen.at), seen.at, shows, format!("{whom}{}", seen.words)))
        })
        .collect();
    seen.sort();
    // One for each place is as many as can be seen, and what is lost is never hidden by a proof.
    seen.dedup_by(|next, kept| next.2 == kept.2 && next.0 - kept.0 < Px::units(3));
    let tick = if is_doubtful { "proof lone" } else { "proof" };
    html! {
        @for (_, at, shows, words) in &seen {
            @let said = if *shows { "proof" } else { "no proof" };
            @let title = format!("{said} {}: {words}", words::at(*at));
            @if *shows {
                (mark(time, *at, HEIGHT, tick, "M0 0v-6", &title))
            } @else {
                (mark(time, *at, HEIGHT - Px::units(6), "unproven", CROSS, &title))
            }
        }
    }
}
