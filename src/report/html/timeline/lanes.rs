//! A lane for each member: what it took itself for, in which term, and how its pod stood. Below them one for each pod of a
//! further StatefulSet that a fault hit: when it did, and how the pod stood.

use std::collections::BTreeSet;

use maud::{Markup, html};

use crate::api::{Ordinal, PodPhase, counted};
use crate::judge::judgement::StepOutcome;
use crate::judge::words;
use crate::report::html::draw::{Bar, Label, Row, mark, worth_drawing};
use crate::report::html::members::{Lane, Part, PodEvent, PodState, Span};
use crate::report::html::scale::{Px, Time};
use crate::report::html::story::Story;
use crate::report::html::tell;

const HEIGHT: Px = Px::units(34);
const PART: Px = Px::units(20);
const POD: Px = Px::units(24);
/// Marks a container that was started again.
pub(super) const RESTARTED: &str = "M0 -6l5 9h-10z";
/// Marks a pod that is another one than before.
pub(super) const REPLACED: &str = "M-4 -4h8v8h-8z";
/// The most lanes that are drawn: those of members that were hit, then those in which most happened.
const MOST: usize = 24;

/// The lanes, and who has none.
pub(super) fn rows(story: &Story<'_>, time: Time) -> (Vec<Row>, Option<String>) {
    let hit: BTreeSet<Ordinal> = own_steps(story).flat_map(|step| &step.affected).copied().collect();
    let mut drawn: Vec<Ordinal> = story.lanes.keys().copied().collect();
    drawn.sort_by_key(|ordinal| {
        (!hit.contains(ordinal), std::cmp::Reverse(story.lanes[ordinal].changes()), *ordinal)
    });
    let left_out = drawn.len().saturating_sub(MOST);
    drawn.truncate(MOST);
    drawn.sort_unstable();
    let rows: Vec<Row> = drawn
        .into_iter()
        .map(|ordinal| {
            let lane = &story.lanes[&ordinal];
            Row {
                name: format!("member {ordinal}"),
                note: Some(shortened(&lane.name)),
                height: HEIGHT,
                body: html! { (parts(lane, time)) (pod(lane, time)) },
            }
        })
        .chain(story.other_lanes.iter().take(MOST).map(|(whose, lane)| other(story, whose, lane, time)))
        .collect();
    let left_out = left_out + story.other_lanes.len().saturating_sub(MOST);
    let have = if left_out == 1 { "has" } else { "have" };
    let unseen = (left_out > 0).then(|| {
        format!("{}, in which less happened, {have} no lane here.", counted(left_out, "more member"))
    });
    (rows, unseen)
}

fn own_steps<'a>(story: &'a Story<'_>) -> impl Iterator<Item = &'a StepOutcome> {
    story.judgement.steps.iter().filter(|step| step.set.is_none())
}

/// The lane of a pod that is no member.
fn other(story: &Story<'_>, (set, ordinal): &(String, Ordinal), lane: &Lane, time: Time) -> Row {
    let is_its = |step: &&StepOutcome| {
        step.set.as_ref() == Some(set) && (step.affected.contains(ordinal) || step.members.contains(ordinal))
    };
    let hit: Vec<&StepOutcome> = story.judgement.steps.iter().filter(is_its).collect();
    let ended = |step: &StepOutcome| step.ended.unwrap_or(time.end);
    Row {
        name: shortened(&lane.name),
        note: Some("not a member".into()),
        height: HEIGHT,
        body: html! {
            @for step in worth_drawing(time, &hit, |step| ended(step)) {
                @let class = if step.unproven.is_some() { "fault doubtful" } else { "fault" };
                @let (from, name) = (step.began.unwrap_or(step.chosen), step.name());
                @let title = format!("{}, {}", tell::hit(step), tell::when(step));
                (Bar { from, to: ended(step), top: Px(0), height: PART, class, label: Label::Inside(&name), title: &title }.draw(time))
            }
            (pod(lane, time))
        },
    }
}

/// A long name by its end, which tells pods apart.
fn shortened(name: &str) -> String {
    let letters: Vec<char> = name.chars().collect();
    match letters.len() {
        0..=18 => name.to_owned(),
        many => format!("…{}", letters[many - 17..].iter().collect::<String>()),
    }
}

fn parts(lane: &Lane, time: Time) -> Markup {
    html! {
        @for Span { from, to, what } in worth_drawing(time, &lane.parts, |span| span.to) {
            @let (class, label) = painted(what);
            @let title = format!("{label}, {} to {}", words::at(*from), words::moment(*to));
            (Bar { from: *from, to: *to, top: Px(0), height: PART, class, label: Label::Inside(&label), title: &title }.draw(time))
        }
    }
}

fn painted(part: &Part) -> (&'static str, String) {
    match part {
        Part::Leads { term } => ("lead", format!("leads term {term}")),
        Part::LedBefore { term, now } => {
            ("led", format!("still thinks it leads term {term} (member {now} leads)"))
        }
        Part::Follows { term, leader: Some(leader) } => {
            ("follow", format!("follows {leader} in term {term}"))
        }
        Part::Follows { term, leader: None } => ("other", format!("follows nobody, term {term}")),
        Part::Neither { term } => ("other", format!("candidate or learner, term {term}")),
        Part::Silent => ("silent", "no answer".into()),
        Part::NotAsked => ("unasked", "not asked".into()),
    }
}

fn pod(lane: &Lane, time: Time) -> Markup {
    html! {
        @for Span { from, to, what } in worth_drawing(time, &lane.pod, |span| span.to) {
            @let (class, height, said) = match what {
                PodState::Ready => ("ready", Px::units(3), "pod Ready"),
                PodState::NotReady(PodPhase::Pending) => ("unready", Px::units(8), "pod Pending"),
                PodState::NotReady(PodPhase::Running) => ("unready", Px::units(8), "pod not Ready"),
                PodState::NotReady(PodPhase::Terminating) => ("unready", Px::units(8), "pod ends"),
                PodState::Gone => ("gone", Px::units(8), "no pod"),
            };
            @let title = format!("{said}, {} to {}", words::at(*from), words::moment(*to));
            (Bar { from: *from, to: *to, top: POD, height, class, label: Label::None, title: &title }.draw(time))
        }
        @for (at, event) in worth_drawing(time, &lane.events, |(at, _)| *at) {
            @let (path, said) = match event {
                PodEvent::Restarted(times) => (RESTARTED, format!("restarted, {} so far", counted(*times, "time"))),
                PodEvent::Replaced => (REPLACED, "a new pod".into()),
            };
            (mark(time, *at, POD + Px::units(4), "event", path, &format!("{said} {}", words::at(*at))))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::html::timeline::legend;

    #[test]
    fn whatever_a_lane_shows_is_in_the_legend() {
        let legend = legend().into_string();
        let all = [
            Part::Leads { term: 1 },
            Part::LedBefore { term: 1, now: 2 },
            Part::Follows { term: 1, leader: Some(0) },
            Part::Follows { term: 1, leader: None },
            Part::Neither { term: 1 },
            Part::Silent,
            Part::NotAsked,
        ];
        for part in all {
            let (class, label) = painted(&part);
            assert!(legend.contains(&format!("<rect class=\"{class}\"")), "{label}: {legend}");
        }
        for mark in [RESTARTED, REPLACED] {
            assert!(legend.contains(mark), "{mark}: {legend}");
        }
    }
}
