//! How long each operation took, on a logarithmic scale, at the moment at which it should have begun.

use std::fmt::Write as _;

use maud::{Markup, html};

use crate::api::{Nanos, are, counted};
use crate::judge::judgement::{Claim, MOST_VIOLATIONS, WitnessOperation};
use crate::report::html::draw::{Row, upright, worth_drawing};
use crate::report::html::operations::{Operation, Outcome};
use crate::report::html::scale::{Decades, LEFT, Px, RIGHT, Time};
use crate::report::html::story::Story;
use crate::report::html::thin::{self, Point, Thinned};

const HEIGHT: Px = Px::units(170);
/// Marks an operation that must not be.
pub(super) const DIAMOND: &str = "M0 -7l6 7l-6 7l-6 -7z";

/// The row, and what it leaves out; none where nobody read or wrote.
pub(super) fn row(story: &Story<'_>, time: Time) -> (Option<Row>, Vec<String>) {
    if story.operations.is_empty() {
        return (
            None,
            vec!["No client read or wrote, so there is no latency and no throughput to show.".into()],
        );
    }
    let axis = Decades::around(story.operations.iter().map(Operation::took), HEIGHT);
    let points = |wanted: fn(&Operation) -> bool| {
        story
            .operations
            .iter()
            .filter(move |operation| wanted(operation))
            .map(move |operation| Point { x: time.x(operation.intended), y: axis.y(operation.took()) })
    };
    let reads =
        thin::by_rank(points(|operation| operation.outcome == Outcome::Answered && !operation.writes));
    let writes =
        thin::by_rank(points(|operation| operation.outcome == Outcome::Answered && operation.writes));
    let failed = thin::by_spot(points(|operation| operation.outcome == Outcome::Failed));
    let unknown = thin::by_spot(points(|operation| operation.outcome == Outcome::Unknown));
    let mut notes = notes([&reads, &writes], [&failed, &unknown]);
    if story.judgement.claims.iter().any(|claim| claim.violations.len() >= MOST_VIOLATIONS) {
        notes.push(format!("Of the violations of each promise the first {MOST_VIOLATIONS} are marked."));
    }
    let body = html! {
        @for (value, _) in axis.ticks() {
            @let y = axis.y(value);
            line class="decade" x1=(LEFT) x2=(RIGHT) y1=(y) y2=(y) {}
        }
        g class="points" data-lowest=(axis.lowest) data-highest=(axis.highest) data-height=(HEIGHT) {
            path class="p read" data-what="read answered" d=(dots(&reads)) {}
            path class="p write" data-what="write answered" d=(dots(&writes)) {}
            path class="p failed" data-what="failed" d=(squares(&failed)) {}
            path class="p unknown" data-what="outcome unknown" d=(bars(&unknown)) {}
        }
        (wrong(story, time))
        @for (value, name) in axis.ticks() {
            text class="decade" x=(LEFT + Px::units(3)) y=(axis.y(value) - Px::units(3)) { (name) }
        }
    };
    (
        Some(Row { name: "latency".into(), note: Some("of each operation".into()), height: HEIGHT, body }),
        notes,
    )
}

fn notes(answered: [&Thinned; 2], others: [&Thinned; 2]) -> Vec<String> {
    let left_out = |thinned: [&Thinned; 2]| thinned.iter().map(|thinned| thinned.left_out).sum::<usize>();
    let mut notes = Vec::new();
    match left_out(answered) {
        0 => {}
        many => notes.push(format!(
            "{} {} not drawn, because others stand in the same column; the fastest and the slowest of each column are.",
            counted(many, "answered operation"),
            are(many)
        )),
    }
    match left_out(others) {
        0 => {}
        many => {
            let many = format!("{} {}", counted(many, "failed or unknown operation"), are(many));
            notes.push(format!("{many} drawn on the same spot as others."));
        }
    }
    notes
}

/// Points without length, which round ends make visible.
fn dots(thinned: &Thinned) -> String {
    path(thinned, "h0")
}

/// Points with hardly any height: printers leave square ends without any out.
fn squares(thinned: &Thinned) -> String {
    path(thinned, "v.1")
}

fn bars(thinned: &Thinned) -> String {
    path(thinned, "v8")
}

fn path(thinned: &Thinned, shape: &str) -> String {
    let mut path = String::with_capacity(thinned.points.len() * 14);
    for point in &thinned.points {
        let _ = write!(path, "M{} {}{shape}", point.x, point.y);
    }
    path
}

/// A line through every violation, which the row of its claim names.
fn wrong(story: &Story<'_>, time: Time) -> Markup {
    let violations = story.judgement.claims.iter().flat_map(|claim| worth_naming(claim, time));
    html! { @for operation in violations { (upright(time, ended(operation), HEIGHT, "wrong")) } }
}

/// One operation of each violation, as far as they can be told apart.
pub(super) fn worth_naming(claim: &Claim, time: Time) -> Vec<&WitnessOperation> {
    worth_drawing(time, &claim.violations, ended)
}

/// When an operation was over; where nobody knows, when it began.
pub(super) fn ended(operation: &WitnessOperation) -> Nanos {
    operation.ret.unwrap_or(operation.call)
}
