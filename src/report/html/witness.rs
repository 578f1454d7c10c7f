//! The operations that prove that a promise about data was broken, drawn in a lane for each client.
//!
//! Operations of a witness may be minutes apart and take a millisecond each, so the drawing keeps the order of their
//! beginnings and ends and not the distances between them.

use std::collections::BTreeMap;

use maud::{Markup, html};

use super::scale::{Px, WIDTH, text_width};
use super::story::Story;
use crate::api::{Nanos, are, counted};
use crate::judge::judgement::{Claim, WitnessOperation};

/// The most operations that are shown; chains of compare-and-sets can be longer than anybody reads.
const MOST: usize = 40;
const LEFT: Px = Px::units(84);
const RIGHT: Px = Px::units(1180);
const LANE: Px = Px::units(58);
const HEAD: Px = Px::units(24);

/// The section; nothing where no promise about data was broken.
pub(super) fn section(story: &Story<'_>) -> Markup {
    let shown: Vec<&Claim> =
        story.judgement.claims.iter().filter(|claim| !claim.witness.is_empty()).collect();
    html! {
        @if !shown.is_empty() {
            section aria-labelledby="witness-title" {
                h2 #witness-title { "The proof that data is wrong" }
                @for (place, claim) in shown.into_iter().enumerate() {
                    h3 #{ "witness-" (place) } { (claim.name) }
                    p { (claim.sentence) }
                    @let operations = &claim.witness[..claim.witness.len().min(MOST)];
                    div .scroll tabindex="0" role="region" aria-labelledby={ "witness-" (place) } { (drawing(operations)) }
                    p .note {
                        "Left to right is the order of what happened; the distances are not to scale."
                        @if claim.witness.len() > MOST {
                            @let more = claim.witness.len() - MOST;
                            " " (counted(more, "more operation")) " " (are(more)) " in report.json."
                        }
                    }
                    (table(operations))
                }
            }
        }
    }
}

/// The order of all beginnings and ends.
struct Order {
    moments: Vec<Nanos>,
}

impl Order {
    fn of(operations: &[WitnessOperation]) -> Self {
        let mut moments: Vec<Nanos> =
            operations.iter().flat_map(|operation| [Some(operation.call), operation.ret]).flatten().collect();
        moments.sort_unstable();
        moments.dedup();
        Self { moments }
    }

    fn x(&self, at: Nanos) -> Px {
        let rank = self.moments.partition_point(|&moment| moment < at);
        LEFT + (RIGHT - LEFT).part(rank as u64, self.moments.len().max(2) as u64)
    }
}

fn drawing(operations: &[WitnessOperation]) -> Markup {
    let order = Order::of(operations);
    let mut lanes: BTreeMap<u32, Vec<(usize, &WitnessOperation)>> = BTreeMap::new();
    for (place, operation) in operations.iter().enumerate() {
        lanes.entry(operation.process).or_default().push((place + 1, operation));
    }
    let height = HEAD + LANE.times(lanes.len()) + Px::units(6);
    html! {
        svg class="drawing" viewBox={ "0 0 " (WIDTH) " " (height) } role="img"
            aria-label="The operations in lanes of their clients; the table below says the same" {
            @for (rank, at) in order.moments.iter().enumerate() {
                @let x = order.x(*at);
                line class="tick" x1=(x) x2=(x) y1="16" y2=(height) {}
                // Names of moments that would stand on each other take turns.
                @if order.moments.len() <= 14 || rank % 2 == 0 {
                    text class="tick" x=(x + Px::units(2)) y="12" { (exact(*at)) }
                }
            }
            @for (lane, (process, operations)) in (0..).zip(&lanes) {
                @let top = HEAD + Px(LANE.0 * lane);
                text class="name" x="4" y=(top + Px::units(33)) { "client " (process) }
                line class="decade" x1=(LEFT) x2=(RIGHT) y1=(top + LANE) y2=(top + LANE) {}
                @for (turn, (number, operation)) in operations.iter().enumerate() {
                    (bar(*number, operation, &order, top, turn % 2 == 1))
                }
            }
        }
    }
}

/// From call to answer; without an answer to the end, with an open side.
fn bar(number: usize, operation: &WitnessOperation, order: &Order, top: Px, below: bool) -> Markup {
    let x = order.x(operation.call);
    let end = operation.ret.map_or(RIGHT, |ret| order.x(ret));
    let width = (end - x).max(Px::units(6));
    let class = if operation.what.starts_with("read") { "seen" } else { "written" };
    let label = told(operation);
    let y = if below { top + Px::units(53) } else { top + Px::units(15) };
    // What would go beyond the right edge ends there.
    let from_right = x + text_width(&label) > WIDTH;
    html! {
        g .s {
            title { (label) }
            @if operation.ret.is_some() {
                rect class={ "operation " (class) } x=(x) y=(top + Px::units(20)) width=(width) height="20" rx="3" {}
            } @else {
                path class={ "operation open " (class) }
                    d={ "M" (end) " " (top + Px::units(20)) "H" (x) "v20H" (end) } {}
            }
            text class={ "label " (class) } x=(x + Px::units(5)) y=(top + Px::units(34)) { (number) }
            @if from_right {
                text class="told" x=(WIDTH - Px::units(4)) y=(y) text-anchor="end" { (label) }
            } @else {
                text class="told" x=(x) y=(y) { (label) }
            }
        }
    }
}

fn told(operation: &WitnessOperation) -> String {
    let member = operation.member.map(|member| format!(" at member {member}")).unwrap_or_default();
    let open = if operation.ret.is_none() { ", no answer" } else { "" };
    format!("{}{member}{open}", operation.what)
}

/// To the microsecond: what contradicts each other may be that near.
fn exact(at: Nanos) -> String {
    format!("{}.{:06} s", at / 1_000_000_000, at / 1_000 % 1_000_000)
}

fn table(operations: &[WitnessOperation]) -> Markup {
    html! {
        div .scroll tabindex="0" role="region" aria-label="Operations of the proof" {
            table {
                caption { "The same operations" }
                thead { tr {
                    th scope="col" { "no." } th scope="col" { "client" } th scope="col" { "asked" }
                    th scope="col" { "what it did" } th scope="col" { "sent" } th scope="col" { "answered" }
                    th scope="col" { "index in the journal" }
                } }
                tbody {
                    @for (place, operation) in operations.iter().enumerate() {
                        tr {
                            th scope="row" { (place + 1) }
                            td { (operation.process) }
                            td {
                                @match operation.member {
                                    Some(member) => { "member " (member) },
                                    None => "the service",
                                }
                            }
                            td { (operation.what) }
                            td { (exact(operation.call)) }
                            td { (operation.ret.map_or_else(|| "never".into(), exact)) }
                            td { (operation.index) }
                        }
                    }
                }
            }
        }
    }
}
